"""Images made up: a random pattern for each class, and noise. For timing, and for trying out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from credbench import Dataset, Images, parameter

_PATTERN, _NOISE = 32.0, 48.0
"""Standard deviations of a class's pattern and of what is added to it, in steps of 255."""


def _shape(text: str) -> tuple[int, ...]:
    sizes = tuple(int(word) for word in text.split("x"))
    if len(sizes) not in (2, 3) or not all(0 < size <= 4096 for size in sizes):
        raise ValueError("no shape of an image")
    return sizes


@dataclass(frozen=True)
class Synthetic(Dataset):
    """Gaussian blobs, one a class, as images; as many of every class, in turns."""

    name: ClassVar[str] = "synthetic"
    summary: ClassVar[str] = "random images of any shape and number of classes, easily told apart"
    source: ClassVar[str] = "made up, the same on every machine"

    shape: tuple[int, ...] = parameter(
        (3, 32, 32),
        help="the shape of an image, as 28x28 or 3x32x32",
        parse=_shape,
        show=lambda sizes: "x".join(map(str, sizes)),
    )
    classes: int = parameter(10, help="how many classes", minimum=2, maximum=100_000)
    images: int = parameter(
        1000,
        help="how many training images, a tenth of them for validation; a quarter more for test",
        minimum=10,
        maximum=10_000_000,
    )

    def __post_init__(self) -> None:
        """Take the numbers of images of each part."""
        object.__setattr__(self, "examples", (self.images, self.images // 4))
        object.__setattr__(self, "validation", self.images // 10)

    def load(self, data_dir: Path) -> Images:
        """Return the images; `data_dir` is not needed."""
        import numpy as np
        import torch

        train, test = self.examples
        x = np.empty((train + test, *self.shape), np.uint8)
        y = np.arange(train + test) % self.classes
        for label in range(min(self.classes, train + test)):
            # RandomState's streams are frozen by numpy: the images never change.
            source = np.random.RandomState(label)
            pattern = source.normal(128, _PATTERN, self.shape)
            for place in np.flatnonzero(y == label):
                x[place] = (pattern + source.normal(0, _NOISE, self.shape)).clip(0, 255)
        images, labels = torch.from_numpy(x), torch.from_numpy(y)
        return Images(images[:train], labels[:train], images[train:], labels[train:])
