"""Two algorithms, or two experiments, side by side: one row and one sentence a setting."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from credbench.report.best import (
    FACTORS,
    SETTING,
    best_of,
    grouped,
    likeness,
    numbers,
    signed,
    tests_made,
)
from credbench.report.statistics import LEVEL, Difference, Verdict, by_seed, judge
from credbench.report.summary import AXES, Row
from credbench.report.tables import show
from credbench.spec import parse_axis

_SHOWN = 3
"""How many rows that are not compared are named."""
Key = Callable[[Row], Hashable]


@dataclass(frozen=True)
class Pair:
    """Two rows to compare, each the best on validation of what it stands for."""

    first: Row
    second: Row
    choices: tuple[int, int]
    """How many rows each was chosen from."""


@dataclass(frozen=True)
class Pairing:
    """What can be compared, and the rows that nothing stands against."""

    pairs: tuple[Pair, ...]
    left: tuple[tuple[Row, ...], tuple[Row, ...]]


def pair_algorithms(first: Sequence[Row], second: Sequence[Row]) -> Pairing:
    """Pair the rows of two algorithms where all is equal but what is chosen for an algorithm."""
    return _pair(first, second, [likeness])


def pair_experiments(first: Sequence[Row], second: Sequence[Row]) -> Pairing:
    """Pair the rows of two experiments where all is equal but what the experiments differ in.

    That is every axis, the dataset excepted, on which they have no value in common; and where an
    algorithm's parameters, optimiser or tuning are not equal, the same algorithm.
    """
    first, second = _tested(first), _tested(second)
    shared = [a for a in SETTING if a == "dataset" or not disjoint(first, second, a)]

    def named(row: Row) -> Hashable:
        return _name(row), tuple(row.arguments[axis] for axis in shared)

    def exact(row: Row) -> Hashable:
        return named(row), row.arguments["algorithm"], row.arguments["optimizer"]

    return _pair(first, second, [exact, named])


def disjoint(first: Sequence[Row], second: Sequence[Row], axis: str) -> bool:
    """Return whether two sets of rows have no value of an axis in common."""
    return not {r.arguments[axis] for r in first} & {r.arguments[axis] for r in second}


def _tested(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row.tests]


def _name(row: Row) -> str:
    return parse_axis(row.arguments["algorithm"])[0].name


def _pair(first: Sequence[Row], second: Sequence[Row], keys: Sequence[Key]) -> Pairing:
    """Pair by each key in turn what is left over by those before it."""
    firsts, seconds = _tested(first), _tested(second)
    pairs = []
    for key in keys:
        mine, other = grouped(firsts, key), grouped(seconds, key)
        for value in [value for value in mine if value in other]:
            these, those = mine.pop(value), other.pop(value)
            one, two = best_of(these), best_of(those)
            if one is not None and two is not None:
                pairs.append(Pair(one, two, (len(these), len(those))))
        firsts, seconds = (
            [row for rows in left.values() for row in rows] for left in (mine, other)
        )
    return Pairing(tuple(pairs), (tuple(firsts), tuple(seconds)))


@dataclass(frozen=True)
class Comparison:
    """A table of pairs: errors, difference, verdict, and a sentence for each."""

    labels: tuple[str, str]
    algorithms: bool
    """Whether two algorithms are compared; else two experiments."""
    pairing: Pairing
    margin: float
    notes: Sequence[str] = ()

    caption: ClassVar[str] = "test errors in percent, differences in points"

    @property
    def title(self) -> str:
        """What stands above."""
        return " against ".join(self.labels)

    @property
    def names(self) -> int:
        """How many columns, from the left, are words."""
        return len(self._axes)

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """What is compared."""
        return self.pairing.pairs

    @cached_property
    def _axes(self) -> list[str]:
        """The axes that tell pairs apart, and the dataset."""
        own = () if self.algorithms else ("algorithm",)
        axes = [axis for axis in AXES if axis in (*SETTING, *own)]
        told = {axis for axis in axes if len({p.first.arguments[axis] for p in self.pairs}) > 1}
        return [axis for axis in axes if axis in told or axis in ("dataset", *own)]

    @cached_property
    def _verdicts(self) -> list[Verdict]:
        return judge([_difference(pair) for pair in self.pairs], self.margin)

    def headings(self) -> list[str]:
        """Return the names of the columns."""
        axes = [axis.replace("_", " ") for axis in self._axes]
        return [*axes, *(f"{label} %" for label in self.labels), "difference", "verdict", "n"]

    def cells(self) -> list[list[str]]:
        """Return the text of every cell."""
        return [
            [
                *(pair.first.setting[axis] for axis in self._axes),
                *(show(row.estimates["test"]) for row in (pair.first, pair.second)),
                signed(verdict),
                verdict.word,
                _count(verdict.difference),
            ]
            for pair, verdict in zip(self.pairs, self._verdicts, strict=True)
        ]

    def footnotes(self) -> list[str]:
        """Return a sentence a pair, what stands for a side where that was chosen, and the notes."""
        return [
            *self.sentences(),
            *dict.fromkeys(text for pair in self.pairs for text in self._chosen(pair)),
            *self._unlike(),
            *self._left(),
            "Mean difference of test errors, first less second, with its 95 % interval (Student t, "
            "paired by seed; Welch where seeds do not match), not corrected. Verdicts: "
            + tests_made(self._verdicts, self.margin),
            *self.notes,
        ]

    def _left(self) -> list[str]:
        """Return what is not compared, some of it by name."""
        sides = zip(reversed(self.labels), self.pairing.left, strict=True)
        return [
            f"Not compared, as {other} has nothing like it: "
            + "; ".join(map(_where, rows[:_SHOWN]))
            + (f"; and {len(rows) - _SHOWN} more." if len(rows) > _SHOWN else ".")
            for other, rows in sides
            if rows
        ]

    def sentences(self) -> list[str]:
        """Return what is to be said of each pair, in plain words."""
        return [
            f"{self._told(pair, verdict)} ({_grounds(verdict.difference)}"
            f"{self._lost(pair)}): {_word(verdict, self._verdicts)}."
            for pair, verdict in zip(self.pairs, self._verdicts, strict=True)
        ]

    def _told(self, pair: Pair, verdict: Verdict) -> str:
        one, two = self.labels
        if not self.algorithms:
            one, two = f"{pair.first.setting['algorithm']} in {one}", f"in {two}"
        place = ", ".join(pair.first.setting[a] for a in self._axes if a != "algorithm")
        mean = verdict.difference.mean
        if f"{abs(mean):.2f}" == "0.00":
            return f"{one} and {two} differ by 0.00 points on {place}"
        way = "worse" if mean > 0 else "better"
        return f"{one} is {abs(mean):.2f} points {way} than {two} on {place}"

    def _lost(self, pair: Pair) -> str:
        """Return which trials came to nothing, as they are not in the difference."""
        return "".join(
            f"; {label}: {count} {status}"
            for label, row in zip(self.labels, (pair.first, pair.second), strict=True)
            for status, count in row.unfinished.items()
        )

    def _chosen(self, pair: Pair) -> list[str]:
        """Return what stands for either side, where the labels do not say that."""
        sides = list(zip(self.labels, (pair.first, pair.second), pair.choices, strict=True))
        if not self.algorithms and _spelled(pair.first) == _spelled(pair.second):
            sides = [side for side in sides if side[2] > 1]
        place = ", ".join(pair.first.setting[axis] for axis in self._axes)
        return [
            f"{label} on {place}: {_spelled(row)}"
            + (f", the best of {choices} on validation." if choices > 1 else ".")
            for label, row, choices in sides
        ]

    def _unlike(self) -> list[str]:
        """Return what the two sides are on axes where some pair's rows are not equal."""
        return [
            f"{label}: {axis.replace('_', ' ')} {' or '.join(dict.fromkeys(values))}."
            for axis in AXES
            if axis not in ("algorithm", "optimizer")
            and any(p.first.arguments[axis] != p.second.arguments[axis] for p in self.pairs)
            for label, values in (
                (self.labels[0], [p.first.setting[axis] for p in self.pairs]),
                (self.labels[1], [p.second.setting[axis] for p in self.pairs]),
            )
        ]

    def dicts(self) -> list[dict[str, Any]]:
        """Return one flat dictionary a pair."""
        return [
            {axis: pair.first.setting[axis] for axis in SETTING}
            | _side("first", self.labels[0], pair.first)
            | _side("second", self.labels[1], pair.second)
            | numbers(verdict)
            | {"sentence": sentence}
            for pair, verdict, sentence in zip(
                self.pairs, self._verdicts, self.sentences(), strict=True
            )
        ]


def _difference(pair: Pair) -> Difference:
    found = by_seed(pair.first.tests, pair.second.tests)
    assert found is not None, "rows without test errors are not paired"
    return found


def _spelled(row: Row) -> str:
    return f"{row.setting['algorithm']}, {row.setting['optimizer']}"


def _where(row: Row) -> str:
    return ", ".join(
        row.setting[axis] for axis in ("algorithm", "dataset", "network", "activation")
    )


def _count(found: Difference) -> str:
    return str(found.n[0]) if found.paired else f"{found.n[0]} and {found.n[1]}"


def _grounds(found: Difference) -> str:
    """Return the interval, in the direction of the difference, and the seeds behind it."""
    seeds = f"{_count(found)} seed{'s' if found.n != (1, 1) else ''}"
    seeds += "" if found.paired else ", not the same"
    half, mean = found.half_width(), abs(found.mean)
    if half is None:
        return f"no interval, {seeds}"
    way, back = ("worse", "better") if found.mean > 0 else ("better", "worse")
    if half > mean:
        return f"95 % interval {half - mean:.2f} {back} to {mean + half:.2f} {way}, {seeds}"
    return f"95 % interval {mean - half:.2f} to {mean + half:.2f}, {seeds}"


def _word(verdict: Verdict, family: Sequence[Verdict]) -> str:
    """Return the verdict, and whether it is for the correction that there is none."""
    if verdict.word == "equivalent":
        return f"equivalent within {verdict.margin:g} points"
    found, alpha = verdict.difference, 1 - LEVEL
    alone = (found.p_difference(), found.p_equivalence(verdict.margin))
    if verdict.word == "undecided" and any(p is not None and p <= alpha for p in alone):
        count = sum(each.p_difference is not None for each in family)
        return f"undecided once corrected for {count} rows"
    return verdict.word


def _side(side: str, label: str, row: Row) -> dict[str, Any]:
    found = row.estimates["test"]
    return {
        side: label,
        **{f"{side}_{axis}": row.setting[axis] for axis in FACTORS},
        f"{side}_test_mean": found.mean if found else None,
        f"{side}_test_half_width": found.half_width if found else None,
        f"{side}_n": len(row.tests),
    }
