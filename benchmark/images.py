"""Datasets of small images that live on the device as bytes, and their fixed splits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from credbench.component import Component

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_SPLIT_SEED = 200203911

PARTS = ("train", "validation", "test")
"""The parts of a dataset."""


@dataclass(frozen=True)
class Images:
    """What a dataset holds: images (n, *shape) uint8 and labels (n,) int64, twice."""

    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor


@dataclass(frozen=True)
class Part:
    """Images (n, *shape) uint8 and labels (n,) int64 on one device."""

    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.y)

    def to(self, device: torch.device) -> Part:
        """Return the same part on a device."""
        return Part(self.x.to(device), self.y.to(device))


@dataclass(frozen=True)
class Splits:
    """The three parts of a dataset, and the value of a full pixel."""

    train: Part
    validation: Part
    test: Part
    peak: float

    def to(self, device: torch.device) -> Splits:
        """Return the same splits on a device."""
        train, validation, test = (p.to(device) for p in (self.train, self.validation, self.test))
        return Splits(train, validation, test, self.peak)


@dataclass(frozen=True)
class Dataset(Component, ABC):
    """A source of labelled images."""

    kind: ClassVar[str] = "dataset"
    source: ClassVar[str] = ""
    shape: ClassVar[tuple[int, ...]] = ()
    """The shape of one image."""
    labels: ClassVar[tuple[str, ...]] = ()
    """The names of the classes, by label."""
    peak: ClassVar[float] = 255.0
    """The value of a full pixel; inputs are scaled by it to [0, 1]."""
    examples: ClassVar[tuple[int, int]] = (0, 0)
    """How many training (validation included) and test images there are."""
    validation: ClassVar[int] = 2000
    """How many of the training images are held out for validation."""
    epochs: ClassVar[int] = 20
    """Epochs where the experiment names none."""

    @property
    def trainable(self) -> int:
        """How many images are left for training beside those for validation."""
        return self.examples[0] - self.validation

    @property
    def classes(self) -> int:
        """The number of classes."""
        return len(self.labels)

    @property
    def form(self) -> tuple[object, ...]:
        """What datasets must share for trials on them to train in one program."""
        return (self.shape, self.classes, self.peak, self.examples, self.validation)

    def prepare(self, data_dir: Path) -> None:
        """Make sure that `load` will find its files, downloading them if need be.

        It is called once before any process loads. Raises `RequestError`, naming the file and
        what to do, where a file is missing, unreadable or corrupt.
        """
        return

    @abstractmethod
    def load(self, data_dir: Path) -> Images:
        """Return the images, read from `data_dir`; `prepare` was called before."""


def split(dataset: Dataset, images: Images, limit_train: int | None = None) -> Splits:
    """Hold out validation images by a fixed permutation; keep `limit_train` of the rest.

    The split is the same for every seed and learner.
    """
    import numpy as np
    import torch

    # RandomState's streams are frozen by numpy, so the split never changes between versions.
    shuffled = np.random.RandomState(_SPLIT_SEED).permutation(len(images.train_y))
    order = torch.from_numpy(shuffled)
    held, kept = order[: dataset.validation], order[dataset.validation :]
    kept = kept[:limit_train]
    return Splits(
        Part(images.train_x[kept], images.train_y[kept]),
        Part(images.train_x[held], images.train_y[held]),
        Part(images.test_x, images.test_y),
        dataset.peak,
    )
