"""Files of tuned settings: written by `credbench tune`, read by `credbench run --tuned`.

<results-dir>/<experiment>/tuned.yaml holds those of one experiment; the package ships some.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from credbench.configuration import read_yaml
from credbench.errors import RequestError
from credbench.experiment import Experiment, Trial
from credbench.spec import parse_axis
from credbench.tuning import Budget, Winner, setting, tuned

if TYPE_CHECKING:
    from credbench.component import Component
    from credbench.learner import Learner
    from credbench.optimizers import Optimizer
    from credbench.registry import Registry

FILE = "tuned.yaml"
_SETTING = ("algorithm", "dataset", "activation", "network", "optimizer", "init", "batch-size",
            "clip-norm")  # fmt: skip
_WORDS = ("algorithm", "optimizer", "budget")
Entry = Mapping[str, Any]


def check(path: Path) -> None:
    """Raise `RequestError` where winners could not be written: before anything is spent."""
    if path.exists():
        list(_read(path))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise _unwritable(path, error) from error


def write(path: Path, winners: Sequence[Winner], budget: Budget, made: Mapping[str, str]) -> None:
    """Write winners with what made them (command, hardware); those of other cells stay.

    Raises `RequestError` where the file cannot be written.
    """
    entries: list[dict[str, Any]] = [
        {
            "setting": setting(w.cell),
            "algorithm": w.trial.algorithm.spec(full=False),
            "optimizer": w.trial.optimizer.spec(full=False),
            "validation-error": round(w.error, 3),
            "budget": budget.spent(w.trial.algorithm),
            "seed": budget.seed,
            "made": dict(made),
        }
        for w in winners
    ]
    add(path, entries)


def read(path: Path) -> dict[tuple[str, ...], dict[str, Any]]:
    """Return the entries of a file by setting, none where there is no file.

    Raises `RequestError` for a file that `write` did not make.
    """
    return {_key(entry): dict(entry) for entry in (_read(path) if path.exists() else ())}


def add(path: Path, entries: Iterable[dict[str, Any]]) -> None:
    """Put entries as `read` returns them into a file, in place of those of their settings."""
    new = {_key(entry): entry for entry in entries}
    _save(path, {**read(path), **new}.values())


def _save(path: Path, entries: Iterable[dict[str, Any]]) -> None:
    import yaml

    content = {"winners": list(entries)}
    text = yaml.safe_dump(content, allow_unicode=True, sort_keys=False, width=100)
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> RequestError:
    return RequestError(
        f"{path} cannot be written ({error.strerror}): give --results-dir a folder that can be"
    )


def apply(experiment: Experiment, registry: Registry, results_dir: Path) -> Experiment:
    """Return the experiment with each cell's settings replaced by those that won for it.

    Raises `RequestError` for a cell that was never tuned, and for a seed that tuning used.
    """
    known = {_key(entry): (path, entry) for path, entry in _entries(results_dir)}
    cells = tuple(
        cell if cell.refusal else _tuned(cell, known.get(_key_of(setting(cell))), registry)
        for cell in experiment.cells
    )
    return replace(experiment, cells=cells)


def apply_known(
    experiment: Experiment, registry: Registry, results_dir: Path, budget: Budget
) -> Experiment:
    """Return the experiment with the settings that won with a budget, where there are any."""
    known = _found_with(budget, experiment, results_dir)
    cells = tuple(
        _tuned(cell, known[key], registry)
        if not cell.refusal and (key := _key_of(setting(cell))) in known else cell
        for cell in experiment.cells
    )  # fmt: skip
    return replace(experiment, cells=cells)


def untuned(experiment: Experiment, results_dir: Path, budget: Budget) -> Experiment:
    """Return the experiment without the cells whose settings were found with a budget."""
    known = _found_with(budget, experiment, results_dir)
    left = (c for c in experiment.cells if c.refusal or _key_of(setting(c)) not in known)
    return replace(experiment, cells=tuple(left))


def _found_with(
    budget: Budget, experiment: Experiment, results_dir: Path
) -> dict[tuple[str, ...], tuple[Path, Entry]]:
    """Return what won for an experiment's settings with a budget: the last that is known."""
    spent = {
        _key_of(setting(cell)): budget.spent(cell.algorithm)
        for cell in experiment.cells
        if not cell.refusal
    }
    return {
        _key(entry): (path, entry)
        for path, entry in _entries(results_dir)
        if spent.get(_key(entry)) == entry["budget"]
    }


def _tuned(cell: Trial, found: tuple[Path, Entry] | None, registry: Registry) -> Trial:
    if found is None:
        words = ", ".join(f"{k} {v}" for k, v in setting(cell).items() if v is not None)
        raise RequestError(
            f"--tuned: no tuned settings are known for {words}: find them with "
            f"'credbench tune -a {cell.algorithm.asked} -d {cell.dataset.spec(full=False)} …', or "
            "leave --tuned out"
        )
    path, entry = found
    if cell.seed == entry["seed"]:
        raise RequestError(f"seed {cell.seed} was used for tuning: give other --seeds")
    algorithm = _created(registry, "algorithm", entry["algorithm"], cell.algorithm, path)
    optimizer = _created(registry, "optimizer", entry["optimizer"], cell.optimizer, path)
    return tuned(cell, cast("Learner", algorithm), cast("Optimizer", optimizer), entry["budget"])


def _created(registry: Registry, kind: str, text: str, asked: Component, path: Path) -> Component:
    """Return the component that an entry names for a cell; raises `RequestError` with the file."""
    try:
        specs = parse_axis(text)
        if len(specs) == 1 and specs[0].name == asked.name:
            return registry.create(kind, specs[0])
        problem = f"{text!r} is no setting of {kind} {asked.name!r}"
    except RequestError as error:
        problem = str(error)
    raise RequestError(f"{path}: {problem}: tune it again, or mend the file")


def _key(entry: Entry) -> tuple[str, ...]:
    return _key_of(entry["setting"])


def _key_of(asked: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(asked[key]) for key in _SETTING)


def _entries(results_dir: Path) -> Iterator[tuple[Path, Entry]]:
    """Yield every entry known, those of the results folder last, so that they win."""
    for path in [*_shipped(), *sorted(results_dir.glob(f"*/{FILE}"))]:
        for entry in _read(path):
            yield path, entry


def _read(path: Path) -> Iterator[Entry]:
    """Yield the entries of a file; raises `RequestError` for one that `write` did not make."""
    content = read_yaml(path)
    entries = content.get("winners") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise RequestError(f"{path}: expected a list of winners, as 'credbench tune' writes it")
    for number, entry in enumerate(entries, start=1):
        problem = _misfit(entry)
        if problem:
            raise RequestError(f"{path}: winner {number} {problem}: tune again, or mend the file")
        yield entry


def _misfit(entry: object) -> str:
    """Return what is wrong with an entry; empty where nothing is."""
    if not isinstance(entry, dict) or not isinstance(entry.get("setting"), dict):
        return "has no setting"
    lacking = [key for key in _SETTING if key not in entry["setting"]]
    if lacking:
        return f"lacks {', '.join(lacking)} in its setting"
    wrong = [key for key in _WORDS if not isinstance(entry.get(key), str)]
    if not isinstance(entry.get("seed"), int):
        wrong.append("seed")
    return f"has no valid {', '.join(wrong)}" if wrong else ""


def _shipped() -> list[Path]:
    folder = Path(str(resources.files("credbench.paper")))
    return sorted(folder.glob("tuned*.yaml"))
