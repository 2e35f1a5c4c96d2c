"""CIFAR-10 and CIFAR-100, through torchvision.

Preprocessing is, unless asked otherwise, that of Goodfellow, Warde-Farley, Mirza, Courville &
Bengio 2013 (maxout networks, arXiv 1302.4389) as pylearn2's `make_cifar10_gcn_whitened` has it:
the mean of each image is taken off and its norm made 55, which gives pixels a deviation of about
1; then ZCA whitening, with ε = 0.1 added to the variances.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from credbench import Images, Preprocessing, parameter
from credbench.datasets.natural import Natural
from credbench.datasets.published import Published

if TYPE_CHECKING:
    from torch import Tensor

    from credbench import Cache

_NORM = 55.0
_SOURCE = "Krizhevsky 2009, Learning multiple layers of features from tiny images"


@dataclass(frozen=True)
class Cifar10(Natural, Published):
    """Photographs of 32x32 pixels in 10 classes."""

    name: ClassVar[str] = "cifar10"
    summary: ClassVar[str] = "60,000 colour photographs, 32x32, 10 classes"
    source: ClassVar[str] = _SOURCE
    shape: ClassVar[tuple[int, ...]] = (3, 32, 32)
    labels: ClassVar[tuple[str, ...]] = (
        "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
    )  # fmt: skip
    examples: ClassVar[tuple[int, int]] = (50_000, 10_000)
    validation: ClassVar[int] = 5000
    torchvision_class: ClassVar[str] = "CIFAR10"
    folder: ClassVar[str] = "cifar-10-batches-py"

    preprocess: str = parameter(
        "zca",
        help="what is done to pixels, fitted to the training part: zca (contrast normalisation "
        "and whitening), standardize (by channel), none",
        source="Goodfellow et al. 2013, arXiv 1302.4389",
        choices=("zca", "standardize", "none"),
        structural=True,
    )
    zca_eps: float = parameter(
        0.1, help="added to every variance when whitening", above=0, structural=True
    )

    def unused(self) -> dict[str, str]:
        """Return the parameters that have no effect beside the others."""
        return {} if self.preprocess == "zca" else {"zca_eps": "nothing is whitened"}

    @property
    def scaling(self) -> str:
        """What is done to pixels, in words."""
        if self.preprocess != "zca":
            return super().scaling
        return (
            f"each image to mean 0 and norm {_NORM:g}, then ZCA whitening with "
            f"ε = {self.zca_eps:g}, fitted to the training part"
        )

    @property
    def value_bytes(self) -> int:
        """The bytes that a pixel takes while training."""
        return 4 if self.preprocess == "zca" else 1

    @property
    def fitted(self) -> bool:
        """Whether `fit` computes what is worth keeping."""
        return self.preprocess == "zca"

    def hashes(self) -> Mapping[str, str]:
        """Return the MD5 of every file, by its name."""
        import torchvision

        known = getattr(torchvision.datasets, self.torchvision_class)
        meta = {known.meta["filename"]: known.meta["md5"]}
        return dict([*known.train_list, *known.test_list]) | meta

    def load(self, data_dir: Path) -> Images:
        """Return the images."""
        train, test = (self.open(data_dir, train=part) for part in (True, False))
        return Images(*_tensors(train), *_tensors(test))

    def fit(self, train: Tensor, cache: Cache) -> Preprocessing:
        """Return the preprocessing, computed from training images (n, *shape) alone."""
        from credbench.whitening import kept_whitening

        if self.preprocess != "zca":
            return super().fit(train, cache)
        whiten = kept_whitening(self.name, train, _NORM, self.zca_eps, cache)
        return lambda splits: splits.parts(lambda part: part.changed(whiten))


def _tensors(found: Any) -> tuple[Tensor, Tensor]:
    """Return images (n, 3, 32, 32) and labels (n,) of torchvision's dataset."""
    import torch

    x = torch.from_numpy(found.data).permute(0, 3, 1, 2).contiguous()
    return x, torch.tensor(found.targets, dtype=torch.int64)


@dataclass(frozen=True)
class Cifar100(Cifar10):
    """Photographs of 32x32 pixels in 100 classes."""

    name: ClassVar[str] = "cifar100"
    summary: ClassVar[str] = "60,000 colour photographs, 32x32, 100 classes"
    top5: ClassVar[bool] = True
    labels: ClassVar[tuple[str, ...]] = (
        "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle",
        "bottle", "bowl", "boy", "bridge", "bus", "butterfly", "camel", "can", "castle",
        "caterpillar", "cattle", "chair", "chimpanzee", "clock", "cloud", "cockroach", "couch",
        "crab", "crocodile", "cup", "dinosaur", "dolphin", "elephant", "flatfish", "forest",
        "fox", "girl", "hamster", "house", "kangaroo", "keyboard", "lamp", "lawn_mower",
        "leopard", "lion", "lizard", "lobster", "man", "maple_tree", "motorcycle", "mountain",
        "mouse", "mushroom", "oak_tree", "orange", "orchid", "otter", "palm_tree", "pear",
        "pickup_truck", "pine_tree", "plain", "plate", "poppy", "porcupine", "possum", "rabbit",
        "raccoon", "ray", "road", "rocket", "rose", "sea", "seal", "shark", "shrew", "skunk",
        "skyscraper", "snail", "snake", "spider", "squirrel", "streetcar", "sunflower",
        "sweet_pepper", "table", "tank", "telephone", "television", "tiger", "tractor", "train",
        "trout", "tulip", "turtle", "wardrobe", "whale", "willow_tree", "wolf", "woman", "worm",
    )  # fmt: skip
    torchvision_class: ClassVar[str] = "CIFAR100"
    folder: ClassVar[str] = "cifar-100-python"
