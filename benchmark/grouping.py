"""Which trials train together as replicas of one program, and how many at once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from credbench.experiment import Trial

_ON_GPU = 64
_ON_CPU = 16
_WORTH_IT = 8
_SMALL = 2**15
"""Parameters up to which replicas pay on CPU: with 16 of them, an image took one third of the
time at 64-16-16-10, 0.6 at 64-128-128-10, and more than alone from 64-256-256-256-10 on."""


@dataclass
class Grouping:
    """Makes groups for a device that several processes may share."""

    device: str
    workers: int
    replicas: int | None = None
    """The group size asked for; None lets the device, the network and the memory decide."""
    _room: dict[object, int | None] = field(default_factory=dict)

    def groups(
        self, trials: Sequence[Trial], planned: Sequence[Trial] = ()
    ) -> Iterator[list[Trial]]:
        """Yield trials that train together, in the order of the first of each program.

        Those of an experiment are together as they would be if all that it has `planned` were to
        run: a trial's last bits hang on how many train with it, and a sweep that was stopped is to
        end as one that was not. Raises `RequestError` for a trial that does not fit in memory even
        alone.
        """
        wanted = {trial.id for trial in trials}
        by_program: dict[object, list[Trial]] = {trial.program: [] for trial in trials}
        for trial in planned or trials:
            if trial.program in by_program:
                by_program[trial.program].append(trial)
        for members in by_program.values():
            size = self._size(members)
            for start in range(0, len(members), size):
                some = [t for t in members[start : start + size] if t.id in wanted]
                if some:
                    yield some

    def workers_fitting(self, groups: Sequence[Sequence[Trial]]) -> int:
        """Return how many processes can train such groups at once, of those there may be."""
        if any(group[0].dataset.streamed for group in groups):
            return 1  # the processes that read its images take the cores
        room = ((self._fitting(group[0]), len(group)) for group in groups)
        return min([self.workers, *(max(1, most // size) for most, size in room if most)])

    def _size(self, members: Sequence[Trial]) -> int:
        first = members[0]
        if not first.vectorizable:
            self._fitting(first)
            return 1
        wanted = self.replicas or (
            self._on_gpu(members) if self.device == "cuda" else self._on_cpu(members)
        )
        return min(wanted, self._fitting(first) or wanted)

    def _on_gpu(self, members: Sequence[Trial]) -> int:
        """Return a size that leaves no GPU idle."""
        return min(_ON_GPU, math.ceil(len(members) / self.workers))

    def _on_cpu(self, members: Sequence[Trial]) -> int:
        """Return a size that pays and leaves no core idle: one but for small networks."""
        shared = min(_ON_CPU, math.ceil(len(members) / self.workers))
        return shared if shared >= _WORTH_IT and members[0].net.count() <= _SMALL else 1

    def _fitting(self, trial: Trial) -> int | None:
        from credbench.memory import fitting  # it needs torch, which a dry run does without

        if trial.program not in self._room:
            self._room[trial.program] = fitting(trial, self.device)
        return self._room[trial.program]
