"""Decides what still has to run, groups it, runs it on every core, and stores it."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from credbench import environment, suspects, together
from credbench.errors import CredbenchError, RequestError
from credbench.experiment import Experiment, Trial
from credbench.grouping import Grouping
from credbench.images import PARTS
from credbench.job import Events, Job
from credbench.launch import launched
from credbench.registry import last_line
from credbench.spoiling import TOLD, spoiled
from credbench.store import Record, Store

if TYPE_CHECKING:
    from credbench.angles import Angles
    from credbench.images import Dataset


@dataclass(frozen=True)
class Options:
    """How an experiment is run; none of it changes what a trial is."""

    data_dir: Path
    device: str = "auto"
    workers: int | None = None
    """Processes on CPU; None is one a core."""
    replicas: int | None = None
    """Trials trained together in one program; None lets the engine choose."""
    plugins: tuple[Path, ...] = ()
    retry_failed: bool = False
    timing: bool = True
    """Whether settings without a timing run get one when all else is done."""
    judged: tuple[str, ...] = PARTS
    """The parts of the data that the reported weights are judged on."""
    embedded: int = 0
    """Of how many test images the last hidden layer is kept, in the plane."""
    angles: Angles | None = None
    """What is watched while trials train."""
    scheduler: str | None = None
    """The Dask cluster that trains: its address, its file, or `local`; None is for none."""
    timeout: float | None = None
    """Seconds after which a trial is given up."""
    scalars: bool = False
    """Whether learning curves are written for TensorBoard."""

    @property
    def here(self) -> bool:
        """Whether this machine trains, so that what is timed here is of the same hardware."""
        return self.scheduler in (None, "local")


def pending(
    experiment: Experiment,
    store: Store,
    retry_failed: bool = False,
    embedded: int = 0,
    angles: Angles | None = None,
) -> list[Trial]:
    """Return the trials without a record that `serves`, nor one that a later version wrote."""
    records = store.trials()
    return [
        trial
        for trial in experiment.trials
        if trial.id not in store.newer
        and not serves(records.get(trial.id), trial, retry_failed, embedded, angles)
    ]


def serves(
    record: Record | None,
    trial: Trial,
    retry_failed: bool = False,
    embedded: int = 0,
    angles: Angles | None = None,
) -> bool:
    """Return whether there is a record of a trial, of its present source, with all asked for.

    Of a failed trial nothing more is asked; of a diverged one, the angles up to there.
    """
    if record is None or is_stale(record, trial):
        return False
    if record["status"] != "done" and retry_failed:
        return False
    watched = record.get("angles", {}).get("every")
    if angles is not None and record["status"] != "failed" and watched != angles.every:
        return False
    if record["status"] != "done":
        return True
    return not embedded or record.get("embedding", {}).get("asked") == embedded


def is_stale(record: Record, trial: Trial) -> bool:
    """Return whether a record is of another version of its source, or of other data.

    Class folders and published files are other data, though they go by one name.
    """
    other = record.get("origin", "") != trial.dataset.origin
    return other or bool(record["source"] != trial.source)


def run(
    experiment: Experiment,
    store: Store,
    options: Options,
    events: Events,
    among: Sequence[Trial] = (),
) -> None:
    """Run what is pending and store a record for each trial as it ends.

    Which train together is decided `among` the trials given, by default the experiment's. Raises
    `RequestError` where the data, the device or the results folder cannot be used.
    """
    store.check_writable()
    store.recover()
    store.mends = store.writes
    more = (options.embedded, options.angles)
    left = pending(experiment, store, options.retry_failed, *more)
    for problem in store.untold():
        events.note(problem)
    trials = together.decided(left, experiment.trials)
    if trials and spoiled():  # by an earlier experiment
        raise CredbenchError(f"{TOLD}: the same command goes on from here")
    planned = among or experiment.trials
    together.in_turn(lambda: _prepare_all(trials, options.data_dir, events))
    device = resolve_device(options.device) if trials and options.scheduler is None else "cpu"
    store.write_plan(
        {
            "settings": experiment.settings,
            "trials": experiment.planned,
            "refused": experiment.refusals,
        }
    )
    if trials and options.scheduler is not None:
        from credbench import cluster

        cluster.train(trials, planned, store, options, events, options.scheduler)
    elif trials:
        _train(trials, planned, store, options, device, events)
    if options.timing and options.here:
        time_untimed(experiment.trials, store.trials(), store.timings(), store, events)


def _prepare_all(trials: Sequence[Trial], data_dir: Path, events: Events) -> None:
    for dataset in dict.fromkeys(trial.dataset for trial in trials):
        prepare_dataset(dataset, data_dir, events)


def prepare_dataset(dataset: Dataset, data_dir: Path, events: Events) -> None:
    """Make sure that a dataset can be loaded; raises `RequestError` where it cannot."""
    from credbench.loading import prepare

    try:
        prepare(dataset, data_dir, events.note)
    except CredbenchError:
        raise
    except Exception as error:
        raise RequestError(
            f"dataset {dataset.name!r} could not be prepared in {data_dir}: {last_line(error)}"
        ) from error


def time_untimed(
    trials: Sequence[Trial],
    records: Mapping[str, Record],
    timings: Mapping[tuple[object, ...], Record],
    store: Store,
    events: Events,
) -> int:
    """Time the settings with results but no timing, and store it; return how many there were.

    Nothing else trains meanwhile.
    """
    from credbench.pace import time_settings, untimed

    if spoiled():
        store.problems.append(f"nothing was timed, for {TOLD}: the same command makes up for it")
        return 0
    count = 0
    for device in ("cpu", "cuda"):
        left = untimed(trials, records, timings, device)
        if not left or resolve_device("auto" if device == "cuda" else device) != device:
            continue
        count += len(left)
        events.timing(len(left))
        where = store.write_environment(environment.capture(device, workers=1))
        for problem in time_settings(left, store, device, where):
            store.problems.append(problem)
    return count


def _train(
    trials: Sequence[Trial],
    planned: Sequence[Trial],
    store: Store,
    options: Options,
    device: str,
    events: Events,
) -> None:
    grouping = Grouping(device, worker_count(options.workers, device), options.replicas)
    groups: list[Sequence[Trial]] = list(grouping.groups(trials, planned))
    workers = min(len(groups), grouping.workers_fitting(groups))
    captured = store.write_environment(environment.capture(device, workers))
    more = (options.embedded, options.angles, options.scalars)
    job = Job(store, options.data_dir, device, captured, options.judged, *more)
    events.started(len(trials), sum(trial.epochs for trial in trials))
    failed = {
        trial.id for trial in trials if (store.trial(trial.id) or {}).get("status") == "failed"
    }
    with suspects.named(store.folder) as named:
        if workers == 1 and options.timeout is None:
            groups = _train_here(groups, job, named | failed, events)
        if groups:
            _train_elsewhere(groups, workers, replace(job), options, events)


def _train_here(
    groups: Sequence[Sequence[Trial]], job: Job, named: Collection[str], events: Events
) -> list[Sequence[Trial]]:
    """Train groups in this process; return those that had better be trained in another.

    These are what holds a trial named as a suspect, and what is left when this process is spoiled.
    """
    alone = launched().size == 1  # of several processes each would have to know
    doubted = [group for group in groups if alone and _is_doubted(group, named)]
    waiting = deque(group for group in groups if group not in doubted)
    while waiting and not spoiled():
        group = waiting.popleft()
        with suspects.noted(job.store.folder, group) if alone else nullcontext():
            trained = job(group, events)
        for record in trained.records:
            events.finished(record)
        waiting.extendleft(reversed(trained.left))
    return [*waiting, *doubted]


def _is_doubted(group: Sequence[Trial], named: Collection[str]) -> bool:
    """Return whether a group may have killed a process; what streams has processes of its own."""
    return any(trial.id in named and not trial.dataset.streamed for trial in group)


def _train_elsewhere(
    groups: Sequence[Sequence[Trial]], workers: int, job: Job, options: Options, events: Events
) -> None:
    """Train groups in processes of their own, so many at once."""
    from credbench.pool import Pool

    if launched().size > 1:
        raise CredbenchError(f"{TOLD}: what had finished is saved; the same command goes on")
    Pool(job, options.plugins, events, options.timeout).run(groups, workers)


def resolve_device(name: str) -> str:
    """Return `cpu` or `cuda`; raises `RequestError` where CUDA is asked for and absent."""
    if name not in ("auto", "cpu", "cuda"):
        raise RequestError(f"device {name!r}: expected auto, cpu or cuda")
    if name == "cpu":
        return name
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if name == "cuda":
        raise RequestError("device 'cuda': torch finds no CUDA device here; give cpu or auto")
    return "cpu"


def worker_count(given: int | None, device: str) -> int:
    """Return how many processes may share the work: one for each core on CPU, one on a GPU."""
    if device == "cuda":
        return 1
    return given or max(1, environment.cores() // environment.threads())
