"""Records: atomic, never lost, never half read; a killed run goes on where it was."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from credbench.environment import capture
from credbench.errors import CredbenchError, RequestError
from credbench.store import Store, experiments

SWEEP = (
    "run", "-a", "backprop,dfa,rec-lra", "-s", "4", "-n", "mlp[hidden=32]", "-e", "4",
    "--device", "cpu", "--name", "sweep", "--format", "json",
)  # fmt: skip


def finished(folder):
    return len(list((folder / "results/sweep/trials").glob("*.json")))


def measured(ran):
    """The table without what a clock says."""
    (table,) = json.loads(ran.stdout)
    return [{k: v for k, v in row.items() if "seconds" not in k} for row in table["rows"]]


@pytest.mark.parametrize("workers", ("1", "2"))
def test_a_killed_run_goes_on_where_it_was(credbench, tmp_path, workers):
    program = Path(sys.executable).with_name("credbench")
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    killed.mkdir(), whole.mkdir()
    for after in (1, 4):
        process = subprocess.Popen(
            [program, *SWEEP, "--workers", workers], cwd=killed, env={**os.environ},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + 120
        while finished(killed) < after and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
    time.sleep(1)  # for workers to notice that they are alone
    kept = {p: p.read_bytes() for p in (killed / "results/sweep/trials").glob("*.json")}
    assert len(kept) >= 4 and all(json.loads(content) for content in kept.values())
    resumed = credbench(*SWEEP, cwd=killed)
    assert measured(resumed) == measured(credbench(*SWEEP, cwd=whole))
    assert all(path.read_bytes() == content for path, content in kept.items())
    assert finished(killed) == 12


def test_workers_end_with_the_process_that_started_them(tmp_path):
    program = Path(sys.executable).with_name("credbench")
    process = subprocess.Popen(
        [program, *SWEEP, "--workers", "2", "-e", "100000"], cwd=tmp_path,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    if not children.exists():
        process.kill(), process.wait()
        pytest.skip("this system does not list a process's children")
    deadline = time.monotonic() + 60
    while len(started := children.read_text().split()) < 3 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(started) >= 2
    process.kill()
    process.wait()
    deadline = time.monotonic() + 20
    while any(_alive(pid) for pid in started) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(_alive(pid) for pid in started)


def _alive(pid):
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


@pytest.mark.parametrize("workers", ("1", "2"))
def test_ctrl_c_says_what_is_saved(tmp_path, workers):
    program = Path(sys.executable).with_name("credbench")
    process = subprocess.Popen(
        [program, *SWEEP, "-e", "100000", "--workers", workers], cwd=tmp_path,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert "12 trials to run" in process.stderr.readline()
    time.sleep(4)
    process.send_signal(signal.SIGINT)
    start = time.monotonic()
    _, told = process.communicate(timeout=20)
    assert time.monotonic() - start < 3
    assert process.returncode == 130 and told.count("\n") == 1
    assert "0 of 12 trials are saved in results/sweep; the same command goes on" in told


ARGUMENTS = dict.fromkeys(
    ("algorithm", "dataset", "activation", "network", "optimizer", "init", "batch_size", "epochs",
     "clip_norm", "limit_train", "seed"), "x",
)  # fmt: skip


def record(id, **facts):
    return {
        "id": id, "trial": ARGUMENTS, "status": "failed", "reason": "", "source": "",
        "surrogate": "", "environment": "", "load": 0.1, "group": 1,
    } | facts  # fmt: skip


def test_a_write_is_whole_or_not_at_all(tmp_path, monkeypatch):
    store = Store(tmp_path, "one")
    store.write_trial(record("a", value=1))

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(CredbenchError, match=r"a.json cannot be written \(No space left on device"):
        store.write_trial(record("a", value=2))
    assert store.trials()["a"]["value"] == 1
    assert [p.name for p in (tmp_path / "one/trials").iterdir()] == ["a.json"]


def test_what_cannot_be_read_is_named_and_left_out(tmp_path):
    store = Store(tmp_path, "one")
    store.write_trial(record("a"))
    trials = tmp_path / "one/trials"
    (trials / "b.json").write_text('{"id": "b", "form')
    (trials / "c.json").write_text('{"id": "c", "format": 99}')
    (trials / "d.json").write_text("[1]")
    (trials / ".e.tmp").write_text("half")
    store.write_trial(record("f", status="done"))
    store.write_trial(record("g", trial={"seed": 1}))
    assert set(store.trials()) == {"a"}
    told = dict(zip("bcdfg", store.problems, strict=True))
    assert all(f"{name}.json cannot be read" in line for name, line in told.items())
    assert "format 99, this version reads 1" in told["c"]
    assert "lacks scores, curve, phases" in told["f"] and "lacks algorithm" in told["g"]


@pytest.mark.parametrize(
    "key, value",
    [
        ("id", [1]), ("status", "weird"), ("load", "x"), ("group", "x"), ("group", 0),
        ("environment", [1]), ("phases", 5), ("scores", {"train": {}}), ("curve", {"seconds": "9"}),
        ("curve", {"seconds": [float("nan")]}),
        ("curve", {"seconds": [1.0], "validation_error": ["x"]}), ("trial", {"seed": 1}),
        ("reason", None),
    ],
)  # fmt: skip
def test_values_of_the_wrong_kind_are_named(tmp_path, key, value):
    store = Store(tmp_path, "one")
    whole = {"error": 5.0, "precision": 1.0, "recall": 1.0, "f1": 1.0}
    done = record(
        "a", status="done", phases=["train"], curve={"seconds": [1.0]},
        scores=dict.fromkeys(("train", "validation", "test"), whole),
    )  # fmt: skip
    store.write_trial(done)
    assert set(store.trials()) == {"a"} and not store.problems
    (tmp_path / "one/trials/a.json").write_text(json.dumps({"format": 1, **done, key: value}))
    assert store.trials() == {}
    (problem,) = store.problems
    assert "a.json cannot be read" in problem
    assert key in problem or (key == "trial" and "lacks" in problem)


def test_folders_and_files_in_each_others_place(credbench, tmp_path):
    small = ("run", "-a", "dfa", "-s", "1", "-n", "mlp[hidden=8]", "-e", "1", "--device", "cpu")
    credbench(*small)
    folder = tmp_path / "results/digits"
    (folder / "trials/b.json").mkdir()
    assert "b.json cannot be read" in credbench("table").stderr
    for each in (folder / "environments").glob("*.json"):
        each.unlink()
    assert "not on record" in credbench("table").stdout
    for plan in (folder / "plans").iterdir():
        plan.unlink()
    (folder / "plans").rmdir()
    (folder / "plans").write_text("")
    assert "dfa" in credbench("table").stdout
    refused = credbench(*small, code=2)
    assert "cannot be written" in refused.stderr and refused.stderr.count("\n") <= 2


def test_a_damaged_record_is_told_of_and_made_again(credbench, tmp_path):
    small = ("run", "-a", "dfa", "-s", "2", "-n", "mlp[hidden=8]", "-e", "1", "--device", "cpu")
    first = credbench(*small)
    path = sorted((tmp_path / "results/digits/trials").iterdir())[0]
    path.write_text(path.read_text()[:100])
    (tmp_path / "results/digits/plans/x.json").write_text('{"trials": {"a": {}}}')
    for command in ("table", "status"):
        told = credbench(command).stderr
        assert f"{path.name} cannot be read" in told and "x.json cannot be read" in told
    assert credbench("status").stdout.startswith("digits: 2 trials, 1 done")
    again = credbench(*small)
    assert "1 trial to run" in again.stderr and path.name in again.stderr
    assert again.stdout.splitlines()[5].split()[:3] == first.stdout.splitlines()[5].split()[:3]


def test_equal_plans_and_environments_are_stored_once(tmp_path):
    store = Store(tmp_path, "one")
    environment = capture("cpu", 2)
    names = {store.write_environment(environment) for _ in range(3)}
    assert len(names) == 1 == len(list((tmp_path / "one/environments").iterdir()))
    assert store.environments() == {names.pop(): environment}
    for trials in ({"a": ARGUMENTS}, {"a": ARGUMENTS, "b": ARGUMENTS}):
        store.write_plan({"trials": trials})
    planned = store.planned({"c": {"trial": {"seed": 1}}})
    assert planned == {"a": ARGUMENTS, "b": ARGUMENTS, "c": {"seed": 1}}


@pytest.mark.parametrize(
    "peak, read",
    [
        ({}, True),
        ({"peak_bytes": 7}, True),
        ({"peak_bytes": "7"}, False),
        ({"peak_bytes": 0}, False),
    ],
)
def test_timings_may_lack_memory_but_not_mistake_it(tmp_path, peak, read):
    store = Store(tmp_path, "one")
    store.write_timing({
        "setting": ["dfa", 32, None], "device": "cpu", "source": "s", "environment": "e",
        "loads": [], "epoch_seconds": [0.5],
    } | peak)  # fmt: skip
    assert (len(store.timings()), len(store.problems)) == ((1, 0) if read else (0, 1))


def test_experiments_are_folders_with_trials(tmp_path):
    assert experiments(tmp_path / "none") == []
    (tmp_path / "paper").mkdir()
    Store(tmp_path, "mine").write_trial(record("a"))
    assert experiments(tmp_path) == ["mine"]


@pytest.fixture
def read_only(tmp_path):
    """A folder that one may read, as someone whom it stops: root writes anywhere."""
    root = os.geteuid() == 0
    folder = Path(tempfile.mkdtemp(dir=None if root else tmp_path))  # which others may enter
    folder.chmod(0o555)
    if root:
        os.seteuid(65534)
    yield folder
    if root:
        os.seteuid(0)
    folder.chmod(0o755)
    shutil.rmtree(folder)


def test_a_read_only_folder_is_a_wrong_request(read_only):
    assert list(read_only.iterdir()) == []
    with pytest.raises(RequestError, match=r"written to .*\(Permission denied\)"):
        Store(read_only, "one").check_writable()
