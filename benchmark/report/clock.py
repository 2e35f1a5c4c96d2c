"""What curves are drawn against: epochs, or the seconds of training up to their ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from credbench.experiment import setting_of
from credbench.spread import spread

Record = Mapping[str, Any]
Timings = Mapping[tuple[object, ...], Record]
AGAINST = ("epochs", "seconds")


@dataclass(frozen=True)
class Clock:
    """A horizontal axis."""

    label: str
    ends: Callable[[Record], list[float]]
    """Where each epoch of a record ends on it."""


def clock(against: str, records: Sequence[Record], timings: Timings) -> Clock:
    """Return the axis of a name in `AGAINST`, the same for all records of a figure.

    Seconds are those of timing runs, one replica alone, where all settings have one; else they
    are those of the trials' own epochs, which other trials may have shared the machine with.
    """
    if against == "epochs":
        return Clock("epoch", lambda record: [float(k + 1) for k in range(_epochs(record))])
    paces = [_pace(record, timings) for record in records]
    if any(pace is None for pace in paces):
        return Clock("seconds of the trials' own epochs, others beside them", _own)
    return Clock("seconds of training, by timing runs", lambda record: _timed(record, timings))


def _epochs(record: Record) -> int:
    return len(record["curve"]["seconds"])


def _own(record: Record) -> list[float]:
    return list(accumulate(record["curve"]["seconds"]))


def _pace(record: Record, timings: Timings) -> float | None:
    """Return the seconds of an epoch by the timing run of a record's setting and source."""
    timing = timings.get((*setting_of(record["trial"]), record.get("device")))
    if timing is None or timing["source"] != record.get("source"):
        return None
    return spread(timing["epoch_seconds"]).median


def _timed(record: Record, timings: Timings) -> list[float]:
    pace = _pace(record, timings) or 0.0
    return [pace * (k + 1) for k in range(_epochs(record))]
