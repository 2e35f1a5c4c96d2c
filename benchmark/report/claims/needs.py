"""What a setting must be to decide a claim, and how far one is from that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from credbench.report.fitting import fits
from credbench.report.summary import Row
from credbench.spec import Spec, parse_axis

_SUBJECT = ("dataset", "activation")
"""What evidence has to share with a claim to be shown at all."""
_PLACE = ("network", "init")
"""What it has to share to decide it."""
AXES = (*_SUBJECT, *_PLACE)


@dataclass(frozen=True)
class Needs:
    """What a row must be for its numbers to decide a claim."""

    asked: Mapping[str, tuple[Spec, ...]]
    """By axis, the components of which one must fit; an axis left out may be anything."""
    epochs: int = 1
    """The fewest epochs that decide."""
    seeds: int = 2
    """The fewest finished trials that decide."""

    def about(self, arguments: Mapping[str, str]) -> bool:
        """Return whether a setting is on the claim's data and activation."""
        return all(self._fits(axis, arguments) for axis in _SUBJECT)

    def kin(self, network: str) -> bool:
        """Return whether a network is of a kind that the claim names, whatever its size."""
        asked = self.asked.get("network")
        name = parse_axis(network)[0].name
        return asked is None or name in {spec.name for spec in asked}

    def strays(
        self,
        arguments: Mapping[str, str],
        spelled: Mapping[str, str],
        axes: Sequence[str] = _PLACE,
    ) -> list[str]:
        """Return the components, in their short spelling, that are not those of the claim."""
        return [spelled[axis] for axis in axes if not self._fits(axis, arguments)]

    def lacks(self, row: Row) -> list[str]:
        """Return why a row does not decide: what it is, where the claim needs other or more."""
        limit = row.arguments["limit_train"]
        lost = [f"{row.unfinished[k]} {k}" for k in ("failed", "diverged") if k in row.unfinished]
        return [
            *self.strays(row.arguments, row.setting),
            *([] if epochs_of(row) >= self.epochs else [epochs_text(row)]),
            *([] if limit == "none" else [f"{int(limit):,} images"]),
            *self.too_few(len(row.tests)),
            *lost,
        ]

    @property
    def place(self) -> str:
        """The data and activations that evidence has to be of, in words."""
        asked = (self.asked[axis] for axis in _SUBJECT if axis in self.asked)
        return ", ".join(" or ".join(spec.name for spec in specs) for specs in asked)

    def too_few(self, n: int) -> list[str]:
        """Return how many trials there are where that is too few."""
        return [] if n >= self.seeds else [f"n = {n}"]

    def _fits(self, axis: str, arguments: Mapping[str, str]) -> bool:
        asked = self.asked.get(axis)
        return asked is None or any(fits(arguments[axis], spec) for spec in asked)


def epochs_of(row: Row) -> int:
    """Return the number of epochs that a row's trials were given."""
    return int(row.arguments["epochs"])


def epochs_text(row: Row) -> str:
    """Return that number in words."""
    count = epochs_of(row)
    return f"{count} epoch{'' if count == 1 else 's'}"
