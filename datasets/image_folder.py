"""Any folder of images, one folder a class, resized to squares of one size."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from credbench import Dataset, Files, Images, RequestError, decode, find_files, parameter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class ImageFolder(Dataset):
    """Colour images in `path/{train,test}/<class>/*`; `val` may stand for `test`."""

    name: ClassVar[str] = "image-folder"
    summary: ClassVar[str] = "your own images in class folders: image-folder[path=…]"
    complete: ClassVar[bool] = False

    path: str = parameter("", help="the folder that holds train/<class>/ and test/<class>/")
    size: int = parameter(
        64, help="images become squares: the shorter side is resized to it, the middle kept",
        unit="pixels", minimum=1, maximum=4096,
    )  # fmt: skip
    holdout: float = parameter(
        0.1, help="share of the training images held out for validation", above=0, maximum=0.9,
        structural=True,
    )  # fmt: skip

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one image."""
        return (3, self.size, self.size)

    def located(self, data_dir: Path | None) -> Self:
        """Return the dataset with the classes and images that the folder holds."""
        files = self._find()
        train, test = len(files.train.labels), len(files.test.labels)
        held = max(1, round(self.holdout * train))
        if held == train:
            raise RequestError(
                f"{files.train.folder} has {train} images, all held out for validation by "
                f"holdout={self.holdout:g}: give more images, or a smaller share"
            )
        return self.with_values(
            {"examples": (train, test), "validation": held, "labels": files.classes}
        )

    def files(self, data_dir: Path) -> Files:
        """Return the images as files; they lie where `path` says."""
        return self._find()

    def _find(self) -> Files:
        if not self.path:
            raise RequestError(
                f"{self.name} was given no path: expected 'image-folder[path=DIR]', with "
                "DIR/train/<class>/ and DIR/test/<class>/"
            )
        return find_files(Path(self.path).expanduser())

    def decode(self, path: Path) -> NDArray[np.uint8]:
        """Return the image in a file (3, size, size)."""
        return decode(path, channels=3, size=self.size)

    def load(self, data_dir: Path) -> Images:
        """Raise `RequestError`: what there is would be decoded from `files`."""
        raise RequestError(f"{self.path} holds no images: put some into class folders")
