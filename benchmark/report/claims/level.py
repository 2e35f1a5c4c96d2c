"""The test error of one algorithm against a level."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from credbench.report.best import best_of, grouped
from credbench.report.claims.criterion import Criterion, bare, nearest_first
from credbench.report.claims.evidence import Evidence
from credbench.report.claims.finding import Finding, held_against
from credbench.report.claims.supply import to_run, to_run_on
from credbench.report.statistics import paired
from credbench.report.summary import Row


@dataclass(frozen=True, kw_only=True)
class ErrorLevel(Criterion):
    """The mean test error of an algorithm is below a level, or above it.

    Of all settings on one dataset, network and activation, the best on validation is taken.
    """

    algorithm: str

    @property
    def unit(self) -> str:
        return "%"

    @property
    def says(self) -> str:
        return f"{bare(self.algorithm)} has a test error {self._side} {self.bound:g} %"

    def findings(self, evidence: Evidence) -> list[Finding]:
        rows = evidence.of(self.algorithm, self.needs)
        found = []
        for alike in grouped(rows, _place).values():
            deciding = [row for row in alike if not self.needs.lacks(row)]
            best = best_of(deciding or alike)
            if best is not None:
                found.append(self._finding(best, evidence))
        return nearest_first(found)

    def _finding(self, row: Row, evidence: Evidence) -> Finding:
        tests: Sequence[float] = list(row.tests.values())
        error = paired(tests, [0.0] * len(tests))
        assert error is not None, "a row that is taken has test errors"
        numbers: dict[str, Any] = held_against(error, self.bound, self.below)
        return Finding(
            setting=row.setting,
            algorithms=(row.setting["algorithm"],),
            detail=row.setting["algorithm"],
            scale=evidence.scale([row], len(tests)),
            n=len(tests),
            seeds=tuple(row.tests),
            lacks=tuple(self.needs.lacks(row)),
            ids=row.ids,
            **numbers,
        )

    def absent(self, evidence: Evidence) -> str:
        return f"no records of {bare(self.algorithm)} on {self.needs.place}"

    def command(self) -> str:
        return to_run([self.algorithm], self.needs)

    def more(self, finding: Finding) -> str:
        return to_run_on(finding)


def _place(row: Row) -> Hashable:
    return tuple(row.arguments[axis] for axis in ("dataset", "network", "activation"))
