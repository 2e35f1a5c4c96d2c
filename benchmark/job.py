"""Trains groups of trials in one process and writes their records, whatever becomes of them."""

from __future__ import annotations

import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from credbench import environment, together
from credbench.errors import CredbenchError, RequestError
from credbench.experiment import Trial
from credbench.images import PARTS
from credbench.launch import launched
from credbench.recording import make_record
from credbench.spoiling import spoiled, spoils
from credbench.store import Record, Store

if TYPE_CHECKING:
    from credbench.angles import Angles
    from credbench.images import Dataset, Splits
    from credbench.scalars import Log
    from credbench.training import Outcome


@dataclass(frozen=True)
class Events:
    """What a run tells while it goes on."""

    started: Callable[[int, int], Any] = lambda trials, epochs: None
    epoch: Callable[[int], Any] = lambda trials: None
    finished: Callable[[Record], Any] = lambda record: None
    timing: Callable[[int], Any] = lambda settings: None
    note: Callable[[str], Any] = lambda line: None
    debug: Callable[[str], Any] = lambda text: None


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
