"""What was watched in training: one panel a block or feedback path, one line a setting."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from credbench.report.curves import Record, Speller, looks_of, split, telling
from credbench.report.figures import legend, save
from credbench.report.summary import AXES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MEASURES = {
    "update-angle": "angle of update with backprop's (degrees)",
    "norm-ratio": "norm of update / backprop's",
    "feedback-angle": "angle of feedback with weights (degrees)",
}
"""What can be drawn, and its name on the axis."""
_SERIES = {"update-angle": "update", "norm-ratio": "ratio", "feedback-angle": "feedback"}
_MOST = 9
"""Panels in a figure; of more, the lowest, the highest and some evenly between."""
_COLUMNS = 3
_LOW, _TOP = -4.0, 120.0
"""The degrees shown at least; below 0, so that markers there are whole."""
_LEGEND = 0.16
"""Inches that a line of the legend takes, where three stand side by side."""


def holds(record: Record, measure: str) -> bool:
    """Return whether a record has any value of a measure."""
    known = record.get("angles", {}).get(_SERIES[measure], ())
    return any(_samples(record, measure, of) for of in known)


def plot_angles(
    records: Sequence[Record], measure: str, paths: Iterable[Path], spell: Speller
) -> None:
    """Draw a measure over steps: means over seeds, from the lowest to the highest as a band.

    `records` are of trials that hold the measure. `spell` shortens an argument of a trial.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    known = {
        of for r in records for of in r["angles"][_SERIES[measure]] if _samples(r, measure, of)
    }
    whole = sorted(known, key=_place)
    shown = evenly(whole, _MOST)
    columns = min(_COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    told = telling(records, AXES, spell)
    lines = split(records, told, spell)
    looks = looks_of(lines, told.index("algorithm"))
    size = (3.6 * columns if columns > 1 else 6, 2.4 * rows + 0.5 + _LEGEND * len(looks))
    figure, grid = plt.subplots(
        rows, columns, figsize=size, layout="constrained", squeeze=False, sharex=True, sharey=True
    )
    for axes, of in zip(grid.flat, shown, strict=False):
        axes.set_title(_title(of), fontsize="medium")
        for words, inside in lines.items():
            _line(axes, inside, measure, of, ", ".join(words), looks[words])
        axes.grid(True, alpha=0.25)
    _scale(grid.flat[0], measure)
    for axes in list(grid.flat)[len(shown) :]:
        axes.set_axis_off()
    if len(shown) < len(whole):
        figure.suptitle(f"{len(shown)} of {len(whole)} panels shown", fontsize="small")
    for axes in list(grid.flat)[max(0, len(shown) - columns) : len(shown)]:  # none is below
        axes.set_xlabel("training step")
        axes.tick_params(axis="x", labelbottom=True)
    figure.supylabel(MEASURES[measure], fontsize="medium")
    legend(figure, 3)
    save(figure, paths)


def evenly(found: Sequence[str], most: int) -> list[str]:
    """Return at most so many of some, the first and the last, and those evenly between."""
    if len(found) <= most:
        return list(found)
    return [found[round(k * (len(found) - 1) / (most - 1))] for k in range(most)]


def _place(of: str) -> tuple[int, int]:
    """Return where a block or a path stands: by the layer that it leads to."""
    source, _, to = of.partition("→")
    return (int(to or source), int(source))


def _title(of: str) -> str:
    source, arrow, to = of.partition("→")
    return f"feedback from layer {source} to {to}" if arrow else f"block {source}"


def _samples(record: Record, measure: str, of: str) -> dict[int, float]:
    """Return the values of a block or path by step, where they are defined."""
    angles: Mapping[str, Any] = record["angles"]
    values = angles[_SERIES[measure]].get(of, ())
    pairs = zip(angles["steps"], values, strict=False)
    return {step: value for step, value in pairs if value is not None}


def _line(
    axes: Axes, records: Sequence[Record], measure: str, of: str, label: str, look: dict[str, Any]
) -> None:
    found = [_samples(record, measure, of) for record in records]
    steps = sorted({step for each in found for step in each})
    if not steps:
        return
    at = [[each[step] for each in found if step in each] for step in steps]
    axes.plot(
        steps, [sum(values) / len(values) for values in at], label=label,
        markevery=max(1, len(steps) // 6), markersize=4, linewidth=1.2, **look,
    )  # fmt: skip
    low, high = [min(values) for values in at], [max(values) for values in at]
    axes.fill_between(steps, low, high, color=look["color"], alpha=0.15, linewidth=0)


def _scale(axes: Axes, measure: str) -> None:
    """Scale the axes that all panels share: ratios by their logarithm, angles as they are."""
    if measure == "norm-ratio":
        axes.set_yscale("log")
        return
    top = max(_TOP, axes.get_ylim()[1])
    axes.set_ylim(_LOW, top)
    axes.set_yticks(range(0, int(top) + 1, 30))
