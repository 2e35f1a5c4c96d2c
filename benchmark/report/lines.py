"""Learning curves for the page: per setting and epoch, the mean over seeds and its range."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from credbench.report.curves import (
    MEASURES,
    PANEL,
    Record,
    Speller,
    finite,
    looks_of,
    split,
    telling,
)
from credbench.report.summary import AXES

MOST_LINES = 100
"""Settings drawn in a panel: the best by their last validation error."""
MOST_POINTS = 200
"""Epochs drawn of a curve."""
_JUDGE = "validation-error"
_NUMERIC = ("batch_size", "epochs", "clip_norm", "limit_train", "dtype", "tuning")


def panels(records: Sequence[Record], spell: Speller) -> list[dict[str, Any]]:
    """Return one panel a dataset, network and activation, with the lines of its settings."""
    drawn = [record for record in records if any(map(_curve(record).get, _keys()))]
    axes = telling(drawn, [axis for axis in AXES if axis not in PANEL], spell)
    look = looks_of(split(drawn, axes, spell), axes.index("algorithm"))
    found = []
    for title, inside in split(drawn, PANEL, spell).items():
        lines = [
            _line(label(axes, words), words[axes.index("algorithm")], look[words], of)
            for words, of in split(inside, axes, spell).items()
        ]
        best = sorted(range(len(lines)), key=lambda place: _last(lines[place]))[:MOST_LINES]
        kept = [lines[place] for place in sorted(best)]
        left = len(lines) - len(kept)
        found.append({"title": ", ".join(title), "lines": kept, "left_out": left})
    return found


def label(axes: Sequence[str], words: Sequence[str]) -> str:
    """Return a setting's name: components speak for themselves, numbers with their axis."""
    return ", ".join(
        f"{axis.replace('_', ' ')} {word}" if axis in _NUMERIC else word
        for axis, word in zip(axes, words, strict=True)
    )


def _keys() -> list[str]:
    return [measure.replace("-", "_") for measure in MEASURES]


def _curve(record: Record) -> Mapping[str, Any]:
    found: Mapping[str, Any] = record.get("curve", {})
    return found


def _line(
    label: str, algorithm: str, look: Mapping[str, Any], records: Sequence[Record]
) -> dict[str, Any]:
    measures = {measure: _measure(records, measure.replace("-", "_")) for measure in MEASURES}
    return {
        "label": label,
        "algorithm": algorithm.partition("[")[0],
        "colour": look["color"],
        "dash": look["linestyle"],
        "marker": look["marker"],
        "n": len(records),
        "measures": {k: v for k, v in measures.items() if v["mean"]},
    }


def _measure(records: Sequence[Record], key: str) -> dict[str, Any]:
    """Return the epochs drawn, means and ranges there, and where trials diverged."""
    curves = [finite(_curve(record).get(key, ())) for record in records]
    epochs = _thinned(max(map(len, curves)))
    at = [[curve[k - 1] for curve in curves if len(curve) >= k] for k in epochs]
    ends = [
        [len(curve), _short(curve[-1])]
        for record, curve in zip(records, curves, strict=True)
        if record["status"] == "diverged" and curve
    ]
    several = len(records) > 1
    return {
        "epochs": epochs,
        "mean": [_short(math.fsum(values) / len(values)) for values in at],
        "low": [_short(min(values)) for values in at] if several else [],
        "high": [_short(max(values)) for values in at] if several else [],
        "ends": ends,
    }


def _thinned(epochs: int) -> list[int]:
    """Return the epochs drawn, the first and last among them."""
    if epochs <= MOST_POINTS:
        return list(range(1, epochs + 1))
    step = (epochs - 1) / (MOST_POINTS - 1)
    return [1 + round(k * step) for k in range(MOST_POINTS)]


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def _last(line: Mapping[str, Any]) -> float:
    judged = line["measures"].get(_JUDGE)
    return float(judged["mean"][-1]) if judged else math.inf
