"""The paper's tables and figures as experiments: which rows, on what, at which scale.

One file each, `credbench.paper/targets/NAME.yaml`, beside the published numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from credbench.configuration import read_yaml
from credbench.errors import unknown
from credbench.experiment import read_setting

SCALES = ("quick", "standard", "paper")
"""A look, a comparison that a workstation makes, and what was published."""
KINDS = ("table", "curves", "embedding", "timing")
"""What an artefact can be."""
_OWN = ("tune", "embed", "repeats")
"""Keys of a scale that are no settings of `credbench run`."""


@dataclass(frozen=True)
class Search:
    """What every algorithm may spend on finding its settings."""

    draws: int
    passes: int
    images: int | None = None
    """None is all there are."""


@dataclass(frozen=True)
class Target:
    """An artefact of the paper at a scale."""

    name: str
    title: str
    shows: str
    """One of `KINDS`."""
    note: str
    published_epochs: tuple[int, ...]
    """How many epochs its rows have at paper scale, fewest first."""
    scale: str
    grids: tuple[dict[str, str], ...]
    """Settings of `credbench run` each; together they are the rows, in order."""
    search: Search | None
    """None leaves every algorithm's settings as they are."""
    embed: int
    """Of how many test images the last hidden layer is shown."""
    repeats: int
    """How often each time is taken."""
    reduced: bool
    """Whether networks are smaller than the paper's."""

    @property
    def label(self) -> str:
        """The name of what it runs."""
        return f"{self.name}-{self.scale}"


def names() -> list[str]:
    """Return the names of all targets, sorted."""
    return sorted(path.stem for path in _folder().glob("*.yaml"))


def read_target(name: str, scale: str) -> Target:
    """Return a target at a scale; raises `RequestError` for a name or scale that is none."""
    if name not in names():
        raise unknown("target", name, [*names(), "all"])
    if scale not in SCALES:
        raise unknown("scale", scale, SCALES)
    content: Any = read_yaml(_folder() / f"{name}.yaml")
    here = content["scales"][scale]
    given = {"dataset": content["dataset"]}
    given |= {key: value for key, value in here.items() if key not in _OWN}
    return Target(
        name,
        content["title"],
        content["shows"],
        " ".join(content["note"].split()),
        _epochs(content),
        scale,
        tuple(_settings(given, grid, scale) for grid in content["grids"]),
        Search(**here["tune"]) if "tune" in here else None,
        here.get("embed", 0),
        here.get("repeats", 0),
        any("network" in grid.get(scale, {}) for grid in content["grids"]),
    )


def _epochs(content: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the epochs of the grids at paper scale; none where nothing is trained."""
    paper = SCALES[-1]
    whole = [content["scales"][paper] | grid.get(paper, {}) for grid in content["grids"]]
    return tuple(sorted({each["epochs"] for each in whole if "epochs" in each}))


def _settings(given: Mapping[str, Any], grid: Mapping[str, Any], scale: str) -> dict[str, str]:
    """Return a grid's settings as options: its own over the scale's, its scale's over both."""
    own = {key: value for key, value in grid.items() if key not in SCALES}
    whole = {**given, **own, **grid.get(scale, {})}
    return {key: read_setting(key, value) for key, value in whole.items()}


def _folder() -> Path:
    return Path(str(resources.files("credbench.paper"))) / "targets"
