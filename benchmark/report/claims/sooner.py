"""How soon two algorithms come to a validation error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    to support. Seconds are epochs at the pace of timing runs on one machine; those of training
    itself, beside whatever else ran, decide nothing.
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

    def measure(self, row: Row, pair: Pair, evidence: Evidence) -> dict[int, float]:
        machine = _machine(pair, evidence) if self.by == "seconds" else None
        pace = evidence.paces(row)[machine] if machine else None
        return {seed: self._when(r, pace) for seed, r in evidence.finished(row).items()}

    def _when(self, record: Record, pace: float | None) -> float:
        seconds: Sequence[float] = record["curve"]["seconds"]
        epoch = self._epoch(record)
        if self.by == "epochs":
            return float(len(seconds) + 1 if epoch is None else epoch)
        if pace is not None:
            return pace * (len(seconds) if epoch is None else epoch)
        return float(sum(seconds[:epoch]))  # all of them where it is never reached

    def _epoch(self, record: Record) -> int | None:
        return first_at(record["curve"].get("validation_error", ()), self.to)

    def scale(self, pair: Pair, n: int, evidence: Evidence) -> str:
        machine = _machine(pair, evidence) if self.by == "seconds" else None
        timed = f", timed on {machine}" if machine else ""
        return super().scale(pair, n, evidence) + timed

    def limited(self, pair: Pair, numbers: Mapping[str, Any], evidence: Evidence) -> dict[str, Any]:
        """Return bounds in place of numbers from trials that never come down."""
        never = self._never(pair, evidence)
        if not any(never):
            return {}
        names = [bare(self.first), bare(self.second)]
        reasons = [
            f"{name} never comes down to {self.to:g} % in {count} of its trials"
            for name, count in zip(names, never, strict=True)
            if count
        ]
        bounds = zip(numbers["means"], never, strict=True)
        low, high = numbers["limits"] or (None, None)
        found = {
            "limit": "; ".join(reasons),
            "means": [f"≥ {mean}" if count else mean for mean, count in bounds],
            "silent": self._neither(pair, evidence),
        }
        if all(never):
            return found | {"value": None, "limits": None, "p_holds": None, "p_fails": None}
        if never[0]:
            return found | {"sign": "≥", "limits": (low, None), "p_holds": None}
        return found | {"sign": "≤", "limits": (None, high), "p_fails": None}

    def _never(self, pair: Pair, evidence: Evidence) -> list[int]:
        """Return how many trials of either side never come down."""
        return [
            sum(self._epoch(r) is None for r in evidence.finished(row).values())
            for row in (pair.first, pair.second)
        ]

    def _neither(self, pair: Pair, evidence: Evidence) -> bool:
        """Return whether no trial of either side comes down."""
        trained = [len(evidence.finished(row)) for row in (pair.first, pair.second)]
        return self._never(pair, evidence) == trained

    def obstacles(self, pair: Pair, evidence: Evidence) -> list[str]:
        found = super().obstacles(pair, evidence)
        if self._neither(pair, evidence):
            both = f"neither {bare(self.first)} nor {bare(self.second)}"
            found = [*found, f"{both} comes down to {self.to:g} % in any trial"]
        if self.by == "epochs" or _machine(pair, evidence):
            return found
        if all(evidence.paces(row) for row in (pair.first, pair.second)):
            return [*found, "timing runs on unlike machines"]
        return [*found, "no timing run, so seconds of training beside whatever else ran"]

    def more(self, finding: Finding) -> str:
        longer = 2 * int(finding.setting["epochs"]) if finding.limit else None
        return to_run_on(finding, longer)

    def show(self, value: float) -> str:
        return f"{value:.1f}"


def _machine(pair: Pair, evidence: Evidence) -> str | None:
    """Return hardware that both sides were timed on, None where there is none."""
    mine, other = evidence.paces(pair.first), evidence.paces(pair.second)
    return min((machine for machine in mine if machine in other), default=None)


def first_at(errors: Sequence[float | None], level: float) -> int | None:
    """Return the first epoch, from 1, whose error is at most a level; None where there is none."""
    reached = (k for k, e in enumerate(errors, start=1) if e is not None and e <= level)
    return next(reached, None)
