"""Two algorithms side by side at equal settings, those that decide and those that do not."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from credbench.report.best import SETTING, likeness
from credbench.report.claims.evidence import Evidence
from credbench.report.claims.needs import Needs, epochs_of, epochs_text
from credbench.report.comparison import Pair, pair_algorithms
from credbench.report.summary import Row


@dataclass(frozen=True)
class Candidate:
    """A pair of rows, and why it does not decide."""

    pair: Pair
    lacks: tuple[str, ...]


def candidates(evidence: Evidence, needs: Needs, first: str, second: str) -> list[Candidate]:
    """Return the pairs of two algorithms where all is equal but what is chosen for an algorithm.

    Either side is the best on validation of those rows that decide or, where a setting has no
    such pair, of all. Of pairs that differ in epochs alone, the one trained longest decides.
    """
    mine, other = evidence.of(first, needs), evidence.of(second, needs)
    whole = pair_algorithms(*(_deciding(rows, needs, evidence) for rows in (mine, other))).pairs
    settled = {likeness(pair.first) for pair in whole}
    rest = [p for p in pair_algorithms(mine, other).pairs if likeness(p.first) not in settled]
    longest: dict[Hashable, int] = {}
    for pair in whole:
        key = _but_epochs(pair.first)
        longest[key] = max(longest.get(key, 0), epochs_of(pair.first))
    return [
        *(Candidate(pair, _outrun(pair.first, longest[_but_epochs(pair.first)])) for pair in whole),
        *(Candidate(pair, _of_both(pair, needs, evidence)) for pair in rest),
    ]


def _deciding(rows: Sequence[Row], needs: Needs, evidence: Evidence) -> list[Row]:
    return [row for row in rows if not evidence.lacks(row, needs)]


def _but_epochs(row: Row) -> Hashable:
    return tuple(row.arguments[axis] for axis in SETTING if axis != "epochs")


def _outrun(row: Row, longest: int) -> tuple[str, ...]:
    if epochs_of(row) == longest:
        return ()
    return (f"{epochs_text(row)}, where {longest} were trained",)


def _of_both(pair: Pair, needs: Needs, evidence: Evidence) -> tuple[str, ...]:
    both = [evidence.lacks(row, needs) for row in (pair.first, pair.second)]
    return tuple(dict.fromkeys(both[0] + both[1]))
