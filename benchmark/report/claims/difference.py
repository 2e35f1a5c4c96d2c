"""The difference of two algorithms' test errors."""

from __future__ import annotations

from dataclasses import dataclass

from credbench.report.claims.contest import Contest
from credbench.report.claims.criterion import bare
from credbench.report.claims.evidence import Evidence
from credbench.report.comparison import Pair
from credbench.report.summary import Row


@dataclass(frozen=True, kw_only=True)
class ErrorDifference(Contest):
    """The first's test error less the second's is below so many points."""

    @property
    def unit(self) -> str:
        return "points"

    @property
    def says(self) -> str:
        first, second = bare(self.first), bare(self.second)
        if self.bound == 0:
            return f"{first} has a {'lower' if self.below else 'higher'} test error than {second}"
        points = "point" if self.bound == 1 else "points"
        return f"{first}'s test error less {second}'s is {self._side} {self.bound:g} {points}"

    def measure(self, row: Row, pair: Pair, evidence: Evidence) -> dict[int, float]:
        return row.tests
