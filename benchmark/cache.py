"""Arrays that take long to compute, kept beside the data."""

from __future__ import annotations

import hashlib
import os
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

Arrays = dict[str, "NDArray[Any]"]
_MARK = "made_from"


class Cache:
    """Files of arrays in `data_dir/.credbench`; where that cannot be written, nothing is kept."""

    def __init__(self, data_dir: Path, note: Callable[[str], Any] = lambda line: None) -> None:
        """Name the folder; `note` is told, in a sentence, what takes long or cannot be done."""
        self.folder = data_dir / ".credbench"
        self.note = note
        self._refused = False

    def get(self, name: str, made_from: str) -> Arrays | None:
        """Return the arrays kept under a name, if they were made from the same."""
        import numpy as np

        try:
            # A file opened here is closed even where numpy finds it broken.
            with (
                self._path(name).open("rb") as opened,
                np.load(opened, allow_pickle=False) as file,
            ):
                if str(file[_MARK]) != made_from:
                    return None
                return {key: file[key] for key in file.files if key != _MARK}
        except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
            return None  # none, or broken: it is made anew

    def put(self, name: str, made_from: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Keep arrays under a name, in place of earlier ones; whoever reads sees all or none."""
        import numpy as np

        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=self.folder, suffix=".tmp")
            try:
                with os.fdopen(handle, "wb") as file:
                    content: dict[str, Any] = {_MARK: np.array(made_from), **arrays}
                    np.savez(file, **content)
                Path(temporary).chmod(0o644)
                Path(temporary).replace(self._path(name))
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
        except OSError as error:
            self._refuse(error)

    def _refuse(self, error: OSError) -> None:
        if not self._refused:
            self.note(
                f"{self.folder} cannot be written ({error.strerror}): what was prepared is not "
                "kept, and is made again by every process and run"
            )
        self._refused = True

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.npz"


def digest(*parts: object) -> str:
    """Return a hash of bytes (or arrays of them) and of the text of anything else."""
    made = hashlib.blake2b(digest_size=16)
    for part in parts:
        made.update(part if isinstance(part, bytes | memoryview) else f"{part}\0".encode())
    return made.hexdigest()
