"""How a recipe becomes a network; what is wrong with the recipe is said in a sentence."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from credbench.activations import Activation
from credbench.architectures import Architecture
from credbench.errors import CredbenchError, RequestError
from credbench.networks import Network
from credbench.tracing import last_line, place

if TYPE_CHECKING:
    from credbench.blocks import Shape


def built(
    recipe: Architecture,
    shape: Shape,
    classes: int,
    activation: Activation,
    *,
    separate: bool = False,
) -> Network:
    """Return the network of a recipe for inputs of a shape and so many classes.

    Raises `RequestError`, with the file and line to mend, where `build` raises or returns what is
    no network for them.
    """
    try:
        made: object = recipe.build(shape, classes, activation, separate=separate)
        wrong = _wrong(made, shape, classes)
    except CredbenchError:
        raise
    except Exception as error:
        where = place(error) or _declared(recipe)
        raise _refused(recipe, shape, classes, f"{last_line(error)} ({where})") from error
    if wrong:
        raise _refused(recipe, shape, classes, f"{wrong} ({_declared(recipe)})")
    assert isinstance(made, Network)
    return made


def _refused(recipe: Architecture, shape: Shape, classes: int, why: str) -> RequestError:
    return RequestError(
        f"network {recipe.spec(full=False)!r} cannot be built for inputs of shape {tuple(shape)} "
        f"and {classes} classes: {why}; mend its build"
    )


def _declared(recipe: Architecture) -> str:
    """Return the file and line of a recipe's `build`."""
    code = type(recipe).build.__code__
    return f"{Path(code.co_filename).name}, line {code.co_firstlineno}"


def _wrong(made: object, shape: Shape, classes: int) -> str:
    """Return why what was built is no network from inputs of a shape to logits; empty if it is."""
    if not isinstance(made, Network):
        return f"build returned a {type(made).__name__}, expected a credbench.Network"
    wrong = _wrong_arrays(made)
    if wrong:
        return wrong
    if made.width(0) != math.prod(shape):
        return f"block 1 takes {made.shape(0)}, an input has {math.prod(shape)} values"
    if made.shape(made.depth) != (classes,):
        return (
            f"block {made.depth}, the last, gives {made.shape(made.depth)}, expected a logit a "
            f"class, ({classes},)"
        )
    return ""


def _wrong_arrays(made: Network) -> str:
    from credbench.fitting import is_shape

    for number, block in enumerate(made.blocks, start=1):
        for array, shape in block.shapes.items():
            if not is_shape(shape):
                return (
                    f"block {number} declares {array!r} of shape {shape!r}, expected a tuple of "
                    "whole numbers"
                )
    return ""
