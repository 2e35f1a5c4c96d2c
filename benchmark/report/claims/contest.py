"""Tests that hold one algorithm against another in records."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from credbench.report.claims.criterion import Criterion, bare, nearest_first
from credbench.report.claims.evidence import Evidence
from credbench.report.claims.finding import Finding, held_against
from credbench.report.claims.pairs import candidates
from credbench.report.claims.supply import to_run, to_run_on
from credbench.report.comparison import Pair
from credbench.report.statistics import Difference, by_seed
from credbench.report.summary import Row


@dataclass(frozen=True, kw_only=True)
class Contest(Criterion):
    """A difference of two algorithms, first less second, at equal settings and by seed."""

    first: str
    second: str

    @abstractmethod
    def measure(self, row: Row, pair: Pair, evidence: Evidence) -> dict[int, float]:
        """Return the number of each finished trial of one row of a pair, by seed."""

    def obstacles(self, pair: Pair, evidence: Evidence) -> list[str]:
        """Return why the numbers of a pair cannot be compared, whatever its scale."""
        origins = [evidence.origins(row) for row in (pair.first, pair.second)]
        return [] if origins[0] == origins[1] else ["images read from unlike files"]

    def limited(self, pair: Pair, numbers: Mapping[str, Any], evidence: Evidence) -> dict[str, Any]:
        """Return what a pair's numbers, by their names in a finding, have to be replaced by."""
        return {}

    def scale(self, pair: Pair, n: int, evidence: Evidence) -> str:
        """Return what the numbers of a pair were measured at, in words."""
        return evidence.scale([pair.first, pair.second], n)

    def findings(self, evidence: Evidence) -> list[Finding]:
        found = []
        for each in candidates(evidence, self.needs, self.first, self.second):
            rows = (each.pair.first, each.pair.second)
            sides = [self.measure(row, each.pair, evidence) for row in rows]
            difference = by_seed(*sides)
            if difference is not None:
                found.append(self._finding(each.pair, sides, difference, each.lacks, evidence))
        return nearest_first(found)

    def _finding(
        self,
        pair: Pair,
        sides: list[dict[int, float]],
        difference: Difference,
        lacks: tuple[str, ...],
        evidence: Evidence,
    ) -> Finding:
        n = min(difference.n)
        more = [*self.obstacles(pair, evidence), *self.needs.too_few(n)]
        means = (sum(side.values()) / len(side) for side in sides)
        numbers: dict[str, Any] = held_against(difference, self.bound, self.below)
        numbers["means"] = [self.show(mean) for mean in means]
        numbers |= self.limited(pair, numbers, evidence)
        return Finding(
            setting=pair.first.setting,
            algorithms=tuple(row.setting["algorithm"] for row in (pair.first, pair.second)),
            detail=" against ".join(numbers.pop("means")),
            scale=self.scale(pair, n, evidence),
            n=n,
            seeds=tuple({*sides[0], *sides[1]}),
            lacks=tuple(dict.fromkeys([*lacks, *more])),
            ids=(*pair.first.ids, *pair.second.ids),
            **numbers,
        )

    def absent(self, evidence: Evidence) -> str:
        sides = {name: evidence.of(name, self.needs) for name in (self.first, self.second)}
        none = [bare(name) for name, rows in sides.items() if not rows]
        if none:
            return f"no records of {' and '.join(none)} on {self.needs.place}"
        both = f"{bare(self.first)} and {bare(self.second)}"
        return f"no records of {both} at equal settings on {self.needs.place}"

    def command(self) -> str:
        return to_run([self.first, self.second], self.needs)

    def more(self, finding: Finding) -> str:
        return to_run_on(finding)
