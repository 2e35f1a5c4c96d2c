"""What a launcher of several processes, such as torchrun, says to each of them."""

from __future__ import annotations

import os
from dataclasses import dataclass

from credbench.errors import RequestError

_TORCHRUN = "TORCHELASTIC_RUN_ID"
_NEEDED = ("RANK", "WORLD_SIZE", "MASTER_ADDR")


@dataclass(frozen=True)
class World:
    """The processes that train one trial together, seen from one of them."""

    rank: int = 0
    """Which of them this is, from 0 to `size` − 1."""
    size: int = 1
    local: int = 0
    """Which one this is of those on its machine; its GPU has the same number."""
    beside: int = 1
    """How many there are on its machine, itself included."""

    @property
    def leads(self) -> bool:
        """Whether this is the one that writes records and talks to the user."""
        return self.rank == 0


def launched() -> World:
    """Return the processes that this one was started with; itself alone without a launcher.

    Raises `RequestError` where the launcher's variables are no numbers that fit each other.
    """
    given = os.environ
    if _TORCHRUN not in given and not all(name in given for name in _NEEDED):
        return World()
    texts = [given.get(name, "") for name in ("RANK", "WORLD_SIZE")]
    texts += [given.get(name, d) for name, d in (("LOCAL_RANK", "0"), ("LOCAL_WORLD_SIZE", "1"))]
    if all(text.isdecimal() for text in texts):
        found = World(*map(int, texts))
        if found.rank < found.size:
            return found
    raise RequestError(
        f"RANK {texts[0]!r}, WORLD_SIZE {texts[1]!r}: expected whole numbers with RANK below "
        "WORLD_SIZE; start the processes with torchrun, or unset these variables"
    )
