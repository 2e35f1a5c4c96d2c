"""One row a setting: what its trials, which differ in the seed alone, came to."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from credbench.component import Component
from credbench.errors import RequestError
from credbench.registry import KINDS, Registry
from credbench.report.statistics import Estimate, estimate
from credbench.spec import parse_axis
from credbench.spread import Spread, spread
from credbench.store import NOT_APPLICABLE

if TYPE_CHECKING:
    from pandas import DataFrame

Trial = Mapping[str, Any]
"""A line of a `store.frame`."""

AXES = (
    "dataset", "network", "activation", "algorithm", "optimizer", "init",
    "batch_size", "epochs", "clip_norm", "limit_train", "dtype", "tuning",
)  # fmt: skip
"""The arguments of a trial that tell settings apart, in the order of a table's columns."""
ALWAYS = ("algorithm",)
"""The columns shown even where every row agrees; other agreement is said once, below."""

MEASURES = {
    "train": "train_error",
    "validation": "validation_error",
    "test": "test_error",
    "precision": "test_precision",
    "recall": "test_recall",
    "f1": "test_f1",
    "top5": "test_top5",
}
"""The estimates of a row, and the columns of `store.frame` they are of."""
OPTIONAL = ("top5",)
"""Those that only some datasets have; tables without them have no column for them."""


@dataclass(frozen=True)
class Row:
    """A setting and what was measured of it."""

    setting: dict[str, str]
    """The arguments that its trials share, spelled by what is off its default."""
    arguments: dict[str, str]
    """The same, spelled out."""
    planned: int
    estimates: dict[str, Estimate | None]
    """By the names of `MEASURES`, in percent."""
    seconds: Spread | None
    """Seconds an epoch, all its phases included."""
    timed: bool
    """Whether they are of a timing run of one replica, not of training beside other trials."""
    passes: int
    """Passes over the data in one epoch."""
    group: int
    """How many trials trained in one program, at most."""
    processes: int
    """How many processes trained one trial, at most."""
    streamed: bool
    """Whether images were read from disk in training."""
    surrogate: str
    unfinished: dict[str, int]
    """How many trials failed, diverged, are missing or not applicable."""
    refusal: str
    """Why the setting is not applicable; empty where it is."""
    tests: dict[int, float] = field(default_factory=dict)
    """The test errors of finished trials in percent, by seed."""
    ids: tuple[str, ...] = ()
    """The ids of its trials."""
    peak_bytes: int | None = None
    """The most memory that a timing run of one replica held; None without such a run."""
    reasons: dict[str, int] = field(default_factory=dict)
    """Why trials failed or diverged, and how many of them."""

    @property
    def n(self) -> int:
        """The number of finished trials behind the estimates."""
        found = self.estimates["validation"]
        return found.n if found else 0


def summarise(trials: DataFrame, registry: Registry) -> list[Row]:
    """Return a row for every setting in a `store.frame`, in the order planned."""
    spell = Speller(registry)
    trials = trials.reindex(columns=dict.fromkeys([*trials.columns, *AXES, *MEASURES.values()]))
    trials["dtype"] = trials["dtype"].astype(object).where(trials["dtype"].notna(), "float32")
    groups: dict[tuple[str, ...], list[int]] = {}
    for number, arguments in enumerate(trials[list(AXES)].itertuples(index=False)):
        groups.setdefault(tuple(map(_text, arguments)), []).append(number)
    every: list[Trial] = trials.to_dict("records")  # a thousand small frames would take seconds
    rows: dict[tuple[str, ...], Row] = {}
    for key, numbers in groups.items():
        full = dict(zip(AXES, key, strict=True))
        setting = {axis: spell(axis, value) for axis, value in full.items()}
        rows[key] = _row(setting, full, [every[number] for number in numbers])
    return list(rows.values())


def _text(value: Any) -> str:
    """Return an argument as text; pandas turns an absent one into NaN, and 1 beside it to 1.0."""
    if value is None or value != value:
        return "none"
    return f"{value:g}" if isinstance(value, float) else f"{value}"


def _row(setting: dict[str, str], arguments: dict[str, str], trials: Sequence[Trial]) -> Row:
    done = [trial for trial in trials if trial["status"] == "done"]
    refused = [trial["reason"] for trial in trials if trial["status"] == NOT_APPLICABLE]
    states = Counter(trial["status"] for trial in trials if trial["status"] != "done")
    tests = [trial for trial in done if _there(trial[MEASURES["test"]])]
    return Row(
        setting,
        arguments,
        len(trials),
        {name: estimate(_values(done, column)) for name, column in MEASURES.items()},
        *_seconds(done),
        _most(_values(done, "passes")) or 1,
        _most(_values(done, "group")) or 1,
        _most(_values(done, "processes")) or 1,
        any(trial["streamed"] for trial in done),
        next((trial["surrogate"] for trial in trials if trial["surrogate"]), ""),
        dict(states.most_common()),
        "; ".join(dict.fromkeys(refused)),
        {int(trial["seed"]): float(trial[MEASURES["test"]]) for trial in tests},
        tuple(trial["id"] for trial in trials),
        _most(_values(done, "peak_bytes")),
        _reasons(trials),
    )


def _reasons(trials: Sequence[Trial]) -> dict[str, int]:
    lost = [trial for trial in trials if trial["status"] in ("failed", "diverged")]
    return dict(Counter(f"{trial['status']}: {trial['reason']}" for trial in lost).most_common())


def _there(value: Any) -> bool:
    """Return whether a table has a value: pandas holds NaN for what is not there."""
    return value is not None and bool(value == value)


def _values(trials: Sequence[Trial], column: str) -> list[float]:
    return [trial[column] for trial in trials if _there(trial[column])]


def _most(values: Sequence[float]) -> int | None:
    return int(max(values)) if values else None


def _seconds(done: Sequence[Trial]) -> tuple[Spread | None, bool]:
    """Return seconds an epoch, and whether a timing run gave them."""
    if _values(done, "alone_seconds"):
        columns = ("alone_seconds", "alone_low", "alone_high")
        return Spread(*(statistics.median(_values(done, column)) for column in columns)), True
    return (spread(_values(done, "epoch_seconds")) if done else None), False


class Speller:
    """Spells components by what differs from their defaults, as a user would write them."""

    _KINDS: ClassVar[dict[str, str]] = {"init": "initializer"}

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._known: dict[tuple[str, str], str] = {}

    def __call__(self, axis: str, value: str) -> str:
        """Return the spelling of one argument of a trial."""
        if (axis, value) not in self._known:
            self._known[axis, value] = self._short(axis, value)
        return self._known[axis, value]

    def _short(self, axis: str, value: str) -> str:
        kind = self._KINDS.get(axis, axis)
        if kind not in KINDS:
            return value
        try:
            made: Component = self._registry.create(kind, parse_axis(value)[0])
        except RequestError:  # a plugin not given now, or parameters of another version
            return value
        return made.spec(full=False)


def varying(rows: Sequence[Row]) -> list[str]:
    """Return the axes a table needs columns for."""
    return [axis for axis in AXES if axis in ALWAYS or len({row.setting[axis] for row in rows}) > 1]


def measured(rows: Sequence[Row]) -> list[str]:
    """Return the measures that a table of these rows has columns for."""
    return [k for k in MEASURES if k not in OPTIONAL or any(row.estimates[k] for row in rows)]
