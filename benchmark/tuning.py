"""Random search of hyper-parameters: the same number of draws and passes for every algorithm,
judged on validation images alone, with a seed that no other run uses.

Draws are stratified (a Latin hypercube: McKay, Beckman & Conover 1979) over the ranges declared
beside each hyper-parameter of the algorithm and of its optimiser; what is given in brackets stays
as given. The first draw is what the algorithm does when nothing is asked for.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from credbench.component import Component, Parameter, Search
from credbench.experiment import Experiment, Trial

if TYPE_CHECKING:
    from credbench.learner import Learner
    from credbench.optimizers import Optimizer
    from credbench.store import Record

SEED = 1_000_000
"""The seed of every draw, unless another is given; results come from other seeds."""
_DIGITS = 2


@dataclass(frozen=True)
class Budget:
    """What every algorithm may spend on a setting."""

    draws: int
    passes: int
    """Passes over the data for each draw; an epoch of several phases is as many."""
    images: int
    seed: int = SEED

    def __str__(self) -> str:
        return self._text(self.passes)

    def _text(self, passes: int) -> str:
        return f"{self.draws} draws × {passes} passes over {self.images:,} images"

    def spent(self, learner: Learner) -> str:
        """Return what a learner's whole epochs came to, in words."""
        return self._text(self.epochs(learner) * len(learner.phases))

    def epochs(self, learner: Learner) -> int:
        """Return the whole epochs that make up at least these passes."""
        return math.ceil(self.passes / len(learner.phases))


@dataclass(frozen=True)
class Winner:
    """The draw with the lowest validation error."""

    cell: Trial
    """What was asked for."""
    trial: Trial
    error: float
    """Validation error in percent."""
    default: float | None
    """That of the first draw; None where it came to nothing."""
    finished: int
    """How many of the draws came to a result."""


def search_space(component: Component) -> dict[str, Parameter]:
    """Return the parameters to draw: those with a range that were not given."""
    known = component.parameters()
    return {k: p for k, p in known.items() if p.search is not None and k not in component.given}


def candidates(cell: Trial, budget: Budget) -> list[Trial]:
    """Return the trials that a cell's budget is spent on, the first as the cell itself.

    Two draws may come to the same trial where few values are possible; each is listed once, and
    so is what a draw for which the algorithm is not defined gives way to: the default.
    """
    base = replace(
        cell, epochs=budget.epochs(cell.algorithm), limit_train=budget.images, seed=budget.seed
    )
    algorithm, optimizer = search_space(cell.algorithm), search_space(cell.optimizer)
    axes = [p.search for p in (*algorithm.values(), *optimizer.values()) if p.search]
    found = [base]
    for point in _hypercube(budget.draws - 1, len(axes), _draw_seed(cell, budget)):
        values = iter(point)
        drawn = replace(
            base,
            algorithm=_drawn(cell.algorithm, algorithm, values),
            optimizer=_drawn(cell.optimizer, optimizer, values),
        )
        found.append(base if drawn.refusal else drawn)
    return list({trial.id: trial for trial in found}.values())


def _draw_seed(cell: Trial, budget: Budget) -> int:
    """Return a seed that differs between algorithms and settings."""
    text = f"{budget.seed}:{cell.algorithm.asked}:{cell.setting}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest())


def _hypercube(points: int, axes: int, seed: int) -> Iterator[Sequence[float]]:
    """Yield points of the unit cube, one in each of as many strata of every axis."""
    import numpy as np

    # RandomState's streams are frozen by numpy, so the draws never change between versions.
    source = np.random.RandomState(seed)
    columns = [(source.permutation(points) + source.rand(points)) / points for _ in range(axes)]
    for k in range(points):
        yield [float(column[k]) for column in columns]


def _drawn(component: Any, space: Mapping[str, Parameter], values: Iterator[float]) -> Any:
    """Return a component with its free parameters drawn; what is then without effect is left."""
    drawn = {
        k: p.read(_rounded(pick(p.search, next(values)), p.default), component.name)
        for k, p in space.items()
        if p.search
    }
    made = replace(component, **drawn)
    kept = {k: v for k, v in drawn.items() if k not in made.unused()}
    return replace(component, **kept)


def _rounded(value: Any, default: Any) -> Any:
    """Return a drawn number as whole where the parameter's default is."""
    whole = isinstance(default, int) and not isinstance(default, bool)
    return round(value) if whole and isinstance(value, float) else value


def pick(search: Search, u: float) -> Any:
    """Return the value at a fraction u of a range, to two digits."""
    if search.choices:
        return search.choices[min(int(u * len(search.choices)), len(search.choices) - 1)]
    if search.scale == "log":
        value = search.low * (search.high / search.low) ** u
    else:
        value = search.low + (search.high - search.low) * u
    return float(f"{value:.{_DIGITS}g}")


def plan(experiment: Experiment, budget: Budget) -> tuple[Experiment, dict[str, list[Trial]]]:
    """Return the experiment that spends the budget on each cell, and each cell's trials by id."""
    by_cell = {cell.id: candidates(cell, budget) for cell in experiment.trials}
    trials = {trial.id: trial for drawn in by_cell.values() for trial in drawn}
    cells = (*trials.values(), *experiment.refused)
    return replace(experiment, cells=cells), by_cell


def winner(cell: Trial, drawn: Sequence[Trial], records: Mapping[str, Record]) -> Winner | None:
    """Return the best of a cell's draws on validation, the earliest of equals; None without any."""
    errors = {
        trial.id: float(records[trial.id]["scores"]["validation"]["error"])
        for trial in drawn
        if records.get(trial.id, {}).get("status") == "done"
    }
    if not errors:
        return None
    best = min(errors, key=lambda id: errors[id])
    trial = next(trial for trial in drawn if trial.id == best)
    return Winner(cell, trial, errors[best], errors.get(drawn[0].id), len(errors))


def setting(cell: Trial) -> dict[str, Any]:
    """Return what a cell asks for, in the words of a file of winners."""
    return {
        "algorithm": cell.algorithm.asked,
        "dataset": cell.dataset.spec(full=False),
        "activation": cell.activation.spec(full=False),
        "network": cell.network.spec(full=False),
        "optimizer": cell.optimizer.asked,
        "init": cell.init.spec(full=False),
        "batch-size": cell.batch_size,
        "clip-norm": cell.clip_norm,
    }


def tuned(cell: Trial, algorithm: Learner, optimizer: Optimizer, budget: str) -> Trial:
    """Return a cell's trial with the settings that won, and what finding them took."""
    return replace(cell, algorithm=algorithm, optimizer=optimizer, tuning=budget)
