"""Means, intervals, and what differences between two samples allow one to say.

Everything here is a pure function of numbers. Samples are test errors, so smaller is better, and
one seed's number counts as one draw.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

LEVEL = 0.95
"""The level of every interval; tests are made at one less it."""
MARGIN = 0.5
"""The difference, in points, below which two errors count as equivalent unless said otherwise."""


@dataclass(frozen=True)
class Estimate:
    """A mean over trials; `half_width` is that of its 95 % interval, None below two trials."""

    mean: float
    half_width: float | None
    n: int


def estimate(values: Sequence[float], level: float = LEVEL) -> Estimate | None:
    """Return the mean and its Student-t interval, or None where there are no values.

    The interval is mean ± t_{(1+level)/2, n−1} · s / √n, which assumes trials independent and
    their means near normal.
    """
    if not values:
        return None
    n, mean = len(values), statistics.fmean(values)
    if n < 2:
        return Estimate(mean, None, n)
    error = statistics.stdev(values) / math.sqrt(n)
    return Estimate(mean, _quantile(n - 1, level) * error, n)


def _quantile(freedom: float, level: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + level) / 2))


@dataclass(frozen=True)
class Difference:
    """A mean difference, first less second, that is judged by a t distribution."""

    mean: float
    error: float | None
    """The standard error of the mean; None where there are too few numbers for one."""
    freedom: float
    n: tuple[int, int]
    """How many numbers of either sample are in it."""
    paired: bool

    def half_width(self, level: float = LEVEL) -> float | None:
        """Return half the width of the mean's interval, or None without a standard error."""
        return None if self.error is None else _quantile(self.freedom, level) * self.error

    def p_difference(self) -> float | None:
        """Return the two-sided p of a true difference of 0, or None without a standard error.

        Where all differences are the same it is the limit: 1 for zero, 0 for any other.
        """
        return None if self.error is None else 2 * self._tail(abs(self.mean))

    def p_equivalence(self, margin: float) -> float | None:
        """Return the p of a true difference of `margin` or more, either way: the larger of two.

        These are the one-sided tests of difference ≤ −margin and difference ≥ margin (Schuirmann
        1987). None without a standard error.
        """
        below, above = self.p_below(margin), self.p_above(-margin)
        return None if below is None or above is None else max(below, above)

    def p_below(self, bound: float) -> float | None:
        """Return the one-sided p of a true difference of `bound` or more.

        Small where the difference is below the bound. None without a standard error.
        """
        return None if self.error is None else self._tail(bound - self.mean)

    def p_above(self, bound: float) -> float | None:
        """Return the one-sided p of a true difference of `bound` or less, as `p_below` does."""
        return None if self.error is None else self._tail(self.mean - bound)

    def limits(self, level: float = LEVEL) -> tuple[float, float] | None:
        """Return the one-sided limits of the mean: each holds by itself at the level.

        None without a standard error.
        """
        half = self.half_width(2 * level - 1)
        return None if half is None else (self.mean - half, self.mean + half)

    def _tail(self, distance: float) -> float:
        """Return P(T ≥ distance / error), in the limit where the error is 0."""
        from scipy.special import stdtr

        if not self.error:
            return 0.5 if distance == 0 else float(distance < 0)
        return float(stdtr(self.freedom, -distance / self.error))


def one_sample(values: Sequence[float]) -> Difference | None:
    """Return the mean of one sample as its difference from 0, or None where there are no values.

    Numbers that are not finite are left out. The difference of pairs is that of one sample too.
    """
    kept = [value for value in values if math.isfinite(value)]
    if not kept:
        return None
    n = len(kept)
    error = statistics.stdev(kept) / math.sqrt(n) if n > 1 else None
    return Difference(statistics.fmean(kept), error, n - 1, (n, n), paired=True)


def paired(first: Sequence[float], second: Sequence[float]) -> Difference | None:
    """Return the mean difference of pairs, or None where no pair is left.

    Pairs with a number that is not finite are left out. Raises `ValueError` for samples of
    unequal lengths.
    """
    return one_sample([a - b for a, b in zip(first, second, strict=True)])


def welch(first: Sequence[float], second: Sequence[float]) -> Difference | None:
    """Return the difference of the means of independent samples, or None where one is empty.

    Variances may differ; the degrees of freedom are Welch and Satterthwaite's. Numbers that are
    not finite are left out.
    """
    samples = [[value for value in sample if math.isfinite(value)] for sample in (first, second)]
    if not all(samples):
        return None
    a, b = (len(sample) for sample in samples)
    mean = statistics.fmean(samples[0]) - statistics.fmean(samples[1])
    if min(a, b) < 2:
        return Difference(mean, None, 0, (a, b), paired=False)
    u, v = (statistics.variance(sample) / len(sample) for sample in samples)
    spread = u * u / (a - 1) + v * v / (b - 1)
    freedom = (u + v) ** 2 / spread if spread else a + b - 2
    return Difference(mean, math.sqrt(u + v), freedom, (a, b), paired=False)


def by_seed(first: Mapping[int, float], second: Mapping[int, float]) -> Difference | None:
    """Return the difference of two samples, by seed: first less second.

    Seeds that both have are paired, and others left out, where there are two such seeds or more,
    or where one is all there is to go by; else the samples are taken as independent. None where
    one is empty.
    """
    both = [seed for seed in first if seed in second]
    alone = welch(list(first.values()), list(second.values()))
    if len(both) > 1 or (both and alone is not None and alone.error is None):
        return paired([first[seed] for seed in both], [second[seed] for seed in both])
    return alone


def holm(found: Sequence[float | None]) -> list[float | None]:
    """Return p values corrected for their number (Holm 1979), in the order given.

    Rejecting where one is at most α bounds by α the chance of any false rejection among them,
    however they depend on each other. None, for a test that could not be made, stays None and
    does not count.
    """
    ranked = sorted((p, place) for place, p in enumerate(found) if p is not None)
    corrected: list[float | None] = [None] * len(found)
    largest = 0.0
    for rank, (p, place) in enumerate(ranked):
        largest = max(largest, min(1.0, (len(ranked) - rank) * p))
        corrected[place] = largest
    return corrected


@dataclass(frozen=True)
class Verdict:
    """What is said of a difference, and the numbers behind it."""

    word: str
    """`better` (the first's errors are smaller), `worse`, `equivalent` or `undecided`."""
    difference: Difference
    margin: float
    p_difference: float | None
    """Corrected for all differences judged with this one, as is the next."""
    p_equivalence: float | None


def judge(
    differences: Sequence[Difference], margin: float = MARGIN, level: float = LEVEL
) -> list[Verdict]:
    """Return a verdict on each of a family of differences.

    Two families of tests are made and each is corrected by `holm`: of no difference, one test a
    difference, and of a difference of `margin` or more. So the chance that any `better` or
    `worse` is said of errors that are truly the same is at most 1 − level, and so is, apart from
    it, the chance that any `equivalent` is said of errors that truly differ by `margin` or more.
    Where both tests reject, the difference is real but smaller than what matters: `equivalent`.
    """
    different = holm([each.p_difference() for each in differences])
    equivalent = holm([each.p_equivalence(margin) for each in differences])
    return [
        Verdict(_word(each, p, q, 1 - level), each, margin, p, q)
        for each, p, q in zip(differences, different, equivalent, strict=True)
    ]


def _word(found: Difference, different: float | None, same: float | None, alpha: float) -> str:
    if same is not None and same <= alpha:
        return "equivalent"
    if different is not None and different <= alpha:
        return "better" if found.mean < 0 else "worse"
    return "undecided"
