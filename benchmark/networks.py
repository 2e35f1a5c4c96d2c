"""Networks: sequences of blocks, each followed by φ, the last one giving logits.

Layers are numbered as in the papers: layer 0 is the input, block l maps the activity z_{l−1}
(and at most one earlier one) to the pre-activation h_l, z_l = φ(h_l), and z_L = h_L are logits.

Equal-shaped arrays share one stacked tensor, a *leaf* (stack, *shape), so that optimisers and
weight updates take one kernel for all of them; blocks see views.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from credbench.fitting import check_fit
from credbench.layers import Layers

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from credbench.activations import Activation
    from credbench.blocks import Arrays, Block, Shape
    from credbench.initializers import Initializer


@dataclass(frozen=True)
class Activities:
    """Pre-activations h_l and activities z_l of a batch, l = 0 … L; h_0 = z_0 is the input."""

    h: Layers
    z: Layers
    traces: Mapping[int, Any] = field(default_factory=dict)
    """What blocks keep of their forward pass for their products, by number."""

    def given(self, block: Block, number: int, error: Tensor | None = None) -> tuple[Any, ...]:
        """Return what a block's methods take after its arrays: below, error, earlier, trace.

        Those of a block without a trace take none, which is left out; so is the error, where
        there is none.
        """
        own = () if error is None else (error,)
        earlier = None if block.earlier is None else self.z[block.earlier]
        trace = (self.traces[number],) if number in self.traces else ()
        return (self.z[number - 1], *own, earlier, *trace)

    @property
    def logits(self) -> Tensor:
        """The output layer's pre-activation (batch, classes)."""
        return self.h[len(self.h) - 1]


@dataclass(frozen=True)
class Leaf:
    """A stacked tensor and the blocks (counted from 1) whose arrays it holds, in order."""

    array: str
    shape: Shape
    blocks: tuple[int, ...]


class Network:
    """A sequence of blocks with one activation."""

    def __init__(
        self, blocks: Sequence[Block], activation: Activation, *, separate: bool = False
    ) -> None:
        """Take the blocks in order; `separate` gives every array a leaf of its own.

        Raises `ValueError` for blocks that do not fit together.
        """
        self.blocks = tuple(blocks)
        check_fit(self.blocks)
        self.activation = activation
        self.separate = separate
        self._alike: dict[tuple[int, ...], list[tuple[int, ...]]] = {}

    @property
    def depth(self) -> int:
        """The number of blocks, L."""
        return len(self.blocks)

    @property
    def hidden(self) -> range:
        """The hidden layers, 1 … L − 1."""
        return range(1, self.depth)

    def shape(self, layer: int) -> Shape:
        """Return the shape of a layer's activity for one example; layer 0 is the input."""
        return self.blocks[layer - 1].shape_out if layer else self.blocks[0].shape_in

    def width(self, layer: int) -> int:
        """Return the number of units of a layer."""
        return math.prod(self.shape(layer))

    @cached_property
    def families(self) -> list[tuple[int, ...]]:
        """Blocks (counted from 1) of one kind and shape, whose arrays are stacked."""
        families: dict[tuple[object, ...], list[int]] = {}
        for number, block in enumerate(self.blocks, start=1):
            own = number if self.separate else 0
            key = (type(block), tuple(block.shapes.items()), block.shape_in, block.shape_out, own)
            families.setdefault(key, []).append(number)
        return [tuple(numbers) for numbers in families.values()]

    @cached_property
    def leaves(self) -> dict[str, Leaf]:
        """The stacked tensors that hold the parameters, by name."""
        return {
            f"{array}.{'-'.join(map(str, family))}": Leaf(array, shape, family)
            for family in self.families
            for array, shape in self.blocks[family[0] - 1].shapes.items()
        }

    @cached_property
    def groups(self) -> list[tuple[int, ...]]:
        """The residual groups: runs of hidden layers whose blocks share a label."""
        return self._runs([self.blocks[layer - 1].group for layer in self.hidden])

    @cached_property
    def stages(self) -> list[tuple[int, ...]]:
        """The stages: runs of hidden layers that share a label; one layer each without labels."""
        labels = [self.blocks[layer - 1].stage for layer in self.hidden]
        return self._runs(labels) or [(layer,) for layer in self.hidden]

    @staticmethod
    def _runs(labels: Sequence[str]) -> list[tuple[int, ...]]:
        runs: dict[str, list[int]] = {}
        for layer, label in enumerate(labels, start=1):
            runs.setdefault(label, []).append(layer)
        return [tuple(run) for label, run in runs.items() if label]

    def init(self, initializer: Initializer, generator: torch.Generator) -> dict[str, Tensor]:
        """Return freshly drawn leaves, block by block from the first, on CPU in float32."""
        import torch

        arrays = [block.init(initializer, generator) for block in self.blocks]
        return {
            name: torch.stack([arrays[k - 1][leaf.array] for k in leaf.blocks])
            for name, leaf in self.leaves.items()
        }

    def views(self, leaves: Mapping[str, Tensor]) -> list[Arrays]:
        """Return each block's own arrays, as views of the leaves present."""
        found: list[dict[str, Tensor]] = [{} for _ in self.blocks]
        for name, tensor in leaves.items():
            leaf = self.leaves[name]
            for number, view in zip(leaf.blocks, tensor.unbind(0), strict=True):
                found[number - 1][leaf.array] = view
        return list(found)

    def init_statistics(self) -> dict[str, Tensor]:
        """Return what blocks keep of the data to predict with, by array and block."""
        return {
            f"{array}.{number}": value
            for number, block in enumerate(self.blocks, start=1)
            for array, value in block.init_statistics().items()
        }

    def statistics(
        self, state: Mapping[str, Tensor], params: Sequence[Arrays], activities: Activities
    ) -> dict[str, Tensor]:
        """Return what `init_statistics` gave, moved towards those of a batch."""
        moved = {
            number: self.blocks[number - 1].statistics(
                {k: state[f"{k}.{number}"] for k in kept},
                params[number - 1],
                *activities.given(self.blocks[number - 1], number),
            )
            for number, kept in self._kept.items()
        }
        return {f"{k}.{n}": value for n, found in moved.items() for k, value in found.items()}

    @cached_property
    def _kept(self) -> dict[int, tuple[str, ...]]:
        """The names of what blocks keep of the data, by block; those that keep none left out."""
        found = {k: tuple(b.init_statistics()) for k, b in enumerate(self.blocks, start=1)}
        return {number: names for number, names in found.items() if names}

    def settled(self, params: Sequence[Arrays], state: Mapping[str, Tensor]) -> list[Arrays]:
        """Return the arrays of each block with what it keeps of the data, for prediction."""
        return [
            {**arrays, **{k: state[f"{k}.{number}"] for k in self._kept[number]}}
            if number in self._kept else arrays
            for number, arrays in enumerate(params, start=1)
        ]  # fmt: skip

    def forward(self, params: Sequence[Arrays], x: Tensor) -> Activities:
        """Return pre-activations and activities of every layer for inputs (batch, …)."""
        z = Layers({0: self._entering(x)})
        h = Layers(z)
        traces: dict[int, Any] = {}
        for number, (block, arrays) in enumerate(zip(self.blocks, params, strict=True), start=1):
            h[number], trace = block.run(arrays, z[number - 1], self._earlier(block, z))
            z[number] = self.activation(h[number]) if number < self.depth else h[number]
            if trace is not None:
                traces[number] = trace
        return Activities(h, z, traces)

    def _entering(self, x: Tensor) -> Tensor:
        """Return inputs in the shape that the first block takes; maps channels last in memory."""
        import torch

        z = x.reshape(len(x), *self.blocks[0].shape_in)
        return z.contiguous(memory_format=torch.channels_last) if z.ndim == 4 else z

    @staticmethod
    def _earlier(block: Block, z: Mapping[int, Tensor]) -> Tensor | None:
        return None if block.earlier is None else z[block.earlier]

    def alike(self, layers: Sequence[int]) -> list[tuple[int, ...]]:
        """Return layers grouped by the shape of their activity, each group in the order given.

        Layers of maps stay alone: putting them side by side costs a copy and saves little.
        """
        wanted = tuple(layers)
        if wanted not in self._alike:
            groups: dict[object, list[int]] = {}
            for layer in wanted:
                shape = self.shape(layer)
                groups.setdefault(shape if len(shape) == 1 else layer, []).append(layer)
            self._alike[wanted] = [tuple(group) for group in groups.values()]
        return self._alike[wanted]

    def random_weight(
        self, layer: int, sigma: float, generator: torch.Generator, array: str = "weight"
    ) -> Tensor:
        """Return N(0, σ²) draws of the shape of block l's weight, for feedback that mirrors it.

        Raises `ValueError` for a block without such an array.
        """
        import torch

        block = self.blocks[layer - 1]
        if array not in block.shapes:
            raise ValueError(
                f"block {layer}, a {type(block).__name__}, has no array {array!r} for feedback to "
                f"mirror, its arrays are {', '.join(block.shapes)}: expected one map, its 'weight'"
            )
        return torch.randn(block.shapes[array], generator=generator) * sigma

    def apply(
        self, params: Sequence[Arrays], layer: int, below: Tensor, z: Mapping[int, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Return (h_l, z_l) of one hidden block from the given activity below."""
        block = self.blocks[layer - 1]
        h = block.forward(params[layer - 1], below, self._earlier(block, z))
        return h, self.activation(h)

    def slope(self, activities: Activities, layer: int) -> Tensor:
        """Return φ′(h_l), or the activation's surrogate."""
        return self.activation.derivative(activities.h[layer], activities.z[layer])

    def chain_errors(
        self,
        params: Sequence[Arrays],
        activities: Activities,
        output_error: Tensor,
        feedback: Mapping[int, Arrays] | None = None,
        injected: Mapping[int, Tensor] | None = None,
        cuts: Collection[int] = (),
    ) -> dict[int, Tensor]:
        """Return the error at every pre-activation, carried down block by block.

        e_l = (Σ over blocks k that read z_l of J_kᵀ e_k) ⊙ φ′(h_l): backprop. Blocks that have
        `feedback` (by number, arrays by name) carry the error by that in place of their own
        arrays: feedback alignment. `injected` errors at z_l are added, by layer. Nothing passes
        from above a layer in `cuts` to it or below, which leaves layers there without an error
        unless one is injected.
        """
        errors = {self.depth: output_error}
        at_activity: dict[int, Tensor] = dict(injected or {})
        for number in range(self.depth, 1, -1):
            if number in errors:
                carrier = None if feedback is None else feedback.get(number)
                sources = (number - 1, self.blocks[number - 1].earlier or 0)
                reach = [_reaches(number, source, cuts) for source in sources]
                if any(reach):
                    found = self.pull(params, activities, number, errors[number], carrier)
                    for source, reached, error in zip(sources, reach, found, strict=True):
                        if reached and error is not None:
                            _accumulate(at_activity, source, error)
            below = number - 1
            if below in at_activity:
                h, z = activities.h[below], activities.z[below]
                errors[below] = self.activation.backward(h, z, at_activity.pop(below))
        return errors

    def pull(
        self,
        params: Sequence[Arrays],
        activities: Activities,
        number: int,
        error: Tensor,
        feedback: Arrays | None = None,
        scale: float | Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Return a block's error carried to the activity below, and to the earlier one it reads.

        With a `scale` it is so much of the error; a block with a trace then carries the error
        itself as far as its own update needs it.
        """
        block = self.blocks[number - 1]
        below, error, earlier, *trace = activities.given(block, number, error)
        if scale is not None:
            if trace:
                trace.append(scale)
            else:
                error = scale * error
        return block.adjoint(params[number - 1], below, error, earlier, feedback, *trace)

    def correlation(
        self,
        params: Sequence[Arrays],
        activities: Activities,
        number: int,
        error: Tensor,
        post: Tensor,
    ) -> Tensor:
        """Return a weight's gradient with `post` in the place of the activity below its block."""
        block = self.blocks[number - 1]
        below, error, _, *trace = activities.given(block, number, error)
        return block.correlation(params[number - 1], below, error, post, *trace)

    def gradients(
        self, params: Sequence[Arrays], activities: Activities, errors: Mapping[int, Tensor]
    ) -> dict[str, Tensor]:
        """Return the update of each leaf whose blocks have an error at their pre-activation."""
        errors = errors if isinstance(errors, Layers) else Layers(errors)
        updates: dict[str, Tensor] = {}
        for family in self.families:
            given = [k for k in family if k in errors]
            if not given:
                continue
            if len(given) < len(family):
                raise ValueError(
                    f"errors were given for blocks {given} but not for all of {list(family)}, "
                    "which share one stack: give all or none, or set `separate = True`"
                )
            blocks = {k: self.blocks[k - 1] for k in family}
            stacked = self.blocks[family[0] - 1].gradients(blocks, params, activities, errors)
            for array, gradient in stacked.items():
                updates[self._names[family[0], array]] = gradient
        return updates

    @cached_property
    def _names(self) -> dict[tuple[int, str], str]:
        """The name of each leaf, by its first block and its array."""
        return {(leaf.blocks[0], leaf.array): name for name, leaf in self.leaves.items()}

    def count(self) -> int:
        """Return the number of trainable parameters, feedback and frozen arrays not included."""
        return sum(
            len(leaf.blocks) * math.prod(leaf.shape)
            for leaf in self.leaves.values()
            if leaf.array not in self.frozen(leaf)
        )

    def frozen(self, leaf: Leaf) -> frozenset[str]:
        """Return the arrays that no learner changes, of the blocks that a leaf is of."""
        return self.blocks[leaf.blocks[0] - 1].frozen

    def count_frozen(self) -> int:
        """Return how many numbers the arrays hold that no learner changes."""
        return sum(math.prod(b.shapes[name]) for b in self.blocks for name in b.frozen)


def _reaches(number: int, source: int, cuts: Collection[int]) -> bool:
    """Return whether an error passes from a block to a hidden layer that it reads."""
    return source > 0 and not (cuts and any(source <= cut < number for cut in cuts))


def _accumulate(sums: dict[int, Tensor], layer: int, error: Tensor) -> None:
    sums[layer] = sums[layer] + error if layer in sums else error
