"""Runs a small sweep in a process of its own, as tests that kill it need it."""

from __future__ import annotations

from pathlib import Path

import torch

from credbench import checkpoints
from credbench import scalars as live
from credbench.experiment import make_experiment
from credbench.job import Events
from credbench.running import Options, run
from credbench.store import Store
from helpers import REGISTRY

MANY = {"algorithm": "backprop,dfa,rec-lra", "network": "mlp[hidden=12|16]", "epochs": "6",
        "seeds": "10", "limit-train": "300", "name": "sweep"}  # fmt: skip
"""Sixty trials of six programs."""
LONG = {"algorithm": "equilibrium-prop", "network": "mlp[hidden=32x2]", "epochs": "30",
        "seeds": "1", "limit-train": "400", "name": "sweep"}  # fmt: skip
"""One trial that takes a while."""


def sweep(folder, settings, begun=None, every=30.0, scalars=False):
    """Run an experiment with checkpoints at least so many seconds apart; return its store.

    `begun` is set as its training begins; `scalars` are written every so often, too.
    """
    torch.set_num_threads(1)
    checkpoints.EVERY = every
    live.EVERY = every
    store = Store(Path(folder), "sweep")
    experiment = make_experiment(REGISTRY, {**settings, "name": "sweep"})
    options = Options(
        Path(folder), device="cpu", workers=1, replicas=4, timing=False, scalars=scalars
    )
    run(experiment, store, options, Events(started=lambda *_: begun and begun.set()))
    return store
