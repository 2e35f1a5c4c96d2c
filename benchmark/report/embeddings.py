"""The last hidden layer in the plane: algorithms side by side, a row of panels a setting."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from credbench.report.curves import PANEL, Record, Speller, split, telling
from credbench.report.figures import headline, save
from credbench.report.summary import AXES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST = 10
"""Classes that colours and markers tell apart; of more, none is."""
# Okabe & Ito 2008, twice over in two weights of marker: told apart in grey by their shapes.
_COLOURS = (
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#B8A800", "#0072B2", "#D55E00", "#CC79A7",
    "#7F7F7F", "#4B0082",
)  # fmt: skip
_MARKERS = ("o", "s", "^", "v", "D", "P", "X", "<", ">", "*")


def embedded(records: Sequence[Record]) -> list[Record]:
    """Return the records with points to show."""
    return [record for record in records if record.get("embedding", {}).get("points")]


def plot_embeddings(
    records: Sequence[Record], paths: Iterable[Path], spell: Speller, title: str = ""
) -> None:
    """Draw the points of the first seed of each setting; `records` have some."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    told = telling(records, [axis for axis in AXES if axis not in PANEL], spell)
    rows = split(records, PANEL, spell)
    columns = list(split(records, told, spell))
    size = (3.6 * len(columns), 3.6 * len(rows) + 0.6)
    figure, grid = plt.subplots(
        len(rows), len(columns), figsize=size, layout="constrained", squeeze=False
    )
    for line, (setting, inside) in zip(grid, rows.items(), strict=True):
        here = split(inside, told, spell)
        for axes, words in zip(line, columns, strict=True):
            axes.set_axis_off()
            if words in here:
                record = min(here[words], key=lambda each: each["trial"]["seed"])
                named = f"{', '.join(words)}\n{setting[0]}, {setting[2]}: {_error(record)}"
                axes.set_title(named, fontsize="small")
                _scatter(axes, record["embedding"])
    headline(figure, title)
    handles = {label: handle for axes in grid.flat for handle, label in _legend(axes)}
    if handles:
        figure.legend(
            [handles[key] for key in sorted(handles)], sorted(handles),
            loc="outside lower center", ncols=len(handles), frameon=False, fontsize="small",
            markerscale=2,
        )  # fmt: skip
    save(figure, paths)


def _legend(axes: Axes) -> Iterable[tuple[Any, str]]:
    return zip(*axes.get_legend_handles_labels(), strict=True)


def _error(record: Record) -> str:
    error = record.get("scores", {}).get("test", {}).get("error")
    return "" if error is None else f"{error:.1f} % test error, seed {record['trial']['seed']}"


def _scatter(axes: Axes, embedding: Record) -> None:
    """Draw each class in a colour and a marker of its own, or all alike where they are many."""
    points, labels = embedding["points"], embedding["labels"]
    classes = sorted(set(labels))
    several = len(classes) <= _MOST
    for number, each in enumerate(classes if several else [None]):
        own = [p for p, label in zip(points, labels, strict=True) if each in (None, label)]
        axes.scatter(
            [x for x, _ in own], [y for _, y in own], s=7, linewidths=0, alpha=0.8,
            color=_COLOURS[number], marker=_MARKERS[number],
            label=f"{each}" if several else None,
        )  # fmt: skip
