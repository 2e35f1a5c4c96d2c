"""Timing: parts that add up, records, runs of one replica for tables, and the scripts."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from credbench import memory, pace, stopwatch
from credbench.errors import RequestError
from credbench.experiment import make_experiment
from credbench.report.pace import PaceTable
from credbench.store import Store
from credbench.timing import clock, epoch_seconds
from helpers import REGISTRY

SCRIPTS = Path(__file__).parent.parent / "scripts"
SMALL = ("-d", "digits", "-n", "mlp[hidden=8]")


def timed(**given):
    settings = {"algorithm": "rec-lra,target-prop", "seeds": "1", "network": "mlp[hidden=8x2]"}
    trials = make_experiment(REGISTRY, settings | given).trials
    return clock([[trial] for trial in trials], torch.device("cpu"), repeats=3)


def test_parts_of_a_step_add_up():
    for clocked in timed():
        parts = clocked.parts()
        for forward, credit, optimizer, step in zip(*parts.values(), strict=True):
            assert forward + credit + optimizer == pytest.approx(step) and forward > 0
        assert min(parts["forward"]) < max(parts["step"])
        assert clocked.peak_bytes > clocked.held_bytes > 4 * clocked.trial.net.count()
        assert len(clocked.loads) in (0, 3) and not clocked.captured


def test_an_epoch_takes_its_batches_in_every_phase():
    whole, some = timed(algorithm="target-prop"), timed(**{"limit-train": "100"})
    (clocked,) = whole
    assert clocked.phases == 2
    expected = [seconds * 1150 / 32 for seconds in clocked.times["step"]]
    assert epoch_seconds(clocked) == pytest.approx(expected)
    assert epoch_seconds(some[0])[0] == pytest.approx(some[0].times["step"][0] * 100 / 32)


def test_the_command_times_beside_backprop(credbench, tmp_path):
    ran = credbench("time", "-a", "dfa", *SMALL, "--depths", "1,3", "--replicas", "1,2",
                    "--repeats", "2", "--name", "mine", "--format", "json")  # fmt: skip
    (table,) = json.loads(ran.stdout)
    assert len(table["rows"]) == 8
    for row in table["rows"]:
        assert row["layers"] in (1, 3) and row["replicas"] in (1, 2)
        assert (row["algorithm"] == "backprop") == (row["ratio"] == 1.0)
        parts = sum(row[f"{part}_seconds"] for part in ("forward", "credit", "optimizer"))
        assert parts == pytest.approx(row["step_seconds"], rel=1)  # medians, each of its own
        samples = row["batch_size"] * row["replicas"]
        assert row["samples_per_second"] == pytest.approx(samples / row["step_seconds"])
    (path,) = tmp_path.glob("results/timing/*/mine.json")
    record = json.loads(path.read_text())
    assert record["environment"]["command"].startswith("credbench time -a dfa")
    assert all(len(v) == 2 for row in record["rows"] for v in row["seconds"].values())
    assert path.with_suffix(".png").stat().st_size > 5000
    shown = credbench("time", *SMALL, "-a", "fa", "--repeats", "1").stdout
    assert "× backprop" in " ".join(shown.split()) or "backprop" in shown
    assert "Record: results/timing" in shown


def test_ratios_are_of_the_same_repeat():
    def row(algorithm, *step):
        trial = {"batch_size": 32, "dataset": "d", "activation": "f", "optimizer": "o",
                 "clip_norm": None}  # fmt: skip
        return {"algorithm": algorithm, "network": "n", "replicas": 1, "trial": trial,
                "seconds": {"step": step}}  # fmt: skip

    rows = [row("dfa", 1.0, 4.0, 1.5), row("backprop", 2.0, 4.0, 2.0)]
    table = PaceTable({"rows": rows}, "backprop")
    assert table.ratio(rows[0]).median == 0.75 and table.ratio(rows[1]).median == 1.0
    assert PaceTable({"rows": rows[:1]}, "backprop").ratio(rows[0]) is None


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("--depths", "2,x"), ("depths", "'x'")),
        (("--depths", "2", "-n", "mlp[hidden=8-4]"), ("mlp[hidden=8-4]", "equally wide")),
        (("--replicas", "0"), ("replicas", "'0'")),
        (("--replicas", "auto"), ("replicas", "whole numbers")),
        (("--replicas", "10000"), ("10000 replicas", "give at most")),
        (("--depths", "10000"), ("depths '10000'", "from 1 to 9,999")),
        (("--depths", ""), ("depths ''",)),
        (("-n", "res-mlp", "-a", "target-prop"), ("not applicable: target-prop on res-mlp",)),
        (("--results-dir", "/dev/null/x"), ("cannot be written",)),
        (("--repeats", "0"), ("repeats",)),
        (("--name", "../x"), ("../x", "letters")),
        (("--device", "tpu"), ("tpu", "cuda")),
        (("-n", "mlp[hidden=900000x2]"), ("GiB", "a network of at most")),
        (
            ("-n", "mlp[hidden=256]", "--depths", "999", "--replicas", "999"),
            ("memory", "at most"),
        ),
        (("-b", "900000000000"), ("900000000000", "mnist has 58000 training images")),
    ],
)
def test_wrong_requests_get_a_sentence(credbench, arguments, words):
    ran = credbench("time", "-a", "fa", *arguments, code=2)
    assert ran.stdout == "" and len(ran.stderr.strip().splitlines()) == 1
    for word in words:
        assert word in ran.stderr


def test_what_fails_is_named(credbench, tmp_path):
    plugin = tmp_path / "plugin.py"
    plugin.write_text(
        "from credbench.algorithms.backprop import Backprop\n"
        "class Bad(Backprop):\n    name = 'bad'\n"
        "    def updates(self, step):\n        raise KeyError('x')\n"
    )
    ran = credbench("time", "-a", "bad", "--plugin", plugin, *SMALL, code=1)
    assert ran.stderr.count("\n") == 1 and "bad on mlp[hidden=8] could not be timed" in ran.stderr


def test_programs_that_fit_alone_may_not_fit_together(monkeypatch):
    cells = make_experiment(REGISTRY, {"seeds": "1", "network": "mlp[hidden=2000x2]"}).trials
    blocks = stopwatch._blocks(cells, 1)
    largest = max(memory.needs(trial).together() for trial in cells)
    monkeypatch.setattr(memory, "available", lambda device: largest + 1)
    with pytest.raises(RequestError, match=rf"{len(cells)} algorithms on .* together"):
        stopwatch._check_room(blocks, "cpu")


def test_a_run_times_each_setting_once(credbench, tmp_path):
    given = ("run", *SMALL, "-a", "fa,dfa", "-s", "2", "-e", "1", "--limit-train", "100")
    before = credbench(*given, "--no-timing").stdout
    timings = tmp_path / "results/digits/timings"
    assert "‡ not from a timing run" in before and not list(timings.iterdir())
    first = credbench(*given)
    assert "timing 2 settings" in first.stderr and "‡" not in first.stdout
    assert "Timing runs: one replica alone on" in first.stdout
    records = sorted(timings.glob("*.json"))
    contents = [path.read_bytes() for path in records]
    assert all(json.loads(content)["peak_bytes"] > 4 * 64 * 8 for content in contents)
    assert "Peak: weights" in first.stdout and "Peak: weights" not in before
    assert len(records) == 2 and len(json.loads(contents[0])["epoch_seconds"]) == 5
    assert "timing" not in credbench(*given).stderr  # nor when there is nothing to do
    assert [path.read_bytes() for path in records] == contents
    other = json.loads(contents[0]) | {"source": "of another version"}
    records[0].write_text(json.dumps(other))
    assert "timing 1 setting," in credbench(*given).stderr


def start(script, *arguments, cwd):
    command = [str(word) for word in (sys.executable, SCRIPTS / script, *arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=cwd)


def test_one_that_cannot_be_timed_leaves_the_others_theirs(tmp_path, monkeypatch):
    settings = {"algorithm": "fa,dfa,backprop", "seeds": "1", "network": "mlp[hidden=8]"}
    trials, store = make_experiment(REGISTRY, settings).trials, Store(tmp_path, "x")
    broken = type(trials[1].algorithm)
    monkeypatch.setattr(broken, "updates", lambda self, step: 1 / 0)
    (problem,) = pace.time_settings(trials, store, "cpu", "an environment")
    assert trials[1].label in problem and "ZeroDivisionError" in problem
    assert {key[0] for key in store.timings()} == {"backprop", trials[0].algorithm.spec()}


def test_want_of_memory_is_told_and_stops_nothing(tmp_path, monkeypatch):
    settings = {"algorithm": "fa,dfa", "seeds": "1", "network": "mlp[hidden=8]"}
    trials, store = make_experiment(REGISTRY, settings).trials, Store(tmp_path, "x")
    monkeypatch.setattr(memory, "available", lambda device: 1000)
    problems = list(pace.time_settings(trials, store, "cpu", "an environment"))
    assert len(problems) == 2 and all("memory" in problem for problem in problems)
    one = memory.needs(trials[0]).together()
    monkeypatch.setattr(memory, "available", lambda device: one + one // 2)
    assert not list(pace.time_settings(trials, store, "cpu", "an environment"))
    assert len(store.timings()) == 2


def run(script, *arguments, cwd):
    command = [sys.executable, SCRIPTS / script, *arguments, "--folder", cwd]
    ran = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=300, cwd=cwd
    )
    assert ran.returncode == 0, ran.stderr
    (path,) = cwd.glob("*/*.json")
    return ran.stdout, json.loads(path.read_text())


def test_loops_are_measured(tmp_path, data_dir):
    shown, record = run("time_loops.py", "--data-dir", data_dir, "--limit", 640, "--repeats", 2,
                        "--hidden", "16", cwd=tmp_path)  # fmt: skip
    assert shown.count("engine / bare") == 2 and "usual / engine" in shown
    assert set(record["seconds_per_epoch"]["32"]) == {"engine", "bare", "autograd", "usual"}


def test_the_engines_share_is_measured(tmp_path):
    shown, record = run("time_engine.py", "--trials", 10, 40, "--repeats", 1, "--epochs", 10,
                        "--seeds", 2, "--epochs-each", 2, cwd=tmp_path)  # fmt: skip
    assert "together, ms a trial" in shown and "throughput" in shown
    assert abs(record["memory"]["grown_mib"]) < 2


def test_the_gpu_script_runs_on_a_cpu(tmp_path):
    shown, record = run("time_gpu.py", "--device", "cpu", "--hidden", "8x2", "--depths", "8x2",
                        "8x4", "--replicas", 2, "--epochs", 1, "--limit", 64, "--repeats", 2,
                        "--side", 32, "--batch", 2, cwd=tmp_path)  # fmt: skip
    expected = (
        "sum of its kernels",
        "bytes a second",
        "8x4: rec-LRA",
        "images of 32 px",
        "MLP grid",
    )
    for words in expected:
        assert words in shown
    assert record["captured"]["kernel_seconds"] > 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is at hand")
def test_the_gpu_script_says_what_it_lacks(tmp_path):
    ran = start("time_gpu.py", cwd=tmp_path)
    assert ran.returncode == 2 and ran.stderr.count("\n") == 1 and "cpu" in ran.stderr
