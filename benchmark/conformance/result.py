"""What a check comes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from credbench.tracing import last_line, where


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


def raised(error: BaseException) -> str:
    """Return an error in a line, with the place in the plugin that it comes from."""
    at = where(error)
    return f"{last_line(error)} ({at})" if at else last_line(error)
