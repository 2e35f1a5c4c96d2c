"""Sweeps on real Dask clusters: workers that die, trials that kill them, sweeps side by side."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from credbench import cluster, worker
from credbench.errors import CredbenchError, RequestError
from credbench.experiment import make_experiment
from credbench.grouping import Grouping
from credbench.job import Events
from credbench.registry import Registry
from credbench.running import Options, run
from credbench.store import Store
from helpers import REGISTRY

dask = pytest.importorskip("dask", reason="Dask is not installed")
distributed = pytest.importorskip(
    "distributed", reason="Dask is not installed: pip install 'credbench[dask]'"
)

FEW = {"algorithm": "backprop,dfa", "network": "mlp[hidden=12]", "epochs": "3", "seeds": "4",
       "limit-train": "200"}  # fmt: skip
PLUGIN = """
import os, signal, time
from dataclasses import dataclass
from pathlib import Path

import credbench.checkpoints
from credbench import Learner

credbench.checkpoints.EVERY = 0.0


@dataclass(frozen=True)
class Deadly(Learner):
    name = "deadly"

    def updates(self, step):
        with Path(__file__).with_name("lives").open("a") as file:
            file.write("x")
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Endless(Learner):
    name = "endless"

    def updates(self, step):
        time.sleep(1e6)


@dataclass(frozen=True)
class Slow(Learner):
    name = "slow"

    def updates(self, step):
        time.sleep(0.005)
        a = step.forward()
        return step.updates(a, step.net.chain_errors(step.params, a, step.output_error(a)))
"""


@pytest.fixture(scope="module")
def two():
    """Two workers, each a process of its own with one thread, and their scheduler's address."""
    made = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, memory_limit=0, dashboard_address="127.0.0.1:0",
        silence_logs=50,
    )  # fmt: skip
    with made:
        yield made.scheduler_address


def in_this_process(threads):
    """A cluster of one worker, with no process of its own."""
    return distributed.LocalCluster(
        n_workers=1, threads_per_worker=threads, processes=False, protocol="tcp://",
        host="127.0.0.1", dashboard_address="127.0.0.1:0",
    )  # fmt: skip


@pytest.fixture
def plugin(tmp_path):
    path = tmp_path / "plugin.py"
    path.write_text(PLUGIN)
    return path


def sweep(folder, scheduler, settings=FEW, registry=REGISTRY, plugins=(), **events):
    """Run an experiment on a cluster, or here; return its store."""
    store = Store(folder, "sweep")
    experiment = make_experiment(registry, {**settings, "name": "sweep"})
    options = Options(
        folder, device="cpu", workers=1, replicas=2, timing=False, scheduler=scheduler,
        plugins=plugins,
    )  # fmt: skip
    run(experiment, store, options, Events(**events))
    return store


def untimed(record):
    curve = {k: v for k, v in record["curve"].items() if k != "seconds"}
    kept = ("id", "trial", "source", "epoch", "scores", "confusion", "status", "group")
    return {key: record[key] for key in kept} | {"curve": curve}


def test_a_cluster_trains_what_this_process_would(two, tmp_path):
    finished, epochs = [], []
    store = sweep(tmp_path / "there", two, finished=finished.append, epoch=epochs.append)
    there, here = store.trials(), sweep(tmp_path / "here", None).trials()
    assert {k: untimed(r) for k, r in there.items()} == {k: untimed(r) for k, r in here.items()}
    assert {record["id"] for record in finished} == there.keys() and len(there) == 8
    assert sum(epochs) == 24
    where = store.environments()
    for record in there.values():
        environment = where[record["environment"]]
        assert environment["workers"] == 2 and "distributed" not in environment["command"]
    again = []
    sweep(tmp_path / "there", two, finished=again.append)
    assert again == []


def test_what_a_killed_worker_trained_goes_on_elsewhere(two, tmp_path, plugin):
    registry = Registry([plugin])
    settings = {**FEW, "algorithm": "slow", "epochs": "60", "seeds": "1"}
    with distributed.Client(two) as client:
        pids = client.run(os.getpid)
        killed = []

        def kill(*_):
            """Kill the worker that trains, once it has left a checkpoint."""
            deadline = time.monotonic() + 30
            while not list(tmp_path.glob("sweep/checkpoints/[!.]*.pt")):
                assert time.monotonic() < deadline
                time.sleep(0.02)
            (address,) = [k for k, tasks in client.processing().items() if tasks]
            killed.append(address)
            os.kill(pids[address], signal.SIGKILL)

        thread = threading.Thread(target=kill)
        thread.start()
        notes = []
        store = sweep(tmp_path, two, settings, registry, (plugin,), note=notes.append)
        thread.join()
    (record,) = store.trials().values()
    assert killed and record["status"] == "done"
    assert record["resumed"] and len(record["curve"]["seconds"]) == 60
    assert any("goes on after" in line for line in notes)


def test_a_trial_that_kills_its_workers_fails_and_costs_no_other_its_result(
    credbench, plugin, tmp_path
):
    ran = credbench(
        "run", "-a", "deadly,dfa,endless", "-n", "mlp[hidden=12]", "-e", "2", "-s", "1",
        "--no-timing", "--scheduler", "local", "--workers", "2", "--plugin", plugin,
        "--trial-timeout", "5", code=1,
    )  # fmt: skip
    records = map(json.loads, map(Path.read_text, tmp_path.glob("results/digits/trials/*.json")))
    found = {r["trial"]["algorithm"].partition("[")[0]: r for r in records}
    assert {name: record["status"] for name, record in found.items()} == {
        "deadly": "failed", "endless": "failed", "dfa": "done",
    }  # fmt: skip
    assert found["deadly"]["reason"].startswith("its worker process was killed (2 times")
    assert found["endless"]["reason"] == "took longer than 5 s"
    assert "distributed" not in ran.stderr


def test_a_trial_that_kills_workers_of_others_costs_three_of_them(two, tmp_path, plugin):
    """The scheduler alone would give it to as many as it is told to, four each time."""
    settings = {**FEW, "algorithm": "deadly,dfa", "epochs": "2", "seeds": "1"}
    store = sweep(tmp_path, two, settings, Registry([plugin]), (plugin,))
    found = {r["trial"]["algorithm"].partition("[")[0]: r for r in store.trials().values()}
    assert found["dfa"]["status"] == "done"
    assert found["deadly"]["reason"].startswith("its worker process was killed (3 times, the last")
    assert (tmp_path / "lives").read_text() == "xxx"


def command(cwd, *given, **more):
    program = Path(sys.executable).with_name("credbench")
    return subprocess.Popen(
        [program, "run", "-n", "mlp[hidden=12]", "--no-timing", *map(str, given)], cwd=cwd,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more,
    )  # fmt: skip


def test_two_sweeps_may_write_one_folder_at_once(two, tmp_path):
    """One on the cluster and one beside it, of the same trials and some of their own."""
    common = ("-e", "2", "--name", "both", "--limit-train", "200")
    sweeps = [
        command(tmp_path, "-a", "backprop,dfa", "-s", seeds, *common, "--scheduler", where)
        for seeds, where in (("6", two), ("3-8", two))
    ]
    for each in sweeps:
        _, said = each.communicate(timeout=60)
        assert each.returncode == 0, said
    store = Store(tmp_path / "results", "both")
    records = store.trials()
    assert store.problems == [] and len(records) == 18
    assert {record["status"] for record in records.values()} == {"done"}
    assert not list(tmp_path.rglob("*.tmp"))


def test_ctrl_c_ends_the_run_and_frees_the_workers(two, tmp_path, plugin):
    process = command(
        tmp_path, "-a", "slow", "-e", "1000", "-s", "2", "--plugin", plugin, "--scheduler", two
    )
    left, deadline = tmp_path / "results/digits/checkpoints", time.monotonic() + 60
    while len(list(left.glob("[!.]*.pt"))) < 2:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    sent = time.monotonic()
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130 and time.monotonic() - sent < 2.5
    assert "interrupted: 0 of 2 trials are saved" in said
    with distributed.Client(two, set_as_default=False) as client:
        freed = [client.submit(os.getpid, pure=False, workers=[w]) for w in client.nthreads()]
        assert len({future.result(timeout=20) for future in freed}) == 2


def test_workers_with_another_source_are_refused(two, tmp_path, plugin):
    settings = {**FEW, "algorithm": "slow", "epochs": "1", "limit-train": "40", "seeds": "1"}
    sweep(tmp_path, two, settings, Registry([plugin]), (plugin,))
    plugin.write_text(PLUGIN.replace("0.005", "0.004"))
    process = command(tmp_path, "-a", "slow", "--plugin", plugin, "--scheduler", two)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 2 and "has another version of slow" in said
    assert "Traceback" not in said


def test_a_worker_that_does_not_see_the_folder_is_named(two, tmp_path):
    absent = tmp_path / "absent"
    options = Options(tmp_path, scheduler=two)
    asked = replace(cluster._sweep(Store(tmp_path, "x"), options, "cpu"), seen=(absent,))
    with distributed.Client(two) as client, pytest.raises(RequestError) as error:
        cluster._result(client.submit(worker.train, asked, b"", {}, pure=False))
    assert f"does not see {absent}" in str(error.value) and "127.0.0.1" in str(error.value)


def test_a_worker_of_several_threads_is_refused(tmp_path):
    made = in_this_process(threads=2)
    with made, pytest.raises(RequestError, match="has 2 threads: expected one"):
        sweep(tmp_path, made.scheduler_address)


@pytest.mark.parametrize("where", ("nowhere", "tcp://", "nothing://there:1", "broken", "{}", "[1]"))
def test_what_is_no_scheduler_is_refused(where, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for text in ("broken", "{}", "[1]"):
        Path(text).write_text(text)
    with pytest.raises(RequestError, match="expected an address"):
        cluster.check(where)


def test_a_scheduler_that_does_not_answer_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(cluster, "_PATIENCE", 0.5)
    (tmp_path / "file.json").write_text('{"address": "tcp://127.0.0.1:9"}')
    cluster.check(str(tmp_path / "file.json"))
    with pytest.raises(RequestError, match="does not answer"):
        sweep(tmp_path, str(tmp_path / "file.json"))


def test_a_scheduler_that_is_lost_ends_the_run(tmp_path, plugin):
    made = in_this_process(threads=1)
    settings = {**FEW, "epochs": "100000", "seeds": "1"}
    soon = dask.config.set({"distributed.comm.timeouts.connect": "1s"})
    with soon, made, pytest.raises(CredbenchError, match="is lost"):
        threading.Timer(1.0, made.close).start()
        sweep(tmp_path, made.scheduler_address, settings)


def test_without_dask_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RequestError, match=r"pip install 'credbench\[dask\]'"):
        cluster.check("local")


def test_groups_leave_no_gpu_idle(monkeypatch):
    monkeypatch.setattr(Grouping, "_fitting", lambda *_: None)
    trials = make_experiment(REGISTRY, {"algorithm": "dfa", "seeds": "1000"}).trials
    for gpus, groups, largest in ((1, 16, 64), (100, 100, 10)):
        found = list(Grouping("cuda", gpus).groups(trials))
        assert (len(found), max(map(len, found))) == (groups, largest)
        assert sum(map(len, found)) == 1000


SCRIPT = Path(__file__).parent.parent / "scripts" / "slurm.py"


@pytest.mark.parametrize("given, code, words", (
    (("--help",), 0, "credbench run"), ((), 2, "pip install 'credbench[dask]' dask-jobqueue"),
))  # fmt: skip
def test_the_slurm_script_says_what_it_needs(given, code, words, tmp_path):
    """As where dask-jobqueue is not installed, which a module that fails to load stands for."""
    (tmp_path / "dask_jobqueue.py").write_text("raise ImportError")
    ran = subprocess.run(
        [sys.executable, SCRIPT, *given], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert ran.returncode == code and words in ran.stdout + ran.stderr
    assert "Traceback" not in ran.stderr


def test_the_slurm_script_runs_a_sweep_on_jobs(tmp_path):
    """Commands that stand in for SLURM's run each job here, when its script is gone, as it does."""
    pytest.importorskip("dask_jobqueue")
    programs = {
        "sbatch": "cp \"$1\" job-$$.sh; setsid bash job-$$.sh > job-$$.log 2>&1 < /dev/null &\n"
        "echo Submitted batch job $!",
        "scancel": "for job in \"$@\"; do kill -- -$job; done",
    }  # fmt: skip
    for name, body in programs.items():
        (tmp_path / name).write_text(f"#!/bin/bash\ncd {tmp_path}\n{body}\n")
        (tmp_path / name).chmod(0o755)
    path = os.pathsep.join(map(str, (tmp_path, Path(sys.executable).parent, os.environ["PATH"])))
    ran = subprocess.run(
        [sys.executable, SCRIPT, "--jobs", "2", "--gpus", "0", "--", "-a", "dfa", "-s", "3",
         "--replicas", "1", "-e", "1", "-n", "mlp[hidden=8]", "--device", "cpu", "--format", "json",
         "--results-dir", tmp_path / "results"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, env={**os.environ, "PATH": path},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert "3/3 dfa" in ran.stderr and json.loads(ran.stdout)[0]["rows"][0]["n"] == 3
    jobs = "".join(path.read_text() for path in tmp_path.glob("job-*.sh"))
    assert "#SBATCH" in jobs and "--nthreads 1" in jobs
