"""Whether replicas, and captured steps, get what a trial trained alone and eagerly gets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from credbench.conformance.probe import apart, parts
from credbench.conformance.result import Result
from credbench.conformance.subject import Subject
from credbench.conformance.vectorizing import vectorization_fails
from credbench.group import Group

_CLOSE = 1e-3
"""What float32 leaves of two orders of summation, after a cancellation."""


def replicas_equal_single(subject: Subject) -> Result:
    """Check that two seeds get, as replicas of one program, the updates that each gets alone."""
    if not subject.trial.algorithm.capabilities.vectorizable:
        return Result(skipped="declared with vectorizable=False")
    if not subject.trial.vectorizable:
        return Result(skipped="networks on maps are trained one at a time")
    together = subject.group(subject.trials(seeds=2))
    try:
        together.train_epoch(1)
    except Exception as error:
        declares = _OR if subject.kind == "algorithm" else ""
        return Result([vectorization_fails(subject.kind, error) + declares])
    tensors = "the step's own tensors" if subject.kind == "algorithm" else "what it is given"
    return Result(list(dict.fromkeys(_differences(subject, together, tensors))))


def _differences(subject: Subject, together: Group, tensors: str) -> Iterator[str]:
    size = subject.trial.batch_size
    logits = together.predict("validation", together.weights())
    for k, trial in enumerate(subject.trials(seeds=2)):
        alone = subject.group([trial])
        _copy(together, k, alone)
        for phase in together.learner.phases:
            mine = parts(together.program(phase, size).updates_at(0))
            theirs = parts(alone.program(phase, size).updates_at(0))
            for name, each in theirs.items():
                if apart(mine[name][k], each) > _CLOSE:
                    yield _OTHER.format(name, 100 * apart(mine[name][k], each), tensors)
        expected = alone.predict("validation", alone.weights())
        if apart(logits[k], expected) > _CLOSE:
            yield _OTHER.format("the prediction", 100 * apart(logits[k], expected), tensors)


def _copy(together: Group, k: int, alone: Group) -> None:
    """Put a replica's weights, order and place in the random streams into a group of one."""
    for theirs, mine in zip(alone.weights().trees(), together.weights().trees(), strict=True):
        for name, each in theirs.items():
            each.copy_(mine[name][k])
    alone.order.copy_(together.order[k])
    alone.steps.copy_(together.steps)


_OR = "; or declare Capabilities(vectorizable=False)"
_OTHER = (
    "{} is not what a trial alone gets ({:.2g} % apart): compute it from {}, "
    "counting dimensions from the end"
)


def captured_equals_eager(subject: Subject) -> Result:
    """Check that steps replayed from a CUDA graph come to the weights that eager ones come to."""
    if not subject.trial.algorithm.capabilities.capturable:
        return Result(skipped="declared with capturable=False")
    if not torch.cuda.is_available():
        return Result(skipped="no CUDA device here")
    device = torch.device("cuda")
    captured = subject.group(subject.trials(), device)
    eager = subject.group(subject.trials(), device)
    eager.captured = False
    mine, theirs = _trained(captured), _trained(eager)
    if not captured.captured:
        return Result([_UNCAPTURED])
    far = [k for k in theirs if not torch.allclose(mine[k], theirs[k], rtol=1e-3, atol=1e-5)]
    return Result([_REPLAYED.format(name) for name in far])


def _trained(group: Group) -> Mapping[str, Tensor]:
    for epoch in (1, 2):
        group.train_epoch(epoch)
    return {**group.params, **group.feedback}


_UNCAPTURED = (
    "the step could not be captured as a CUDA graph: read nothing back to the host, make no "
    "tensor there, or declare Capabilities(capturable=False)"
)
_REPLAYED = (
    "replayed from a CUDA graph, {!r} comes to other values than eagerly: keep nothing in Python "
    "between steps, and update state through Updates"
)
