"""Whether a network is built as it says, for other images too, and its forward pass is pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from credbench.blocks import Arrays, Block, Shape
from credbench.building import built
from credbench.conformance.draws import undrawn
from credbench.conformance.result import Result, raised
from credbench.conformance.subject import Subject
from credbench.errors import RequestError
from credbench.networks import Network
from credbench.randomness import generator

_CLASSES = (3, 4)
"""Other numbers of classes, of which the dataset has one at most."""
_SHAPES = ((3, 20, 20), (24, 24), (3, 32, 32), (3, 64, 64), (3, 224, 224))
"""Other images, the smallest first, of which those are taken that the network does not refuse."""
_IMAGES = 2


def layers_as_declared(subject: Subject) -> Result:
    """Check that a network is built, stacked or not, and what shapes its activities have.

    It is built for the dataset, for another number of classes, and for other images.
    """
    shape, classes = _form(subject)
    try:
        made = _build(subject, shape, classes)
    except RequestError as error:
        return Result([str(error)])
    note = f"{made.count():,} parameters in {made.depth} blocks"
    said = [*_declared(subject, made), *_stacked(subject), *_shapes(subject, made, shape)]
    if said:
        return Result(said, note)
    refuses = subject.trial.network.refuses
    others = [(shape, next(n for n in _CLASSES if n != classes))]
    others += [(other, classes) for other in _SHAPES if other != shape and not refuses(other)][:1]
    return Result([each for form in others for each in _elsewhere(subject, *form)], note)


def _form(subject: Subject) -> tuple[Shape, int]:
    return subject.trial.dataset.shape, subject.trial.dataset.classes


def _build(subject: Subject, shape: Shape, classes: int, separate: bool = True) -> Network:
    trial = subject.trial
    return built(trial.network, shape, classes, trial.activation, separate=separate)


def _declared(subject: Subject, made: Network) -> Iterator[str]:
    declared = subject.trial.network.widths
    found = tuple(made.width(layer) for layer in made.hidden)
    if declared and declared != found:
        yield f"widths says {declared}, the hidden layers have {found}: make them agree"


def _stacked(subject: Subject) -> Iterator[str]:
    for separate in (True, False):
        made = _build(subject, *_form(subject), separate)
        stacked = any(len(leaf.blocks) > 1 for leaf in made.leaves.values())
        if made.separate != separate or (separate and stacked):
            yield (
                f"build(…, separate={separate}) gives a network with separate={made.separate}: "
                "pass it on, Network(blocks, activation, separate=separate)"
            )
            return


def _elsewhere(subject: Subject, shape: Shape, classes: int) -> Iterator[str]:
    """Yield what is wrong with the network for other images, or another number of classes."""
    form = f"for images {shape} of {classes} classes"
    try:
        for said in _shapes(subject, _build(subject, shape, classes), shape):
            yield f"{form}, {said}"
    except RequestError as error:
        yield f"{error}: {_TAKE}"
    except Exception as error:
        yield f"{form}, it raised {raised(error)}: {_TAKE}"


_TAKE = (
    "take widths from input_shape and classes, or say in `refuses` which images it does not take"
)


def _shapes(subject: Subject, made: Network, shape: Shape) -> Iterator[str]:
    """Yield what is wrong with the shapes of the activities of images of a shape."""
    z = made.forward(*_given(subject, made, shape)).z
    for layer in range(made.depth + 1):
        found, expected = tuple(z[layer].shape[1:]), tuple(made.shape(layer))
        if found != expected:
            yield (
                f"layer {layer} has the shape {found}, its block declares {expected}: mend "
                "shape_out, or forward"
            )


def _given(
    subject: Subject, made: Network, shape: Shape, seed: int = 0
) -> tuple[list[Arrays], Tensor]:
    """Return freshly drawn arrays of every block, and images."""
    source = generator(seed, "init")
    x = torch.rand((_IMAGES, *shape), generator=source)
    return made.views(made.init(subject.trial.init, source)), x


def forward_is_pure(subject: Subject) -> Result:
    """Check that a forward pass draws nothing and that no block keeps anything of it."""
    shape, classes = _form(subject)
    made = _build(subject, shape, classes)
    params, x = _given(subject, made, shape)
    undrawn(_DRAWN, lambda: made.forward(params, x))
    first = made.forward(params, x).logits
    before = [dict(vars(block)) for block in made.blocks]  # what it makes once is made by now
    made.forward(*_given(subject, made, shape, seed=1))
    said = [
        _KEPT.format(number, type(block).__name__, name)
        for number, (block, held) in enumerate(zip(made.blocks, before, strict=True), start=1)
        for name in _changed(block, held)
    ]
    if not said and not torch.equal(made.forward(params, x).logits, first):
        said.append(_OTHER)
    return Result(said)


def _changed(block: Block, before: dict[str, Any]) -> list[str]:
    now = vars(block)
    return [k for k in now if k not in before or not _same(before[k], now[k])]


def _same(one: object, other: object) -> bool:
    """Return whether an attribute is as it was; equal numbers and words need not be one object."""
    plain = (bool, int, float, str, tuple)
    return one is other or (isinstance(one, plain) and type(one) is type(other) and one == other)


_DRAWN = (
    "forward draws at random: let a block be a function of its arrays and of what is below it, "
    "and leave the draws out"
)
_KEPT = (
    "block {} ({}) keeps {!r} of a forward pass: return what its products need from `run` as the "
    "trace, and what it keeps of the data from `statistics`"
)
_OTHER = (
    "forward gives other logits for the same arrays and images: keep nothing in Python between "
    "passes, and what blocks keep of the data in `statistics`"
)
