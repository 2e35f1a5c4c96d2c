"""The ImageNet script: from a folder to a table, through a kill, and on a sample without val."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SCRIPT = Path(__file__).parent.parent / "scripts" / "imagenet.py"
SMALL = ("--dataset", "imagenet[size=16]", "--network", "mlp[hidden=8x1]", "--batch-size", "8",
         "--epochs", "12", "--plugin", "often.py", "--format", "json")  # fmt: skip
OFTEN = """
import credbench.checkpoints
from credbench.activations import Tanh

credbench.checkpoints.EVERY = 0.0

class Same(Tanh):
    name = "same"
"""


@pytest.fixture
def photographs(tmp_path):
    source = np.random.RandomState(0)
    for part, count in (("train", 8), ("val", 2)):
        for label in range(5):
            place = tmp_path / "photographs" / part / f"n0{label}"
            place.mkdir(parents=True)
            for k in range(count):
                pixels = source.randint(0, 50 + 40 * label, (24, 20, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(place / f"{k}.JPEG")
    (tmp_path / "often.py").write_text(OFTEN)
    return tmp_path / "photographs"


def start(folder, cwd, *options):
    return subprocess.Popen(
        [sys.executable, SCRIPT, folder, *SMALL, *options], cwd=cwd, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def finish(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out, err


def records(cwd):
    return [json.loads(path.read_text()) for path in cwd.glob("results/imagenet/trials/*.json")]


def test_killed_and_started_again_it_goes_on(photographs, tmp_path):
    process = start(photographs, tmp_path)
    left, deadline = tmp_path / "results/imagenet/checkpoints", time.monotonic() + 60
    while not list(left.glob("[!.]*.pt")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert records(tmp_path) == []
    _, err = finish(start(photographs, tmp_path))
    (resumed,) = records(tmp_path)
    assert "goes on after" in err and resumed["resumed"]
    shutil.rmtree(tmp_path / "results")
    out, _ = finish(start(photographs, tmp_path))
    (whole,) = records(tmp_path)
    assert whole["resumed"] == [] and whole["scores"] == resumed["scores"]
    assert whole["curve"]["training_loss"] == resumed["curve"]["training_loss"]
    assert json.loads(out)[0]["rows"][0]["top5_mean"] == whole["scores"]["test"]["top5"]


def test_a_sample_without_val_runs_to_its_end(photographs, tmp_path):
    shutil.rmtree(photographs / "val")
    before = sorted(photographs.rglob("*"))
    out, _ = finish(start(photographs, tmp_path, "--epochs", "1"))
    assert out.startswith(f"{photographs} has no val folder")
    (record,) = records(tmp_path)
    assert sum(map(sum, record["confusion"])) == 5 and "45 images" in record["origin"]
    assert sorted(photographs.rglob("*")) == before


@pytest.mark.parametrize("given, code", (((), 2), (("--help",), 0), (("nowhere",), 2)))
def test_what_it_is_to_be_told(given, code, tmp_path):
    ran = subprocess.run(
        [sys.executable, SCRIPT, *given], cwd=tmp_path, capture_output=True, text=True
    )
    assert ran.returncode == code and "train" in ran.stdout + ran.stderr
    assert "Traceback" not in ran.stderr
