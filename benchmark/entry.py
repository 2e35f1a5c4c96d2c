"""Where the command starts: from the first moment on Ctrl-C ends it with one line.

Little is imported here, for what comes before `main` cannot be told of with a line.
"""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import NoReturn

_INTERRUPTED = 130
"""The exit code of an `InterruptedRunError`, whose module takes a while to load."""
_LOADER = "<frozen importlib._bootstrap>"

said: list[Callable[[], str]] = [lambda: "interrupted"]
"""What gives the sentence that an interrupted run ends with; the last one counts."""


def main() -> None:
    """Run the command line in a process of its own, which ends with it."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not of `nohup`, say
        signal.signal(signal.SIGINT, hear)
    try:
        from credbench.cli import main as run

        run()
    except KeyboardInterrupt:
        end()
    except SystemExit as stop:
        if stop.code == _INTERRUPTED:  # said; processes that read images may still be starting
            os._exit(_INTERRUPTED)
        raise
    finally:
        if signal.getsignal(signal.SIGINT) is hear:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # all is done and said


def hear(number: int, frame: FrameType | None) -> None:
    """Raise `KeyboardInterrupt`, or end the process at once where a module is being imported.

    No library is ready for an exception there: torch aborts, others go on without a part.
    """
    while frame is not None:
        if frame.f_code.co_filename == _LOADER:
            end()
        frame = frame.f_back
    raise KeyboardInterrupt


def end() -> NoReturn:
    """End this process with the sentence that is to be said; its exit code is 130."""
    shown = "\x1b[?25h" if sys.stderr.isatty() else ""  # a progress bar may have hidden the cursor
    try:
        os.write(2, f"{shown}credbench: {said[-1]()}\n".encode())
    finally:  # nobody may listen
        os._exit(_INTERRUPTED)
