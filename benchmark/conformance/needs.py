"""Whether a learner declares that it uses φ′, which tables have to say where φ has none."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from torch import Tensor

from credbench.activations import Activation
from credbench.conformance.probe import ComplaintError, Probe, probes
from credbench.conformance.result import Result
from credbench.conformance.subject import Subject


def derivative_declared(subject: Subject) -> Result:
    """Take a step of every phase with an activation that notes whether φ′ was asked for."""
    if not subject.trial.algorithm.capabilities.needs_derivative:
        for probe in _noting(subject, _complain):
            probe.learn()
        return Result()
    asked: list[bool] = []
    for probe in _noting(subject, lambda: asked.append(True)):
        probe.learn()
    return Result(note="" if asked else "needs_derivative is declared, φ′ was not asked for here")


def _complain() -> None:
    raise ComplaintError(
        "updates uses φ′ undeclared: declare Capabilities(needs_derivative=True), so that tables "
        "mark its rows where a surrogate stands in for φ′"
    )


def _noting(subject: Subject, note: Callable[[], object]) -> Iterator[Probe]:
    """Yield a step of every phase whose activation calls `note` where its slope is asked for."""
    for probe in probes(subject):
        net = copy.copy(probe.net)
        net.activation = _noted(net.activation, note)
        yield replace(probe, net=net)


def _noted(activation: Activation, note: Callable[[], object]) -> Activation:
    """Return an activation of a subclass that notes its derivative, autograd's through it too."""
    kind = type(activation)

    def apply(self: Activation, h: Tensor) -> Tensor:
        if h.requires_grad:
            note()
        return kind.__call__(self, h)

    def noted(method: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def call(*given: Any, **named: Any) -> Tensor:
            note()
            return method(*given, **named)

        return call

    own = {name: noted(getattr(kind, name)) for name in ("derivative", "backward")}
    made = copy.copy(activation)
    object.__setattr__(made, "__class__", type(kind.__name__, (kind,), {"__call__": apply, **own}))
    return made
