"""Whether what a learner draws and gives back has the names, shapes and types of the contract."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from credbench.conformance.probe import Probe, Tree, probes, untouched
from credbench.conformance.result import Result
from credbench.conformance.subject import Subject
from credbench.learner import Updates
from credbench.randomness import generator


def shapes_and_types(subject: Subject) -> Result:
    """Check feedback and state as drawn, then updates and prediction of every phase."""
    drawn = list(_drawn(subject)) or list(_asked(subject))
    if drawn:
        return Result(drawn)
    complaints: list[str] = []
    changes = 0
    for probe in probes(subject, epochs=0):  # a wrong shape would not survive one
        made = probe.learn()
        complaints += _updates(made, probe)
        if not complaints:
            complaints += _prediction(probe.predict(), probe)
            changes += len(made.params) + len(made.feedback) + len(made.state)
    if not complaints and not changes:
        complaints.append("updates gives back nothing in any phase: return step.updates(a, errors)")
    if complaints:
        return Result(list(dict.fromkeys(complaints)))
    left = ", ".join(untouched(subject))
    return Result(note=f"no phase updates {left}" if left else "")


def _drawn(subject: Subject) -> Iterator[str]:
    learner, net = subject.learner, subject.trial.net
    feedback = learner.init_feedback(net, generator(0, "feedback"))
    yield from _tree("init_feedback", feedback, float_only=True)
    yield from _tree("init_state", learner.init_state(net, 40), float_only=False)
    if isinstance(feedback, Mapping):
        for name in set(feedback) & set(net.leaves):
            yield f"init_feedback names an entry {name!r}, as a leaf of the network: rename it"


def _tree(method: str, found: object, float_only: bool) -> Iterator[str]:
    if not isinstance(found, Mapping):
        yield f"{method} returned {_kind(found)}: return a dict of tensors by name"
        return
    for name, each in found.items():
        if not isinstance(each, Tensor):
            yield f"{method} gives {_kind(each)} as {name!r}: give a tensor"
        elif each.device.type != "cpu":
            yield f"{method} gives {name!r} on {each.device}: draw on the CPU, the engine moves it"
        elif float_only and each.dtype != torch.float32:
            yield f"{method} gives {name!r} as {each.dtype}: make it torch.float32"
        elif each.requires_grad:
            yield f"{method} gives {name!r} with requires_grad: leave that out"


def _asked(subject: Subject) -> Iterator[str]:
    learner = subject.learner
    for phase in learner.phases:
        found: Any = learner.noise(subject.trial.net, phase)
        if not isinstance(found, Mapping) or not all(map(_is_shape, found.values())):
            yield f"noise returned {found!r}: return a dict of shapes, one for each draw"


def _is_shape(found: object) -> bool:
    return isinstance(found, tuple) and all(isinstance(size, int) for size in found)


def _updates(made: object, probe: Probe) -> Iterator[str]:
    if not isinstance(made, Updates):
        yield f"updates returned {_kind(made)}: return step.updates(a, errors) or Updates(…)"
        return
    yield from _like("params", made.params, probe.params, "leaves of the network")
    yield from _like("feedback", made.feedback, probe.feedback, "entries of init_feedback")
    yield from _like("state", made.state, probe.state, "entries of init_state")
    if made.logits is not None:
        yield from _logits("the logits that updates gives", made.logits, probe)


def _like(part: str, found: object, known: Tree, what: str) -> Iterator[str]:
    if not isinstance(found, Mapping):
        yield f"updates gives {_kind(found)} as {part}: give a dict of tensors by name"
        return
    for name, each in found.items():
        called = f"the update of {part} {name!r}"
        if name not in known:
            names = ", ".join(known) or "none"
            yield f"updates gives {part} {name!r}: expected {what}, which are {names}"
        elif not isinstance(each, Tensor):
            yield f"{called} is {_kind(each)}: give a tensor"
        elif each.shape != known[name].shape:
            shape, expected = tuple(each.shape), tuple(known[name].shape)
            yield f"{called} has the shape {shape}: give it that of {name!r}, {expected}"
        elif each.dtype != known[name].dtype:
            yield f"{called} is {each.dtype}: make it {known[name].dtype}, as {name!r} is"
        elif not each.isfinite().all():
            yield f"{called} is not finite: look for a division by zero or a root of one"
        elif each.requires_grad:
            yield f"{called} carries its graph: detach it"


def _prediction(found: object, probe: Probe) -> Iterator[str]:
    if isinstance(found, Tensor):
        yield from _logits("what predict returns", found, probe)
    else:
        yield f"predict returned {_kind(found)}: return logits (batch, classes)"


def _logits(called: str, found: Tensor, probe: Probe) -> Iterator[str]:
    expected = tuple(probe.batch["targets"].shape)
    if tuple(found.shape) != expected:
        yield (
            f"{called} has the shape {tuple(found.shape)}: expected {expected}, (batch, classes)"
        )
    elif not found.isfinite().all():
        yield f"{called} is not finite"


def _kind(found: object) -> str:
    return "None" if found is None else f"a {type(found).__name__}"
