"""Optimisers as small pure functions with a rate for every replica.

`delta` maps an update and the moments to the step to subtract. Parameters may be 0-d tensors
or carry a replica axis, which torch's own optimisers take none of. `fused` is an optional
in-place kernel with the same meaning, for leaves that share their rate.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from credbench.component import Component, Search, parameter

if TYPE_CHECKING:
    from torch import Tensor

Moments = tuple["Tensor", ...]


@dataclass(frozen=True)
class Optimizer(Component, ABC):
    """A rule from updates to steps, elementwise."""

    kind: ClassVar[str] = "optimizer"
    moments: ClassVar[int] = 0
    """How many tensors of a parameter's shape the rule keeps."""

    lr: float = parameter(2e-4, help="learning rate", above=0)

    @abstractmethod
    def delta(self, update: Tensor, moments: Moments, count: Tensor) -> tuple[Tensor, Moments]:
        """Return the step to subtract and the new moments; `count` is 1 at the first step."""

    def fused(
        self,
        params: Sequence[Tensor],
        updates: Sequence[Tensor],
        moments: Sequence[Sequence[Tensor]],
        counts: Sequence[Tensor],
        rate: float,
    ) -> bool:
        """Take the step in place with one kernel, or return False where there is none.

        `moments[k]` holds the k-th moment of each parameter; `rate` multiplies the learning rate.
        """
        return False


@dataclass(frozen=True)
class Sgd(Optimizer):
    """Stochastic gradient descent, with momentum as in Sutskever et al. 2013 (torch's form)."""

    name: ClassVar[str] = "sgd"
    summary: ClassVar[str] = "gradient descent, momentum and Nesterov's as options"
    moments: ClassVar[int] = 1

    lr: float = parameter(0.01, help="learning rate", above=0, search=Search(1e-3, 1, "log"))
    momentum: float = parameter(0.0, help="decay of the velocity", minimum=0, maximum=1)
    nesterov: bool = parameter(False, help="look ahead along the velocity", structural=True)

    def unused(self) -> dict[str, str]:
        return {} if self.momentum else {"nesterov": "momentum is 0"}

    def fused(
        self,
        params: Sequence[Tensor],
        updates: Sequence[Tensor],
        moments: Sequence[Sequence[Tensor]],
        counts: Sequence[Tensor],
        rate: float,
    ) -> bool:
        import torch

        kernel = getattr(torch, "_fused_sgd_", None)
        if kernel is None:
            return False
        with torch.no_grad():
            kernel(
                params, updates, moments[0] if self.momentum else [], lr=self.lr * rate,
                momentum=self.momentum, nesterov=self.nesterov, weight_decay=0.0, dampening=0.0,
                maximize=False, is_first_step=False,
            )  # fmt: skip
        return True

    def delta(self, update: Tensor, moments: Moments, count: Tensor) -> tuple[Tensor, Moments]:
        velocity = moments[0] * self.momentum + update
        ahead = update + self.momentum * velocity if self.nesterov else velocity
        return ahead * self.lr, (velocity,)


@dataclass(frozen=True)
class RmsProp(Optimizer):
    """Tieleman & Hinton 2012."""

    name: ClassVar[str] = "rmsprop"
    summary: ClassVar[str] = "steps divided by a running root mean square"
    moments: ClassVar[int] = 1

    lr: float = parameter(2e-4, help="learning rate", above=0, search=Search(1e-5, 1e-2, "log"))
    decay: float = parameter(0.99, help="decay of the mean square", minimum=0, maximum=1)
    eps: float = parameter(1e-8, help="added to the root", above=0)

    def delta(self, update: Tensor, moments: Moments, count: Tensor) -> tuple[Tensor, Moments]:
        square = moments[0] * self.decay + update * update * (1 - self.decay)
        return update * self.lr / (square.sqrt() + self.eps), (square,)


@dataclass(frozen=True)
class Adam(Optimizer):
    """Kingma & Ba 2015, with bias correction."""

    name: ClassVar[str] = "adam"
    summary: ClassVar[str] = "the paper's optimiser; learning rate 2e-4 for MLPs"
    moments: ClassVar[int] = 2

    lr: float = parameter(
        2e-4,
        help="learning rate",
        source="arXiv 2002.03911",
        above=0,
        search=Search(1e-5, 1e-2, "log"),
    )
    beta1: float = parameter(0.9, help="decay of the mean", minimum=0, maximum=0.9999999)
    beta2: float = parameter(0.999, help="decay of the mean square", minimum=0, maximum=0.9999999)
    eps: float = parameter(1e-8, help="added to the root", above=0)

    def delta(self, update: Tensor, moments: Moments, count: Tensor) -> tuple[Tensor, Moments]:
        mean = moments[0] * self.beta1 + update * (1 - self.beta1)
        square = moments[1] * self.beta2 + update * update * (1 - self.beta2)
        root = (square / (1 - self.beta2**count)).sqrt() + self.eps
        return mean * (self.lr / (1 - self.beta1**count)) / root, (mean, square)

    def fused(
        self,
        params: Sequence[Tensor],
        updates: Sequence[Tensor],
        moments: Sequence[Sequence[Tensor]],
        counts: Sequence[Tensor],
        rate: float,
    ) -> bool:
        import torch

        # Both names are torch's own but not documented; the tests compare with `delta`.
        kernel = getattr(torch, "_fused_adam_", None)
        if kernel is None:
            return False
        with torch.no_grad():
            kernel(
                params, updates, *moments, [], counts, lr=self.lr * rate, beta1=self.beta1,
                beta2=self.beta2, weight_decay=0.0, eps=self.eps, amsgrad=False, maximize=False,
            )  # fmt: skip
        return True
