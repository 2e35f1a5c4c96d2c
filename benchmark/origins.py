"""What stands behind numbers, in sentences: the data, the hardware and the commands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from credbench.experiment import setting_of
from credbench.registry import Registry
from credbench.spec import parse_axis
from credbench.staleness import is_stale
from credbench.store import Record, Store


def origins_of(
    store: Store,
    planned: Mapping[str, Mapping[str, Any]],
    records: Mapping[str, Record],
    registry: Registry,
) -> list[str]:
    """Return what trials were read from, ran on and were asked for by, in sentences."""
    from credbench import environment

    timings = store.timings()
    used = {records[id]["environment"] for id in planned if id in records}
    found = [e for key, e in store.environments().items() if key in used]
    hardware = dict.fromkeys(f"Hardware: {environment.describe(e)}." for e in found)
    commands = dict.fromkeys(f"Command: {e['command']}" for e in found)
    if len(found) < len(used):
        hardware["Hardware of some trials: not on record, its file is missing or changed."] = None
    stale = sum(is_stale(records[id], registry) for id in planned if id in records)
    if stale:
        counted, whose = ("1 trial is", "its") if stale == 1 else (f"{stale} trials are", "their")
        commands[f"{counted} stale: made by another version of {whose} source."] = None
    settings = {setting_of(planned[id]) for id in planned if id in records}
    loads = _loads([t for key, t in timings.items() if key[:-1] in settings], store)
    origins = origin_notes([records[id] for id in planned if id in records])
    return [*origins, *hardware, *loads, *commands]


def origin_notes(records: Iterable[Record]) -> list[str]:
    """Return what datasets were read from, where that was not the published files."""
    found = {(_dataset(record), record["origin"]): None for record in records if "origin" in record}
    return [f"{name}: read from {origin}, not the published files." for name, origin in found]


def _dataset(record: Record) -> str:
    return parse_axis(record["trial"]["dataset"])[0].name


def _loads(timings: Iterable[Record], store: Store) -> list[str]:
    """Return where timing ran and what the machine's load was, without which it says little."""
    from credbench import environment

    known = store.environments()
    found: dict[str, list[float]] = {}
    for timing in timings:
        where = known.get(timing["environment"])
        place = environment.describe_machine(where) if where else "a machine not on record"
        found.setdefault(place, []).extend(timing["loads"])
    return [
        f"Timing runs: one replica alone on {place}"
        + (f", load average {min(loads):.1f} to {max(loads):.1f}." if loads else ".")
        for place, loads in found.items()
    ]
