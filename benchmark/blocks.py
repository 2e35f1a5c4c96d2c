"""Blocks: the unit of locality.

A block is a pure function from the activity below, and at most one earlier activity, to its
pre-activation. What credit assignment needs of it are two vector-Jacobian products: with
respect to its parameters (its own update, from the error at its output) and with respect to
its inputs (an error carried down, through its own weights or through others of their shape).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from credbench.layers import Layers

Shape = tuple[int, ...]
Arrays = Mapping[str, Tensor]


class Block(ABC):
    """A parametrised map between activities; subclass it and give `shapes` and `forward`.

    The vector-Jacobian products are derived by differentiation here; a subclass overrides
    them where a hand-written one is shorter or faster.
    """

    def __init__(
        self, shape_in: Shape, shape_out: Shape, *, earlier: int | None = None, group: str = ""
    ) -> None:
        """Take shapes for one example, the earlier layer read (a residual), and a group label."""
        self.shape_in = shape_in
        self.shape_out = shape_out
        self.earlier = earlier
        self.group = group

    @property
    @abstractmethod
    def shapes(self) -> dict[str, Shape]:
        """The shape of each parameter array."""

    @abstractmethod
    def forward(self, arrays: Arrays, below: Tensor, earlier: Tensor | None = None) -> Tensor:
        """Return the pre-activation (batch, *shape_out)."""

    def gradient(
        self, arrays: Arrays, below: Tensor, error: Tensor, earlier: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Return the batch mean of the error's product with ∂(output)/∂(arrays)."""
        pull = torch.func.vjp(lambda a: self.forward(a, below, earlier), dict(arrays))[1]
        (summed,) = pull(error)
        return {name: array / len(below) for name, array in summed.items()}

    def adjoint(
        self,
        arrays: Arrays,
        below: Tensor,
        error: Tensor,
        earlier: Tensor | None = None,
        feedback: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Return the error's product with ∂(output)/∂(below) and ∂(output)/∂(earlier).

        `feedback`, of the shape of the weight, carries the error in the weight's place, as in
        feedback alignment.
        """
        full = arrays if feedback is None else {**arrays, "weight": feedback}
        if earlier is None:
            pull = torch.func.vjp(lambda b: self.forward(full, b), below)[1]
            return pull(error)[0], None
        pull = torch.func.vjp(lambda b, e: self.forward(full, b, e), below, earlier)[1]
        down, across = pull(error)
        return down, across

    def init_statistics(self) -> dict[str, Tensor]:
        """Return what the block keeps of the data to predict with, such as running means.

        A forward pass that finds these among its arrays uses them; one that does not (in
        training) uses the batch's own.
        """
        return {}

    def statistics(
        self, kept: Arrays, arrays: Arrays, below: Tensor, earlier: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Return what `init_statistics` gave, moved towards a batch's own."""
        return {}

    @staticmethod
    def gradients(
        blocks: Mapping[int, Block], params: Sequence[Arrays], z: Layers, errors: Layers
    ) -> dict[str, Tensor]:
        """Return the gradients of blocks of one kind and shape, stacked along a first axis.

        `blocks` goes by number, counted from 1; `params` are the arrays of every block, `z` and
        `errors` the activities and errors of every layer.
        """
        each = [
            block.gradient(
                params[k - 1], z[k - 1], errors[k],
                None if block.earlier is None else z[block.earlier],
            )
            for k, block in blocks.items()
        ]  # fmt: skip
        return {name: torch.stack([g[name] for g in each]) for name in each[0]}


class Dense(Block):
    """h = W z + b, with W (n_out, n_in); with an earlier activity of the same shape, + z_e."""

    def __init__(
        self, n_in: int, n_out: int, *, earlier: int | None = None, group: str = ""
    ) -> None:
        """Take the widths; `earlier` names a layer of n_out units that is added."""
        super().__init__((n_in,), (n_out,), earlier=earlier, group=group)

    @property
    def shapes(self) -> dict[str, Shape]:
        """The shapes of W and b."""
        return {"weight": (*self.shape_out, *self.shape_in), "bias": self.shape_out}

    def forward(self, arrays: Arrays, below: Tensor, earlier: Tensor | None = None) -> Tensor:
        """Return the pre-activation (batch, n_out)."""
        h = torch.nn.functional.linear(below, arrays["weight"], arrays["bias"])
        return h if earlier is None else h + earlier

    def gradient(
        self, arrays: Arrays, below: Tensor, error: Tensor, earlier: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Return the batch means of e zᵀ and e."""
        mean = error / len(below)
        return {"weight": mean.T @ below, "bias": mean.sum(0)}

    def adjoint(
        self,
        arrays: Arrays,
        below: Tensor,
        error: Tensor,
        earlier: Tensor | None = None,
        feedback: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Return Wᵀ e, or B e for feedback Bᵀ, and e itself for the earlier activity."""
        down = error @ (arrays["weight"] if feedback is None else feedback)
        return down, None if earlier is None else error

    @staticmethod
    def gradients(
        blocks: Mapping[int, Block], params: Sequence[Arrays], z: Layers, errors: Layers
    ) -> dict[str, Tensor]:
        """Return every e zᵀ of equal shape by one batched product."""
        if len(blocks) == 1:
            ((k, block),) = blocks.items()
            one = block.gradient(params[k - 1], z[k - 1], errors[k])
            return {name: array.unsqueeze(0) for name, array in one.items()}
        below = z.stacked(k - 1 for k in blocks)
        mean = errors.stacked(blocks) / below.shape[1]
        return {"weight": mean.transpose(1, 2) @ below, "bias": mean.sum(1)}


def count(shapes: Mapping[str, Shape]) -> int:
    """Return how many numbers arrays of these shapes hold."""
    return sum(math.prod(shape) for shape in shapes.values())
