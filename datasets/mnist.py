"""MNIST and the sets made in its image, through torchvision."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from credbench import Images
from credbench.datasets.published import Published


class Mnist(Published):
    """Handwritten digits of 28x28 pixels."""

    name: ClassVar[str] = "mnist"
    summary: ClassVar[str] = "70,000 handwritten digits, 28x28"
    source: ClassVar[str] = "LeCun, Cortes & Burges 1998"
    shape: ClassVar[tuple[int, ...]] = (28, 28)
    labels: ClassVar[tuple[str, ...]] = tuple("0123456789")
    examples: ClassVar[tuple[int, int]] = (60_000, 10_000)
    torchvision_class: ClassVar[str] = "MNIST"
    folder: ClassVar[str] = "MNIST/raw"
    packed: ClassVar[str] = "(or each as .gz)"
    md5: ClassVar[Mapping[str, str]] = {
        "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    }

    def hashes(self) -> Mapping[str, str]:
        """Return the MD5 of every file, by its name."""
        return self.md5

    def load(self, data_dir: Path) -> Images:
        """Return the images."""
        train, test = (self.open(data_dir, train=part) for part in (True, False))
        return Images(train.data, train.targets, test.data, test.targets)


class FashionMnist(Mnist):
    """Articles of clothing, 28x28 pixels."""

    name: ClassVar[str] = "fashion-mnist"
    summary: ClassVar[str] = "70,000 articles of clothing, 28x28"
    source: ClassVar[str] = "Xiao, Rasul & Vollgraf 2017, arXiv 1708.07747"
    labels: ClassVar[tuple[str, ...]] = (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
        "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    )  # fmt: skip
    torchvision_class: ClassVar[str] = "FashionMNIST"
    folder: ClassVar[str] = "FashionMNIST/raw"
    md5: ClassVar[Mapping[str, str]] = {
        "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
        "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
        "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
    }
