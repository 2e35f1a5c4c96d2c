"""Datasets of small images that live on the device, their fixed splits and preprocessing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from credbench.component import Component
from credbench.errors import RequestError
from credbench.folders import Files, decode, find_files

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

    from credbench.augmentation import FlipCrop
    from credbench.cache import Cache

_SPLIT_SEED = 200203911

PARTS = ("train", "validation", "test")
"""The parts of a dataset."""


@dataclass(frozen=True)
class Images:
    """What a dataset holds: images (n, *shape) uint8 and labels (n,) int64, twice.

    Colour comes first: a shape is (height, width) or (channels, height, width).
    """

    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor


@dataclass(frozen=True)
class Part:
    """Images (n, *shape), uint8 or preprocessed float32, and labels (n,) int64 on one device."""

    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.y)

    def to(self, device: torch.device) -> Part:
        """Return the same part on a device."""
        return Part(self.x.to(device), self.y.to(device))

    def changed(self, change: Callable[[Tensor], Tensor]) -> Part:
        """Return the part with its images changed."""
        return Part(change(self.x), self.y)


@dataclass(frozen=True)
class Channels:
    """Means and standard deviations, (channels, 1, 1), of pixels scaled to [0, 1]."""

    mean: Tensor
    deviation: Tensor

    def to(self, device: torch.device) -> Channels:
        """Return the same on a device."""
        return Channels(self.mean.to(device), self.deviation.to(device))


@dataclass(frozen=True)
class Splits:
    """The three parts of a dataset, and how their images become inputs.

    Inputs are pixels divided by `peak`, less the mean and over the deviation of their channel
    where those are given.
    """

    train: Part
    validation: Part
    test: Part
    peak: float
    channels: Channels | None = None

    def to(self, device: torch.device) -> Splits:
        """Return the same splits on a device."""
        moved = self.parts(lambda part: part.to(device))
        return replace(moved, channels=self.channels.to(device)) if self.channels else moved

    def parts(self, change: Callable[[Part], Part]) -> Splits:
        """Return the splits with each of the three parts changed."""
        train, validation, test = map(change, (self.train, self.validation, self.test))
        return replace(self, train=train, validation=validation, test=test)


Preprocessing = Callable[[Splits], Splits]
"""What is done to images once, before training."""


@dataclass(frozen=True)
class Dataset(Component, ABC):
    """A source of labelled images.

    The class attributes say what was published; `located` may replace some on an instance.
    """

    kind: ClassVar[str] = "dataset"
    source: ClassVar[str] = ""
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
    streamed: ClassVar[bool] = False
    """Whether images stay on disk and are read, by `read`, as training comes to them."""
    top5: ClassVar[bool] = False
    """Whether the error of the five best guesses is of interest, too."""
    origin: ClassVar[str] = ""
    """What the images are read from, where that is not the published files."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """The shape of one image: (height, width) or (channels, height, width)."""

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
        own = (self.spec(),) if self.values() else ()
        return (self.shape, self.classes, self.peak, self.examples, self.validation, *own)

    @property
    def scaling(self) -> str:
        """What is done to pixels, in words."""
        return f"pixels divided by {self.peak:g}"

    @property
    def value_bytes(self) -> int:
        """The bytes that a pixel takes while training: 1, or 4 where it is preprocessed."""
        return 1

    @property
    def standardized(self) -> bool:
        """Whether `fit` gives the splits means and deviations by channel."""
        return False

    @property
    def fitted(self) -> bool:
        """Whether `fit` has something to do."""
        return False

    @property
    def augmentation(self) -> FlipCrop | None:
        """How training images are varied, batch by batch, on the device."""
        return None

    def located(self, data_dir: Path | None) -> Self:
        """Return the dataset with what only the disk can tell, when an experiment is made.

        That is the number of images, their classes and `origin`, where class folders take the
        place of the published files; the spec stays the same. `data_dir` is None where no data
        is needed. Raises `RequestError` for class folders that are not as they should be.
        """
        files = self.files(data_dir) if data_dir else None
        if files is None:
            return self
        self._check_classes(files)
        train, test = len(files.train.labels), len(files.test.labels)
        held = min(self.validation, max(1, train // _HELD_AT_MOST))
        origin = "" if files.published else f"class folders ({files.kinds})"
        return self.with_values({"examples": (train, test), "validation": held, "origin": origin})

    def files(self, data_dir: Path) -> Files | None:
        """Return the images as files to decode; None where `load` reads what was published.

        Any dataset may be given as `data_dir/name/{train,test}/class/*`.
        """
        folder = data_dir / self.name
        return find_files(folder, self.labels) if (folder / "train").is_dir() else None

    def _check_classes(self, files: Files) -> None:
        if len(files.classes) != self.classes:
            raise RequestError(
                f"{files.folder} has {len(files.classes)} class folders, {self.name} has "
                f"{self.classes} classes: expected a folder for each, in train and test"
            )

    def decode(self, path: Path) -> NDArray[np.uint8]:
        """Return the image in a file, of the dataset's shape.

        Raises `RequestError` for one of another size; anything else that is raised means that
        the file is broken, and the image is left out.
        """
        image = decode(path, channels=self.shape[0] if len(self.shape) == 3 else 1)
        if image.shape != self.shape:
            (height, width), (h, w) = image.shape[-2:], self.shape[-2:]
            raise RequestError(
                f"{path} has {width}x{height} pixels, images of {self.name} have {w}x{h}: give "
                f"images of that size, or the folder as 'image-folder[path=…]', which resizes"
            )
        return image

    def read(self, path: Path, seed: int | None) -> Tensor:
        """Return the image in a file (*shape) uint8, where images are streamed.

        With a seed it is varied as for training, a function of the seed alone; without one it
        is as evaluation sees it. Whatever is raised means that the file is broken.
        """
        raise NotImplementedError(f"{self.name} is not streamed")

    def prepare(self, data_dir: Path) -> None:
        """Make sure that `load` will find its files, downloading them if need be.

        It is called once before any process loads. Raises `RequestError`, naming the file and
        what to do, where a file is missing, unreadable or corrupt.
        """
        return

    @abstractmethod
    def load(self, data_dir: Path) -> Images:
        """Return the images, read from `data_dir`; `prepare` was called before."""

    def fit(self, train: Tensor, cache: Cache) -> Preprocessing:
        """Return the preprocessing, computed from the training images (n, *shape) alone.

        They are those of the whole training part, however few of them are trained on. What
        takes long to compute may be kept in the cache.
        """
        return lambda splits: splits


_HELD_AT_MOST = 5
"""No more than one in so many training images is held out from class folders."""


def held_out(dataset: Dataset, n: int) -> tuple[Tensor, Tensor]:
    """Return which of n images are held out for validation, and which are kept for training."""
    import numpy as np
    import torch

    # RandomState's streams are frozen by numpy, so the split never changes between versions.
    order = torch.from_numpy(np.random.RandomState(_SPLIT_SEED).permutation(n))
    return order[: dataset.validation], order[dataset.validation :]


def split(dataset: Dataset, images: Images, limit_train: int | None = None) -> Splits:
    """Hold out validation images by a fixed permutation; keep `limit_train` of the rest.

    The split is the same for every seed and learner.
    """
    held, kept = held_out(dataset, len(images.train_y))
    whole = Splits(
        Part(images.train_x[kept], images.train_y[kept]),
        Part(images.train_x[held], images.train_y[held]),
        Part(images.test_x, images.test_y),
        dataset.peak,
    )
    return limited(whole, limit_train)


def limited(splits: Splits, limit_train: int | None) -> Splits:
    """Return the splits with the first so many of the training images."""
    train = splits.train
    return replace(splits, train=Part(train.x[:limit_train], train.y[:limit_train]))
