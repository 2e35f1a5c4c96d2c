"""Tiny ImageNet: 200 classes of ImageNet at 64x64, in the published layout or as class folders."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from credbench import Files, Images, Listing, RequestError, list_part
from credbench.datasets.natural import Natural

_FOLDER = "tiny-imagenet-200"
_ADDRESS = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"


@dataclass(frozen=True)
class TinyImagenet(Natural):
    """Photographs of 64x64 pixels in 200 classes; the published validation part is the test set.

    The labels of the published test part are not public.
    """

    name: ClassVar[str] = "tiny-imagenet"
    summary: ClassVar[str] = "110,000 colour photographs, 64x64, 200 classes"
    source: ClassVar[str] = "Stanford CS231n 2015, from ImageNet (Deng et al. 2009)"
    shape: ClassVar[tuple[int, ...]] = (3, 64, 64)
    classes: ClassVar[int] = 200
    examples: ClassVar[tuple[int, int]] = (100_000, 10_000)
    validation: ClassVar[int] = 5000
    padding: ClassVar[int] = 8
    top5: ClassVar[bool] = True

    def files(self, data_dir: Path) -> Files | None:
        """Return the images as files: class folders, else the published layout, else None."""
        folder = data_dir / _FOLDER
        return super().files(data_dir) or (_published(folder) if folder.is_dir() else None)

    def prepare(self, data_dir: Path) -> None:
        """Raise `RequestError`: there is nothing in `data_dir`, and no download."""
        raise self._missing(data_dir)

    def load(self, data_dir: Path) -> Images:
        """Raise `RequestError`: what there is would be decoded from `files`."""
        raise self._missing(data_dir)

    def _missing(self, data_dir: Path) -> RequestError:
        return RequestError(
            f"{self.name} is not in {data_dir}: unpack {_ADDRESS} there, which makes {_FOLDER}, "
            f"or put images into class folders {data_dir / self.name}/train/<class>/ and "
            "test/<class>/"
        )


def _published(folder: Path) -> Files:
    """Return the images as published: their classes in wnids.txt, those of val in a table."""
    classes = tuple(sorted(_lines(folder / "wnids.txt")))
    train = list_part(folder / "train", classes, inner="images")
    number = {name: label for label, name in enumerate(classes)}
    table = folder / "val" / "val_annotations.txt"
    rows = [line.split("\t") for line in _lines(table)]
    if any(len(row) < 2 or row[1] not in number for row in rows):
        raise _broken(table, "a line names none of the classes in wnids.txt")
    names = tuple(f"images/{row[0]}" for row in rows)
    test = Listing(folder / "val", names, tuple(number[row[1]] for row in rows))
    return Files(folder, classes, train, test, published=True)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").split("\n")[:-1]
    except (OSError, UnicodeDecodeError) as error:
        raise _broken(path, str(getattr(error, "strerror", "it is no text"))) from error


def _broken(path: Path, reason: str) -> RequestError:
    return RequestError(f"{path} cannot be read ({reason}): unpack {_ADDRESS} again")
