"""Errors a user can mend: one sentence that says what was given, expected and to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class CredbenchError(Exception):
    """One sentence for the user; the command line prints it and exits with `exit_code`."""

    exit_code = 1


class RequestError(CredbenchError):
    """The request itself is wrong."""

    exit_code = 2


class InterruptedRunError(CredbenchError):
    """The user ended a run; 130 is what shells expect of that."""

    exit_code = 130


class LostTrialError(CredbenchError):
    """A trial's process was ended from outside; the sentence is the reason in its record."""


def unknown(what: str, given: str, known: Iterable[str]) -> RequestError:
    """Return the error for a name that is not among `known`, with the nearest name."""
    return RequestError(f"unknown {what} {given!r}: {expected(given, known)}")


def expected(given: str, known: Iterable[str]) -> str:
    """Return which names were expected in the place of the one given, and the nearest of them."""
    names = sorted(known)
    near = difflib.get_close_matches(given.lower(), names, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"expected one of {', '.join(names)}{hint}" if names else "there are none"
