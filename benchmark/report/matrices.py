"""Confusion matrices for the page: counts of the test images, means over the seeds of a setting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from credbench.report.curves import Record, Speller, split, telling
from credbench.report.lines import label
from credbench.report.summary import AXES

MOST_CLASSES = 20
"""Classes up to which a matrix is shown whole; of more, the most frequent confusions are."""
_PAIRS = 20

Matrix = np.ndarray[Any, np.dtype[np.float64]]


def matrices(records: Sequence[Record], spell: Speller) -> list[dict[str, Any]]:
    """Return the mean matrix of each setting: rows are true classes, columns predictions."""
    done = [record for record in records if record["status"] == "done" and _counted(record)]
    axes = telling(done, AXES, spell)
    found = []
    for words, inside in split(done, axes, spell).items():
        counts = [np.array(record["confusion"], dtype=float) for record in inside]
        alike = [each for each in counts if each.shape == counts[0].shape]
        mean = np.mean(alike, axis=0)
        found.append({"label": label(axes, words), "n": len(alike), **_content(mean)})
    return found


def _counted(record: Record) -> bool:
    """Return whether a record has a matrix of counts: a file may hold anything there."""
    rows = record.get("confusion")
    if not isinstance(rows, list) or not rows:
        return False
    return all(
        isinstance(row, list) and len(row) == len(rows) and all(isinstance(n, int) for n in row)
        for row in rows
    )


def _content(mean: Matrix) -> dict[str, Any]:
    classes = len(mean)
    if classes <= MOST_CLASSES:
        return {"classes": classes, "counts": [[_short(n) for n in row] for row in mean.tolist()]}
    wrong = mean.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:_PAIRS]
    pairs = [(int(place) // classes, int(place) % classes) for place in order]
    return {
        "classes": classes,
        "pairs": [[a, b, _short(float(wrong[a, b]))] for a, b in pairs if wrong[a, b] > 0],
    }


def _short(count: float) -> float | int:
    rounded = round(count, 1)
    return int(rounded) if rounded == int(rounded) else rounded
