"""Whether whole runs go as they should: any batch, stopped and gone on, the same seed, learning."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from credbench.checkpoints import Checkpoint
from credbench.conformance.result import Result, raised
from credbench.conformance.subject import CPU, Subject
from credbench.randomness import generator
from credbench.training import Outcome, train

_EPOCHS = 3
_UNUSUAL = {"of one image": (1, 3), "larger than the data": (64, 5), "that leave one": (8, 17)}
"""Batches of so many images, of so many in all."""


def any_batch(subject: Subject) -> Result:
    """Check batches of one, a last short one, and one that the data does not fill."""
    complaints = []
    x = "step.x" if subject.kind == "algorithm" else "what it is given"
    for what, (size, images) in _UNUSUAL.items():
        group = subject.group(subject.trials(images, batch_size=size))
        try:
            group.train_epoch(1)
        except Exception as error:
            complaints.append(f"batches {what} fail: {raised(error)}; take sizes from {x}")
            continue
        trees = group.weights().trees()
        if not all(each.isfinite().all() for tree in trees for each in tree.values()):
            complaints.append(
                f"batches {what} end in weights that are not finite: divide by nothing that one "
                "example makes zero"
            )
    return Result(complaints)


class _Often(Checkpoint):
    """A checkpoint that is always due."""

    def due(self) -> bool:
        return True


class _StoppedError(Exception):
    """Ends a run between two epochs."""


def checkpoint_survives(subject: Subject) -> Result:
    """Check that a run that is stopped after an epoch and goes on ends as one that is not."""
    if not subject.trial.algorithm.capabilities.deterministic:
        return Result(skipped="declared with deterministic=False")
    whole = _run(subject)
    with tempfile.TemporaryDirectory() as folder:
        try:
            _run(subject, Path(folder), _stop)
        except _StoppedError:
            resumed = _run(subject, Path(folder))
    if resumed.resumed != [1]:
        return Result(["its checkpoint could not be read back: keep feedback and state as tensors"])
    if _bits(resumed) != _bits(whole):
        return Result([_LOST])
    return Result()


def _stop() -> None:
    raise _StoppedError


_LOST = (
    "stopped after an epoch and taken up from its checkpoint, training ends elsewhere: keep what "
    "changes in state (init_state, Updates.state), and nothing on the learner or in its module"
)


def seeds_reproduce(subject: Subject) -> Result:
    """Check that a seed gives the same feedback and the same bits whatever torch's own seed."""
    if not subject.trial.algorithm.capabilities.deterministic:
        return Result(skipped="declared with deterministic=False")
    with torch.random.fork_rng(devices=[]):
        drawn, runs = [], []
        for seed in (1, 2):
            torch.manual_seed(seed)
            drawn.append(subject.learner.init_feedback(subject.trial.net, generator(0, "feedback")))
            runs.append(_bits(_run(subject)))
    if any(not torch.equal(each, drawn[1][name]) for name, each in drawn[0].items()):
        return Result([_FEEDBACK])
    return Result([] if runs[0] == runs[1] else [_DRAWS])


_FEEDBACK = (
    "init_feedback draws other values from the same seed: give every draw generator=generator"
)
_DRAWS = (
    "two runs of one seed end elsewhere: ask for random draws with noise, whose values come with "
    "the seed, and draw none in updates"
)


def _run(
    subject: Subject, folder: Path | None = None, on_epoch: Callable[[], Any] = lambda: None
) -> Outcome:
    trials = subject.trials(epochs=_EPOCHS)
    held = None if folder is None else _Often(folder, trials, "cpu")
    data = subject.data(trials)
    (outcome,) = train(trials, data, CPU, on_epoch, judged=("validation",), checkpoint=held)
    return outcome


def _bits(outcome: Outcome) -> tuple[object, ...]:
    curve = {name: each for name, each in vars(outcome.curve).items() if name != "seconds"}
    return outcome.status, outcome.epoch, curve, outcome.scores
