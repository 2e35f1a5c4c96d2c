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
from credbench.registry import Registry
from credbench.running import Events, Options, run
from credbench.store import Store
from helpers import REGISTRY

distributed = pytest.importorskip(
    "distributed", reason="Dask is not installed: pip install 'credbench[dask]'"
)

FEW = {"algorithm": "backprop,dfa", "network": "mlp[hidden=12]", "epochs": "3", "seeds": "4",
       "limit-train": "200"}  # fmt: skip
PLUGIN = """
import os, signal, time
from dataclasses import dataclass

import credbench.checkpoints
from credbench import Learner

credbench.checkpoints.EVERY = 0.0


@dataclass(frozen=True)
class Deadly(Learner):
    name = "deadly"

    def updates(self, step):
        os.kill(os.getpid(), signal.SIGKILL)


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
        n_workers=2, threads_per_worker=1, memory_limit=0, dashboard_address=None,
        silence_logs=50,
    )  # fmt: skip
    with made:
        yield made.scheduler_address


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


def test_a_trial_that_kills_its_workers_fails_and_costs_no_other_its_result(credbench, plugin):
    ran = credbench(
        "run", "-a", "deadly,dfa", "-n", "mlp[hidden=12]", "-e", "2", "-s", "2", "--no-timing",
        "--scheduler", "local", "--workers", "2", "--plugin", plugin, "--format", "json", code=1,
    )  # fmt: skip
    found = [json.loads(p.read_text()) for p in plugin.parent.glob("results/digits/trials/*.json")]
    status = {(r["trial"]["algorithm"], r["trial"]["seed"]): r["status"] for r in found}
    assert {(algorithm[:3], seed): how for (algorithm, seed), how in status.items()} == {
        ("dea", 0): "failed", ("dea", 1): "failed", ("dfa", 0): "done", ("dfa", 1): "done",
    }  # fmt: skip
    for record in found:
        if record["status"] == "failed":
            assert record["reason"].startswith("its worker process was killed (2 times")
    assert ran.stderr.count("its worker process was killed") >= 2
