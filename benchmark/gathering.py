"""What several experiments of a results folder hold, taken together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from credbench.commands import origins_of
from credbench.registry import Registry
from credbench.store import Record, Store, frame

if TYPE_CHECKING:
    from credbench.report.summary import Row


class Loaded:
    """An experiment with its records, read once."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.records: dict[str, Record] = store.trials()
        self.planned: dict[str, dict[str, Any]] = store.planned(self.records)

    def origins(self, used: set[str], registry: Registry) -> list[str]:
        """Return where the trials of these ids ran, and by which command."""
        planned = {id: trial for id, trial in self.planned.items() if id in used}
        return origins_of(self.store, planned, self.records, registry)


def records_of(found: Sequence[Loaded]) -> dict[str, Record]:
    """Return the records of experiments by id; of a trial the finished one counts."""
    records: dict[str, Record] = {}
    for each in found:
        for id, record in each.records.items():
            if records.get(id, {}).get("status") != "done":
                records[id] = record
    return records


def rows_of(found: Sequence[Loaded], registry: Registry) -> list[Row]:
    """Return the settings of experiments, taken together."""
    from credbench.report.summary import summarise

    planned: dict[str, Mapping[str, Any]] = {}
    timings: dict[tuple[object, ...], Record] = {}
    for each in found:
        planned |= each.planned
        timings |= each.store.timings()
    return summarise(frame(planned, records_of(found), timings), registry)
