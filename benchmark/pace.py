"""Time per epoch and memory for tables: from a timing run of one replica, made where missing.

Trials that ran beside others, or as replicas of one program, say little of what one costs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from credbench.experiment import Trial
from credbench.registry import last_line
from credbench.spoiling import spoiled, spoils

if TYPE_CHECKING:
    from credbench.store import Record, Store

_AT_ONCE = 8


def untimed(
    trials: Sequence[Trial],
    records: Mapping[str, Record],
    timings: Mapping[tuple[object, ...], Record],
    device: str,
) -> list[Trial]:
    """Return one trial of each setting with results on a device but no timing of its source."""
    found: dict[tuple[object, ...], Trial] = {}
    for trial in trials:
        record = records.get(trial.id, {})
        if record.get("status") != "done" or record.get("device") != device:
            continue
        if trial.dataset.streamed or record.get("processes", 1) > 1:
            # One replica on one process, on images at hand, says nothing of it.
            continue
        timing = timings.get((*trial.setting, device))
        if timing is None or timing["source"] != trial.source:
            found.setdefault(trial.setting, trial)
    return list(found.values())


def time_settings(
    trials: Sequence[Trial], store: Store, device: str, environment: str
) -> Iterator[str]:
    """Time a step of each trial, as one replica, and store it; yield a sentence where one fails.

    Several take turns; where that fails, for want of memory or through one of them, each is
    timed on its own.
    """
    for start in range(0, len(trials), _AT_ONCE):
        some = trials[start : start + _AT_ONCE]
        try:
            _check_room(some, device)
            _time(some, store, device, environment)
        except Exception as error:
            if len(some) == 1 or spoils(error):
                rest = f" and {len(some) - 1} more" if len(some) > 1 else ""
                yield f"{some[0].label}{rest} could not be timed: {last_line(error)}"
                if spoiled():
                    return
                continue
            for trial in some:
                yield from time_settings([trial], store, device, environment)


def _check_room(trials: Sequence[Trial], device: str) -> None:
    from credbench.memory import available, needs

    free = available(device)
    if free is not None and sum(needs(trial).together() for trial in trials) > free:
        raise MemoryError(f"not enough memory is free on {device}")


def _time(trials: Sequence[Trial], store: Store, device: str, environment: str) -> None:
    import torch

    from credbench.processor import settle
    from credbench.timing import clock, epoch_seconds

    settle()
    found = clock([[trial] for trial in trials], torch.device(device), stages=("step",))
    for clocked in found:
        record: dict[str, Any] = {
            "setting": list(clocked.trial.setting),
            "device": device,
            "source": clocked.trial.source,
            "environment": environment,
            "loads": clocked.loads,
            "captured": clocked.captured,
            "compile_seconds": clocked.compile_seconds,
            "epoch_seconds": epoch_seconds(clocked),
            "peak_bytes": clocked.peak_bytes,
        }
        store.write_timing(record)
