"""Which trials were in training where a process died: one of them may be what killed it.

A note in the experiment's folder says what a process is training; one that dies leaves it behind.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from credbench.experiment import Trial

_FOLDER = "training"


@contextmanager
def noted(experiment: Path, group: Sequence[Trial]) -> Iterator[None]:
    """Leave a note of the trials in training while the context lasts."""
    note = experiment / _FOLDER / f"{socket.gethostname()}-{os.getpid()}.json"
    with suppress(OSError):  # a note is no reason to fail
        note.parent.mkdir(exist_ok=True)
        note.write_text(json.dumps([trial.id for trial in group]))
    try:
        yield
    finally:
        _remove(note)


@contextmanager
def named(experiment: Path) -> Iterator[set[str]]:
    """Give the ids of trials in the notes that dead processes left; remove these at the end.

    They stay where the context ends in an exception, such as of Ctrl-C.
    """
    notes = _left(experiment)
    yield set[str]().union(*notes.values())
    for note in notes:
        _remove(note)


def _left(experiment: Path) -> dict[Path, set[str]]:
    """Return notes and what they name; of other machines, where none can tell, all of them."""
    found = {}
    for note in sorted((experiment / _FOLDER).glob("*.json")):
        host, _, number = note.stem.rpartition("-")
        if host != socket.gethostname() or not _lives(number):
            with suppress(OSError, ValueError, TypeError):
                found[note] = set(map(str, json.loads(note.read_text())))
    return found


def _remove(note: Path) -> None:
    with suppress(OSError):
        note.unlink()
    with suppress(OSError):  # others' notes are in it
        note.parent.rmdir()


def _lives(number: str) -> bool:
    """Return whether a process is there that may have left a note; this one has left none yet."""
    if not number.isdigit() or int(number) == os.getpid():
        return False
    try:
        os.kill(int(number), 0)
    except OSError as error:
        return not isinstance(error, ProcessLookupError)  # another user's it may be
    return True
