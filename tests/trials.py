"""Records of trials, made up for tests of what is done with records."""

from __future__ import annotations

import hashlib
import json

from credbench.report.summary import summarise
from credbench.spec import parse_axis
from credbench.store import Store, frame
from helpers import REGISTRY

_DEFAULTS = {
    "dataset": "mnist", "activation": "tanh", "network": "mlp", "optimizer": "adam",
    "init": "gaussian",
}  # fmt: skip
_KINDS = {"init": "initializer"}
ENVIRONMENT = {
    "command": "credbench run", "device": "cpu", "accelerator": None, "processor": "a processor",
    "cores": 2, "workers": 1, "threads": 1, "python": "3.11", "packages": {"torch": "2.0"},
}  # fmt: skip


def record(algorithm, seed, test, validation=None, **given):
    """The record of a finished trial, errors in percent; `given` are arguments and facts."""
    spelled = {"algorithm": algorithm} | {k: given.pop(k, v) for k, v in _DEFAULTS.items()}
    trial = {
        axis: REGISTRY.create(_KINDS.get(axis, axis), parse_axis(text)[0]).spec()
        for axis, text in spelled.items()
    } | {
        "batch_size": 32, "epochs": given.pop("epochs", 2), "clip_norm": None,
        "limit_train": None, "seed": seed,
    }  # fmt: skip
    if "tuning" in given:
        trial["tuning"] = given.pop("tuning")
    errors = {"train": 0.0, "validation": test if validation is None else validation, "test": test}
    return {
        "format": 1,
        "id": hashlib.sha256(json.dumps(trial).encode()).hexdigest()[:16],
        "trial": trial, "status": "done", "reason": "", "source": "s", "surrogate": "",
        "environment": "e", "load": 0.1, "group": 1, "device": "cpu", "phases": ["train"],
        "scores": {
            part: {"error": error, "precision": 90.0, "recall": 90.0, "f1": 90.0}
            for part, error in errors.items()
        },
        "curve": {"seconds": [1.0]},
    } | given  # fmt: skip


def seeds(algorithm, tests, validation=None, **given):
    """The records of seeds 0, 1, … with these test errors."""
    return [record(algorithm, k, test, validation, **given) for k, test in enumerate(tests)]


def rows(records):
    planned = {each["id"]: each["trial"] for each in records}
    return summarise(frame(planned, {each["id"]: each for each in records}, {}), REGISTRY)


def write(results, name, records, environment=ENVIRONMENT):
    """Write an experiment that planned and finished these trials."""
    store = Store(results, name)
    where = store.write_environment(environment)
    for each in records:
        store.write_trial(each | {"environment": where})
    store.write_plan({"trials": {each["id"]: each["trial"] for each in records}})
    return store
