"""What a run shows while it goes on: a live bar on a terminal, a line a trial elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from credbench.job import Events
from credbench.logs import log, says
from credbench.store import Record
from credbench.wording import count


@contextmanager
def show_progress(console: Console) -> Iterator[Events]:
    """Yield the events to give to `run`; the bar is gone when the context ends."""
    if not says("info"):
        yield Events(note=log.warning)
        return
    if not console.is_terminal or says("debug"):
        yield _Lines(console).events()
        return
    columns = (
        TextColumn("{task.fields[done]}/{task.fields[trials]} trials"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[last]}"),
    )
    with Progress(*columns, console=console, transient=True, speed_estimate_period=120) as bar:
        yield _Bar(bar).events()


@contextmanager
def show_steps(steps: int, what: str) -> Iterator[Callable[[], None]]:
    """Yield what to call after each of some steps; a bar shows them on a terminal."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=steps)
        yield lambda: bar.advance(task)


class _Bar:
    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task: TaskID | None = None
        self._done = 0

    def events(self) -> Events:
        return Events(self._started, self._epoch, self._finished, self._timing, self._note)

    def _started(self, trials: int, epochs: int) -> None:
        self._task = self._bar.add_task("", total=epochs, done=0, trials=trials, last="starting")

    def _epoch(self, trials: int) -> None:
        if self._task is not None:
            self._bar.advance(self._task, trials)

    def _timing(self, settings: int) -> None:
        if self._task is not None:
            self._bar.update(self._task, last=_timing(settings))

    def _note(self, line: str) -> None:
        _print(self._bar.console, f"credbench: {line}")

    def _finished(self, record: Record) -> None:
        self._done += 1
        if self._task is not None:
            self._bar.update(self._task, done=self._done, last=outcome(record))


class _Lines:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._trials = 0
        self._done = 0
        self._epochs = 0
        self._ended = 0

    def events(self) -> Events:
        return Events(
            self._started, self._epoch, self._finished, self._timing, self._note, log.debug
        )

    def _started(self, trials: int, epochs: int) -> None:
        self._trials, self._epochs = trials, epochs
        self._print(f"{count(trials, 'trial')} to run, {count(epochs, 'epoch')} in all")

    def _epoch(self, trials: int) -> None:
        self._ended += trials
        log.debug("%s of %s ended", f"{self._ended:,}", count(self._epochs, "epoch"))

    def _finished(self, record: Record) -> None:
        self._done += 1
        self._print(f"{self._done}/{self._trials} {outcome(record)}")

    def _timing(self, settings: int) -> None:
        self._print(_timing(settings))

    def _note(self, line: str) -> None:
        self._print(f"credbench: {line}")

    def _print(self, line: str) -> None:
        _print(self._console, line)


def _print(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def _timing(settings: int) -> str:
    return f"timing {count(settings, 'setting')}, one replica at a time"


def outcome(record: Record) -> str:
    """Return a trial and how it ended, in a line."""
    trial = record["trial"]
    name = trial["algorithm"].partition("[")[0]
    dataset, activation = (trial[key].partition("[")[0] for key in ("dataset", "activation"))
    parts = (name, dataset, activation, f"seed {trial['seed']}")
    if record["status"] != "done":
        return f"{' '.join(parts)}: {record['status']}, {record['reason']}"
    part = "test" if "test" in record["scores"] else "validation"
    return f"{' '.join(parts)}: {record['scores'][part]['error']:.2f} % {part} error"
