"""Tensors by layer, which can be had side by side so that one kernel serves many layers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def in_line(z: Tensor) -> Tensor:
    """Return activities (…, batch, *shape) as (…, batch, units).

    Units of maps go position by position, the channels of each side by side, as they lie in
    memory in torch's channels-last format.
    """
    return z if z.ndim < 4 else z.movedim(-3, -1).flatten(-3)


def as_maps(units: Tensor, like: Tensor) -> Tensor:
    """Return units, in the order of `in_line`, in the shape of the activities `like`."""
    if like.ndim < 4:
        return units.view(like.shape)
    channels, *sides = like.shape[-3:]
    return units.view(*like.shape[:-3], *sides, channels).movedim(-1, -3)


class Layers(dict[int, "Tensor"]):
    """One tensor a layer (batch, *shape); `stacked` gives layers of equal shape as one tensor.

    A stack is made once and kept: asking again, or for a run of its layers, copies nothing.
    """

    def __init__(self, each: Mapping[int, Tensor] | None = None) -> None:
        """Take the tensors of some layers."""
        super().__init__(each or {})
        self._stacks: list[tuple[tuple[int, ...], Tensor]] = []

    def put(self, layers: Iterable[int], stack: Tensor) -> None:
        """Add the tensors of several layers, given as one (layers, batch, *shape)."""
        self._stacks.append((tuple(layers), stack))

    def __missing__(self, layer: int) -> Tensor:
        for held, stack in self._stacks:
            if layer in held:
                self[layer] = stack[held.index(layer)]
                return self[layer]
        raise KeyError(layer)

    def __contains__(self, layer: object) -> bool:
        return super().__contains__(layer) or any(layer in held for held, _ in self._stacks)

    def stacked(self, layers: Iterable[int]) -> Tensor:
        """Return the tensors of several layers of one shape as one (layers, batch, *shape)."""
        import torch

        wanted = tuple(layers)
        for held, stack in self._stacks:
            if held == wanted:
                return stack
            start = held.index(wanted[0]) if wanted[0] in held else len(held)
            if held[start : start + len(wanted)] == wanted:
                return stack[start : start + len(wanted)]
        if len(wanted) == 1:
            return self[wanted[0]].unsqueeze(0)
        made = torch.stack([self[layer] for layer in wanted])
        self._stacks.append((wanted, made))
        return made
