"""Figures: one colour and marker an algorithm, told apart in grey and by the colour-blind."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from credbench.spread import spread

# Okabe & Ito 2008, without the yellow that white paper swallows.
_COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
_MARKERS = "osv^D*PX"
_KNOWN = ("backprop", "fa", "dfa", "lra-e", "rec-lra", "target-prop")


def style(algorithm: str) -> dict[str, Any]:
    """Return the colour and marker of an algorithm, by its name without parameters."""
    name = algorithm.partition("[")[0]
    place = _KNOWN.index(name) if name in _KNOWN else len(_KNOWN) + sum(map(ord, name))
    return {"color": _COLOURS[place % len(_COLOURS)], "marker": _MARKERS[place % len(_MARKERS)]}


def plot_depth(record: Mapping[str, Any], path: Path) -> None:
    """Draw the time of a step over the number of hidden layers, quartiles as bars."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    lines: dict[tuple[str, int, int], list[Mapping[str, Any]]] = {}
    for row in record["rows"]:
        key = (row["algorithm"], row["trial"]["batch_size"], row["replicas"])
        lines.setdefault(key, []).append(row)
    several = len({key[1:] for key in lines}) > 1
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    styles = ("-", "--", ":", "-.")
    seen: dict[str, int] = {}
    for (algorithm, batch, replicas), rows in lines.items():
        rows = sorted(rows, key=lambda row: row["layers"])
        found = [spread(row["seconds"]["step"]) for row in rows]
        medians = [1e3 * each.median for each in found]
        below = [1e3 * (each.median - each.low) for each in found]
        above = [1e3 * (each.high - each.median) for each in found]
        name = algorithm.partition("[")[0]
        axes.errorbar(
            [row["layers"] for row in rows], medians, [below, above], capsize=2, markersize=5,
            linestyle=styles[seen.get(name, 0) % len(styles)], **style(algorithm),
            label=algorithm + (f", batch {batch}, replicas {replicas}" if several else ""),
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
    figure.savefig(path, dpi=150)
    plt.close(figure)
