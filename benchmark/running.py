"""Decides what still has to run, groups it, runs it on every core, and stores it."""

from __future__ import annotations

import time
import traceback
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from credbench import environment, suspects, together
from credbench.errors import CredbenchError, LostTrialError, RequestError
from credbench.experiment import Experiment, Trial
from credbench.grouping import Grouping
from credbench.images import PARTS
from credbench.launch import launched
from credbench.registry import last_line
from credbench.spoiling import TOLD, spoiled, spoils
from credbench.store import Record, Store
from credbench.tracing import innermost

if TYPE_CHECKING:
    from credbench.angles import Angles
    from credbench.images import Dataset, Splits
    from credbench.metrics import Score
    from credbench.scalars import Log
    from credbench.training import Outcome


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


@dataclass(frozen=True)
class Events:
    """What a run tells while it goes on."""

    started: Callable[[int, int], Any] = lambda trials, epochs: None
    epoch: Callable[[int], Any] = lambda trials: None
    finished: Callable[[Record], Any] = lambda record: None
    timing: Callable[[int], Any] = lambda settings: None
    note: Callable[[str], Any] = lambda line: None
    debug: Callable[[str], Any] = lambda text: None


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


@dataclass(frozen=True)
class Trained:
    """What came of a group."""

    records: list[Record]
    left: list[Sequence[Trial]]
    """Groups to be trained in another process, for this one is spoiled."""
    spoiled: bool
    """Whether this process can train no more, of whatever group."""


@dataclass
class Job:
    """Trains groups in this process and writes their records."""

    store: Store
    data_dir: Path
    device: str
    environment: str
    judged: tuple[str, ...] = PARTS
    embedded: int = 0
    angles: Angles | None = None
    scalars: bool = False

    def __post_init__(self) -> None:
        self._splits: dict[tuple[Dataset, int | None], Splits] = {}

    def __call__(self, group: Sequence[Trial], events: Events) -> Trained:
        """Train one group; an exception becomes the record of each of its trials.

        Where one spoils this process, what is left of the group comes back untrained.
        """
        import torch

        left, records = deque([group]), list[Record]()
        while left and not spoiled():
            some = left.popleft()
            made = self._records(some, events)
            if made:
                records += made
                continue
            half = len(some) // 2  # too much for the memory, or one of them failed: halve and see
            left.extendleft((some[half:], some[:half]))
            if not spoiled():
                torch.cuda.empty_cache()
        return Trained(records, list(left), spoiled())

    def _records(self, group: Sequence[Trial], events: Events) -> list[Record]:
        """Train a group and store its records; none where it is to be halved."""
        import torch

        from credbench.checkpoints import Checkpoint
        from credbench.processor import settle
        from credbench.training import train

        settle()
        every = None if self.angles is None else self.angles.every
        checkpoint = Checkpoint(self.store.checkpoints, group, self.device, events.note, every)
        load, started = environment.load(), time.perf_counter()
        try:
            with self._logged(group, events) as log:
                outcomes: Sequence[Outcome | Exception] = train(
                    group, self._load(group), torch.device(self.device),
                    lambda: events.epoch(len(group)), self.judged, checkpoint, events.note,
                    self.embedded, self.angles, log,
                )  # fmt: skip
        except RequestError:
            raise
        except Exception as error:
            spoils(error)  # which is remembered
            if len(group) > 1:
                return []
            together.expect_everywhere(error, group[0])
            events.debug(f"{group[0].label}: {traceback.format_exc()}")
            outcomes = [error]
        earlier = max(getattr(outcome, "earlier_seconds", 0.0) for outcome in outcomes)
        facts = self._facts(len(group), load, time.perf_counter() - started + earlier)
        records = [
            self._with_earlier(make_record(trial, outcome) | facts)
            for trial, outcome in zip(group, outcomes, strict=True)
        ]
        self.store.write_trials(records)
        if not any(isinstance(outcome, Exception) for outcome in outcomes):
            checkpoint.remove()  # what failed may go on from it: the reason may have passed
        return records

    def _logged(self, group: Sequence[Trial], events: Events) -> AbstractContextManager[Log | None]:
        """Return a context of what is given learning curves as they grow, where that is asked."""
        if not (self.scalars and self.store.writes):
            return nullcontext()
        from credbench import scalars

        return scalars.live(self.store.folder, group, events.note)

    def fail(self, trial: Trial, error: CredbenchError, seconds: float) -> Record:
        """Store and return the record of a trial whose process is gone, after so many seconds."""
        record = make_record(trial, error) | self._facts(1, environment.load(), seconds)
        self.store.write_trial(record)
        return record

    def _facts(self, group: int, load: float | None, seconds: float) -> Record:
        """Return where and how trials of a group ran."""
        return {
            "environment": self.environment,
            "device": self.device,
            "load": load,
            "group": group,
            "processes": launched().size,
            "seconds": seconds,
        }

    def _with_earlier(self, record: Record) -> Record:
        """Return a record with what an earlier one of the same training kept and it did not."""
        earlier = self.store.trial(record["id"])
        same = ("source", "device", "curve")
        if earlier is None or any(_told(earlier, key) != _told(record, key) for key in same):
            return record
        return {key: earlier[key] for key in _KEPT if key in earlier} | record

    def _load(self, group: Sequence[Trial]) -> dict[Dataset, Splits]:
        """Return the data of a group; that of the last one is kept."""
        from credbench.loading import load

        held = self._splits
        self._splits = {}
        for trial in group:
            key = (trial.dataset, trial.limit_train)
            if key not in self._splits:
                self._splits[key] = held.get(key) or load(
                    trial.dataset, self.data_dir, trial.limit_train
                )
        return {dataset: splits for (dataset, _), splits in self._splits.items()}


_KEPT = ("embedding", "angles")
"""What a record holds only where it was asked for."""


def _told(record: Record, key: str) -> Any:
    """Return a fact of a record; of its curve what does not hang on the machine's pace."""
    value = record.get(key)
    return {k: v for k, v in value.items() if k != "seconds"} if key == "curve" and value else value


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
