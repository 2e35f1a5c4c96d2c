"""A target's trials: made from its grids, tuned where its scale says so, found where they are."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from credbench import winners
from credbench.errors import CredbenchError
from credbench.experiment import Experiment, Trial, datasets, make_experiment
from credbench.gathering import Loaded
from credbench.job import Events
from credbench.logs import warn
from credbench.origins import origin_notes
from credbench.registry import Registry
from credbench.running import Options, prepare_dataset, serves
from credbench.search import spend
from credbench.store import Record, Store, experiments
from credbench.targets import Target
from credbench.tuning import SEED, Budget


@dataclass(frozen=True)
class Plan:
    """The trials behind a target, and why some cannot be run here."""

    experiment: Experiment
    absent: Mapping[str, str]
    """Why the trials of these ids cannot be run: their dataset is not to be had."""
    untuned: int = 0
    """How many settings stand here as they are before a search, which was not made."""

    @property
    def runnable(self) -> Experiment:
        """The trials whose data is there."""
        there = (cell for cell in self.experiment.cells if cell.id not in self.absent)
        return replace(self.experiment, cells=tuple(there))


def make_plan(
    target: Target, registry: Registry, how: Options, results_dir: Path, search: bool = True
) -> Plan:
    """Return the trials behind a target; with `search`, what is not tuned or there yet is made so.

    Raises `RequestError` where the target names what there is not, and `CredbenchError` where
    tuning comes to nothing.
    """
    cells: list[Trial] = []
    absent: dict[str, str] = {}
    untuned = 0
    for settings in target.grids:
        made, why = _made(registry, {**settings, "name": target.label}, how, search)
        if target.search is not None:
            left, budget = _unsearched(target, registry, settings, made, how, results_dir, why)
            if search and not why:
                _search(left, budget, how, results_dir)
            else:
                untuned += len(left.trials)
            made = winners.apply_known(made, registry, results_dir, budget)
        cells += made.cells
        absent |= {cell.id: why for cell in made.cells if why}
    settings = {"target": target.name, "scale": target.scale}
    return Plan(Experiment(target.label, settings, tuple(cells)), absent, untuned)


def _made(
    registry: Registry, settings: Mapping[str, str], how: Options, prepare: bool
) -> tuple[Experiment, str]:
    """Return a grid's experiment, and why its data is not to be had; empty where it is.

    With `prepare` what is not there yet is downloaded. Raises `RequestError` where the settings
    themselves are wrong.
    """
    try:
        for dataset in datasets(registry, settings["dataset"], how.data_dir) if prepare else ():
            prepare_dataset(dataset, how.data_dir, Events(note=lambda line: warn([line])))
        return make_experiment(registry, settings, how.data_dir), ""
    except CredbenchError as error:
        return make_experiment(registry, settings, None), str(error)


def _unsearched(
    target: Target,
    registry: Registry,
    settings: Mapping[str, str],
    made: Experiment,
    how: Options,
    results_dir: Path,
    absent: str,
) -> tuple[Experiment, Budget]:
    """Return the settings of a grid that nobody has tuned with the target's budget, and that."""
    assert target.search is not None
    least = min(cell.dataset.trainable for cell in made.cells)
    images = min(target.search.images or least, least)
    budget = Budget(target.search.draws, target.search.passes, images)
    asked = {**settings, "seeds": f"{SEED},", "limit-train": str(images)}
    asked["name"] = f"tune-{target.label}"
    whole = make_experiment(registry, asked, None if absent else how.data_dir)
    return winners.untuned(whole, results_dir, budget), budget


def _search(left: Experiment, budget: Budget, how: Options, results_dir: Path) -> None:
    """Spend the budget; raises `CredbenchError` where a setting comes to nothing."""
    if not left.trials:
        return
    found, _ = spend(left, budget, Store(results_dir, left.name), how)
    lost = [cell.label for cell in left.trials if found[cell.id] is None]
    if lost:
        raise CredbenchError(f"{', '.join(lost)}: no draw of the search came to a result")


def _as_read(trial: Trial, record: Record) -> Trial:
    """Return a trial on what the dataset of its record was read from."""
    origin = record.get("origin", "")
    return replace(trial, dataset=trial.dataset.with_values({"origin": origin}))


class Found:
    """The records of a results folder, of whichever experiment, that serve trials."""

    def __init__(self, results_dir: Path, first: str) -> None:
        """Read every experiment, the one named `first` before the others."""
        others = (name for name in experiments(results_dir) if name != first)
        names = [first, *others]  # which may hold timing alone
        self._loaded = [Loaded(Store(results_dir, name)) for name in names]

    def records(
        self,
        trials: Sequence[Trial],
        retry_failed: bool = False,
        embedded: int = 0,
        absent: Container[str] = (),
    ) -> dict[str, Record]:
        """Return a record for each trial that has one with all that is asked for.

        Of several the first finished one counts, or else the first. What it was read from is not
        compared for the trials whose data is not here.
        """
        found: dict[str, Record] = {}
        for trial in trials:
            for each in self._loaded:
                record = each.records.get(trial.id)
                if record is not None and trial.id in absent:
                    trial = _as_read(trial, record)
                if record is None or not serves(record, trial, retry_failed, embedded):
                    continue
                if found.get(trial.id, {}).get("status") != "done":
                    found[trial.id] = record
        return found

    def elsewhere(self, records: Mapping[str, Record]) -> set[str]:
        """Return the ids of those of these records that another experiment than the first holds."""
        own = self._loaded[0].records
        return {id for id, record in records.items() if own.get(id) is not record}

    def timings(self) -> dict[tuple[object, ...], Record]:
        """Return the timing runs of all experiments."""
        return {key: each for one in self._loaded for key, each in one.store.timings().items()}

    def notes(self, records: Mapping[str, Record], registry: Registry) -> list[str]:
        """Return what the records were read from, ran on and were asked for by."""
        notes = origin_notes(records.values())
        for each in self._loaded:
            own = {id for id, record in records.items() if each.records.get(id) is record}
            notes += each.origins(own, registry) if own else []
        return list(dict.fromkeys(notes))

    def problems(self) -> list[str]:
        """Return a sentence for each record that could not be read."""
        return [problem for each in self._loaded for problem in each.store.problems]
