"""Whether a dataset holds what it declares, always the same, and can be learned."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from credbench.conformance.measures import learned
from credbench.conformance.result import Result
from credbench.conformance.subject import Subject
from credbench.declared import contradictions
from credbench.images import Dataset, Images, Splits
from credbench.loading import load


def images_as_declared(subject: Subject) -> Result:
    """Check numbers, shapes, types and labels of what is loaded."""
    dataset = subject.trial.dataset
    if dataset.files(subject.data_dir) is not None:  # decoded by the engine, checked by it
        return Result(note="read from class folders")
    found: object = dataset.load(subject.data_dir)
    said = list(contradictions(dataset, found))
    if not said and isinstance(found, Images):
        said = [*_left_out(dataset, found), *_shared(found)]
    train, test = dataset.examples
    return Result(said, f"{train:,} and {test:,} images, {dataset.classes} classes")


def _left_out(dataset: Dataset, found: Images) -> Iterator[str]:
    for part, y in (("training", found.train_y), ("test", found.test_y)):
        if len(set(y.tolist())) < dataset.classes <= len(y):
            yield (
                f"the {part} images leave out a class: take some of each, or shuffle before the cut"
            )


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
