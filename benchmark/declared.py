"""Whether what a dataset gives is what it declares: numbers, shapes, types and labels."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from credbench.images import Dataset, Images


def contradictions(dataset: Dataset, found: object) -> Iterator[str]:
    """Yield a sentence for each way in which images, as loaded, are not as declared."""
    if not isinstance(found, Images):
        yield f"load returned a {type(found).__name__}: return credbench.Images(…)"
        return
    held = [said for name, each in vars(found).items() for said in _held(name, each)]
    yield from held
    if held:
        return
    train, test = dataset.examples
    yield from _part(dataset, "training", found.train_x, found.train_y, train)
    yield from _part(dataset, "test", found.test_x, found.test_y, test)
    if not 0 < dataset.validation < train:
        yield (
            f"validation is {dataset.validation}: hold out at least one of the {train} training "
            "images, and leave some to train on"
        )


def _held(name: str, given: object) -> Iterator[str]:
    if isinstance(given, Tensor):
        return
    array = hasattr(given, "__array_interface__")
    kind = f"{'numpy' if array else 'Python'} {type(given).__name__}"
    yield f"{name} is a {kind}: give a tensor, torch.{'from_numpy' if array else 'tensor'}(…)"


def _part(dataset: Dataset, part: str, x: Tensor, y: Tensor, n: int) -> Iterator[str]:
    if tuple(x.shape) != (n, *dataset.shape):
        yield (
            f"the {part} images have the shape {tuple(x.shape)}: `examples` and `shape` declare "
            f"{(n, *dataset.shape)}; make them agree"
        )
    if x.dtype != torch.uint8:
        yield f"the {part} images are {x.dtype}: give torch.uint8, and the full pixel as `peak`"
    if y.dtype != torch.int64 or tuple(y.shape) != (len(x),):
        yield f"the {part} labels are {y.dtype} {tuple(y.shape)}: give one torch.int64 an image"
    elif len(y) and not (int(y.min()) >= 0 and int(y.max()) < dataset.classes):
        yield (
            f"the {part} labels go from {int(y.min())} to {int(y.max())}: number the "
            f"{dataset.classes} classes from 0"
        )
    if len(x) and float(x.max()) > dataset.peak:
        yield f"a pixel of the {part} images is {float(x.max()):g}: declare `peak` as the largest"
