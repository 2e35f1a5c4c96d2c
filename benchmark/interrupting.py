"""Ctrl-C: the first ends a run within two seconds, whatever it is doing; a second one at once."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from credbench import entry
from credbench.errors import InterruptedRunError

_PATIENCE = 1.0
"""Seconds that Python gets to end by itself; one long operation of torch may take more."""


@contextmanager
def interruptible(saved: Callable[[], str]) -> Iterator[None]:
    """Turn Ctrl-C into an `InterruptedRunError` that says what is saved.

    Where Python does not come to hear of it in time, or at a second Ctrl-C, the process ends
    without more ado.
    """
    if threading.current_thread() is not threading.main_thread():  # no signals come here
        yield
        return
    mine, theirs = socket.socketpair()
    theirs.setblocking(False)
    before = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    watch = threading.Thread(target=_watch, args=(mine,), daemon=True)
    watch.start()
    entry.said.append(saved)
    try:
        yield
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        raise InterruptedRunError(saved()) from None
    finally:
        entry.said.remove(saved)
        signal.set_wakeup_fd(before)
        theirs.close()
        watch.join()
        mine.close()


@contextmanager
def postponed() -> Iterator[None]:
    """Raise the `KeyboardInterrupt` of what does not stand one when the context ends."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    told: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: told.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if told:
        raise KeyboardInterrupt


def _watch(mine: socket.socket) -> None:
    """Wait for a first Ctrl-C, and then for the end: of the context, of patience, or a second."""
    while (told := mine.recv(1)) != bytes([signal.SIGINT]):
        if not told:
            return
    mine.settimeout(_PATIENCE)
    try:
        while (told := mine.recv(1)) != bytes([signal.SIGINT]):
            if not told:
                return
    except TimeoutError:
        entry.end()
    os._exit(InterruptedRunError.exit_code)
