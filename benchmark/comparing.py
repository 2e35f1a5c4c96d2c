"""What `credbench compare` does, once its options are read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from credbench.errors import RequestError, unknown
from credbench.gathering import Loaded, find_stores, rows_of
from credbench.logs import warn
from credbench.printing import check_format, show
from credbench.registry import Registry
from credbench.report.fitting import canonical, fits
from credbench.spec import parse_axis
from credbench.store import Store, experiments

if TYPE_CHECKING:
    from credbench.report.comparison import Pairing
    from credbench.report.summary import Row


def compare(
    registry: Registry,
    results_dir: Path,
    first: str,
    second: str,
    name: str | None,
    margin: float,
    format: str,
) -> None:
    """Print how two algorithms, or two experiments, compare by the records there are.

    The margin of equivalence is in points. Raises `RequestError` for names that are neither,
    and where nothing stands against anything.
    """
    from credbench.report.best import SETTING
    from credbench.report.comparison import Comparison, pair_algorithms, pair_experiments

    check_format(format)
    if first == second:
        raise RequestError(f"{first!r} against itself: give two algorithms, or two experiments")
    found = [Loaded(store) for store in find_stores(results_dir, name)]
    known = experiments(results_dir)
    named = [text in known for text in (first, second)]
    experiment = all(named) and name is None
    if experiment:
        sides = [Loaded(Store(results_dir, text)) for text in (first, second)]
        rows = rows_of(sides[:1], registry), rows_of(sides[1:], registry)
        pairing = pair_experiments(*rows)
    else:
        _check_algorithms((first, second), named, name, known, found, registry)
        rows = _split(rows_of(found, registry), first, second, registry)
        pairing = pair_algorithms(*rows)
        sides = found
    if not pairing.pairs:
        axes = ("dataset", "algorithm") if experiment else SETTING
        raise RequestError(_nothing((first, second), rows, pairing, axes))
    used = {id for pair in pairing.pairs for row in (pair.first, pair.second) for id in row.ids}
    notes = [note for side in sides for note in side.origins(used, registry)]
    for side in sides:
        warn(side.store.problems)
    notes = list(dict.fromkeys(notes))
    show([Comparison((first, second), not experiment, pairing, margin, notes)], format)


def _check_algorithms(
    asked: tuple[str, str],
    named: Sequence[bool],
    name: str | None,
    known: Sequence[str],
    found: Sequence[Loaded],
    registry: Registry,
) -> None:
    """Raise `RequestError` where something asked for is no algorithm."""
    recorded = {
        parse_axis(trial["algorithm"])[0].name for each in found for trial in each.planned.values()
    }
    algorithms = recorded | set(registry.names("algorithm"))
    for text in asked:
        (spec, *more) = parse_axis(text)
        if more:
            raise RequestError(f"{text!r} names {1 + len(more)} algorithms: give one on each side")
        if spec.name in algorithms:
            continue
        if text in known and name is not None:
            raise RequestError(f"{text!r} is an experiment: leave --name out to compare two")
        if text in known:
            other = asked[1 - asked.index(text)]
            raise RequestError(
                f"{text!r} is an experiment and {other!r} is not: give two experiments, or two "
                f"algorithms and --name {text}"
            )
        raise unknown("algorithm or experiment", text, algorithms | set(known))


def _split(
    rows: Sequence[Row], first: str, second: str, registry: Registry
) -> tuple[list[Row], list[Row]]:
    """Return the rows of two algorithms; what both ask for is the more specific one's."""
    asked = [canonical("algorithm", parse_axis(text)[0], registry) for text in (first, second)]
    if asked[0] == asked[1]:
        raise RequestError(f"{first!r} and {second!r} are the same algorithm: give two")
    mine, other = (
        [row for row in rows if fits(row.arguments["algorithm"], spec)] for spec in asked
    )
    one, two = (len(spec.given) for spec in asked)
    return (
        [row for row in mine if one > two or row not in other],
        [row for row in other if two > one or row not in mine],
    )


def _nothing(
    labels: tuple[str, str],
    rows: Sequence[Sequence[Row]],
    pairing: Pairing,
    axes: Sequence[str],
) -> str:
    """Return why nothing stands against anything: the first axis with nothing in common."""
    from credbench.report.comparison import disjoint

    for label, mine, left in zip(labels, rows, pairing.left, strict=True):
        if not mine:
            return f"nothing to compare: there are no records of {label!r}; run it first"
        if not left:
            return f"nothing to compare: no trial of {label!r} has a test error; finish it first"
    why = next(
        (
            f"{axis.replace('_', ' ')}: {_values(pairing.left[0], axis)} against "
            f"{_values(pairing.left[1], axis)}"
            for axis in axes
            if disjoint(*pairing.left, axis)
        ),
        "settings",
    )
    return (
        f"nothing to compare: {labels[0]!r} and {labels[1]!r} share no {why}; run both on the same"
    )


def _values(rows: Sequence[Row], axis: str) -> str:
    return ", ".join(dict.fromkeys(row.setting[axis] for row in rows))
