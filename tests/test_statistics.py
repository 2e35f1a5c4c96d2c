"""Differences, tests and corrections against their definitions, scipy and simulation."""

import math
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from credbench.report.statistics import by_seed, holm, judge, one_sample, paired, welch

CASES = [(seed, n) for seed in range(5) for n in (2, 3, 5, 20)]


def samples(seed, n, m=None):
    random = np.random.default_rng(seed)
    shift, spread = random.uniform(-1, 1), random.uniform(0.1, 2)
    first = random.normal(shift, 1, n)
    return first.tolist(), random.normal(0, spread, m or n).tolist()


@pytest.mark.parametrize("seed, n", CASES)
def test_paired_differences_are_those_of_scipy(seed, n):
    first, second = samples(seed, n)
    found, theirs = paired(first, second), stats.ttest_rel(first, second)
    assert found.p_difference() == pytest.approx(theirs.pvalue)
    interval = theirs.confidence_interval(0.95)
    half = found.half_width()
    assert (found.mean - half, found.mean + half) == pytest.approx(tuple(interval))
    assert (found.n, found.paired) == ((n, n), True)


@pytest.mark.parametrize("seed, n", CASES)
def test_means_of_one_sample_are_those_of_scipy(seed, n):
    values, _ = samples(seed, n)
    found = one_sample([*values, math.nan])
    for p, side in ((found.p_below(0.2), "less"), (found.p_above(0.2), "greater")):
        assert p == pytest.approx(stats.ttest_1samp(values, 0.2, alternative=side).pvalue)
    assert found.mean == pytest.approx(sum(values) / n) and one_sample([math.inf]) is None


@pytest.mark.parametrize("seed, n", CASES)
def test_unpaired_differences_are_those_of_scipy(seed, n):
    first, second = samples(seed, n, n + seed)
    found, theirs = welch(first, second), stats.ttest_ind(first, second, equal_var=False)
    assert found.p_difference() == pytest.approx(theirs.pvalue)
    half = found.half_width()
    interval = theirs.confidence_interval(0.95)
    assert (found.mean - half, found.mean + half) == pytest.approx(tuple(interval))
    assert (found.n, found.paired) == ((n, n + seed), False)


@pytest.mark.parametrize("seed, n", CASES)
def test_equivalence_is_two_one_sided_tests(seed, n):
    first, second = samples(seed, n)
    apart = np.subtract(first, second)
    above = stats.ttest_1samp(apart, -0.7, alternative="greater").pvalue
    below = stats.ttest_1samp(apart, 0.7, alternative="less").pvalue
    assert paired(first, second).p_equivalence(0.7) == pytest.approx(max(above, below))


@pytest.mark.parametrize("seed, n", CASES)
def test_one_sided_tests_and_limits_are_those_of_scipy(seed, n):
    first, second = samples(seed, n)
    found, apart = paired(first, second), np.subtract(first, second)
    for p, side in ((found.p_below(0.3), "less"), (found.p_above(0.3), "greater")):
        assert p == pytest.approx(stats.ttest_1samp(apart, 0.3, alternative=side).pvalue)
    less, greater = (stats.ttest_1samp(apart, 0, alternative=s) for s in ("less", "greater"))
    low, high = greater.confidence_interval(0.95).low, less.confidence_interval(0.95).high
    assert found.limits() == pytest.approx((low, high))


def test_one_number_has_no_limits_and_equal_numbers_no_doubt():
    alone = paired([1.0], [2.0])
    assert alone.limits() is None and alone.p_below(0) is None and alone.p_above(0) is None
    same = paired([1.0, 2.0], [2.0, 3.0])
    assert (same.p_below(0), same.p_above(0), same.limits()) == (0, 1, (-1, -1))
    assert same.p_below(-1) == same.p_above(-1) == 0.5


@pytest.mark.parametrize("seed", range(10))
def test_holms_correction_is_the_closure_of_bonferronis(seed):
    """A hypothesis falls where every set of them that it is in falls by its smallest p."""
    found = (np.random.default_rng(seed).uniform(0, 1, 6) ** 3).tolist()
    sets = [s for size in range(1, 7) for s in combinations(range(6), size)]
    closed = [
        max(min(1.0, len(s) * min(found[k] for k in s)) for s in sets if k in s) for k in range(6)
    ]
    assert holm(found) == pytest.approx(closed)


def test_tests_that_could_not_be_made_do_not_count():
    assert holm([0.01, None, 0.04, None]) == [0.02, None, 0.04, None]
    assert holm([0.5, 0.9, 0.01]) == pytest.approx([1.0, 1.0, 0.03])
    assert holm([None]) == [None] and holm([]) == []


@pytest.mark.parametrize("difference", (paired, welch))
def test_intervals_cover_the_true_difference_as_often_as_they_say(difference):
    random = np.random.default_rng(0)
    draws = random.normal(0, 1, size=(3000, 2, 5)) * [[1], [3]] + [[4], [1]]
    found = [difference(*draw) for draw in draws.tolist()]
    hits = [abs(each.mean - 3) <= each.half_width() for each in found]
    assert np.mean(hits) == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize(
    "truth, margin, wrong", ((0.0, 0.01, {"better", "worse"}), (0.5, 0.5, {"equivalent"}))
)
def test_a_family_is_wrong_no_more_often_than_it_says(truth, margin, wrong):
    """Of six differences that share their second sample, as rows share the best one."""
    random = np.random.default_rng(1)
    errs = 0
    for _ in range(1000):
        best = random.normal(0, 0.1, 4)
        others = truth + random.normal(0, 0.1, (6, 4))
        family = [paired(row.tolist(), best.tolist()) for row in others]
        errs += bool(wrong & {verdict.word for verdict in judge(family, margin)})
    assert 5 <= errs <= 65  # 50 at most, and about 15 of sampling; not for want of trying


SEEDS = (0.00, 0.02, -0.01, 0.01, -0.02)


def verdict(first, second, margin=0.5):
    (found,) = judge([paired(first, second)], margin)
    return found


def test_a_known_tie_is_equivalent():
    found = verdict([2.5, 2.6, 2.4], [2.5, 2.6, 2.4])
    assert (found.word, found.p_difference, found.p_equivalence) == ("equivalent", 1.0, 0.0)
    assert found.difference.half_width() == 0


def test_what_is_small_and_sure_is_equivalent_within_the_margin_alone():
    near = [0.2 + noise for noise in SEEDS]
    assert verdict(near, [0.0] * 5).word == "equivalent"
    assert verdict(near, [0.0] * 5, margin=0.1).word == "worse"


def test_the_smaller_error_is_the_better():
    low, high = [2 + noise for noise in SEEDS], [3 - noise for noise in SEEDS]
    assert (verdict(low, high).word, verdict(high, low).word) == ("better", "worse")
    assert verdict(low, high).difference.mean == pytest.approx(-1)


def test_what_is_large_or_small_but_not_sure_is_undecided():
    assert verdict([2.0, 4.0, 3.0], [3.0, 2.0, 5.0]).word == "undecided"
    assert verdict([9.0], [2.0]).word == "undecided"
    assert verdict([2.0], [2.0]).p_equivalence is None


def test_many_differences_need_more_than_one():
    """p = 0.03 decides alone, and not among two of its kind."""
    one = paired([1.0, 1.25, 0.65], [0.0, 0.0, 0.0])
    assert 0.025 < one.p_difference() < 0.05
    assert [v.word for v in judge([one])] == ["worse"]
    assert [v.word for v in judge([one, paired([1.0, 2.0], [2.0, 1.0])])] == ["undecided"] * 2
    assert [v.word for v in judge([one, paired([1.0], [2.0])])] == ["worse", "undecided"]


def test_the_same_difference_at_every_seed_is_the_limit():
    found = verdict([3.0, 4.0], [2.0, 3.0])
    assert (found.word, found.p_difference, found.p_equivalence) == ("worse", 0.0, 1.0)
    assert verdict([2.25, 3.25], [2.0, 3.0]).word == "equivalent"
    assert verdict([2.5, 3.5], [2.0, 3.0]).word == "worse"  # on the margin is not within it
    flat = welch([3.0, 3.0], [2.0, 2.0, 2.0])
    assert (flat.p_difference(), flat.half_width()) == (0.0, 0.0)


def test_what_is_not_finite_is_left_out():
    found = paired([1.0, float("nan"), 3.0, 4.0], [0.5, 1.0, 2.5, float("inf")])
    assert (found.mean, found.n) == (0.5, (2, 2))
    assert welch([1.0, float("nan"), 3.0], [1.0, 1.5]).n == (2, 2)
    assert paired([float("nan")], [1.0]) is None
    assert welch([], [1.0]) is None
    with pytest.raises(ValueError, match="shorter"):
        paired([1.0, 2.0], [1.0])


def test_seeds_are_paired_where_they_match():
    first = {0: 1.0, 1: 2.0, 7: 9.0}
    both = by_seed(first, {1: 1.5, 0: 0.0, 8: 3.0})
    assert (both.mean, both.n, both.paired) == (0.75, (2, 2), True)
    apart = by_seed(first, {10: 1.0, 11: 2.0, 0: 3.0})
    assert (apart.mean, apart.n, apart.paired) == (pytest.approx(2.0), (3, 3), False)
    single = by_seed(first, {7: 8.0})
    assert (single.mean, single.n, single.error) == (1.0, (1, 1), None)
    alone = by_seed(first, {9: 3.0})
    assert (alone.mean, alone.n, alone.paired, alone.error) == (1.0, (3, 1), False, None)
    assert by_seed({}, first) is None
