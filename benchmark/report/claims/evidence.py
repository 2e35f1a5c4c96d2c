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
from credbench.spread import spread

Record = Mapping[str, Any]
STALE = "stale: made by another version of its source"
"""What such records lack to decide."""


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
    stale: bool = False
    """Whether another version of the source was timed."""


@dataclass(frozen=True)
class Evidence:
    """Rows, the records behind them, and timing runs."""

    rows: Sequence[Row]
    records: Mapping[str, Record]
    timings: Sequence[Timed]
    registry: Registry
    stale: frozenset[str] = frozenset()
    """The ids of records made by another version of their source."""

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

    def lacks(self, row: Row, needs: Needs) -> list[str]:
        """Return why a row does not decide what needs these."""
        old = any(id in self.stale for id in row.ids)
        return [*needs.lacks(row), *([STALE] if old else [])]

    def paces(self, row: Row) -> dict[str, float]:
        """Return the seconds of an epoch by timing runs of a row's setting, by their hardware.

        Those of another device than the row's trials trained on are left out, as are those of
        what steps are timed in turns, of trials on several processes, and of another version.
        """
        devices = {record.get("device") for record in self.finished(row).values()}
        found: dict[str, list[float]] = {}
        for timed in self.timings if row.processes == 1 else ():
            alone = not timed.turn and not timed.stale and timed.device in devices
            if alone and all(row.arguments.get(k) == v for k, v in timed.arguments.items()):
                found.setdefault(timed.machine, []).extend(timed.seconds)
        return {machine: spread(seconds).median for machine, seconds in found.items()}

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
