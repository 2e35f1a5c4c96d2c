"""How soon two algorithms come to a validation error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from credbench.report.claims.contest import Contest
from credbench.report.claims.criterion import bare
from credbench.report.claims.evidence import Evidence, Record
from credbench.report.claims.finding import Finding
from credbench.report.claims.supply import to_run_on
from credbench.report.comparison import Pair
from credbench.report.summary import Row


@dataclass(frozen=True, kw_only=True)
class Sooner(Contest):
    """The first comes down to a validation error in fewer epochs, or seconds, than the second.

    A trial that never does counts as one epoch more than it was trained, or all its seconds. That
    is the least it would have taken, so the second's is no ground to contradict, nor the first's
    to support. Seconds are epochs at the pace of a timing run; those of training itself, beside
    whatever else ran, decide nothing.
    """

    to: float
    """The validation error in percent."""
    by: str
    """`epochs` or `seconds`, those of training, evaluation excluded."""

    @property
    def unit(self) -> str:
        return self.by

    @property
    def says(self) -> str:
        first, second = bare(self.first), bare(self.second)
        return f"{first} is down to {self.to:g} % validation error in fewer {self.by} than {second}"

    def measure(self, row: Row, evidence: Evidence) -> dict[int, float]:
        return {seed: self._when(r, row) for seed, r in evidence.finished(row).items()}

    def _when(self, record: Record, row: Row) -> float:
        seconds: Sequence[float] = record["curve"]["seconds"]
        epoch = self._epoch(record)
        if self.by == "epochs":
            return float(len(seconds) + 1 if epoch is None else epoch)
        if row.timed and row.seconds is not None:
            return row.seconds.median * (len(seconds) if epoch is None else epoch)
        return float(sum(seconds[:epoch]))  # all of them where it is never reached

    def _epoch(self, record: Record) -> int | None:
        return first_at(record["curve"].get("validation_error", ()), self.to)

    def limited(self, pair: Pair, evidence: Evidence) -> dict[str, Any]:
        never = [
            sum(self._epoch(r) is None for r in evidence.finished(row).values())
            for row in (pair.first, pair.second)
        ]
        names = [bare(self.first), bare(self.second)]
        reasons = [
            f"{name} never comes down to {self.to:g} % in {count} of its trials"
            for name, count in zip(names, never, strict=True)
            if count
        ]
        found: dict[str, Any] = {"limit": "; ".join(reasons)} if reasons else {}
        if never[0]:
            found["p_holds"] = None
        if never[1]:
            found["p_fails"] = None
        return found

    def obstacles(self, pair: Pair, evidence: Evidence) -> list[str]:
        found = super().obstacles(pair, evidence)
        if self.by == "epochs":
            return found
        rows = (pair.first, pair.second)
        if not all(row.timed for row in rows):
            found = [*found, "no timing run, so seconds of training beside whatever else ran"]
        if len({machine for row in rows for machine in evidence.machines_of(row)}) > 1:
            found = [*found, "seconds on unlike machines"]
        return found

    def more(self, finding: Finding) -> str:
        longer = 2 * int(finding.setting["epochs"]) if finding.limit else None
        return to_run_on(finding, longer)

    def show(self, value: float) -> str:
        return f"{value:.1f}"


def first_at(errors: Sequence[float | None], level: float) -> int | None:
    """Return the first epoch, from 1, whose error is at most a level; None where there is none."""
    reached = (k for k, e in enumerate(errors, start=1) if e is not None and e <= level)
    return next(reached, None)
