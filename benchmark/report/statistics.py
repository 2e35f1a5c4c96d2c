"""Means and intervals."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """A mean over trials; `half_width` is that of its 95 % interval, None below two trials."""

    mean: float
    half_width: float | None
    n: int


def estimate(values: Sequence[float], level: float = 0.95) -> Estimate | None:
    """Return the mean and its Student-t interval, or None where there are no values.

    The interval is mean ± t_{(1+level)/2, n−1} · s / √n, which assumes trials independent and
    their means near normal.
    """
    if not values:
        return None
    n, mean = len(values), statistics.fmean(values)
    if n < 2:
        return Estimate(mean, None, n)
    from scipy.special import stdtrit

    quantile = float(stdtrit(n - 1, (1 + level) / 2))
    return Estimate(mean, quantile * statistics.stdev(values) / math.sqrt(n), n)
