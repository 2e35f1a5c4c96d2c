"""Whether a dataset holds what it declares, always the same, and can be learned."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from credbench.conformance.measures import learned
from credbench.conformance.result import Result
from credbench.conformance.subject import Subject
from credbench.images import Dataset, Images, Splits
from credbench.loading import load


def images_as_declared(subject: Subject) -> Result:
    """Check numbers, shapes, types and labels of what is loaded."""
    dataset = subject.trial.dataset
    if dataset.files(subject.data_dir) is not None:  # decoded by the engine, checked by it
        return Result(note="read from class folders")
    found: object = dataset.load(subject.data_dir)
    if not isinstance(found, Images):
        return Result([f"load returned a {type(found).__name__}: return credbench.Images(…)"])
    held = [said for name, each in vars(found).items() for said in _held(name, each)]
    if held:
        return Result(held)
    train, test = dataset.examples
    said = [
        *_part(dataset, "training", found.train_x, found.train_y, train),
        *_part(dataset, "test", found.test_x, found.test_y, test),
    ]
    if not 0 < dataset.validation < train:
        said.append(
            f"validation is {dataset.validation}: hold out at least one of the {train} training "
            "images, and leave some to train on"
        )
    note = f"{train:,} and {test:,} images, {dataset.classes} classes"
    return Result(said or list(_shared(found)), note)


def _held(name: str, given: object) -> Iterator[str]:
    if isinstance(given, Tensor):
        return
    array = hasattr(given, "__array_interface__")
    kind = f"{'numpy' if array else 'Python'} {type(given).__name__}"
    yield f"{name} is a {kind}: give a tensor, torch.{'from_numpy' if array else 'tensor'}(…)"


def _shared(found: Images) -> Iterator[str]:
    """Yield a complaint where most test images are training images.

    Data of few different images, such as patterns of bits, has no others to test on.
    """
    train, test = _hashes(found.train_x), _hashes(found.test_x)
    known = set(train)
    again = sum(each in known for each in test)
    if 2 * again > len(test) and 2 * len(known) > len(train):
        yield (
            f"{again:,} of the {len(test):,} test images are training images too: cut test_x and "
            "train_x from the data so that no image is in both"
        )


def _hashes(x: Tensor) -> list[int]:
    return [hash(each.tobytes()) for each in x.numpy()]


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
    elif len(set(y.tolist())) < dataset.classes <= len(y):
        yield f"the {part} images leave out a class: take some of each, or shuffle before the cut"
    if len(x) and float(x.max()) > dataset.peak:
        yield f"a pixel of the {part} images is {float(x.max()):g}: declare `peak` as the largest"


def same_every_time(subject: Subject) -> Result:
    """Check that loading again gives the same images in the same order."""
    again = load(subject.trial.dataset, subject.data_dir)
    same = _tensors(subject.splits), _tensors(again)
    if all(torch.equal(one, other) for one, other in zip(*same, strict=True)):
        return Result()
    return Result(["loading twice gives other images: sort what is listed, and fix every seed"])


def _tensors(splits: Splits) -> list[Tensor]:
    return [t for part in (splits.train, splits.validation, splits.test) for t in (part.x, part.y)]


def can_be_learned(subject: Subject) -> Result:
    """Check that backprop lowers the loss on images held out."""
    found = learned(subject)
    if found.outcome.status == "done" and found.falls:
        return Result(note=found.told)
    return Result(
        [f"backprop's loss went {found.told}: check that each label belongs to its image"]
    )
