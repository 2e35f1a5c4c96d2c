"""The table of `credbench time --loader`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from credbench import environment
from credbench.spread import spread

_AXES = ("dataset", "network", "batch_size", "activation", "optimizer")
_PARTS = ("loader", "training", "both")


@dataclass(frozen=True)
class RatesTable:
    """Images a second, read and trained on, from the record of a timing run."""

    record: Mapping[str, Any]

    title: ClassVar[str] = "Images per second"
    caption: ClassVar[str] = "medians, with quartiles"

    @property
    def names(self) -> int:
        """How many columns, from the left, are words."""
        return len(self._axes()) + 1

    def _axes(self) -> list[str]:
        """Return the axes on which rows differ."""
        rows = self.record["rows"]
        return [axis for axis in _AXES if len({str(row["trial"][axis]) for row in rows}) > 1]

    def headings(self) -> list[str]:
        """Return the names of the columns."""
        axes = [axis.replace("_", " ") for axis in self._axes()]
        return [*axes, "algorithm", "loader alone", "training alone", "both"]

    def cells(self) -> list[list[str]]:
        """Return the text of every cell."""
        return [
            [*(str(row["trial"][axis]) for axis in self._axes()), row["algorithm"], *_rates(row)]
            for row in self.record["rows"]
        ]

    def footnotes(self) -> list[str]:
        """Return what was counted, and where."""
        rows, where = self.record["rows"], self.record["environment"]
        first = rows[0]["trial"]
        same = ", ".join(
            f"{k.replace('_', ' ')} {first[k]}" for k in _AXES if k not in self._axes()
        )
        loads = [row["load"] for row in rows if row["load"] is not None]
        return [
            *([f"All rows: {same}."] if same else []),
            f"Processes that read: {rows[0]['loaders']}; medians (and quartiles) of "
            f"{self.record['repeats']} repeats taken in turns, without what was read ahead; "
            "training alone is on one batch again and again; an image counts once for each phase.",
            f"Hardware: {environment.describe(where)}"
            + (f"; load average {min(loads):.1f} to {max(loads):.1f}." if loads else "."),
            f"Command: {where['command']}",
        ]

    def dicts(self) -> list[dict[str, Any]]:
        """Return one flat dictionary a row; rates in images a second."""
        return [_flat(row) for row in self.record["rows"]]


def _rates(row: Mapping[str, Any]) -> list[str]:
    found = (spread(row["images_per_second"][part]) for part in _PARTS)
    return [f"{each.median:,.0f} ({each.low:,.0f}–{each.high:,.0f})" for each in found]


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    flat = {axis: row["trial"][axis] for axis in _AXES} | {"algorithm": row["algorithm"]}
    for part in _PARTS:
        found = spread(row["images_per_second"][part])
        flat |= {part: found.median, f"{part}_low": found.low, f"{part}_high": found.high}
    return flat | {"loaders": row["loaders"], "images": row["images"]}
