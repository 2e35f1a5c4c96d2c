"""Confusion matrices on the test part: one panel a setting, a shade and a number a cell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from credbench.report.curves import Record, Speller
from credbench.report.figures import headline, save
from credbench.report.matrices import matrices

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DARK = 50.0
"""The percentage from which on a cell is so dark that its number is white."""
_MOST_PANELS = 24


def confusions(records: Sequence[Record], spell: Speller) -> list[dict[str, Any]]:
    """Return the mean matrices that can be drawn: those of few classes."""
    return [each for each in matrices(records, spell) if "counts" in each]


def plot_confusions(
    found: Sequence[dict[str, Any]], paths: Iterable[Path], title: str = ""
) -> None:
    """Draw matrices as percentages of their rows: true classes down, predictions across."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    shown = found[:_MOST_PANELS]
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    figure, grid = plt.subplots(
        rows, columns, figsize=(4.2 * columns, 4.2 * rows + 0.4), layout="constrained",
        squeeze=False,
    )  # fmt: skip
    for axes, each in zip(grid.flat, shown, strict=False):
        axes.set_title(f"{each['label']}, n = {each['n']}", fontsize="small", wrap=True)
        _matrix(axes, np.array(each["counts"], dtype=float))
    for axes in list(grid.flat)[len(shown) :]:
        axes.set_axis_off()
    left = f" ({len(found) - len(shown)} more are not shown)" if len(found) > len(shown) else ""
    headline(figure, title + left)
    save(figure, paths)


def _matrix(axes: Axes, counts: np.ndarray[Any, np.dtype[np.float64]]) -> None:
    totals = counts.sum(axis=1, keepdims=True)
    shares = 100 * np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
    axes.imshow(shares, cmap="Greys", vmin=0, vmax=100)
    for (row, column), share in np.ndenumerate(shares):
        if share >= 0.5:
            colour = "white" if share >= _DARK else "black"
            axes.text(
                column, row, f"{share:.0f}", ha="center", va="center", color=colour, fontsize=6
            )
    axes.set_xticks(range(len(shares)))
    axes.set_yticks(range(len(shares)))
    axes.tick_params(labelsize="x-small", length=0)
    axes.set_xlabel("predicted class", fontsize="small")
    axes.set_ylabel("true class, % of its images", fontsize="small")
