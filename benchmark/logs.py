"""What is said on stderr beside results: how much of it, and how a line looks.

Lines are plain text that starts with the program's name, whether a terminal reads them or a file.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable

from credbench.errors import RequestError, unknown

LEVELS = ("debug", "info", "warning", "error")
"""From all there is to say to the errors that end a command."""
DEFAULT = "info"
log = logging.getLogger("credbench")


class _Stderr(logging.Handler):
    """Writes to what stderr is at the time: several processes speak with one voice."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        print(f"credbench: {record.getMessage()}", file=sys.stderr)


def set_level(name: str | None, quiet: bool = False) -> None:
    """Say no more than a level asks for; `quiet` is that of warnings.

    Raises `RequestError` for a level there is not, and for both.
    """
    if name is not None and quiet:
        raise RequestError(f"--quiet with --log-level {name}: expected one of them; leave one out")
    level = "warning" if quiet else name or DEFAULT
    if level not in LEVELS:
        raise unknown("log level", level, LEVELS)
    log.setLevel(level.upper())


def says(level: str) -> bool:
    """Return whether what is of a level is said."""
    return log.isEnabledFor(logging.getLevelNamesMapping()[level.upper()])


def warn(problems: Iterable[str]) -> None:
    """Print one line for each problem that does not stop the command."""
    for problem in dict.fromkeys(problems):
        log.warning(problem)


log.addHandler(_Stderr())
log.propagate = False
set_level(None)
