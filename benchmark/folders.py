"""Class folders: images as files, `train/<class>/*` and `test/<class>/*`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from credbench.errors import RequestError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

_KINDS = {
    ".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".bmp": "BMP", ".gif": "GIF", ".ppm": "PPM",
    ".pgm": "PGM", ".tif": "TIFF", ".tiff": "TIFF", ".webp": "WebP",
}  # fmt: skip
_LAYOUT = "expected train/<class>/ and test/<class>/ with images in them"
_MOST_NAMED = 5


@dataclass(frozen=True)
class Listing:
    """The images of one part: paths relative to its folder, and their labels (counted from 0)."""

    folder: Path
    names: tuple[str, ...]
    labels: tuple[int, ...]


@dataclass(frozen=True)
class Files:
    """The images of a dataset as files."""

    folder: Path
    classes: tuple[str, ...]
    train: Listing
    test: Listing
    published: bool = False
    """Whether they are the files that were published."""

    @property
    def kinds(self) -> str:
        """The kinds of files there are, such as `JPEG, PNG`."""
        suffixes = {_suffix(name) for part in (self.train, self.test) for name in part.names}
        return ", ".join(sorted({_KINDS[suffix] for suffix in suffixes}))


def find_files(folder: Path, labels: Sequence[str] = ()) -> Files:
    """Return the images in class folders; `val` or `validation` may stand for `test`.

    Classes are numbered as in `labels` where the folders have these names (`/` as `-`), and else
    in the order of their names. Raises `RequestError` where a part or its images are missing,
    where train and test differ in their classes, and for a file that is no image.
    """
    train = _part(folder, "train")
    test = _part(folder, "test", "val", "validation")
    classes = _classes(train)
    _check_same(folder, classes, _classes(test))
    known = tuple(label.replace("/", "-") for label in labels)
    if sorted(known) == sorted(classes):
        classes = known
    return Files(folder, classes, list_part(train, classes), list_part(test, classes))


def _part(folder: Path, *names: str) -> Path:
    if not folder.is_dir():
        what = "is no folder" if folder.exists() else "does not exist"
        raise RequestError(f"{folder} {what}: {_LAYOUT}")
    for name in names:
        if (folder / name).is_dir():
            return folder / name
    raise RequestError(f"{folder} has no folder {' or '.join(names)}: {_LAYOUT}")


def _classes(part: Path) -> tuple[str, ...]:
    try:
        found = sorted(e.name for e in os.scandir(part) if e.is_dir() and not _hidden(e.name))
    except OSError as error:
        raise RequestError(f"{part} cannot be read ({error.strerror}): {_LAYOUT}") from error
    if len(found) < 2:
        count = "one class folder" if found else "no class folders"
        raise RequestError(f"{part} has {count}: expected a folder with images for each class")
    return tuple(found)


def _check_same(folder: Path, train: Sequence[str], test: Sequence[str]) -> None:
    apart = [
        f"{_few(sorted(set(one) - set(other)))} only in {name}"
        for name, one, other in (("train", train, test), ("test", test, train))
        if set(one) - set(other)
    ]
    if apart:
        raise RequestError(
            f"{folder}: the classes of train and test differ ({'; '.join(apart)}): expected the "
            "same class folders in both"
        )


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more


def list_part(part: Path, classes: Sequence[str], inner: str = "") -> Listing:
    """Return the images in the class folders of a part, or in a folder of that name in each.

    Raises `RequestError` for a class without images and for a file that is no image.
    """
    names: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        found = _images(part, f"{name}/{inner}" if inner else name)
        names += found
        labels += [label] * len(found)
    return Listing(part, tuple(names), tuple(labels))


def _images(part: Path, inside: str) -> list[str]:
    """Return the images below a class folder, relative to its part, in the order of their names."""
    found: list[str] = []
    for place, folders, files in os.walk(part / inside, followlinks=True):
        folders[:] = sorted(name for name in folders if not _hidden(name))
        where = os.path.relpath(place, part)
        for name in sorted(files):
            if _hidden(name):
                continue
            if _suffix(name) not in _KINDS:
                raise RequestError(
                    f"{place}/{name} is no image: expected files of a class that end "
                    f"in {', '.join(_KINDS)}; move it elsewhere"
                )
            found.append(f"{where}/{name}")
    if not found:
        raise RequestError(f"{part / inside} holds no images: expected some for every class")
    return found


def _suffix(name: str) -> str:
    """Return `.jpg` of `a.JPG`; a path object for each of a million names would take seconds."""
    return f".{name.rpartition('.')[2].lower()}"


def _hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in ("thumbs.db", "desktop.ini")


def decode(path: Path, channels: int, size: int | None = None) -> NDArray[np.uint8]:
    """Return the image in a file: (height, width), or (3, height, width) for 3 channels.

    With a size, its shorter side is resized to it and the middle square kept. A broken file
    raises whatever its decoder does.
    """
    import numpy as np
    from PIL import Image

    with Image.open(path) as opened:
        image: Image.Image = opened.convert("RGB" if channels == 3 else "L")
    if size is not None:
        image = _square(image, size)
    pixels = np.asarray(image)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)) if channels == 3 else pixels


def _square(image: Image, size: int) -> Image:
    from PIL import ImageOps
    from PIL.Image import Resampling

    return ImageOps.fit(image, (size, size), Resampling.BILINEAR)
