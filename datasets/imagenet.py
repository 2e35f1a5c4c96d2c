"""ImageNet (ILSVRC 2012): read from disk while training, in torchvision's layout.

Training images are crops of random size and shape, flipped at random (Szegedy et al. 2015, arXiv
1409.4842), evaluation takes the middle of the image; both as torchvision's own recipes have it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from credbench import Dataset, Images, RequestError, parameter
from credbench.folders import Files, find_files
from credbench.images import Channels, Splits

if TYPE_CHECKING:
    from torch import Tensor

    from credbench.cache import Cache
    from credbench.images import Preprocessing

_CLASSES, _EXAMPLES, _HELD = 1000, (1_281_167, 50_000), 10_000
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_MIDDLE = 224 / 256
"""The share of the shorter side that evaluation sees."""


@dataclass(frozen=True)
class Imagenet(Dataset):
    """Photographs of 1,000 classes; the published validation part is the test set.

    The labels of the published test part are not public.
    """

    name: ClassVar[str] = "imagenet"
    summary: ClassVar[str] = "1.3 million photographs of 1,000 classes, streamed from disk"
    source: ClassVar[str] = "Russakovsky et al. 2015, arXiv 1409.0575"
    examples: ClassVar[tuple[int, int]] = _EXAMPLES
    validation: ClassVar[int] = _HELD
    epochs: ClassVar[int] = 90
    streamed: ClassVar[bool] = True
    top5: ClassVar[bool] = True

    size: int = parameter(
        224, help="height and width of an input; the shorter side is resized to 256/224 of it",
        unit="pixels", minimum=8, maximum=2048,
    )  # fmt: skip

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one image."""
        return (3, self.size, self.size)

    @property
    def classes(self) -> int:
        """The number of classes."""
        return len(self.labels) or _CLASSES

    @property
    def standardized(self) -> bool:
        """Whether `fit` gives the splits means and deviations by channel."""
        return True

    @property
    def scaling(self) -> str:
        """What is done to pixels, in words."""
        return (
            "pixels divided by 255, standardised by ImageNet's channel means and deviations; "
            "random crops and flips in training, the middle in evaluation"
        )

    def located(self, data_dir: Path | None) -> Self:
        """Return the dataset with the classes and images that the folder holds."""
        if data_dir is None:
            return self
        files = self.files(data_dir)
        examples = len(files.train.names), len(files.test.names)
        found: dict[str, Any] = {"labels": files.classes, "examples": examples}
        if examples != _EXAMPLES:
            images = f"{sum(examples):,} images of {len(files.classes):,} classes"
            found["origin"] = f"class folders ({files.kinds}), {images}"
            found["validation"] = min(_HELD, max(1, examples[0] // 10))
        return self.with_values(found)

    def files(self, data_dir: Path) -> Files:
        """Return the images in `data_dir/imagenet`, or in `data_dir` itself."""
        for folder in (data_dir / self.name, data_dir):
            if (folder / "train").is_dir():
                return _find(folder)
        raise RequestError(
            f"{self.name} is not in {data_dir}: expected {data_dir / self.name}/train/<wnid>/ and "
            "val/<wnid>/ with images in them, or give --data-dir another folder"
        )

    def load(self, data_dir: Path) -> Images:
        """Raise `RequestError`: they stay on disk."""
        raise RequestError(f"{self.name} does not fit in memory: it is streamed from {data_dir}")

    def read(self, path: Path, seed: int | None) -> Tensor:
        """Return the image in a file (3, size, size) uint8: a random crop, or the middle."""
        import torch
        from PIL import Image
        from torchvision.transforms.v2 import functional

        with Image.open(path) as opened:
            image: Any = opened.convert("RGB")
        if seed is None:
            image = self._middle(image)
        else:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                image = _varying(self.size)(image)
        pixels: Tensor = functional.pil_to_tensor(image)
        return pixels

    def _middle(self, image: Any) -> Any:
        from torchvision.transforms.v2 import functional

        resized = functional.resize(image, [round(self.size / _MIDDLE)])
        return functional.center_crop(resized, [self.size, self.size])

    def fit(self, train: Tensor, cache: Cache) -> Preprocessing:
        """Return the standardisation by channel, which is the same for every folder."""
        import torch

        channels = Channels(*(torch.tensor(v).view(3, 1, 1) for v in (_MEAN, _DEVIATION)))

        def standardize(splits: Splits) -> Splits:
            return replace(splits, channels=channels)

        return standardize


@functools.lru_cache(maxsize=1)
def _find(folder: Path) -> Files:
    """Return the images in class folders; a million names are listed once."""
    return find_files(folder)


@functools.cache
def _varying(size: int) -> Callable[[Any], Any]:
    from torchvision.transforms import v2

    varying: Callable[[Any], Any] = v2.Compose(
        [v2.RandomResizedCrop(size), v2.RandomHorizontalFlip()]
    )
    return varying
