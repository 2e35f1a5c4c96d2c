"""A table with what each row's difference from the best one allows to say."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from credbench.report.statistics import Verdict, by_seed, judge
from credbench.report.summary import AXES, Row
from credbench.report.tables import Table, behind_test

FACTORS = ("algorithm", "optimizer", "tuning")
"""What rows may differ in to be compared: the algorithm, and what is chosen for it."""
SETTING = tuple(axis for axis in AXES if axis not in FACTORS)
"""What they have to share."""
_HEADING = "vs best"
_UNPAIRED = "§"


def likeness(row: Row) -> tuple[str, ...]:
    """Return what rows that are compared with each other share."""
    return tuple(row.arguments[axis] for axis in SETTING)


def grouped(rows: Iterable[Row], key: Callable[[Row], Hashable]) -> dict[Hashable, list[Row]]:
    """Return the rows by their key, in the order given."""
    found: dict[Hashable, list[Row]] = {}
    for row in rows:
        found.setdefault(key(row), []).append(row)
    return found


def best_of(rows: Iterable[Row]) -> Row | None:
    """Return the row with the lowest mean validation error among those with test errors.

    Test images choose nothing. Rows of one trial, and rows with trials that failed or diverged,
    are the best only where all are such. None where no row has test errors.
    """
    tested = [row for row in rows if row.tests and row.estimates["validation"]]
    whole = [row for row in tested if row.n > 1 and not {"failed", "diverged"} & {*row.unfinished}]
    return min(whole or tested, key=_validation, default=None)


def _validation(row: Row) -> float:
    found = row.estimates["validation"]
    return found.mean if found else float("inf")


@dataclass(frozen=True)
class BestTable:
    """A table, with each row's difference from the best row that is like it."""

    table: Table
    margin: float

    @property
    def title(self) -> str:
        """What stands above."""
        return self.table.title

    @property
    def caption(self) -> str:
        """The units, in a line."""
        return f"{self.table.caption}; {_HEADING} in points of test error"

    @property
    def names(self) -> int:
        """How many columns, from the left, are words."""
        return self.table.names

    @cached_property
    def _best(self) -> list[Row | None]:
        """The row that each is compared with; itself where it is the best of several."""
        found: dict[Hashable, Row | None] = {}
        for alike, rows in grouped(self.table.rows, likeness).items():
            several = sum(bool(row.tests) for row in rows) > 1
            found[alike] = best_of(rows) if several else None
        return [found[likeness(row)] if row.tests else None for row in self.table.rows]

    @cached_property
    def _verdicts(self) -> list[Verdict | None]:
        pairs = zip(self.table.rows, self._best, strict=True)
        found = [by_seed(r.tests, b.tests) if b and b is not r else None for r, b in pairs]
        judged = iter(judge([each for each in found if each], self.margin))
        return [next(judged) if each else None for each in found]

    def headings(self) -> list[str]:
        """Return the names of the columns."""
        headings = self.table.headings()
        return behind_test(headings, headings, [_HEADING])

    def cells(self) -> list[list[str]]:
        """Return the text of every cell."""
        headings = self.table.headings()
        return [
            behind_test(headings, cells, [_cell(row, best, verdict)])
            for cells, row, best, verdict in zip(
                self.table.cells(), self.table.rows, self._best, self._verdicts, strict=True
            )
        ]

    def footnotes(self) -> list[str]:
        """Return what the comparison is, what the marks mean, and the notes."""
        judged = [verdict for verdict in self._verdicts if verdict]
        unpaired = any(not verdict.difference.paired for verdict in judged)
        return [
            f"{_HEADING}: mean difference of test errors ± 95 % interval, paired by seed, from the "
            "row with the lowest validation error among those that differ in algorithm, optimizer "
            "and tuning alone.",
            "Verdicts: " + tests_made(judged, self.margin),
            *([f"{_UNPAIRED} unpaired (Welch): too few seeds in common."] if unpaired else []),
            *self.table.footnotes(),
        ]

    def dicts(self) -> list[dict[str, Any]]:
        """Return one flat dictionary a row."""
        return [
            flat | {"best": best.setting["algorithm"] if best else None}
            | {f"best_{key}": value for key, value in numbers(verdict).items()}
            for flat, best, verdict in zip(
                self.table.dicts(), self._best, self._verdicts, strict=True
            )
        ]  # fmt: skip


def tests_made(verdicts: Sequence[Verdict], margin: float) -> str:
    """Return how verdicts come about."""
    count = sum(verdict.p_difference is not None for verdict in verdicts)
    return (
        f"equivalent within {margin:g} points by two one-sided tests, else better or worse by a t "
        "test, each at 5 % after Holm's correction for the number of rows with an "
        f"interval, {count}; else undecided."
    )


def _cell(row: Row, best: Row | None, verdict: Verdict | None) -> str:
    if verdict is None:
        return "best" if row is best else "—"
    mark = "" if verdict.difference.paired else _UNPAIRED
    return f"{signed(verdict)}{mark}, {verdict.word}"


def signed(verdict: Verdict) -> str:
    """Return `+mean ± half width` in points, or what there is of it."""
    half = verdict.difference.half_width()
    return f"{verdict.difference.mean:+.2f}" + ("" if half is None else f" ± {half:.2f}")


def numbers(verdict: Verdict | None) -> dict[str, Any]:
    """Return the numbers behind a verdict by name, all None where there is none."""
    if verdict is None:
        return dict.fromkeys(_NUMBERS)
    found = verdict.difference
    values: Sequence[Any] = (
        verdict.word, found.mean, found.half_width(), min(found.n), found.paired, verdict.margin,
        verdict.p_difference, verdict.p_equivalence,
    )  # fmt: skip
    return dict(zip(_NUMBERS, values, strict=True))


_NUMBERS = (
    "verdict", "difference", "difference_half_width", "difference_n", "paired", "margin",
    "p_difference", "p_equivalence",
)  # fmt: skip
