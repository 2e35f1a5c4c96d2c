"""Learning curves: one panel a dataset and activation, one line a setting, a band for its seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from credbench.report.clock import Clock, Timings, clock
from credbench.report.figures import headline, legend, save, style
from credbench.report.summary import AXES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MEASURES = {
    "validation-error": "validation error (%)",
    "training-error": "training error (%)",
    "validation-loss": "validation loss (nats)",
    "training-loss": "training loss (nats)",
}
"""What can be drawn, and its name on the axis."""
PANEL = ("dataset", "network", "activation")
"""The arguments of a trial that panels differ in."""
_NARROW = 4
"""The ratio of a scale's ends up to which all its ticks have room for a number."""
_LINES = ("-", "--", ":", "-.")
_LEGEND = 0.12
"""Inches that a line of the legend takes, where two stand side by side."""
_MARKERS = ("", "+", "1", "2", "|", "3")

Speller = Callable[[str, str], str]
Record = Mapping[str, Any]


def plot_curves(
    records: Sequence[Record],
    measure: str,
    paths: Iterable[Path],
    spell: Speller,
    against: str = "epochs",
    title: str = "",
    timings: Timings = MappingProxyType({}),
) -> None:
    """Draw a measure over epochs: means over seeds, from the lowest to the highest as a band.

    Against seconds, of `timings` where they have all settings, epochs lie where they end. Where a
    trial diverged its line ends with a cross. `spell` shortens an argument of a trial.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    own = clock(against, records, timings)
    panels = split(records, PANEL, spell)
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    told = telling(records, [axis for axis in AXES if axis not in PANEL], spell)
    looks = looks_of(split(records, told, spell), told.index("algorithm"))
    size = (5 * columns if columns > 1 else 8, 3.2 * rows + _LEGEND * len(looks))
    figure, grid = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)
    for axes, (setting, inside) in zip(grid.flat, panels.items(), strict=False):
        axes.set_title(", ".join(setting), fontsize="medium")
        _panel(axes, split(inside, told, spell), measure, own, looks)
    for axes in list(grid.flat)[len(panels) :]:
        axes.set_axis_off()
    legend(figure, 2)
    headline(figure, title)
    save(figure, paths)


def with_curves(records: Sequence[Record], measure: str) -> list[Record]:
    """Return the records with a curve of a measure to draw."""
    key = measure.replace("-", "_")
    curves = ((record, record.get("curve", {})) for record in records)
    return [
        record
        for record, curve in curves
        if curve.get("seconds") and any(value is not None for value in curve.get(key, ()))
    ]


def split(
    records: Sequence[Record], axes: Sequence[str], spell: Speller
) -> dict[tuple[str, ...], list[Record]]:
    """Return the records by their spelled arguments on some axes, in the order met."""
    found: dict[tuple[str, ...], list[Record]] = {}
    for record in records:
        trial = record["trial"]
        key = tuple(spell(axis, str(trial.get(axis))) for axis in axes)
        found.setdefault(key, []).append(record)
    return found


def telling(records: Sequence[Record], axes: Sequence[str], spell: Speller) -> list[str]:
    """Return the axes that tell lines apart: the algorithm, and what differs."""
    return [axis for axis in axes if axis == "algorithm" or len(split(records, [axis], spell)) > 1]


def looks_of(
    lines: Iterable[tuple[str, ...]], algorithm: int
) -> dict[tuple[str, ...], dict[str, Any]]:
    """Return one look a line for all panels: the algorithm's colour, a dash and marker its own."""
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    seen: dict[str, int] = {}
    for words in lines:
        name = words[algorithm].partition("[")[0]
        nth = seen[name] = seen.get(name, -1) + 1
        own = style(name)
        if nth:
            own["marker"] = _MARKERS[nth // len(_LINES) % len(_MARKERS)]
        found[words] = {**own, "linestyle": _LINES[nth % len(_LINES)]}
    return found


def _panel(
    axes: Axes,
    lines: Mapping[tuple[str, ...], Sequence[Record]],
    measure: str,
    own: Clock,
    looks: Mapping[tuple[str, ...], dict[str, Any]],
) -> None:
    for words, records in lines.items():
        _line(axes, records, measure, own, ", ".join(words), looks[words])
    axes.set_xlabel(own.label)
    axes.set_ylabel(MEASURES[measure])
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    shown = range(1, 10) if high < _NARROW * low else (1, 2, 3, 5)
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(
        lambda value, _: f"{value:g}" if float(f"{value:e}"[0]) in shown else ""
    )
    axes.tick_params(axis="y", which="minor", labelsize="small")
    axes.grid(True, which="both", alpha=0.25)


def _line(
    axes: Axes,
    records: Sequence[Record],
    measure: str,
    own: Clock,
    label: str,
    look: dict[str, Any],
) -> None:
    key = measure.replace("-", "_")
    curves = [finite(record["curve"][key]) for record in records]
    epochs = range(1, max(map(len, curves)) + 1)
    ends = [own.ends(record) for record in records]
    where = [_mean([each[k - 1] for each in ends if len(each) >= k]) for k in epochs]
    at = [[curve[k - 1] for curve in curves if len(curve) >= k] for k in epochs]
    every = max(1, len(at) // 8)
    axes.plot(
        where, [_mean(values) for values in at], label=label, markevery=every,
        markersize=4, linewidth=1.3, **look,
    )  # fmt: skip
    low, high = [min(values) for values in at], [max(values) for values in at]
    axes.fill_between(where, low, high, color=look["color"], alpha=0.15, linewidth=0)
    for record, curve, end in zip(records, curves, ends, strict=True):
        if record["status"] == "diverged" and curve:
            axes.plot(
                [end[len(curve) - 1]], [curve[-1]], marker="x", markersize=9, color=look["color"]
            )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def finite(values: Sequence[float | None]) -> list[float]:
    """Return the values up to the first that was not finite."""
    _, whole = next(groupby(values, key=lambda v: v is not None), (True, ()))
    return [value for value in whole if value is not None]
