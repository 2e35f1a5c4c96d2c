"""The test error of one algorithm against a level."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from credbench.report.best import best_of, grouped
from credbench.report.claims.criterion import Criterion, bare, nearest_first
from credbench.report.claims.evidence import Evidence
from credbench.report.claims.finding import Finding, held_against
from credbench.report.claims.needs import epochs_of
from credbench.report.claims.supply import to_run, to_run_on
from credbench.report.statistics import one_sample
from credbench.report.summary import AXES, Row


@dataclass(frozen=True, kw_only=True)
class ErrorLevel(Criterion):
    """The mean test error of an algorithm is below a level, or above it.

    Of all settings on one dataset, network and activation, the best on validation is taken, each
    with its longest run.
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
            deciding = [row for row in alike if not evidence.lacks(row, self.needs)]
            best = best_of(_longest(deciding or alike))
            if best is not None:
                found.append(self._finding(best, evidence))
        return nearest_first(found)

    def _finding(self, row: Row, evidence: Evidence) -> Finding:
        tests = list(row.tests.values())
        error = one_sample(tests)
        assert error is not None, "a row that is taken has test errors"
        numbers: dict[str, Any] = held_against(error, self.bound, self.below)
        return Finding(
            setting=row.setting,
            algorithms=(row.setting["algorithm"],),
            detail=row.setting["algorithm"],
            scale=evidence.scale([row], len(tests)),
            n=len(tests),
            seeds=tuple(row.tests),
            lacks=tuple(evidence.lacks(row, self.needs)),
            ids=row.ids,
            **numbers,
        )

    def absent(self, evidence: Evidence) -> str:
        return f"no records of {bare(self.algorithm)} on {self.needs.place}"

    def command(self) -> str:
        return to_run([self.algorithm], self.needs)

    def more(self, finding: Finding) -> str:
        return to_run_on(finding)


def _longest(rows: Sequence[Row]) -> list[Row]:
    """Return, of the rows that differ in epochs alone, the one trained longest."""
    axes = [axis for axis in AXES if axis != "epochs"]
    alike = grouped(rows, lambda row: tuple(row.arguments[axis] for axis in axes))
    return [max(each, key=epochs_of) for each in alike.values()]


def _place(row: Row) -> Hashable:
    return tuple(row.arguments[axis] for axis in ("dataset", "network", "activation"))
