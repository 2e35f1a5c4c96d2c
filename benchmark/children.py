"""Processes that this one starts: they hear nothing of Ctrl-C, and end when this one does."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import parent_process, resource_tracker


@contextmanager
def unheard() -> Iterator[None]:
    """Let the processes and threads that start while the context lasts hear nothing of Ctrl-C.

    A terminal sends it to every process; it is the first of them that ends the others.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    _start_tracker()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_tracker() -> None:
    """Start Python's own process that clears up after others, where it does not run yet.

    The first process that is started would start it, and be heard from then on. A run that ends
    at once leaves semaphores to it, of which it need not warn.
    """
    before = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, (before, "ignore:resource_tracker")))
    try:
        resource_tracker.ensure_running()
    finally:
        del os.environ["PYTHONWARNINGS"]
        if before is not None:
            os.environ["PYTHONWARNINGS"] = before


def end_with_parent() -> None:
    """End this process when the one that started it is gone, however it went."""
    threading.Thread(target=_outlive, daemon=True).start()


def _outlive() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
