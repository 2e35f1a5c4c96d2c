#!/usr/bin/env python3
"""What the engine adds to training: per trial, in memory over epochs, and on every core.

trials      milliseconds a trial for its plan, its record and the check of a resumed run
memory      growth of the resident memory over 50 epochs
cores       throughput of one process a core against one process
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from _measuring import record, settle, show, spread

from credbench.experiment import make_experiment
from credbench.group import Group
from credbench.images import split
from credbench.metrics import Score
from credbench.recording import make_record
from credbench.registry import Registry
from credbench.running import pending
from credbench.store import Store, frame
from credbench.training import Curve, Outcome

FACTS = {"environment": "0" * 16, "device": "cpu", "load": 0.0, "group": 1, "seconds": 1.0}


def trial_overhead(sizes: list[int], repeats: int) -> dict[str, dict[str, list[float]]]:
    """Return milliseconds a trial of plan, store and resume, for runs of so many trials."""
    registry = Registry()
    found = {}
    for n in sizes:
        parts: dict[str, list[float]] = {"plan": [], "store": [], "resume": []}
        for _ in range(repeats):
            with tempfile.TemporaryDirectory() as folder:
                for part, seconds in _one_run(registry, Store(Path(folder), "many"), n).items():
                    parts[part].append(1e3 * seconds / n)
        found[str(n)] = parts
        for part, values in parts.items():
            show(f"{n} trials: {part}, ms a trial", spread(values))
        total = [sum(each) for each in zip(*parts.values(), strict=True)]
        show(f"{n} trials: together, ms a trial", spread(total), "<= 5, flat")
    return found


def _one_run(registry: Registry, store: Store, n: int) -> dict[str, float]:
    settings = {"algorithm": "rec-lra", "seeds": f"0-{n - 1}"}
    times = [time.perf_counter()]
    experiment = make_experiment(registry, settings)
    plan = {t.id: t.arguments for t in experiment.trials}
    store.write_plan({"settings": experiment.settings, "trials": plan})
    times.append(time.perf_counter())
    for trial in experiment.trials:
        store.write_trial(make_record(trial, _outcome()) | FACTS)
    times.append(time.perf_counter())
    left = pending(experiment, store)
    frame(plan, store.trials(), {})
    times.append(time.perf_counter())
    assert not left and len(store.trials()) == n
    spent = [b - a for a, b in pairwise(times)]
    return dict(zip(("plan", "store", "resume"), spent, strict=True))


def _outcome() -> Outcome:
    curve = Curve(*([float(k) for k in range(1, 21)] for _ in range(5)))
    scores = {part: Score(1.0, 99.0, 99.0, 99.0) for part in ("train", "validation", "test")}
    return Outcome(epoch=3, curve=curve, scores=scores, confusion=[[1] * 10] * 10)


def memory_growth(epochs: int) -> dict[str, Any]:
    """Return resident MiB after each epoch of training and evaluating all learners on digits."""
    settings = {"algorithm": "all", "seeds": "1", "network": "mlp[hidden=128x3]"}
    trials = make_experiment(Registry(), settings).trials
    splits = split(trials[0].dataset, trials[0].dataset.load(Path()))
    groups = [Group([trial], [splits], torch.device("cpu")) for trial in trials]
    resident = []
    with torch.no_grad():
        for epoch in range(1, epochs + 1):
            for group in groups:
                group.train_epoch(epoch)
                group.predict("validation", group.weights())
            resident.append(_resident_mib())
    grown = resident[-1] - resident[epochs // 5]
    print(f"resident memory after epoch {epochs // 5}: {grown:+.2f} MiB   bar: no growth")
    return {"resident_mib": resident, "grown_mib": grown}


def _resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def throughput(seeds: int, epochs: int, repeats: int) -> dict[str, list[float]]:
    """Return seconds of the same trials by one process and by one a core, start-up included."""
    found: dict[str, list[float]] = {"one": [], "all": []}
    for _ in range(repeats):
        for name, workers in (("one", "1"), ("all", "auto")):
            with tempfile.TemporaryDirectory() as folder:
                command = [
                    str(Path(sys.executable).with_name("credbench")), "run", "-a", "backprop",
                    "--seeds", str(seeds), "--epochs", str(epochs), "--workers", workers,
                    "--results-dir", folder, "--no-timing",
                ]  # fmt: skip
                started = time.perf_counter()
                subprocess.run(command, check=True, capture_output=True)
                found[name].append(time.perf_counter() - started)
    gains = [one / every for one, every in zip(found["one"], found["all"], strict=True)]
    show("throughput of every core / of one", spread(gains), ">= 1.7 on 2 cores")
    return found


def main() -> None:
    """Take the three measures and keep the record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--trials", type=int, nargs="+", default=[10, 100, 1000, 10000])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=50, help="of the memory measure")
    parser.add_argument("--seeds", type=int, default=16, help="trials of the throughput measure")
    parser.add_argument("--epochs-each", type=int, default=200, help="epochs of each of those")
    parser.add_argument("--folder", type=Path, default=Path("results/timing"))
    given = parser.parse_args()
    settle()
    content = {
        "milliseconds_per_trial": trial_overhead(given.trials, given.repeats),
        "memory": memory_growth(given.epochs),
        "throughput_seconds": throughput(given.seeds, given.epochs_each, given.repeats),
    }
    record(given.folder, "engine", "cpu", content)


if __name__ == "__main__":
    main()
