"""Runs what is missing under the eyes of the user: progress on stderr, words at Ctrl-C."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from credbench.experiment import Experiment, Trial
from credbench.logs import warn
from credbench.store import Record, Store
from credbench.wording import count

if TYPE_CHECKING:
    from credbench.running import Options


def execute(
    experiment: Experiment, store: Store, how: Options, among: Sequence[Trial] = ()
) -> None:
    """Run what is missing, with progress on stderr; `among` is as `running.run` takes it.

    Raises `InterruptedRunError`, which says what is saved, where Ctrl-C ends it.
    """
    from rich.console import Console

    from credbench.interrupting import interruptible
    from credbench.progress import show_progress
    from credbench.running import run

    def saved() -> str:
        done = sum(store.has(trial.id) for trial in experiment.trials)
        return (
            f"interrupted: {done} of {count(len(experiment.trials), 'trial')} are saved in "
            f"{store.folder}; the same command goes on from there"
        )

    with interruptible(saved), show_progress(Console(stderr=True)) as events:
        run(experiment, store, how, events, among)
    warn(store.untold())


def time_alone(
    trials: Sequence[Trial],
    records: Mapping[str, Record],
    timings: Mapping[tuple[object, ...], Record],
    store: Store,
) -> int:
    """Time the settings that have records but no timing, with progress; return their number."""
    from rich.console import Console

    from credbench.interrupting import interruptible
    from credbench.progress import show_progress
    from credbench.running import time_untimed

    def saved() -> str:
        return "interrupted: all trials are saved; the same command goes on from there"

    with interruptible(saved), show_progress(Console(stderr=True)) as events:
        timed = time_untimed(trials, records, timings, store, events)
    warn(store.untold())
    return timed
