"""What a launcher of several processes, such as torchrun, says to each of them."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass

from credbench.errors import RequestError

_TORCHRUN = "TORCHELASTIC_RUN_ID"
_NEEDED = ("RANK", "WORLD_SIZE", "MASTER_ADDR")
_PATIENCE = 10.0


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

    @property
    def command(self) -> str:
        """What starts these processes, to go before a command; empty for one alone."""
        if self.size == 1:
            return ""
        one = self.size == self.beside
        nodes = "--standalone" if one else f"--nnodes {self.size // self.beside}"
        return f"torchrun {nodes} --nproc-per-node {self.beside} --no-python "


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


@contextmanager
def one_voice() -> Iterator[None]:
    """Print nothing while the context lasts, unless this process leads the others."""
    if launched().leads:
        yield
        return
    nothing = io.StringIO()
    with redirect_stdout(nothing), redirect_stderr(nothing):
        yield


def follows() -> bool:
    """Return whether another process leads this one, and speaks for both."""
    try:
        return not launched().leads
    except RequestError:
        return False


def give_way() -> None:
    """Let the leading process say what is wrong; return when it is this one's turn to.

    A launcher ends all processes when one has failed: one still there after some seconds has
    failed alone.
    """
    if follows():
        time.sleep(_PATIENCE)
