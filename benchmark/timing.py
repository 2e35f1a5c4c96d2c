"""How long a learner's step takes, and which part of it: forward, credit assignment, optimiser.

The parts are differences of three programs (forward; forward and updates; the whole step), run
in turns with those of the other learners, so that whatever else the machine does meets all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from credbench import environment
from credbench.capture import Captured
from credbench.errors import CredbenchError
from credbench.experiment import Trial
from credbench.group import Group
from credbench.images import Channels, Dataset, Part, Splits
from credbench.memory import PeakBytes, held
from credbench.program import STAGES, Program, Stage
from credbench.registry import last_line
from credbench.training import now

REPEATS = 5
_LEAST_SECONDS = 0.05
_MOST_BYTES = 2**26
_WARM_UP = 3


@dataclass(frozen=True)
class Clocked:
    """What was measured of one program; times are in seconds per batch, one entry a repeat.

    A batch passes every phase of an epoch: twice for a learner with two phases.
    """

    trial: Trial
    replicas: int
    phases: int
    captured: bool
    compile_seconds: float
    """Building, warming up and, on CUDA, capturing the programs; not in the times."""
    held_bytes: int
    """Weights, feedback, state and moments of all replicas."""
    peak_bytes: int
    """The same and the most that one step holds beside them."""
    times: dict[str, list[float]] = field(default_factory=dict)
    """By stage: forward, updates, step."""
    loads: list[float] = field(default_factory=list)
    """The machine's load average at each repeat, where it is known."""

    def parts(self) -> dict[str, list[float]]:
        """Return the time of each part of the step, repeat by repeat."""
        forward, updates, step = (self.times[stage] for stage in STAGES)
        return {
            "forward": forward,
            "credit": [u - f for f, u in zip(forward, updates, strict=True)],
            "optimizer": [s - u for u, s in zip(updates, step, strict=True)],
            "step": step,
        }


def clock(
    groups: Sequence[Sequence[Trial]],
    device: torch.device,
    repeats: int = REPEATS,
    stages: Sequence[Stage] = STAGES,
    on_repeat: Callable[[], Any] = lambda: None,
) -> list[Clocked]:
    """Time the steps of groups of trials, in turns, on random images of their dataset's form."""
    with torch.no_grad():
        data = random_data({t.dataset: t for group in groups for t in group}, device)
        meters = [_meter(group, data, device, stages) for group in groups]
        for _ in range(repeats):
            for stage in stages:
                for meter in meters:
                    meter.measure(stage)
            on_repeat()
        return [meter.clocked for meter in meters]


def random_data(trials: Mapping[Dataset, Trial], device: torch.device) -> dict[Dataset, Splits]:
    """Return as many random images of each dataset's form as it has, within reason."""
    found = {}
    for dataset, trial in trials.items():
        size = math.prod(dataset.shape) * dataset.value_bytes
        fitting = max(trial.batch_size, _MOST_BYTES // size)
        train = _noise_part(dataset, min(fitting, trial.limit_train or dataset.trainable))
        few = _noise_part(dataset, 1)
        splits = Splits(train, few, few, dataset.peak, _channels(dataset))
        found[dataset] = splits.to(device)
    return found


def _channels(dataset: Dataset) -> Channels | None:
    """Return channels that change nothing, but take their time, where the dataset has some."""
    form = (dataset.shape[0], 1, 1)
    return Channels(torch.zeros(form), torch.ones(form)) if dataset.standardized else None


def _noise_part(dataset: Dataset, n: int) -> Part:
    shape = (n, *dataset.shape)
    if dataset.value_bytes > 1:
        x = torch.randn(shape)
    else:
        x = torch.randint(int(dataset.peak) + 1, shape, dtype=torch.uint8)
    return Part(x, torch.randint(dataset.classes, (n,)))


def _meter(
    trials: Sequence[Trial],
    data: Mapping[Dataset, Splits],
    device: torch.device,
    stages: Sequence[Stage],
) -> _Meter:
    try:
        return _Meter(trials, data, device, stages)
    except Exception as error:
        first = trials[0]
        named = f"{first.algorithm.spec(full=False)} on {first.network.spec(full=False)}"
        raise CredbenchError(f"{named} could not be timed: {last_line(error)}") from error


class _Meter:
    """The three programs of one group, in every phase of an epoch."""

    def __init__(
        self,
        trials: Sequence[Trial],
        data: Mapping[Dataset, Splits],
        device: torch.device,
        stages: Sequence[Stage],
    ) -> None:
        began = now(device)
        self.group = Group(trials, [data[trial.dataset] for trial in trials], device)
        self.group.shuffle(1)
        self.size = min(trials[0].batch_size, self.group.order.shape[-1])
        self.programs = {stage: self._make(stage) for stage in stages}
        for programs in self.programs.values():
            self._run(programs, _WARM_UP)
        peak = self._peak()
        self.steps = self._enough_steps()
        bytes_held = held(self.group.tensors())
        self.clocked = Clocked(
            trials[0], len(trials), len(self.group.learner.phases), self.group.captured,
            now(device) - began, bytes_held, bytes_held + peak, {stage: [] for stage in stages},
        )  # fmt: skip

    def _make(self, stage: Stage) -> list[Program]:
        kind = Captured if self.group.captured else Program
        return [kind(self.group, phase, self.size, stage) for phase in self.group.learner.phases]

    def _peak(self) -> int:
        """Return the most bytes that a step holds beside what it starts from."""
        most = 0
        for phase in self.group.learner.phases:
            with PeakBytes() as seen:
                Program(self.group, phase, self.size)(0)
            most = max(most, seen.peak)
        return most

    def _run(self, programs: Iterable[Program], steps: int) -> float:
        """Return the seconds that some steps of every program take."""
        last = self.group.order.shape[-1] - self.size
        started = now(self.group.device)
        for program in programs:
            start = 0
            for _ in range(steps):
                program(start)
                start = start + self.size if start + self.size <= last else 0
        return now(self.group.device) - started

    def _enough_steps(self) -> int:
        """Return how many steps take long enough to be timed."""
        once = self._run(self.programs["step"], 5) / 5
        return max(5, math.ceil(_LEAST_SECONDS / once))

    def measure(self, stage: Stage) -> None:
        """Time one stage once."""
        seconds = self._run(self.programs[stage], self.steps)
        self.clocked.times[stage].append(seconds / self.steps)
        load = environment.load()
        if stage == "step" and load is not None:
            self.clocked.loads.append(load)


def epoch_seconds(clocked: Clocked) -> list[float]:
    """Return the seconds of an epoch, all its phases included, at the pace of each repeat."""
    trial = clocked.trial
    examples = trial.limit_train or trial.dataset.trainable
    batches = examples / min(trial.batch_size, examples)
    return [batches * seconds for seconds in clocked.times["step"]]
