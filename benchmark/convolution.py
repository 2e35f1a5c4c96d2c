"""Blocks on maps: a filter, normalisation, pooling and a shortcut; and the head on top of them.

    h = P(N(f(z))) + s(z_e)

f is a filter, N a normalisation (or a bias), P max-pooling (which a φ that never falls may as well
follow as precede), s the shortcut of a residual block: the identity, or a 1x1 convolution with a
normalisation of its own. All of it is written out, without automatic differentiation.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

from credbench.blocks import Arrays, Block, Dense, Shape
from credbench.filters import Filter
from credbench.layers import as_maps, in_line
from credbench.moments import NORMS, Pulled

if TYPE_CHECKING:
    from credbench.initializers import Initializer

aten = torch.ops.aten


@dataclass
class _Path:
    """What a forward pass keeps of a filter and its normalisation."""

    entered: Tensor
    maps: Tensor
    saved: Any
    pulled: tuple[Tensor, Pulled] | None = None
    """The last error at the normalised maps and its derivative: both products want the same."""


class FilterPath:
    """A filter and what follows it, on arrays whose names start with a prefix."""

    def __init__(self, filter: Filter, norm: str, prefix: str = "") -> None:
        """Take the filter and the name of a normalisation, or none."""
        self.filter = filter
        self.norm = NORMS.get(norm)
        self.running = norm == "batch"
        self._weight, self._bias, self._gain = (prefix + k for k in ("weight", "bias", "gain"))
        self._kept = (prefix + "mean", prefix + "variance")

    @property
    def shapes(self) -> dict[str, Shape]:
        """The shape of each array."""
        channels = (self.filter.channels,)
        if self.norm is None:
            return {self._weight: self.filter.weight, self._bias: (self.filter.bias,)}
        return {self._weight: self.filter.weight, self._bias: channels, self._gain: channels}

    def forward(self, arrays: Arrays, below: Tensor) -> tuple[Tensor, _Path]:
        """Return the maps (batch, *shape_out) and what the products need."""
        entered = self.filter.enter(arrays, below)
        maps = self.filter.apply(arrays[self._weight], entered)
        if self.norm is None:
            return self.filter.add_bias(maps, arrays[self._bias]), _Path(entered, maps, None)
        mean, variance = self._kept
        kept = (arrays[mean], arrays[variance]) if mean in arrays else None
        gain, bias = arrays[self._gain], arrays[self._bias]
        found, saved = self.norm.apply(maps, gain, bias, kept)
        return found, _Path(entered, maps, saved)

    def at_filter(self, arrays: Arrays, path: _Path, error: Tensor) -> Tensor:
        """Return an error carried through the normalisation to the filter's own maps."""
        return self._pull(arrays, path, error).error if self.norm else error

    def _pull(self, arrays: Arrays, path: _Path, error: Tensor) -> Pulled:
        assert self.norm is not None
        if path.pulled is None or path.pulled[0] is not error:
            gain, error_there = arrays[self._gain], error.to(path.maps.dtype)
            path.pulled = error, self.norm.pull(path.maps, gain, path.saved, error_there)
        return path.pulled[1]

    def gradient(self, arrays: Arrays, path: _Path, error: Tensor) -> dict[str, Tensor]:
        """Return the batch means for every array."""
        n, there = len(error), self.at_filter(arrays, path, error)
        weight = arrays[self._weight]
        found = {self._weight: self.filter.push(weight, path.entered, there).to(weight.dtype) / n}
        if self.norm is None:
            return {**found, self._bias: self.filter.sum_bias(error) / n}
        pulled = self._pull(arrays, path, error)
        return {**found, self._bias: pulled.bias / n, self._gain: pulled.gain / n}

    def adjoint(
        self, arrays: Arrays, below: Tensor, path: _Path, weight: Tensor, there: Tensor
    ) -> Tensor:
        """Return an error at the filter's maps carried below, through a weight."""
        down = self.filter.pull(weight, path.entered, there)
        return self.filter.leave(arrays, below, down)

    def weight_in(self, arrays: Arrays) -> Tensor | None:
        """Return the weight among arrays, if it is there."""
        return arrays.get(self._weight)

    def init_statistics(self) -> dict[str, Tensor]:
        """Return mean 0 and variance 1 where the normalisation keeps moments."""
        if not self.running:
            return {}
        mean, variance = self._kept
        n = self.filter.channels
        return {mean: torch.zeros(n), variance: torch.ones(n)}

    def statistics(self, kept: Arrays, path: _Path) -> dict[str, Tensor]:
        """Return the kept moments, moved towards those of the batch."""
        if self.norm is None or not self.running:
            return {}
        mean, variance = self._kept
        moved = self.norm.statistics(path.maps, path.saved, (kept[mean], kept[variance]))
        return dict(zip(self._kept, moved, strict=True))


@dataclass
class Trace:
    """What a forward pass of a block on maps keeps for its products."""

    main: _Path
    places: Tensor | None = None
    """Where the maxima were that pooling took."""
    unpooled: tuple[Tensor, Tensor] | None = None
    """The last error at the block's output, and carried through the pooling."""
    shortcut: _Path | None = field(default=None)


class MapBlock(Block):
    """h = P(N(f(z))) + s(z_e) on maps (batch, channels, height, width)."""

    def __init__(
        self,
        filter: Filter,
        *,
        norm: str = "none",
        pool: tuple[int, int] | None = None,
        shortcut: Filter | None = None,
        earlier: int | None = None,
        group: str = "",
        stage: str = "",
    ) -> None:
        """Take the filter, what follows it, and the shortcut's filter where it has one.

        `norm` is batch, group or none; `pool` the size and stride of max-pooling; `earlier` the
        layer that a residual block adds.
        """
        channels, *sides = filter.shape_out
        if pool is not None:
            size, stride = pool
            sides = [(side + 2 * _pool_padding(size) - size) // stride + 1 for side in sides]
        shape = (channels, *sides)
        super().__init__(filter.shape_in, shape, earlier=earlier, group=group, stage=stage)
        self.pool = pool
        self.path = FilterPath(filter, norm)
        self.shortcut = None if shortcut is None else FilterPath(shortcut, norm, "shortcut_")

    @property
    def shapes(self) -> dict[str, Shape]:
        """The shapes of the arrays: weight, bias, gain, those of the shortcut, masks."""
        other = self.shortcut.shapes if self.shortcut else {}
        return {**self.path.shapes, **other, **self.path.filter.frozen}

    @property
    def frozen(self) -> frozenset[str]:
        """The masks of a perturbative block."""
        return frozenset(self.path.filter.frozen)

    @property
    def carriers(self) -> tuple[str, ...]:
        """The weight, and the shortcut's where it has one."""
        return ("weight", "shortcut_weight") if self.shortcut else ("weight",)

    def init(self, initializer: Initializer, generator: torch.Generator) -> dict[str, Tensor]:
        """Return freshly drawn arrays; biases and gains start at zero."""
        drawn = {name: torch.zeros(shape) for name, shape in self.shapes.items()}
        drawn["weight"] = self.path.filter.draw(initializer, generator)
        if self.shortcut:
            drawn["shortcut_weight"] = self.shortcut.filter.draw(initializer, generator)
        return drawn | self.path.filter.draw_frozen(generator)

    def forward(self, arrays: Arrays, below: Tensor, earlier: Tensor | None = None) -> Tensor:
        """Return the pre-activation (batch, *shape_out)."""
        return self.run(arrays, below, earlier)[0]

    def run(
        self, arrays: Arrays, below: Tensor, earlier: Tensor | None = None
    ) -> tuple[Tensor, Trace]:
        """Return the pre-activation and the trace of the pass."""
        h, main = self.path.forward(arrays, below)
        trace = Trace(main)
        if self.pool is not None:
            size, stride = self.pool
            h, trace.places = functional.max_pool2d(
                h, size, stride, _pool_padding(size), return_indices=True
            )
        if earlier is not None:
            added = earlier
            if self.shortcut:
                added, trace.shortcut = self.shortcut.forward(arrays, earlier)
            h = h + added
        return h, trace

    def _before_pool(self, trace: Trace, error: Tensor) -> Tensor:
        """Return an error at the output carried through the pooling."""
        if error.shape[1:] != self.shape_out:  # torch's kernels would read past the end
            given = tuple(error.shape[1:])
            raise ValueError(f"an error of shape {given} was given for maps of {self.shape_out}")
        if self.pool is None:
            return error
        if trace.unpooled is None or trace.unpooled[0] is not error:
            size, stride = self.pool
            maps = trace.main.maps
            found = aten.max_pool2d_with_indices_backward(
                error.to(maps.dtype), maps, [size] * 2, [stride] * 2, [_pool_padding(size)] * 2,
                [1, 1], False, trace.places,
            )  # fmt: skip
            trace.unpooled = error, found
        return trace.unpooled[1]

    def _traced(
        self, arrays: Arrays, below: Tensor, earlier: Tensor | None, trace: Trace | None
    ) -> Trace:
        if trace is None and self._linear:  # its products need nothing of the forward pass
            return Trace(_Path(self.path.filter.enter(arrays, below), below, None))
        return trace or self.run(arrays, below, earlier)[1]

    @property
    def _linear(self) -> bool:
        return self.path.norm is None and self.pool is None and self.shortcut is None

    def gradient(
        self,
        arrays: Arrays,
        below: Tensor,
        error: Tensor,
        earlier: Tensor | None = None,
        trace: Trace | None = None,
    ) -> dict[str, Tensor]:
        """Return the batch means for every array that learns."""
        trace = self._traced(arrays, below, earlier, trace)
        found = self.path.gradient(arrays, trace.main, self._before_pool(trace, error))
        if self.shortcut and trace.shortcut:
            found |= self.shortcut.gradient(arrays, trace.shortcut, error)
        return found

    def adjoint(
        self,
        arrays: Arrays,
        below: Tensor,
        error: Tensor,
        earlier: Tensor | None = None,
        feedback: Arrays | None = None,
        trace: Trace | None = None,
        scale: float | Tensor = 1,
    ) -> tuple[Tensor, Tensor | None]:
        """Return the error, times a scale, below and at the earlier activity.

        Feedback stands for the filters alone; the derivatives of normalisation and pooling stay
        their own. A shortcut with a filter carries nothing by feedback that has none for it.
        """
        trace = self._traced(arrays, below, earlier, trace)
        by = arrays if feedback is None else feedback
        there = self.path.at_filter(arrays, trace.main, self._before_pool(trace, error))
        down = self.path.adjoint(arrays, below, trace.main, by["weight"], _scaled(there, scale))
        if earlier is None or not self.shortcut:
            return down, None if earlier is None else _scaled(error, scale)
        weight = self.shortcut.weight_in(by)
        if weight is None or trace.shortcut is None:
            return down, None
        there = _scaled(self.shortcut.at_filter(arrays, trace.shortcut, error), scale)
        return down, self.shortcut.adjoint(arrays, earlier, trace.shortcut, weight, there)

    def correlation(
        self,
        arrays: Arrays,
        below: Tensor,
        error: Tensor,
        post: Tensor,
        trace: Trace | None = None,
    ) -> Tensor:
        """Return the weight's batch-mean gradient with `post` in the place of z below."""
        trace = self._traced(arrays, below, None, trace)
        there = self.path.at_filter(arrays, trace.main, self._before_pool(trace, error))
        entered = self.path.filter.enter(arrays, post)
        return self.path.filter.push(arrays["weight"], entered, there) / len(error)

    def init_statistics(self) -> dict[str, Tensor]:
        """Return the running moments of the normalisations."""
        other = self.shortcut.init_statistics() if self.shortcut else {}
        return self.path.init_statistics() | other

    def statistics(
        self,
        kept: Arrays,
        arrays: Arrays,
        below: Tensor,
        earlier: Tensor | None = None,
        trace: Trace | None = None,
    ) -> dict[str, Tensor]:
        """Return the running moments moved towards the batch's."""
        trace = self._traced(arrays, below, earlier, trace)
        found = self.path.statistics(kept, trace.main)
        if self.shortcut and trace.shortcut:
            found |= self.shortcut.statistics(kept, trace.shortcut)
        return found


def _scaled(error: Tensor, scale: float | Tensor) -> Tensor:
    return error if isinstance(scale, int) else error * scale


def _pool_padding(size: int) -> int:
    return (size - 1) // 2


class Head(Dense):
    """h = W mean(z) + b: a dense block on the mean of each map, or on all of their values."""

    def __init__(self, shape_in: Shape, n_out: int, *, pooled: bool = True) -> None:
        """Take maps of one shape, and whether each is averaged first."""
        self._n_in = shape_in[0] if pooled else prod(shape_in)
        super().__init__(self._n_in, n_out)
        self.shape_in = shape_in
        self.pooled = pooled

    @property
    def shapes(self) -> dict[str, Shape]:
        """The shapes of W and b."""
        return {**super().shapes, "weight": (*self.shape_out, self._n_in)}

    def _entered(self, below: Tensor) -> Tensor:
        return below.mean((2, 3)) if self.pooled else in_line(below)

    def forward(self, arrays: Arrays, below: Tensor, earlier: Tensor | None = None) -> Tensor:
        """Return the pre-activation (batch, n_out)."""
        return super().forward(arrays, self._entered(below))

    def gradient(
        self, arrays: Arrays, below: Tensor, error: Tensor, earlier: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Return the batch means of e zᵀ and e."""
        return super().gradient(arrays, self._entered(below), error)

    def adjoint(
        self,
        arrays: Arrays,
        below: Tensor,
        error: Tensor,
        earlier: Tensor | None = None,
        feedback: Arrays | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Return Wᵀ e, or B e for feedback Bᵀ, at every value below."""
        down, _ = super().adjoint(arrays, below, error, None, feedback)
        if not self.pooled:
            return as_maps(down, below), None
        return (down / prod(self.shape_in[1:])).view(*down.shape, 1, 1).expand(below.shape), None
