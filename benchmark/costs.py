"""What a learner's step takes as a function of depth: counted, not timed (see `credbench time`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from credbench.errors import RequestError
from credbench.experiment import Trial
from credbench.group import Group
from credbench.memory import PeakBytes, held
from credbench.program import Program
from credbench.timing import random_data

_DEPTHS = (8, 16)
_VIEWS = {
    "t", "view", "expand", "select", "slice", "unsqueeze", "transpose", "permute", "unbind",
    "detach", "_unsafe_view", "alias", "split", "as_strided",
}  # fmt: skip


class Kernels(TorchDispatchMode):
    """Counts the operators that compute something, not those that only look differently."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operator and count it."""
        self.count += func.overloadpacket.__name__ not in _VIEWS
        return func(*args, **(kwargs or {}))


@dataclass(frozen=True)
class Cost:
    """What one pass of a batch through every phase of an epoch takes, before the optimiser."""

    kernels: int
    multiply_adds: int
    """In matrix products and convolutions."""
    bytes: int
    """Weights, feedback and moments, and the most that a step holds beside them."""


def cost(trial: Trial) -> Cost:
    """Count what a step of a trial takes, on random images of its dataset's form."""
    small = replace(trial, limit_train=trial.batch_size)
    device = torch.device("cpu")
    with torch.no_grad():
        data = random_data({small.dataset: small}, device)
        group = Group([small], [data[small.dataset]], device)
        group.shuffle(1)
        phases = group.learner.phases
        steps = [Program(group, phase, small.batch_size, "updates") for phase in phases]
        kernels, flops = Kernels(), FlopCounterMode(display=False)
        _under(kernels, steps)
        _under(flops, steps)
        peak = 0
        for step in steps:
            seen = PeakBytes()
            _under(seen, [step])
            peak = max(peak, seen.peak)
        multiply_adds = int(flops.get_total_flops()) // 2
        return Cost(kernels.count, multiply_adds, held(group.tensors()) + peak)


def _under(mode: Any, steps: Sequence[Callable[[int], None]]) -> None:
    with mode:
        for step in steps:
            step(0)


def by_depth(trial: Trial) -> dict[str, tuple[float, float]]:
    """Return a and b of each cost a + b L, for L equally wide hidden layers of a trial's network.

    Raises `RequestError` for a network whose depth cannot vary, and for an algorithm that is not
    defined at the depths compared.
    """
    deep = [replace(trial, network=trial.network.deepened(depth)) for depth in _DEPTHS]
    for each in deep:
        if each.refusal:
            raise RequestError(f"on {each.network.spec(full=False)}: {each.refusal}")
    low, high = map(cost, deep)
    found = {}
    for name, small in vars(low).items():
        slope = (vars(high)[name] - small) / (_DEPTHS[1] - _DEPTHS[0])
        found[name] = (small - slope * _DEPTHS[0], slope)
    return found
