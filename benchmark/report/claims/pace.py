"""The time of training with two algorithms, from timing runs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from credbench.report.best import SETTING
from credbench.report.claims.criterion import Criterion, bare, nearest_first
from credbench.report.claims.evidence import STALE, Evidence, Timed
from credbench.report.claims.finding import Finding, held_against
from credbench.report.claims.supply import to_time
from credbench.report.fitting import canonical, fits
from credbench.report.statistics import Difference, holm, paired, welch
from credbench.report.summary import Speller
from credbench.spec import parse_axis
from credbench.spread import spread

_ALIKE = tuple(axis for axis in SETTING if axis != "epochs")
_RATE = "lr"
"""A parameter of every optimizer that its pace does not depend on."""
_NAMED = ("dataset", "network", "activation")
_REPEATS = 20


@dataclass(frozen=True, kw_only=True)
class Pace(Criterion):
    """An epoch of the first takes less than so many times one of the second, on a device.

    The ratio is that of geometric means over repeats, in turns where both were timed so. Of
    several variants of the first the fastest is taken, as a user would: that it takes less
    is corrected by `holm` for their number, and that it does not has to hold for every one.
    """

    first: str
    second: str
    device: str

    @property
    def unit(self) -> str:
        return "times"

    @property
    def says(self) -> str:
        mine, other = f"an epoch of {bare(self.first)}", bare(self.second)
        than = f"{'less' if self.below else 'more'} than"
        times = "" if self.bound == 1 else f"{self.bound:g} times "
        return f"{mine}, in its fastest variant, takes {than} {times}{other}'s on {self.device}"

    def findings(self, evidence: Evidence) -> list[Finding]:
        variants: dict[Any, list[Finding]] = {}
        spell = Speller(evidence.registry)
        for mine, other in self._pairs(evidence):
            found = self._finding(mine, other, spell)
            variants.setdefault((_alike(mine), found.lacks), []).append(found)
        return nearest_first([self._fastest(alike) for alike in variants.values()])

    def _fastest(self, variants: Sequence[Finding]) -> Finding:
        """Return the fastest variant's finding, with p values for its having been chosen.

        One variant below the bound is enough for the fastest to be, and all have to be above it.
        """
        place = min(range(len(variants)), key=lambda k: variants[k].value or 0.0)
        fastest, count = variants[place], len({v.algorithms[0] for v in variants})
        below, above = [v.p_holds for v in variants], [v.p_fails for v in variants]
        if not self.below:
            below, above = above, below
        one = holm(below)[place]
        every = None if None in above else max(p for p in above if p is not None)
        chosen = f", the fastest of {count} variants" if count > 1 else ""
        holds, fails = (one, every) if self.below else (every, one)
        return replace(fastest, p_holds=holds, p_fails=fails, scale=fastest.scale + chosen)

    def _pairs(self, evidence: Evidence) -> Iterator[tuple[Timed, Timed]]:
        sides = [
            [t for t in evidence.timings if self._is(t, name, evidence)]
            for name in (self.first, self.second)
        ]
        for mine in sides[0]:
            for other in sides[1]:
                if _alike(mine) == _alike(other):
                    yield mine, other

    def _is(self, timed: Timed, algorithm: str, evidence: Evidence) -> bool:
        asked = canonical("algorithm", parse_axis(algorithm)[0], evidence.registry)
        kin = self.needs.kin(timed.arguments["network"])
        return kin and fits(timed.arguments["algorithm"], asked)

    def _finding(self, mine: Timed, other: Timed, spell: Speller) -> Finding:
        logs = _difference(mine, other)
        numbers: dict[str, Any] = held_against(logs, math.log(self.bound), self.below)
        limits = numbers["limits"]
        setting: Mapping[str, str] = {k: spell(k, v) for k, v in mine.arguments.items()}
        n = min(logs.n)
        strange = self.needs.strays(mine.arguments, setting, _NAMED)
        elsewhere = [] if mine.device == self.device else [f"timed on {mine.device}"]
        old = [STALE] if mine.stale or other.stale else []
        return Finding(
            setting=setting,
            algorithms=tuple(spell("algorithm", t.arguments["algorithm"]) for t in (mine, other)),
            detail=" against ".join(f"{spread(t.seconds).median:.3g} s" for t in (mine, other)),
            scale=f"{n} repeat{'' if n == 1 else 's'} on {mine.machine}",
            n=n,
            lacks=(*elsewhere, *strange, *self.needs.too_few(n), *old),
            **numbers
            | {
                "value": math.exp(logs.mean),
                "limits": (math.exp(limits[0]), math.exp(limits[1])) if limits else None,
            },
        )

    def absent(self, evidence: Evidence) -> str:
        first, second = bare(self.first), bare(self.second)
        return f"no timing run of {first} and {second}, on {self.device} or elsewhere"

    def command(self) -> str:
        names = [self.first, self.second]
        return to_time(names, self.needs, "--device", self.device, "--repeats", str(_REPEATS))

    def more(self, finding: Finding) -> str:
        return self.command()


def _alike(timed: Timed) -> tuple[Any, ...]:
    """Return what two timings have to share to be compared."""
    optimizer = parse_axis(timed.arguments["optimizer"])[0]
    return (
        optimizer.name,
        *(each for each in optimizer.given if each[0] != _RATE),
        *(timed.arguments.get(axis, "") for axis in _ALIKE),
        *(timed.device, timed.machine, timed.turn),
    )


def _difference(mine: Timed, other: Timed) -> Difference:
    """Return the difference of the logarithms of seconds."""
    logs = [[math.log(s) for s in t.seconds] for t in (mine, other)]
    found = paired(*logs) if mine.turn else welch(*logs)
    assert found is not None, "a timing run has seconds"
    return found
