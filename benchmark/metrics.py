"""Scores from pooled predictions: every example counts once, whatever batch it came in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Score:
    """Error and macro averages, all in percent; a class never predicted has precision 0."""

    error: float
    precision: float
    recall: float
    f1: float
    top5: float | None = None
    """The error of the five best guesses; None where they were not asked for."""


def score(labels: Labels, guesses: Labels, classes: int) -> Score:
    """Return the scores of predictions against labels (n,).

    Guesses are one an example (n,), or more (n, …), the best of them first.
    """
    from sklearn.metrics import precision_recall_fscore_support

    ranked = guesses.reshape(len(labels), -1)
    predicted = ranked[:, 0]
    precision, recall, f1, _ = precision_recall_fscore_support(
        labels, predicted, labels=range(classes), average="macro", zero_division=0.0
    )
    error = np.mean(labels != predicted)
    e, p, r, f = (100 * float(value) for value in (error, precision, recall, f1))
    several = ranked.shape[1] > 1
    top5 = 100 * float((ranked[:, :5] != labels[:, None]).all(1).mean()) if several else None
    return Score(e, p, r, f, top5)


def confusion(labels: Labels, predicted: Labels, classes: int) -> list[list[int]]:
    """Return counts, one row a true class, one column a predicted one."""
    from sklearn.metrics import confusion_matrix

    counts: Any = confusion_matrix(labels, predicted, labels=range(classes))
    return [[int(n) for n in row] for row in counts]
