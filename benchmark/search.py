"""What `credbench tune` does: spends a budget on every cell, writes down what won."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from credbench import environment, winners
from credbench.configuration import configure
from credbench.errors import RequestError
from credbench.executing import execute
from credbench.experiment import SETTINGS, Experiment, datasets, make_experiment
from credbench.experimenting import print_plan
from credbench.images import Dataset
from credbench.logs import warn
from credbench.origins import origin_notes
from credbench.printing import check_format, show
from credbench.registry import Registry
from credbench.run_options import DEFAULT_RESULTS, folder_of, plan_options
from credbench.store import Store
from credbench.tuning import Budget, Winner, plan, winner

if TYPE_CHECKING:
    from credbench.running import Options

_IMAGES = 10_000


@dataclass(frozen=True)
class WinnersTable:
    """The settings that won, cell by cell."""

    title: str
    winners: Sequence[Winner]
    budget: Budget
    notes: Sequence[str]

    caption: ClassVar[str] = "error on validation in percent"
    names: ClassVar[int] = 6

    def headings(self) -> list[str]:
        """Return the names of the columns."""
        return ["dataset", "network", "activation", "asked for", "won", "optimizer",
                "validation error %", "untuned %", "draws"]  # fmt: skip

    def cells(self) -> list[list[str]]:
        """Return the text of every cell."""
        return [[str("—" if v is None else v) for v in row.values()] for row in self.dicts()]

    def footnotes(self) -> list[str]:
        """Return what the budget was, and the notes."""
        return [
            f"Budget: {self.budget}, seed {self.budget.seed}, the first draw untuned; the weights "
            "of the best epoch; no test image was read.",
            *dict.fromkeys(
                f"{w.cell.algorithm.asked}: {spent}, as its epochs are of several passes."
                for w in self.winners
                if (spent := self.budget.spent(w.cell.algorithm)) != str(self.budget)
            ),
            *self.notes,
        ]

    def dicts(self) -> list[dict[str, Any]]:
        """Return one flat dictionary a row."""
        return [
            {
                "dataset": w.cell.dataset.spec(full=False),
                "network": w.cell.network.spec(full=False),
                "activation": w.cell.activation.spec(full=False),
                "asked": w.cell.algorithm.asked,
                "algorithm": w.trial.algorithm.spec(full=False),
                "optimizer": w.trial.optimizer.spec(full=False),
                "validation_error": round(w.error, 2),
                "untuned_error": None if w.default is None else round(w.default, 2),
                "draws": w.finished,
            }
            for w in self.winners
        ]


def tune_experiment(
    options: Mapping[str, str],
    plugins: Sequence[Path],
    draws: int,
    passes: int,
    images: int | None,
    seed: int,
    dry_run: bool,
    format: str,
) -> int:
    """Spend the budget on every cell, write and print what won; return the exit code."""
    check_format(format)
    asked = configure(None, options)
    registry = Registry(plugins)
    warn(registry.problems)
    how = plan_options(asked, tuple(plugins), retry_failed=False, timing=False)
    named = asked.settings.get("dataset", SETTINGS["dataset"])
    images = _images(datasets(registry, named, how.data_dir), images)
    settings = {"seeds": f"{seed},", **asked.settings, "limit-train": str(images)}
    experiment = make_experiment(registry, settings, how.data_dir)
    if not asked.settings.get("name"):
        experiment = replace(experiment, name=f"tune-{experiment.name}")
    budget = Budget(draws, passes, images, seed)
    store = Store(folder_of("results-dir", asked.run, DEFAULT_RESULTS), experiment.name)
    spent, _ = plan(experiment, budget)
    if dry_run:
        print_plan(spent, store, format, False)
        return 0
    found, made = spend(experiment, budget, store, how)
    records = store.trials()
    notes = origin_notes(records[trial.id] for trial in spent.trials if trial.id in records)
    notes += [f"{key.capitalize()}: {text}" for key, text in made.items()]
    show([WinnersTable(store.name, [w for w in found.values() if w], budget, notes)], format)
    if format == "table":
        print(f"Written to {store.folder / winners.FILE}: 'credbench run --tuned' uses them")
    lost = [cell.label for cell in experiment.trials if found[cell.id] is None]
    warn(f"{label}: no draw came to a result" for label in lost)
    return 1 if lost else 0


def spend(
    experiment: Experiment, budget: Budget, store: Store, how: Options
) -> tuple[dict[str, Winner | None], dict[str, str]]:
    """Spend a budget on every cell and write down what won.

    Return the winners by the cells' ids, None where no draw came to a result, and the commands
    and hardware behind them.
    """
    spent, by_cell = plan(experiment, budget)
    where = store.folder / winners.FILE
    winners.check(where)
    execute(spent, store, replace(how, judged=("validation",), timing=False, retry_failed=False))
    records = store.trials()
    found = {cell.id: winner(cell, by_cell[cell.id], records) for cell in experiment.trials}
    made = _made(store, spent)
    winners.write(where, [w for w in found.values() if w], budget, made)
    return found, made


def _images(found: Sequence[Dataset], asked: int | None) -> int:
    """Return how many training images are used: 10,000, or all where a dataset has fewer.

    Raises `RequestError` where more are asked for than the smallest has.
    """
    smallest = min(found, key=lambda dataset: dataset.trainable)
    if asked is not None and asked > smallest.trainable:
        raise RequestError(
            f"--images {asked}: {smallest.name} has {smallest.trainable} training images beside "
            f"those for validation; give at most {smallest.trainable}"
        )
    return asked or min(_IMAGES, smallest.trainable)


def _made(store: Store, spent: Experiment) -> dict[str, str]:
    """Return the commands and the hardware behind the trials."""
    records = store.trials()
    used = {records[t.id]["environment"] for t in spent.trials if t.id in records}
    found = [e for key, e in store.environments().items() if key in used]
    if not found:
        raise RequestError(f"{store.folder} has no environment on record: run it again")
    return {
        "command": "; ".join(dict.fromkeys(str(e["command"]) for e in found)),
        "hardware": "; ".join(dict.fromkeys(environment.describe(e) for e in found)),
    }
