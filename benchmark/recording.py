"""What is kept of a trial: the record of an outcome, or of the error that stood in its way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from credbench.errors import LostTrialError
from credbench.registry import last_line
from credbench.store import Record
from credbench.tracing import innermost

if TYPE_CHECKING:
    from credbench.experiment import Trial
    from credbench.metrics import Score
    from credbench.training import Outcome


def make_record(trial: Trial, outcome: Outcome | Exception) -> Record:
    """Return what is kept of a trial, whichever way it ended."""
    from credbench.training import streams

    record: Record = {
        "id": trial.id,
        "trial": trial.arguments,
        "source": trial.source,
        "surrogate": trial.surrogate,
        "streams": streams(trial),
    }
    if trial.dataset.streamed:
        record["streamed"] = True
    if trial.dataset.origin:
        record["origin"] = trial.dataset.origin
    if isinstance(outcome, LostTrialError):
        return record | {"status": "failed", "reason": str(outcome)}
    if isinstance(outcome, Exception):
        reason = f"{last_line(outcome)} ({innermost(outcome)})"
        return record | {"status": "failed", "reason": reason}
    reason = f"not finite after epoch {outcome.epoch}" if outcome.status == "diverged" else ""
    if outcome.embedding:
        record["embedding"] = outcome.embedding
    if outcome.angles is not None:
        record["angles"] = outcome.angles
    return record | {
        "status": outcome.status,
        "reason": reason,
        "epoch": outcome.epoch,
        "phases": list(trial.algorithm.phases),
        "parameters": outcome.parameters,
        "feedback": outcome.feedback,
        "captured": outcome.captured,
        "training_seconds": outcome.training_seconds,
        "compile_seconds": outcome.compile_seconds,
        "resumed": outcome.resumed,
        "broken": outcome.broken,
        "scores": {part: _given(score) for part, score in outcome.scores.items()},
        "confusion": outcome.confusion,
        "curve": {k: [_short(v) for v in values] for k, values in vars(outcome.curve).items()},
    }


def _given(score: Score) -> dict[str, float]:
    return {measure: value for measure, value in vars(score).items() if value is not None}


def _short(value: float) -> float | None:
    """Return a logged value at six digits; one that is not finite has no spelling in JSON."""
    return float(f"{value:.6g}") if abs(value) < float("inf") else None
