"""What a test finds in one setting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from credbench.report.statistics import Difference


@dataclass(frozen=True)
class Finding:
    """A number, what it says of the bound it is held against, and whether it may decide."""

    setting: Mapping[str, str]
    """The arguments of the trials behind it, by axis, in their short spelling."""
    algorithms: tuple[str, ...]
    """The algorithms compared, in their short spelling."""
    value: float | None
    """None where the numbers leave it open on both sides."""
    limits: tuple[float | None, float | None] | None
    """One-sided 95 % limits of the value, not corrected; None where it is one trial's.

    Of a value that is itself a bound there is one alone.
    """
    p_holds: float | None
    """The p of what is claimed being false; small where the claim holds here."""
    p_fails: float | None
    """The p of what is claimed being true; small where the claim fails here."""
    detail: str
    """The numbers that the value is made from."""
    scale: str
    """What it was measured at: epochs, images, trials."""
    n: int
    lacks: tuple[str, ...] = ()
    """Why it does not decide; empty where it does."""
    seeds: tuple[int, ...] = ()
    """Those of the trials behind it, all algorithms together."""
    ids: tuple[str, ...] = ()
    """Those trials."""
    limit: str = ""
    """Why it says less than its number; empty where it does not."""
    sign: str = ""
    """Of a value that is only a bound of the true one, which: `≤` or `≥`."""
    silent: bool = False
    """Whether its numbers say nothing, so that they are not shown."""

    @property
    def decides(self) -> bool:
        """Whether it is at the scale that the claim needs."""
        return not self.lacks

    @property
    def place(self) -> str:
        """Where it was found, in words."""
        axes = ("dataset", "network", "activation")
        return ", ".join(self.setting[axis] for axis in axes if axis in self.setting)


def held_against(found: Difference, bound: float, below: bool) -> dict[str, Any]:
    """Return the value, limits and p values of a finding, by name.

    What is claimed is that the true difference is below the bound, or above it.
    """
    one, other = found.p_below(bound), found.p_above(bound)
    return {
        "value": found.mean,
        "limits": found.limits(),
        "p_holds": one if below else other,
        "p_fails": other if below else one,
    }
