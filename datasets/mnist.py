"""MNIST and the sets made in its image, through torchvision."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from credbench import Dataset, Images, RequestError


class Mnist(Dataset):
    """Handwritten digits of 28x28 pixels."""

    name: ClassVar[str] = "mnist"
    summary: ClassVar[str] = "70,000 handwritten digits, 28x28"
    source: ClassVar[str] = "LeCun, Cortes & Burges 1998"
    shape: ClassVar[tuple[int, ...]] = (28, 28)
    labels: ClassVar[tuple[str, ...]] = tuple("0123456789")
    examples: ClassVar[tuple[int, int]] = (60_000, 10_000)
    torchvision_class: ClassVar[str] = "MNIST"
    md5: ClassVar[Mapping[str, str]] = {
        "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    }

    def prepare(self, data_dir: Path) -> None:
        """Check torchvision's layout in `data_dir`; download what is not there."""
        folder = data_dir / self.torchvision_class / "raw"
        self._check(folder)
        if all((folder / name).is_file() for name in self.md5):
            return
        try:
            self._open(data_dir, train=True, download=True)
        except (OSError, RuntimeError) as error:
            raise self._unreachable(folder, error) from error
        self._check(folder)

    def load(self, data_dir: Path) -> Images:
        """Return the images."""
        train, test = (self._open(data_dir, train=part, download=False) for part in (True, False))
        return Images(train.data, train.targets, test.data, test.targets)

    def _open(self, data_dir: Path, *, train: bool, download: bool) -> Any:
        import torchvision

        source = getattr(torchvision.datasets, self.torchvision_class)
        return source(str(data_dir), train=train, download=download)

    def _unreachable(self, folder: Path, error: Exception) -> RequestError:
        names = ", ".join(self.md5)
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(". ")
        return RequestError(
            f"{self.name} is not in {folder} and could not be downloaded "
            f"({reason}): put {names} (or each as .gz) there, or give --data-dir the folder that "
            f"holds {self.torchvision_class}/raw"
        )

    def _check(self, folder: Path) -> None:
        """Raise `RequestError` for a file that is there but not the published one."""
        for name, expected in self.md5.items():
            path = folder / name
            if not path.is_file():
                continue
            try:
                found = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
            except OSError as error:
                raise RequestError(f"{path} cannot be read: {error.strerror}") from error
            if found != expected:
                raise RequestError(
                    f"{path} is truncated or corrupt (md5 {found}, expected {expected}): "
                    "delete it to have it downloaded again, or put the published file there"
                )


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
    md5: ClassVar[Mapping[str, str]] = {
        "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
        "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
        "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
    }
