"""The claims, from the file that holds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import yaml

from credbench.errors import unknown
from credbench.registry import Registry
from credbench.report.claims.criterion import Criterion
from credbench.report.claims.difference import ErrorDifference
from credbench.report.claims.level import ErrorLevel
from credbench.report.claims.needs import AXES, Needs
from credbench.report.claims.pace import Pace
from credbench.report.claims.parameters import FewerParameters
from credbench.report.claims.sooner import Sooner
from credbench.report.fitting import canonical
from credbench.spec import parse_axis

KINDS: dict[str, type[Criterion]] = {
    "difference": ErrorDifference,
    "level": ErrorLevel,
    "sooner": Sooner,
    "pace": Pace,
    "parameters": FewerParameters,
}
_NUMBERS = ("epochs", "seeds")


@dataclass(frozen=True)
class Claim:
    """A sentence of the paper, and what has to hold for it to be true."""

    id: str
    says: str
    where: str
    """In the paper."""
    published: str
    """The numbers behind it there, and at what scale."""
    target: str
    """What `credbench reproduce` makes that decides it; empty where nothing does."""
    criteria: tuple[Criterion, ...]


def read_claims(registry: Registry, ids: Sequence[str] = ()) -> list[Claim]:
    """Return the claims of these ids, or all; raises `RequestError` for an id there is none of."""
    text = resources.files("credbench.paper").joinpath("claims.yaml").read_text("utf-8")
    claims = {entry["id"]: make_claim(entry, registry) for entry in yaml.safe_load(text)["claims"]}
    for id in ids:
        if id not in claims:
            raise unknown("claim", id, claims)
    return [claims[id] for id in (dict.fromkeys(ids) or claims)]


def make_claim(entry: Mapping[str, Any], registry: Registry) -> Claim:
    """Return the claim that an entry of the file stands for."""
    shared = entry.get("needs", {})
    return Claim(
        entry["id"], entry["says"], entry["where"], entry["published"], entry.get("target", ""),
        tuple(_criterion(each, shared, registry) for each in entry["tests"]),
    )  # fmt: skip


def _criterion(
    entry: Mapping[str, Any], shared: Mapping[str, Any], registry: Registry
) -> Criterion:
    """Return a test; what it says of its needs wins over what the claim says."""
    needed = dict(shared) | {k: v for k, v in entry.items() if k in (*AXES, *_NUMBERS)}
    rest = {k: v for k, v in entry.items() if k not in ("kind", *AXES, *_NUMBERS)}
    if entry["kind"] == "parameters":  # of a network, which is no need of records
        needed.pop("network", None)
        rest["network"] = entry["network"]
    if "above" in rest:
        rest |= {"bound": rest.pop("above"), "below": False}
    elif "below" in rest:
        rest |= {"bound": rest.pop("below"), "below": True}
    return KINDS[entry["kind"]](needs=_needs(needed, registry), **rest)


def _needs(entry: Mapping[str, Any], registry: Registry) -> Needs:
    asked = {
        axis: tuple(
            canonical(_KIND.get(axis, axis), spec, registry)
            for text in (entry[axis] if isinstance(entry[axis], list) else [entry[axis]])
            for spec in parse_axis(text)
        )
        for axis in AXES
        if axis in entry
    }
    return Needs(asked, **{key: entry[key] for key in _NUMBERS if key in entry})


_KIND = {"init": "initializer"}
