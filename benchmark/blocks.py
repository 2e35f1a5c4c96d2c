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
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from credbench.fitting import check_shapes

if TYPE_CHECKING:
    from credbench.initializers import Initializer
    from credbench.layers import Layers
    from credbench.networks import Activities

Shape = tuple[int, ...]
Arrays = Mapping[str, Tensor]


class Block(ABC):
    """A parametrised map between activities; subclass it and give `shapes` and `forward`.

    The vector-Jacobian products are derived by differentiation here; a subclass overrides
    them where a hand-written one is shorter or faster. One that would otherwise compute parts
    of its forward pass again overrides `run` as well; the trace that this returns is then given
    to its products, and a factor on the error, if any, behind it to `adjoint`.
    """

    def __init__(
        self,
        shape_in: Shape,
        shape_out: Shape,
        *,
        earlier: int | None = None,
        group: str = "",
        stage: str = "",
    ) -> None:
        """Take shapes for one example, the earlier layer read (a residual), and labels.

        `group` is that of a residual group, `stage` that of a run of groups of one resolution.
        Raises `ValueError` for a shape that is no tuple of whole numbers.
        """
        self.shape_in = shape_in
        self.shape_out = shape_out
        self.earlier = earlier
        self.group = group
        self.stage = stage
        check_shapes(self)

    @property
    @abstractmethod
    def shapes(self) -> dict[str, Shape]:
        """The shape of each parameter array."""

    @property
    def frozen(self) -> frozenset[str]:
        """The arrays that no learner changes."""
        return frozenset()

    @property
    def carriers(self) -> tuple[str, ...]:
        """The arrays that carry errors down, which feedback may stand for: those of matrices."""
        matrices = (name for name, shape in self.shapes.items() if len(shape) > 1)
        return tuple(name for name in matrices if name not in self.frozen)

    def init(self, initializer: Initializer, generator: torch.Generator) -> dict[str, Tensor]:
        """Return freshly drawn arrays, on CPU in float32; vectors start at zero."""
        return {name: initializer.draw(shape, generator) for name, shape in self.shapes.items()}

    @abstractmethod
    def forward(self, arrays: Arrays, below: Tensor, earlier: Tensor | None = None) -> Tensor:
        """Return the pre-activation (batch, *shape_out)."""

    def run(
        self, arrays: Arrays, below: Tensor, earlier: Tensor | None = None
    ) -> tuple[Tensor, Any]:
        """Return the pre-activation and a trace of the pass for the products; None for none."""
        return self.forward(arrays, below, earlier), None

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
        feedback: Arrays | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Return the error's product with ∂(output)/∂(below) and ∂(output)/∂(earlier).

        `feedback` holds arrays that carry the error in the place of those of the same names, as
        in feedback alignment.
        """
        full = {**arrays, **(feedback or {})}
        if earlier is None:
            pull = torch.func.vjp(lambda b: self.forward(full, b), below)[1]
            return pull(error)[0], None
        pull = torch.func.vjp(lambda b, e: self.forward(full, b, e), below, earlier)[1]
        down, across = pull(error)
        return down, across

    def correlation(self, arrays: Arrays, below: Tensor, error: Tensor, post: Tensor) -> Tensor:
        """Return the weight's batch-mean gradient with `post` in the place of the activity below.

        The error is carried to the weight's own output as at `below`; here, where the block is
        linear, it is there already.
        """
        return self.gradient(arrays, post, error)["weight"]

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
        blocks: Mapping[int, Block],
        params: Sequence[Arrays],
        activities: Activities,
        errors: Layers,
    ) -> dict[str, Tensor]:
        """Return the gradients of blocks of one kind and shape, stacked along a first axis.

        `blocks` goes by number, counted from 1; `params` are the arrays of every block,
        `activities` and `errors` those of every layer.
        """
        each = [
            block.gradient(params[k - 1], *activities.given(block, k, errors[k]))
            for k, block in blocks.items()
        ]
        if len(each) == 1:
            return {name: array.unsqueeze(0) for name, array in each[0].items()}
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
        feedback: Arrays | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Return Wᵀ e, or B e for feedback Bᵀ, and e itself for the earlier activity."""
        down = error @ (feedback or arrays)["weight"]
        return down, None if earlier is None else error

    @staticmethod
    def gradients(
        blocks: Mapping[int, Block],
        params: Sequence[Arrays],
        activities: Activities,
        errors: Layers,
    ) -> dict[str, Tensor]:
        """Return every e zᵀ of equal shape by one batched product."""
        if len(blocks) == 1:
            return Block.gradients(blocks, params, activities, errors)
        below = activities.z.stacked(k - 1 for k in blocks)
        mean = errors.stacked(blocks) / below.shape[1]
        return {"weight": mean.transpose(1, 2) @ below, "bias": mean.sum(1)}


def count(shapes: Mapping[str, Shape]) -> int:
    """Return how many numbers arrays of these shapes hold."""
    return sum(math.prod(shape) for shape in shapes.values())
