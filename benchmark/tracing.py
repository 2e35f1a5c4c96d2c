"""Where an error comes from: the line of a component's own, not the engine's or a library's."""

from __future__ import annotations

import linecache
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from credbench.component import Component

_ROOMS = ("algorithms", "datasets", "architectures")
"""Packages of credbench whose files are components' own; the others are the engine's."""
_LIBRARIES = ("site-packages", "dist-packages")


def own_line(error: BaseException, package: str = "") -> tuple[str, int] | None:
    """Return the file and number of the innermost line of an error that is a component's own.

    That is one outside the engine and the libraries; what an installed package defines components
    in is theirs, and so is `package`, which may have defined none yet. Without one, None.
    """
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return error.filename, error.lineno
    packages = {package, *_packages(Component)}
    lines = [
        (frame.f_code.co_filename, number)
        for frame, number in traceback.walk_tb(error.__traceback__)
        if _is_own(frame, packages)
    ]
    return lines[-1] if lines else None


def place(error: BaseException, package: str = "") -> str:
    """Return `mine.py, line 3`, of an error's innermost own line; empty where there is none."""
    found = own_line(error, package)
    return f"{Path(found[0]).name}, line {found[1]}" if found else ""


def where(error: BaseException) -> str:
    """Return an error's innermost own line with its text; empty where there is none.

    Without a colon at its end, which would break the sentence that it stands in.
    """
    found = own_line(error)
    if found is None:
        return ""
    return f"{place(error)}: {linecache.getline(*found).strip().removesuffix(':')}"


def failed_import(error: BaseException, package: str = "") -> str:
    """Return why a file or a `package` with components failed to import, with its own line."""
    at = place(error, package)
    why = f"{last_line(error)} ({at})" if at else last_line(error)
    return f"{why}; {_NO_PACKAGE}" if _ALONE in str(error) else why


_ALONE = "attempted relative import with no known parent package"
_NO_PACKAGE = (
    "a file given by its path is of no package: import what lies beside it by its name alone, as "
    "in 'from helper import x', or install the package"
)


def innermost(error: BaseException) -> str:
    """Return `file.py, line 3` of an error's own line, or of whatever raised it without one."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return place(error) or f"{Path(last.filename).name}, line {last.lineno}"


def last_line(error: BaseException) -> str:
    """Return the last line of an error's traceback: its type and message."""
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    message = text.strip().splitlines()
    return f"{type(error).__name__}: {message[0]}" if message else type(error).__name__


def _packages(component: type[Component]) -> Iterator[str]:
    """Yield the packages that define components of a class."""
    for each in component.__subclasses__():
        yield each.__module__.partition(".")[0]
        yield from _packages(each)


def _is_own(frame: FrameType, packages: set[str]) -> bool:
    file, module = frame.f_code.co_filename, str(frame.f_globals.get("__name__", ""))
    package, _, inner = module.partition(".")
    if file.startswith("<"):  # made by a library, such as a dataclass's own methods
        return False
    if package == "credbench":
        return inner.partition(".")[0] in _ROOMS
    return package in packages or not _is_library(Path(file))


def _is_library(file: Path) -> bool:
    return _STANDARD in file.parents or any(part in _LIBRARIES for part in file.parts)


_STANDARD = Path(sysconfig.get_path("stdlib"))
