"""Angles of a learner's updates with backprop's, as they are asked for of a run.

See `credbench.observing` for how they are taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from credbench.errors import RequestError

if TYPE_CHECKING:
    from credbench.group import Group
    from credbench.learner import Learner
    from credbench.observing import Observer

_MOST = 10**9


@dataclass(frozen=True)
class Angles:
    """How often angles are taken, and with whose updates."""

    every: int
    """Steps of a phase from one sample to the next; the first step is one."""
    reference: Learner
    """The learner whose updates are compared with; it has no numbers of its own."""

    def observer(self, group: Group) -> Observer:
        """Return what watches a group in training."""
        from credbench.observing import Observer

        return Observer(group, self)


def read_every(text: str | None) -> int | None:
    """Return the steps between samples, or None where none are asked for.

    Raises `RequestError` for what is no such number.
    """
    if text is None or text == "none":
        return None
    if not text.isdecimal() or not 0 < int(text) <= _MOST:
        raise RequestError(
            f"angles {text!r}: expected a whole number of steps, 1 to {_MOST:,}, from one "
            "sample to the next"
        )
    return int(text)
