"""Checkpoints: a trial that was stopped ends as one that was not, whatever was left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from credbench import checkpoints
from credbench.checkpoints import Checkpoint
from credbench.experiment import make_experiment
from credbench.images import Part, split
from credbench.training import train
from helpers import REGISTRY

CPU = torch.device("cpu")
EPOCHS = 4


@pytest.fixture(scope="module")
def few():
    dataset = REGISTRY.get("dataset", "digits")()
    digits = split(dataset, dataset.load(None))
    return replace(digits, train=Part(digits.train.x[:220], digits.train.y[:220]))


@pytest.fixture(autouse=True)
def often(monkeypatch):
    monkeypatch.setattr(checkpoints, "EVERY", 0.0)


def trials(seeds="1", **given):
    settings = {"network": "mlp[hidden=16x3]", "epochs": str(EPOCHS), "batch-size": "50"}
    settings |= {"seeds": seeds, "optimizer": "adam[lr=3e-3]"}
    return list(make_experiment(REGISTRY, settings | given).trials)


class StoppedError(Exception):
    """Ends a run between two epochs."""


def run(members, splits, checkpoint=None, stop_after=None):
    ended = []

    def on_epoch():
        ended.append(None)
        if len(ended) == stop_after:
            raise StoppedError

    data = {trial.dataset: splits for trial in members}
    return train(members, data, CPU, on_epoch, checkpoint=checkpoint), len(ended)


def stopped(members, splits, folder, after, lines):
    """Train, stop after some epochs, and return the checkpoint that the next run opens."""
    with pytest.raises(StoppedError):
        run(members, splits, Checkpoint(folder, members, "cpu"), after)
    return Checkpoint(folder, members, "cpu", lines.append)


def facts(outcome):
    """All that a trial comes to, but for the clock."""
    curve = {k: v for k, v in vars(outcome.curve).items() if k != "seconds"}
    rest = {k: v for k, v in vars(outcome).items() if "seconds" not in k}
    return rest | {"curve": curve, "resumed": None, "n": len(outcome.curve.seconds)}


@pytest.mark.parametrize("seeds", ("1", "3"))
@pytest.mark.parametrize(
    "algorithm", ("backprop", "target-prop", "equilibrium-prop", "rec-lra[beta=0.1]")
)
def test_a_stopped_trial_ends_with_the_same_bits(algorithm, seeds, few, tmp_path):
    """Noise, settled particles, moments and the best weights all go on where they were."""
    members, lines = trials(seeds, algorithm=algorithm), []
    last = Checkpoint(tmp_path / "whole", members, "cpu")
    whole, epochs = run(members, few, last)
    checkpoint = stopped(members, few, tmp_path, 2, lines)
    resumed, told = run(members, few, checkpoint)
    assert told == epochs == EPOCHS
    assert len(lines) == 1 and f"goes on after 2 of {EPOCHS} epochs" in lines[0]
    assert all(outcome.resumed == [2] for outcome in resumed)
    assert [facts(o) for o in resumed] == [facts(o) for o in whole]
    mine, theirs = (torch.load(c.path)["tensors"] for c in (checkpoint, last))
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_the_best_epoch_may_lie_before_the_stop(few, tmp_path):
    """Weights that get worse: what is reported comes out of the checkpoint."""
    given = {"algorithm": "backprop", "optimizer": "sgd[lr=0.5|30]", "activation": "tanh"}
    members = trials(**given)
    whole, _ = run(members, few)
    assert any(outcome.epoch < 3 for outcome in whole)
    resumed, _ = run(members, few, stopped(members, few, tmp_path, 3, []))
    assert [facts(o) for o in resumed] == [facts(o) for o in whole]


def test_one_that_diverged_stays_so(few, tmp_path):
    members = trials(algorithm="backprop", activation="identity", optimizer="sgd[lr=0.1|1e20]")
    whole, _ = run(members, few)
    resumed, _ = run(members, few, stopped(members, few, tmp_path, 2, []))
    assert [o.status for o in resumed] == ["done", "diverged"]
    assert [o.epoch for o in resumed] == [o.epoch for o in whole]
    assert len(resumed[1].curve.seconds) == 1


def cut(path):
    path.write_bytes(path.read_bytes()[:-200])


def flip(path):
    """Turn one bit of the largest tensor, which torch alone would not notice."""
    weights = torch.load(path)["tensors"]["now.params.weight.1"]
    content, sought = bytearray(path.read_bytes()), weights.flatten()[:8].numpy().tobytes()
    content[content.index(sought)] ^= 1
    path.write_bytes(content)


def rewrite(path, change):
    content = torch.load(path)
    change(content)
    torch.save(content, path)


def reshape(content):
    content["tensors"]["now.params.weight.1"] = torch.zeros(3)


BROKEN = {
    "cut short": (cut, "zip"),
    "one bit": (flip, "corrupt"),
    "empty": (lambda path: path.write_bytes(b""), "zip"),
    "newer": (lambda p: rewrite(p, lambda c: c.update(format=2)), "format 2, this version reads 1"),
    "other source": (
        lambda p: rewrite(p, lambda c: c["made_by"].update(source=["0"])), "another source",
    ),
    "other device": (
        lambda p: rewrite(p, lambda c: c["made_by"].update(device="cuda")), "another device",
    ),
    "other network": (lambda p: rewrite(p, reshape), "other names, shapes or types"),
    "no such thing": (lambda p: torch.save([1], p), "TypeError"),
}  # fmt: skip


@pytest.mark.parametrize("how", BROKEN)
def test_what_does_not_fit_is_left_aside_with_a_line(how, few, tmp_path):
    damage, expected = BROKEN[how]
    members, lines = trials(algorithm="backprop"), []
    checkpoint = stopped(members, few, tmp_path, 2, lines)
    damage(checkpoint.path)
    again, told = run(members, few, checkpoint)
    assert told == EPOCHS and again[0].resumed == []
    assert len(lines) == 1 and lines[0].startswith(str(checkpoint.path))
    assert expected in lines[0] and "starts anew" in lines[0]
    assert [facts(o) for o in again] == [facts(o) for o in run(members, few)[0]]


def test_nothing_is_run_that_a_file_brings_along(few, tmp_path):
    class Code:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    members, lines = trials(algorithm="backprop"), []
    checkpoint = stopped(members, few, tmp_path, 2, lines)
    rewrite(checkpoint.path, lambda content: content.update(more=Code()))
    run(members, few, checkpoint)
    assert len(lines) == 1 and not (tmp_path / "ran").exists()


def test_another_company_finds_no_checkpoint(few, tmp_path):
    members, lines = trials("3", algorithm="backprop"), []
    stopped(members, few, tmp_path, 2, lines)
    (alone,), _ = run(members[:1], few, Checkpoint(tmp_path, members[:1], "cpu", lines.append))
    assert alone.resumed == [] and lines == []
    Checkpoint(tmp_path, members[:1], "cpu").remove()
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_stops_nothing(few, tmp_path):
    members, lines = trials(algorithm="backprop"), []
    (tmp_path / "checkpoints").write_text("a file where the folder should be")
    (outcome,), _ = run(
        members, few, Checkpoint(tmp_path / "checkpoints", members, "cpu", lines.append)
    )
    assert outcome.status == "done" and "could not be written" in lines[0]


def test_it_is_written_no_more_often_than_asked(few, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "EVERY", 3600.0)
    members = trials(algorithm="backprop")
    run(members, few, Checkpoint(tmp_path, members, "cpu"))
    assert list(tmp_path.iterdir()) == []


OFTEN = """
import credbench.checkpoints
from credbench.activations import Tanh

credbench.checkpoints.EVERY = 0.0

class Same(Tanh):
    name = "same"
"""
LONG = ("run", "-d", "digits", "-a", "target-prop", "-n", "mlp[hidden=32x2]", "--name", "long",
        "--no-timing", "--plugin", "often.py")  # fmt: skip


@pytest.mark.parametrize("how", (("-s", "1"), ("-s", "2", "--workers", "2")), ids=("one", "pool"))
def test_a_killed_command_goes_on_within_its_trials(how, credbench, tmp_path):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    for folder in (killed, whole):
        folder.mkdir()
        (folder / "often.py").write_text(OFTEN)
    command = [*LONG, "-e", "40", *how]
    program = Path(sys.executable).with_name("credbench")
    process = subprocess.Popen(
        [program, *command], cwd=killed, stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    left, wanted = killed / "results/long/checkpoints", int(how[1])
    deadline = time.monotonic() + 60
    while len(list(left.glob("[!.]*.pt"))) < wanted and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not list((killed / "results/long/trials").glob("*.json"))
    if "--workers" in how:
        time.sleep(1)  # the workers notice
    resumed = credbench(*command, cwd=killed)
    assert resumed.stderr.count("goes on after") == wanted
    credbench(*command, cwd=whole)
    assert list(left.iterdir()) == []
    for path in (whole / "results/long/trials").glob("*.json"):
        mine = json.loads((killed / "results/long/trials" / path.name).read_text())
        theirs = json.loads(path.read_text())
        assert mine["resumed"] and not theirs["resumed"]
        assert mine["scores"] == theirs["scores"] and mine["epoch"] == theirs["epoch"]
        for record in (mine, theirs):
            assert len(record["curve"].pop("seconds")) == 40
        assert mine["curve"] == theirs["curve"]
