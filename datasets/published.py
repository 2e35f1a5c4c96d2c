"""Datasets in the files that were published, which torchvision downloads and reads."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from credbench import Dataset, RequestError


class Published(Dataset):
    """A dataset that torchvision knows; its files are checked before they are read."""

    torchvision_class: ClassVar[str] = ""
    folder: ClassVar[str] = ""
    """Where the files lie, inside the folder of all data."""
    packed: ClassVar[str] = ""
    """What else may stand for the files, in words."""

    @abstractmethod
    def hashes(self) -> Mapping[str, str]:
        """Return the MD5 of every file, by its name."""

    def prepare(self, data_dir: Path) -> None:
        """Check torchvision's layout in `data_dir`; download what is not there."""
        folder, hashes = data_dir / self.folder, self.hashes()
        _check(folder, hashes)
        if all((folder / name).is_file() for name in hashes):
            return
        try:
            self.open(data_dir, train=True, download=True)
        except (OSError, RuntimeError) as error:
            raise self._unreachable(data_dir, error) from error
        _check(folder, hashes)

    def open(self, data_dir: Path, *, train: bool, download: bool = False) -> Any:
        """Return torchvision's dataset."""
        import torchvision

        source = getattr(torchvision.datasets, self.torchvision_class)
        return source(str(data_dir), train=train, download=download)

    def _unreachable(self, data_dir: Path, error: Exception) -> RequestError:
        names, packed = ", ".join(self.hashes()), f" {self.packed}" if self.packed else ""
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(". ")
        return RequestError(
            f"{self.name} is not in {data_dir / self.folder} and could not be downloaded "
            f"({reason}): put {names}{packed} there, or images into class folders "
            f"{data_dir / self.name}/train/<class>/ and test/<class>/, or give --data-dir the "
            f"folder that holds {self.folder}"
        )


def _check(folder: Path, hashes: Mapping[str, str]) -> None:
    """Raise `RequestError` for a file that is there but not the published one."""
    for name, expected in hashes.items():
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
