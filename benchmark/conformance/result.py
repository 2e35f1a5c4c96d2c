"""What a check comes to."""

from __future__ import annotations

import linecache
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from credbench.registry import last_line


@dataclass(frozen=True)
class Result:
    """What a check found: passed where there is nothing to complain of and it was not skipped."""

    complaints: Sequence[str] = ()
    """Sentences, each of which says what to change."""
    note: str = ""
    """What was measured."""
    skipped: str = ""
    """Why the check was not made."""

    @property
    def state(self) -> str:
        """One of passed, failed and skipped."""
        if self.complaints:
            return "failed"
        return "skipped" if self.skipped else "passed"

    @property
    def said(self) -> str:
        """All that there is to say."""
        return "; ".join(self.complaints) or self.skipped or self.note


def where(error: BaseException) -> str:
    """Return the innermost line of an error's traceback that is no part of a package of ours.

    Where all are, the innermost that is of a learner. Empty where there is none.
    """
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not _is_engine(f.filename)]
    if not frames:
        return ""
    last = frames[-1]
    text = linecache.getline(last.filename, last.lineno or 0).strip()
    return f"{Path(last.filename).name}, line {last.lineno}: {text}"


def place(error: BaseException) -> str:
    """Return `where` for the middle of a sentence, which a colon of the line's own would break."""
    return where(error).removesuffix(":")


def raised(error: BaseException) -> str:
    """Return an error in a line, with the place in the plugin that it comes from."""
    at = place(error)
    return f"{last_line(error)} ({at})" if at else last_line(error)


_ENGINE = Path(__file__).parent.parent


def _is_engine(filename: str) -> bool:
    """Return whether a file is of the engine or a library, and not a learner's."""
    path = Path(filename)
    rooms = (_ENGINE.parent / "algorithms", _ENGINE / "algorithms")
    if any(room in path.parents for room in rooms):
        return False
    return _ENGINE in path.parents or "site-packages" in path.parts or filename.startswith("<")
