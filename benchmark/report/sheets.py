"""The tables of the page beside those of `credbench table`: summary, times, single trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from credbench.report.curves import Record, Speller, telling
from credbench.report.html import sheet
from credbench.report.summary import AXES, Row, varying


def summary(sections: Sequence[Mapping[str, Any]], states: Sequence[str]) -> dict[str, Any]:
    """Return one row an experiment, which leads to its section, with its trials by state."""
    shown = [s for s in states if s == "done" or any(each["counts"][s] for each in sections)]
    cells = [
        [
            each["name"],
            each["hardware"],
            *(str(each["counts"][key]) for key in ("trials", *shown)),
            str(each["settings"]),
            each["seeds"],
        ]
        for each in sections
    ]
    headings = ["experiment", "hardware", "trials", *shown, "settings", "n a setting"]
    links = [f"#experiment-{number}" for number in range(len(sections))]
    return sheet(headings, cells, 2, links=links)


def epoch_times(rows: Sequence[Row]) -> dict[str, Any]:
    """Return seconds an epoch of every setting that has them, and how they were taken."""
    axes = varying(rows) if rows else []
    timed = [(row, row.seconds) for row in rows if row.seconds is not None]
    headings = [
        *(axis.replace("_", " ") for axis in axes), "taken", "s/epoch", "lower quartile",
        "upper quartile", "passes an epoch", "trials in a program", "processes",
    ]  # fmt: skip
    cells = [
        [
            *(row.setting[axis] for axis in axes),
            "alone" if row.timed else "in training",
            *(f"{value:.3g}" for value in (seconds.median, seconds.low, seconds.high)),
            *map(str, (row.passes, row.group, row.processes)),
        ]
        for row, seconds in timed
    ]
    notes = (
        "Alone: a timing run of one replica. In training: the median over trials of their own "
        "epochs, beside whatever else ran. Evaluation excluded."
    )
    return sheet(headings, cells, len(axes) + 1, [notes])


_NAMED = ("algorithm", "dataset", "activation", "network", "optimizer")


def unfinished(records: Sequence[Record], spell: Speller) -> dict[str, Any]:
    """Return the trials that failed or diverged, with the reason of each."""
    cells = [
        [
            *(spell(axis, str(record["trial"][axis])) for axis in _NAMED),
            record["status"],
            record["reason"],
            record["id"],
            str(record["trial"]["seed"]),
        ]
        for record in records
        if record["status"] != "done"
    ]
    headings = [*_NAMED, "status", "reason", "record", "seed"]
    return sheet(headings, cells, len(headings) - 1)


def trials(records: Sequence[Record], spell: Speller) -> dict[str, Any]:
    """Return one row a trial that ended, with the name of its file."""
    axes = telling(records, AXES, spell) if records else []
    headings = [
        *(axis.replace("_", " ") for axis in axes), "status", "record", "seed", "epoch chosen",
        "validation error %", "test error %",
    ]  # fmt: skip
    cells = [
        [
            *(spell(axis, str(record["trial"].get(axis))) for axis in axes),
            record["status"],
            record["id"],
            str(record["trial"]["seed"]),
            str(record.get("epoch", "—")),
            *(_error(record, part) for part in ("validation", "test")),
        ]
        for record in records
    ]
    return sheet(headings, cells, len(axes) + 2)


def _error(record: Record, part: str) -> str:
    found = record.get("scores", {}).get(part)
    return f"{found['error']:.2f}" if found else "—"
