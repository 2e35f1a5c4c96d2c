"""Learning curves for TensorBoard, written while trials train, by the process that trains them.

<results-dir>/<experiment>/tensorboard/<algorithm>-<dataset>-seed<seed>-<trial id>/
"""

from __future__ import annotations

import importlib.util
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from credbench.errors import RequestError
from credbench.registry import last_line

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

    from credbench.experiment import Trial
    from credbench.training import Curve

FOLDER = "tensorboard"
EVERY = 1.0
"""Seconds between one writing and the next, at least."""

Log = Callable[[Sequence["Curve"]], Any]


def check() -> None:
    """Raise `RequestError` where the package that writes them is missing."""
    if importlib.util.find_spec("tensorboard") is None:
        raise RequestError(
            "--tensorboard: the package tensorboard is not installed; install it with "
            "pip install 'credbench[tensorboard]', or leave --tensorboard out"
        )


@contextmanager
def live(
    folder: Path, group: Sequence[Trial], note: Callable[[str], Any] = lambda line: None
) -> Iterator[Log]:
    """Yield what takes the curves of a group's trials whenever they have grown.

    They are written in place of what an earlier attempt has left, one scalar an epoch and measure;
    what is not finite is left out. A disk that is full is told of and stops nothing.
    """
    scalars = _Scalars([folder / FOLDER / _name(trial) for trial in group], note)
    try:
        yield scalars.take
    finally:
        scalars.close()


class _Scalars:
    def __init__(self, places: Sequence[Path], note: Callable[[str], Any]) -> None:
        self._note = note
        self._curves: Sequence[Curve] = ()
        self._written = 0
        self._last = time.monotonic()
        self._writers: list[SummaryWriter] = []
        with self._unless_full():
            self._open(places)

    def _open(self, places: Sequence[Path]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        for place in places:
            shutil.rmtree(place, ignore_errors=True)
            self._writers.append(SummaryWriter(str(place)))

    def take(self, curves: Sequence[Curve]) -> None:
        """Write what is new, unless something was written a moment ago."""
        self._curves = curves
        if time.monotonic() - self._last >= EVERY:
            with self._unless_full():
                self._write()

    def close(self) -> None:
        """Write the rest."""
        with self._unless_full():
            self._write()
            for writer in self._writers:
                writer.close()

    def _write(self) -> None:
        for writer, curve in zip(self._writers, self._curves, strict=False):
            for measure, values in vars(curve).items():
                for epoch in range(self._written, len(values)):
                    if abs(values[epoch]) < float("inf"):
                        writer.add_scalar(measure, values[epoch], epoch + 1)
            writer.flush()
        self._written = max((len(curve.seconds) for curve in self._curves), default=0)
        self._last = time.monotonic()

    @contextmanager
    def _unless_full(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._writers = []
            self._note(f"no more is written for TensorBoard: {last_line(error)}")


def _name(trial: Trial) -> str:
    return f"{trial.algorithm.name}-{trial.dataset.name}-seed{trial.seed}-{trial.id}"
