"""The contract: what a credit-assignment algorithm is given and what it gives back.

A learner answers one question: given the network, its parameters, the learner's own feedback
and a batch, which update should each parameter get? The engine does the rest: it adds the
replica axis, clips, optimises, times, evaluates and records.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from credbench.component import Component

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from credbench.activations import Activation
    from credbench.architectures import Architecture
    from credbench.blocks import Arrays
    from credbench.networks import Activities, Network

Tensors = Mapping[str, "Tensor"]
Errors = Mapping[int, "Tensor"]


@dataclass(frozen=True)
class Capabilities:
    """What a learner needs and supports; list, describe, checks and tables read it."""

    needs_derivative: bool = False
    """Uses φ′; where φ has none, the activation's surrogate stands in and tables mark it."""
    convolution: bool = True
    """Works on blocks other than dense ones."""
    autograd: bool = False
    """Uses automatic differentiation inside a group of blocks."""
    vectorizable: bool = True
    """Runs under `torch.func.vmap`, so that trials can train as replicas of one program."""
    capturable: bool = True
    """Can be recorded as a CUDA graph; one that reads values back to the host can not."""
    deterministic: bool = True
    """Gives the same bits for the same seed on CPU."""


@dataclass(frozen=True)
class Updates:
    """What a learner wants done in one step.

    Updates have the sign and the batch-mean scale of a gradient: the optimiser descends along
    them. A leaf that is absent is left alone, its optimiser moments too; that is not the same
    as a zero update.
    """

    params: Tensors = field(default_factory=dict)
    """Updates of the network, by leaf (see `Network.leaves`)."""
    feedback: Tensors = field(default_factory=dict)
    """Updates of the learner's feedback, by the names that `init_feedback` gave."""
    state: Tensors = field(default_factory=dict)
    """New values of what changes without an optimiser; absent entries stay as they are."""
    logits: Tensor | None = None
    """The prediction of this pass (batch, classes), if it made one."""


@dataclass(frozen=True)
class Pass:
    """A batch on its way through a network: all that a prediction may depend on."""

    net: Network
    params: list[Arrays]
    """The arrays of each block, block 1 first: `params[l - 1]["weight"]`."""
    feedback: Tensors
    state: Tensors
    x: Tensor
    """Inputs (batch, *input shape), scaled."""

    def forward(self) -> Activities:
        """Return pre-activations and activities of every layer."""
        return self.net.forward(self.params, self.x)


@dataclass(frozen=True)
class Step(Pass):
    """A batch to learn from."""

    targets: Tensor
    """One-hot labels (batch, classes)."""
    index: Tensor
    """Which training examples these are (batch,), for learners that keep state by example."""
    noise: Tensors
    """Standard normal draws that the learner asked for with `Learner.noise`."""
    phase: str
    """Which phase of the epoch this pass belongs to; one of `Learner.phases`."""

    def output_error(self, activities: Activities) -> Tensor:
        """Return softmax(logits) − one-hot (batch, classes): ∂(cross-entropy)/∂logits."""
        return activities.logits.softmax(-1) - self.targets

    def updates(
        self,
        activities: Activities,
        errors: Errors,
        feedback: Tensors | None = None,
        state: Tensors | None = None,
    ) -> Updates:
        """Turn the error at each layer's pre-activation into the update of its block.

        `errors[l]` (batch, *shape of layer l) is the error of block l, l = 1 … L; blocks
        without one get no update. A dense block's update is the batch mean of e_l z_{l−1}ᵀ.
        """
        params = self.net.gradients(self.params, activities, errors)
        kept = self.net.statistics(self.state, self.params, activities)
        return Updates(params, feedback or {}, {**kept, **(state or {})}, activities.logits)


@dataclass(frozen=True)
class Learner(Component, ABC):
    """A credit-assignment algorithm; its dataclass fields are its hyper-parameters.

    `updates` must be pure: no argument changed in place, no value read back to the host, no
    Python branch on a tensor's value, loops of fixed length. It is written for one network;
    float fields of `self` are 0-d tensors inside it, and may differ between replicas.
    """

    kind: ClassVar[str] = "algorithm"
    paper: ClassVar[str] = ""
    equation: ClassVar[str] = ""
    capabilities: ClassVar[Capabilities] = Capabilities()
    phases: ClassVar[tuple[str, ...]] = ("train",)
    """Passes over the data that make up one epoch, in order."""
    separate: ClassVar[bool] = False
    """Keep equal-shaped weights in leaves of their own, so each can be left out of a step."""
    default_optimizer: ClassVar[str] = ""
    """Used where the experiment names no optimiser, for instance `sgd[lr=0.1]`."""

    def init_feedback(self, net: Network, generator: torch.Generator) -> dict[str, Tensor]:
        """Return what the learner keeps beside the network, drawn from `generator`, on CPU.

        An entry of one or two dimensions, or of the shape of a block's weight, is one array;
        with three or more its first axis stacks equal-shaped arrays (re-projection takes one
        norm for each).
        """
        return {}

    def init_state(self, net: Network, examples: int) -> dict[str, Tensor]:
        """Return what changes in training without an optimiser, for so many examples."""
        return {}

    def noise(self, net: Network, phase: str) -> dict[str, tuple[int, ...]]:
        """Return the shapes, for one example, of the standard normal draws of a phase."""
        return {}

    def rate(self, name: str) -> float:
        """Return the factor on the learning rate of a feedback entry, applied after Adam."""
        return 1.0

    def mirrored(self, net: Network) -> Mapping[str, Sequence[tuple[int, int]]]:
        """Return which weights feedback stands in for; only what is watched in training asks.

        By the name of an entry, for each array that it holds, (i, j): laid out as (units of layer
        j, units of layer i), it carries errors from j down to i in place of W_j … W_{i+1}; where
        j = i + 1, it may have the layout of that block's weight.
        """
        return {}

    def refuses(self, network: Architecture, activation: Activation) -> str:
        """Return why the algorithm is not defined on a network or activation; empty if it is."""
        return ""

    @abstractmethod
    def updates(self, step: Step) -> Updates:
        """Return the update of every parameter that should change in this step."""

    def predict(self, view: Pass) -> Tensor:
        """Return logits (batch, classes); by default those of a forward pass."""
        return view.forward().logits
