"""What `credbench status` does: counts what became of trials, and says why some came to nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from credbench.gathering import find_stores
from credbench.logs import warn
from credbench.printing import plain
from credbench.records import STATUSES
from credbench.registry import Registry
from credbench.staleness import is_stale, strangers
from credbench.store import NOT_APPLICABLE, Record, Store
from credbench.wording import count

STATES = (*STATUSES, "missing", "stale", NOT_APPLICABLE)
"""What a planned trial can be."""


def print_status(registry: Registry, results_dir: Path, name: str | None, format: str) -> None:
    """Print how many trials of each experiment are done, failed, diverged, missing, stale."""
    as_json = plain(format)
    rows = []
    for store in find_stores(results_dir, name):
        rows.append({"experiment": store.name, **tally(store, store.trials(), registry)})
        warn(store.problems)
    if as_json:
        print(json.dumps(rows, ensure_ascii=False, indent=2))
        return
    for row in rows:
        counts = ", ".join(f"{row[key]} {key}" for key in STATES)
        print(f"{row['experiment']}: {count(row['trials'], 'trial')}, {counts}")
        for line in row["unfinished"]:
            print(f"  {line}")
        if row["unknown"]:
            names = ", ".join(map(repr, row["unknown"]))
            print(f"  not known here, so none can tell what is stale of it: {names}; give --plugin")


def tally(store: Store, records: Mapping[str, Record], registry: Registry) -> dict[str, Any]:
    """Return how many trials are in each state, and a line for each that failed or diverged.

    Also what is not known here, such as of a plugin that is not given now.
    """
    planned, refusals = store.planned(records), store.refusals()
    counts = dict.fromkeys(STATES, 0)
    unfinished = []
    unknown = {name for id in planned for name in strangers(planned[id], registry)}
    for id in planned:
        record = records.get(id)
        state = NOT_APPLICABLE if id in refusals else _state(record, registry)
        counts[state] += 1
        if record is not None and state in ("failed", "diverged"):
            unfinished.append(outcome(record))
    return {"trials": len(planned), **counts, "unfinished": unfinished, "unknown": sorted(unknown)}


def _state(record: Record | None, registry: Registry) -> str:
    if record is None:
        return "missing"
    return "stale" if is_stale(record, registry) else str(record["status"])


def outcome(record: Record) -> str:
    """Return what became of a trial that did not finish, and why, in a line."""
    trial = record["trial"]
    keys = ("algorithm", "dataset", "activation", "network")
    name = " ".join(trial[key] for key in keys) + f" seed {trial['seed']}"
    return f"{name} {record['status']}: {record['reason']}"
