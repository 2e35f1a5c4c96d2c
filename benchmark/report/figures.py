"""Figures: one colour and marker an algorithm, told apart in grey and by the colour-blind."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from credbench.spread import spread

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe & Ito 2008, without the yellow that white paper swallows.
_COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
_MARKERS = "osv^D*PX"
_LETTERS = 12
"""Letters of a title that an inch has room for."""
_KNOWN = (
    "backprop", "fa", "dfa", "lra-e", "rec-lra", "target-prop", "equilibrium-prop", "lra-diff",
    "lra-fdbk",
)  # fmt: skip


def style(algorithm: str) -> dict[str, Any]:
    """Return the colour and marker of an algorithm, by its name without parameters."""
    name = algorithm.partition("[")[0]
    place = _KNOWN.index(name) if name in _KNOWN else len(_KNOWN) + sum(map(ord, name))
    return {"color": _COLOURS[place % len(_COLOURS)], "marker": _MARKERS[place % len(_MARKERS)]}


def headline(figure: Figure, title: str) -> None:
    """Put a title above a figure, in as many lines as its width takes."""
    figure.suptitle(textwrap.fill(title, max(20, int(_LETTERS * figure.get_figwidth()))),
                    fontsize="medium")  # fmt: skip


def legend(figure: Figure, columns: int) -> None:
    """Put one legend for all panels below a figure."""
    handles = {
        label: handle
        for axes in figure.axes
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        handles.values(), handles.keys(), loc="outside lower center",
        ncols=min(columns, len(handles)), frameon=False, fontsize="small",
    )  # fmt: skip


def save(figure: Figure, paths: Iterable[Path]) -> None:
    """Write a figure to every path, in the format of its ending, and close it."""
    from matplotlib import pyplot as plt

    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Without its date a file is the same whenever it is made anew.
        dated = {"CreationDate": None} if path.suffix == ".pdf" else {}
        figure.savefig(path, dpi=150, metadata=dated)
    plt.close(figure)


def _line(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what the points of one line share: all but the depth."""
    trial = row["trial"]
    return (
        row["algorithm"], row["family"], trial["dataset"], trial["activation"],
        trial["optimizer"].partition("[")[0], f"batch {trial['batch_size']}",
        f"norm {trial['clip_norm']}", f"replicas {row['replicas']}",
    )  # fmt: skip


def plot_depth(record: Mapping[str, Any], path: Path) -> None:
    """Draw the time of a step over the number of hidden layers, quartiles as bars."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    lines: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for row in record["rows"]:
        lines.setdefault(_line(row), []).append(row)
    told = [len(set(column)) > 1 for column in zip(*lines, strict=True)]
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    styles = ("-", "--", ":", "-.")
    seen: dict[str, int] = {}
    for line, rows in lines.items():
        algorithm = line[0]
        words = [word for word, tell in zip(line[1:], told[1:], strict=True) if tell]
        rows = sorted(rows, key=lambda row: row["layers"])
        found = [spread(row["seconds"]["step"]) for row in rows]
        medians = [1e3 * each.median for each in found]
        below = [1e3 * (each.median - each.low) for each in found]
        above = [1e3 * (each.high - each.median) for each in found]
        name = algorithm.partition("[")[0]
        axes.errorbar(
            [row["layers"] for row in rows], medians, [below, above], capsize=2, markersize=5,
            linestyle=styles[seen.get(name, 0) % len(styles)], **style(algorithm),
            label=", ".join([algorithm, *words]),
        )  # fmt: skip
        seen[name] = seen.get(name, 0) + 1
    ticks = sorted({row["layers"] for row in record["rows"]})
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set_xlabel("hidden layers")
    axes.set_ylabel("step (ms)")
    axes.grid(True, which="both", alpha=0.25)
    figure.legend(loc="outside right upper", fontsize="small", frameon=False)
    save(figure, [path])
