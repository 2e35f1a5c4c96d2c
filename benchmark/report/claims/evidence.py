"""What there is to decide claims by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from credbench.errors import RequestError
from credbench.images import Dataset
from credbench.registry import Registry
from credbench.report.claims.needs import Needs, epochs_text
from credbench.report.fitting import canonical, fits
from credbench.report.summary import Row
from credbench.spec import parse_axis

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Timed:
    """The time of one setting's training, taken several times with nothing beside it."""

    arguments: Mapping[str, str]
    """Of a trial, as in `Row.arguments`; those that the pace does not depend on may lack."""
    seconds: tuple[float, ...]
    """Of an epoch or of a step, the same in all that share `turn`."""
    device: str
    machine: str
    turn: str
    """What was timed in turns with it shares this and is paired with it."""


@dataclass(frozen=True)
class Evidence:
    """Rows, the records behind them, and timing runs."""

    rows: Sequence[Row]
    records: Mapping[str, Record]
    timings: Sequence[Timed]
    registry: Registry
    machines: Mapping[str, str]
    """The hardware of environments, by their hash."""

    def of(self, algorithm: str, needs: Needs) -> list[Row]:
        """Return the rows of an algorithm, given as on the command line, that have test errors."""
        asked = canonical("algorithm", parse_axis(algorithm)[0], self.registry)
        return [
            row
            for row in self.rows
            if row.tests and fits(row.arguments["algorithm"], asked) and needs.about(row.arguments)
        ]

    def finished(self, row: Row) -> dict[int, Record]:
        """Return the finished records behind a row, by seed."""
        mine = (self.records[id] for id in row.ids if id in self.records)
        return {r["trial"]["seed"]: r for r in mine if r["status"] == "done"}

    def machines_of(self, row: Row) -> set[str]:
        """Return the hardware that a row's trials trained on."""
        found = self.finished(row).values()
        return {self.machines.get(r["environment"], "unknown hardware") for r in found}

    def origins(self, row: Row) -> set[str]:
        """Return what a row's images were read from where that is not the published files."""
        return {r["origin"] for r in self.finished(row).values() if r.get("origin")}

    def scale(self, rows: Sequence[Row], n: int) -> str:
        """Return what the numbers of rows at equal settings were measured at, in words."""
        tuned = ["untuned" if row.arguments["tuning"] == "none" else "tuned" for row in rows]
        origins = sorted({each for row in rows for each in self.origins(row)})
        parts = [epochs_text(rows[0]), self._images(rows[0]), f"n = {n}"]
        parts.append(" against ".join(dict.fromkeys(tuned)))
        return ", ".join([*parts, *(f"images from {origin}" for origin in origins)])

    def _images(self, row: Row) -> str:
        limit = row.arguments["limit_train"]
        if limit != "none":
            return f"{int(limit):,} images"
        try:
            made = self.registry.create("dataset", parse_axis(row.arguments["dataset"])[0])
        except RequestError:  # of a plugin that is not given now
            return "all images"
        count = cast(Dataset, made).trainable
        return f"all {count:,} images" if count > 0 else "all images"
