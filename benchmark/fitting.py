"""Whether blocks fit together: each takes what the one below it gives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from credbench.blocks import Block, Shape

_VECTORS = ("credbench.blocks", "credbench.normalization")
_EXACT = (*_VECTORS, "credbench.convolution")
"""Where blocks are from that take exactly the shape they declare; others may flatten maps."""


def is_shape(value: object) -> bool:
    """Return whether a value is a tuple of whole numbers above 0."""
    # A plain int is told first: every network that is built asks this of every array.
    return isinstance(value, tuple) and all(
        (type(n) is int or isinstance(n, Integral)) and int(n) > 0 for n in value
    )


def check_shapes(block: Block) -> None:
    """Raise `ValueError` for a block whose shapes are no tuples, such as 3 in place of (3,)."""
    for key in ("shape_in", "shape_out"):
        shape: object = getattr(block, key)
        if not (shape and is_shape(shape)):
            like = f"({shape},)" if isinstance(shape, int) else "(3,) or (3, 8, 8)"
            raise ValueError(
                f"{type(block).__name__} has {key} {shape!r}: expected a tuple of whole numbers "
                f"above 0, as in {like}"
            )


def check_fit(blocks: Sequence[Block]) -> None:
    """Raise `ValueError` for blocks that are no network, one after the other."""
    from credbench.blocks import Block

    if not blocks:
        raise ValueError("there are no blocks: expected at least one, which gives the logits")
    for number, block in enumerate(blocks, start=1):
        if not isinstance(block, Block):
            raise ValueError(f"block {number} is {block!r}: expected a credbench.blocks.Block")
        below = blocks[number - 2].shape_out if number > 1 else block.shape_in
        if not _takes(block, below):
            raise ValueError(
                f"block {number - 1} gives {below}, block {number} takes {block.shape_in}: let "
                "them agree"
            )
        if block.earlier is not None:
            _check_earlier(blocks, number)


def _takes(block: Block, shape: Shape) -> bool:
    """Return whether a block takes an activity of a shape, or may flatten it to what it takes."""
    if shape == block.shape_in:
        return True
    return _home(block) not in _EXACT and math.prod(shape) == math.prod(block.shape_in)


def _check_earlier(blocks: Sequence[Block], number: int) -> None:
    """Raise `ValueError` where a block reads a layer above it, or adds one of another shape."""
    block = blocks[number - 1]
    layer = block.earlier
    if not isinstance(layer, int) or not 0 <= layer < number:
        raise ValueError(
            f"block {number} reads the earlier layer {layer!r}: expected one from 0, the input, "
            f"to {number - 1}"
        )
    shape = blocks[layer - 1].shape_out if layer else blocks[0].shape_in
    if _home(block) in _VECTORS and shape != block.shape_out:
        raise ValueError(
            f"layer {layer} gives {shape}, block {number} adds it to {block.shape_out}: let them "
            "agree"
        )


def _home(block: Block) -> str:
    """Return the module that defines what a block computes."""
    return type(block).forward.__module__
