"""What is measured of a learner beside backprop: its loss, its angles, its time."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, replace
from functools import cache

import torch

from credbench.angles import Angles
from credbench.conformance.probe import untouched
from credbench.conformance.result import Result
from credbench.conformance.subject import CPU, Subject
from credbench.timing import clock
from credbench.training import Outcome, train

_IMAGES = 960
_BATCH = 32
_EPOCHS = 12
_FALL = 0.97
"""The loss that is left has to be below so much of what it was."""


@dataclass(frozen=True)
class Learned:
    """What a few epochs came to, by the loss in nats on images held out."""

    before: float
    outcome: Outcome
    told: str

    @property
    def falls(self) -> bool:
        """Whether the loss is lower afterwards."""
        return self.outcome.curve.validation_loss[-1] < _FALL * self.before


@cache
def learned(subject: Subject) -> Learned:
    """Train for a few epochs, with the angles of updates watched."""
    trials = subject.trials(_IMAGES, epochs=_EPOCHS, batch_size=_BATCH)
    group = subject.group(trials)
    with torch.no_grad():
        logits = group.predict("validation", group.weights())
    labels = group.data["validation"].labels
    before = float(torch.nn.functional.cross_entropy(logits, labels))
    images = trials[0].limit_train or 0
    angles = Angles(max(1, images // _BATCH), subject.reference)
    data = subject.data(trials)
    (outcome,) = train(trials, data, CPU, judged=("validation",), angles=angles)
    after, rule = outcome.curve.validation_loss[-1], trials[0].optimizer.spec(full=False)
    told = (
        f"from {before:.3f} to {after:.3f} nats in {_EPOCHS} epochs of {images} images of "
        f"{trials[0].dataset.name}, {rule}"
    )
    return Learned(before, outcome, told)


def loss_falls(subject: Subject) -> Result:
    """Check that a few epochs on digits lower the loss on digits held out."""
    found = learned(subject)
    if subject.kind != "algorithm":
        well = found.outcome.status == "done" and found.falls
        return Result([] if well else [_UNTRAINED.format(found.told)], found.told)
    if found.outcome.status == "diverged":
        return Result([_DIVERGED.format(found.outcome.epoch, found.told)])
    if found.falls:
        return Result(note=found.told)
    left = list(untouched(subject))
    return Result(
        [_LEFT.format(found.told, ", ".join(left)) if left else _STUCK.format(found.told)]
    )


_UNTRAINED = (
    "backprop's loss went {}: check that values neither vanish nor grow from layer to layer, and "
    "that errors come back through them"
)
_DIVERGED = (
    "training diverged in epoch {}, {}: check that updates have the sign and the "
    "batch-mean scale of a gradient, or declare a default_optimizer"
)
_LEFT = (
    "the loss went {}, and updates never says how to change {}: give the errors of those layers "
    "to step.updates, the output's (step.output_error) among them"
)
_STUCK = (
    "the loss went {}: check that updates have the sign of a gradient (the optimiser "
    "descends along them), or declare a default_optimizer"
)


def angles_with_backprop(subject: Subject) -> Result:
    """Measure the angle of each block's update with backprop's, in the last epoch's first step."""
    found = (learned(subject).outcome.angles or {}).get("update", {})
    last = {block: values[-1] for block, values in found.items() if values}
    if not last:
        return Result(skipped="no phase updates the network alone")
    shown = ", ".join(f"block {k} {_degrees(last[k])}" for k in sorted(last, key=int))
    return Result(note=shown)


def _degrees(value: float | None) -> str:
    return "none (one of them is zero)" if value is None else f"{value:.0f}°"


def time_per_step(subject: Subject) -> Result:
    """Measure the time of a batch, through all phases of an epoch, against backprop's."""
    (mine,) = subject.trials(_IMAGES, batch_size=_BATCH)
    beside = replace(mine, algorithm=subject.reference)
    own, reference = (
        statistics.median(each.times["step"])
        for each in clock([[mine], [beside]], CPU, 3, stages=("step",))
    )
    return Result(note=f"{own / reference:.2f} × backprop's ({1e6 * own:,.0f} µs a batch)")
