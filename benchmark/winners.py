"""Files of tuned settings: written by `credbench tune`, read by `credbench run --tuned`.

<results-dir>/<experiment>/tuned.yaml holds those of one experiment; the package ships some.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
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
    from credbench.learner import Learner
    from credbench.optimizers import Optimizer
    from credbench.registry import Registry

FILE = "tuned.yaml"
_ENTRY = ("setting", "algorithm", "optimizer", "validation-error", "budget", "seed")


def write(path: Path, winners: Sequence[Winner], budget: Budget, made: Mapping[str, str]) -> None:
    """Write winners with what made them (command, hardware); those of other cells stay."""
    import yaml

    entries: list[dict[str, Any]] = [
        {
            "setting": setting(w.cell),
            "algorithm": w.trial.algorithm.spec(full=False),
            "optimizer": w.trial.optimizer.spec(full=False),
            "validation-error": round(w.error, 3),
            "budget": str(budget),
            "seed": budget.seed,
            "made": dict(made),
        }
        for w in winners
    ]
    new = {_key(entry["setting"]): entry for entry in entries}
    old = {_key(entry["setting"]): entry for entry in (_read(path) if path.exists() else ())}
    content = {"winners": list({**old, **new}.values())}
    path.parent.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(content, allow_unicode=True, sort_keys=False, width=100)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def apply(experiment: Experiment, registry: Registry, results_dir: Path) -> Experiment:
    """Return the experiment with each cell's settings replaced by those that won for it.

    Raises `RequestError` for a cell that was never tuned, and for a seed that tuning used.
    """
    known = {_key(entry["setting"]): entry for entry in _entries(results_dir)}
    cells = tuple(
        cell if cell.refusal else _tuned(cell, known.get(_key(setting(cell))), registry)
        for cell in experiment.cells
    )
    return replace(experiment, cells=cells)


def _tuned(cell: Trial, entry: Mapping[str, Any] | None, registry: Registry) -> Trial:
    if entry is None:
        words = ", ".join(f"{k} {v}" for k, v in setting(cell).items() if v is not None)
        raise RequestError(
            f"--tuned: no tuned settings are known for {words}: find them with "
            f"'credbench tune -a {cell.algorithm.asked!r} -d {cell.dataset.name} …', or leave "
            "--tuned out"
        )
    if cell.seed == entry["seed"]:
        raise RequestError(f"seed {cell.seed} was used for tuning: give other --seeds")
    algorithm = registry.create("algorithm", parse_axis(entry["algorithm"])[0])
    optimizer = registry.create("optimizer", parse_axis(entry["optimizer"])[0])
    return tuned(cell, cast("Learner", algorithm), cast("Optimizer", optimizer), entry["budget"])


def _key(asked: Mapping[str, Any]) -> str:
    return json.dumps(asked, sort_keys=True)


def _entries(results_dir: Path) -> Iterator[Mapping[str, Any]]:
    """Yield every entry known, those of the results folder last, so that they win."""
    for path in [*_shipped(), *sorted(results_dir.glob(f"*/{FILE}"))]:
        yield from _read(path)


def _read(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the entries of a file; raises `RequestError` for one that `write` did not make."""
    content = read_yaml(path)
    entries = content.get("winners") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise RequestError(f"{path}: expected a list of winners, as 'credbench tune' writes it")
    for entry in entries:
        if not isinstance(entry, dict) or any(key not in entry for key in _ENTRY):
            raise RequestError(f"{path}: a winner lacks one of {', '.join(_ENTRY)}")
        yield entry


def _shipped() -> list[Path]:
    folder = Path(str(resources.files("credbench.paper")))
    return sorted(folder.glob("tuned*.yaml"))
