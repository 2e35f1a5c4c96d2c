"""What `credbench time --loader` does: does reading images keep up with training on them?

Images a second are counted of the loader alone, of training alone on one batch again and again,
and of both together, as in a run. An image counts once for each phase that reads it.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from credbench import environment
from credbench.errors import InterruptedRunError, RequestError
from credbench.experiment import Trial, make_experiment
from credbench.logs import warn
from credbench.printing import check_format, show
from credbench.records import FORMAT
from credbench.registry import Registry
from credbench.running import resolve_device
from credbench.stopwatch import check_name, check_writable, write_record

if TYPE_CHECKING:
    import torch

    from credbench.group import Group
    from credbench.images import Splits
    from credbench.streams import Stream

PARTS = ("loader", "training", "both")
_SECONDS = 1.0
"""How long each measurement goes on, at least."""


def time_loader(
    registry: Registry,
    asked: Mapping[str, str],
    data_dir: Path,
    repeats: int,
    device: str,
    folder: Path,
    name: str | None,
    format: str,
) -> None:
    """Measure every combination, store one record and print the table.

    Raises `RequestError` for datasets that are not streamed, and for data that is not there.
    """
    check_format(format)
    check_name(name)
    settings = {"dataset": "imagenet", "epochs": "1", **asked, "seeds": "1"}
    experiment = make_experiment(registry, settings, data_dir)
    for trial in experiment.trials:
        if not trial.dataset.streamed:
            raise RequestError(
                f"--loader on {trial.dataset.name}: its images lie in memory and none is loaded; "
                "give a dataset that is streamed, such as -d imagenet"
            )
    where = resolve_device(device)
    check_writable(folder)
    try:
        rows = [_row(trial, data_dir, where, repeats) for trial in experiment.trials]
    except KeyboardInterrupt:
        raise InterruptedRunError("interrupted: no record was made") from None
    record = {
        "format": FORMAT,
        "environment": environment.capture(where, workers=1),
        "repeats": repeats,
        "rows": rows,
    }
    path = write_record(record, folder, name, plot=False)
    from credbench.report.rates import RatesTable

    show([RatesTable(record)], format)
    if format == "table":
        print(f"Record: {path}")


def _row(trial: Trial, data_dir: Path, device: str, repeats: int) -> dict[str, Any]:
    import torch

    from credbench.loading import load
    from credbench.processor import settle

    settle()
    splits = load(trial.dataset, data_dir, trial.limit_train)
    few = replace(trial, batch_size=min(trial.batch_size, len(splits.train)))
    rates, workers = measure(few, splits.to(torch.device(device)), torch.device(device), repeats)
    return {
        "trial": {k: v for k, v in few.arguments.items() if k not in ("seed", "epochs")},
        "algorithm": trial.algorithm.spec(full=False),
        "network": trial.network.spec(full=False),
        "source": trial.source,
        "images": sum(trial.dataset.examples),
        "loaders": workers,
        "load": environment.load(),
        "images_per_second": rates,
    }


def measure(
    trial: Trial, splits: Splits, device: torch.device, repeats: int, seconds: float = _SECONDS
) -> tuple[dict[str, list[float]], int]:
    """Return images a second of each of `PARTS`, repeat by repeat, and how many processes read.

    Repeats are taken in turns, each for so many seconds at least, from images in an order of
    their own, of which the first that were read ahead are not counted.
    """
    import torch

    from credbench.group import Group
    from credbench.streams import Stream, Tidings

    with torch.no_grad():
        group = Group([trial], [splits], device, Tidings(lambda line: warn([line])))
        train = group.data["train"]
        assert isinstance(train, Stream)
        group.prepare()
        group.shuffle(1)
        found: dict[str, list[float]] = {part: [] for part in PARTS}
        for repeat in range(repeats):
            for part in PARTS:
                found[part].append(_rate(group, train, part, repeat, seconds))
        group.close()
        return found, train.workers


def _rate(group: Group, train: Stream, part: str, repeat: int, seconds: float) -> float:
    """Return the images a second of one repeat of a part."""
    from credbench.streams import Walk
    from credbench.training import now

    trial, phases = group.trials[0], group.learner.phases
    size = trial.batch_size
    order = group.order[: len(train) // size * size].tolist()
    train.begin(Walk(trial.seed, repeat, order, size, passes=2**31))
    programs = itertools.cycle([group.program(phase, size) for phase in phases])

    def step() -> None:
        if part != "training":
            train.advance()
        if part != "loader":
            next(programs)(0)

    for _ in range(1 if part == "training" else train.read_ahead):
        step()
    started, steps = now(group.device), 0
    while time.perf_counter() - started < seconds or steps % len(phases):
        step()
        steps += 1
    return steps * size / (now(group.device) - started)
