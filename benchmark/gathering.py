"""What several experiments of a results folder hold, taken together."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from credbench.errors import RequestError, unknown
from credbench.origins import origins_of
from credbench.registry import Registry
from credbench.staleness import is_stale
from credbench.store import Record, Store, experiments, frame

if TYPE_CHECKING:
    from credbench.report.summary import Row

UNREADABLE = (OSError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError)
"""What reading a file raises that is not what it should be."""


def find_stores(results_dir: Path, name: str | None) -> list[Store]:
    """Return the stores of one experiment, or of all; raises `RequestError` where there is none."""
    known = experiments(results_dir)
    if name is not None and name not in known:
        raise unknown(f"experiment in {results_dir}:", name, known)
    if not known:
        raise RequestError(
            f"{results_dir} holds no experiments: start one with 'credbench run', or give "
            "--results-dir"
        )
    return [Store(results_dir, each) for each in ([name] if name else known)]


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


def records_of(found: Sequence[Loaded], registry: Registry) -> dict[str, Record]:
    """Return the records of experiments by id.

    Of a trial the finished one counts, of several the one by its algorithm's present version.
    """
    records: dict[str, Record] = {}

    def rank(record: Record) -> tuple[bool, bool]:
        return record["status"] == "done", not is_stale(record, registry)

    for each in found:
        for id, record in each.records.items():
            if id not in records or rank(record) > rank(records[id]):
                records[id] = record
    return records


def rows_of(
    found: Sequence[Loaded],
    registry: Registry,
    wanted: Callable[[Mapping[str, Any]], bool] = lambda _: True,
) -> list[Row]:
    """Return the settings of experiments, taken together, of those trials that are wanted."""
    from credbench.report.summary import summarise

    planned: dict[str, Mapping[str, Any]] = {}
    timings: dict[tuple[object, ...], Record] = {}
    for each in found:
        planned |= {id: trial for id, trial in each.planned.items() if wanted(trial)}
        timings |= each.store.timings()
    return (
        summarise(frame(planned, records_of(found, registry), timings), registry) if planned else []
    )


def timing_records(folder: Path, problems: list[str]) -> Iterator[tuple[Path, Record]]:
    """Yield the records that `credbench time` left in a folder, and where each lies.

    A sentence for each that cannot be read goes to `problems`.
    """
    for path in sorted(folder.glob("*/*.json")):
        try:
            record = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            problems.append(left_out(path, error))
            continue
        if isinstance(record, dict) and "rows" in record:  # else of another measurement
            yield path, record


def left_out(path: Path, error: Exception) -> str:
    """Return what is said of a file that cannot be read."""
    return f"{path} cannot be read ({error}): it is left out"
