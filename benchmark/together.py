"""A run whose trials train on several processes: what is refused, and what they agree on."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

from credbench.errors import CredbenchError, RequestError
from credbench.launch import World, launched
from credbench.learner import Learner
from credbench.registry import last_line

if TYPE_CHECKING:
    from credbench.experiment import Trial
    from credbench.running import Options

_NUMBER = re.compile(r"\d+(\.\d+)?")


def settle(trials: Sequence[Trial], options: Options, world: World) -> Options:
    """Return how to run trials on several processes: one after the other, each on all of them.

    Raises `RequestError` for what several processes cannot do.
    """
    for key, given in (("workers", options.workers), ("replicas", options.replicas)):
        if given is not None and given > 1:
            raise RequestError(
                f"{key} {given} on {world.size} processes: all of them train one trial at a time; "
                f"leave --{key} out, or start without torchrun"
            )
    if options.angles is not None:
        raise RequestError(
            f"angles {options.angles.every} on {world.size} processes: each of them has a part of "
            "every batch, and none the update; leave --angles out, or start without torchrun"
        )
    if options.timeout is not None:
        raise RequestError(
            f"trial-timeout {options.timeout:g} on {world.size} processes: one of them cannot be "
            "ended without the others; leave --trial-timeout out, or start without torchrun"
        )
    if options.scheduler is not None:
        raise RequestError(
            f"scheduler {options.scheduler!r} on {world.size} processes: expected one process that "
            "hands out trials; leave --scheduler out, or start without torchrun"
        )
    for trial in trials:
        _check(trial, world)
    # A timing run is of one process: what a trial on several takes, its own epochs tell.
    return replace(options, workers=1, replicas=1, timing=False)


def _check(trial: Trial, world: World) -> None:
    size, left = trial.batch_size, trial.batch_size % world.size
    if left:
        near = [n for n in (size - left, size - left + world.size) if n]
        raise RequestError(
            f"batch size {size} on {world.size} processes: expected one that {world.size} "
            f"divides; give --batch-size {' or '.join(map(str, near))}, or another --nproc-per-node"
        )
    if type(trial.algorithm).init_state is not Learner.init_state:
        raise RequestError(
            f"{trial.algorithm.name} on {world.size} processes: expected an algorithm that keeps "
            "no state by example, which each would have a part of; start it without torchrun"
        )


def joined(options: Options) -> AbstractContextManager[None]:
    """Return a context in which this process is joined with those it was started with."""
    world = launched()
    if world.size == 1:
        return nullcontext()
    from credbench import processes
    from credbench.running import resolve_device

    return processes.joined(world, resolve_device(options.device))


def told(make: Callable[[], int]) -> int:
    """Return what the leading process makes, on all of them."""
    world = launched()
    if world.size == 1:
        return make()
    from credbench import processes

    return int(processes.tell(make() if world.leads else 0))


def decided(pending: Sequence[Trial], planned: Sequence[Trial]) -> list[Trial]:
    """Return the trials that the leading process found to be pending.

    Others may see another results folder. Raises `RequestError` where they plan other trials.
    """
    if launched().size == 1:
        return list(pending)
    from credbench import processes

    known = {trial.id: trial for trial in planned}
    ids: list[str] = processes.tell([trial.id for trial in pending])
    if any(id not in known for id in ids):
        raise RequestError(
            f"process {processes.current().rank} does not plan the trials that process 0 does: "
            "expected the same experiment, plugins and tuned settings on every machine"
        )
    return [known[id] for id in ids]


def in_turn(prepare: Callable[[], None]) -> None:
    """Prepare on one process of each machine first, and then on the others, which find it done."""
    world = launched()
    if world.local == 0:
        prepare()
    if world.size == 1:
        return
    from credbench import processes

    processes.meet()
    if world.local != 0:
        prepare()


def expect_everywhere(error: Exception, trial: Trial) -> None:
    """Return where every process failed with this error, so that the run can go on.

    Raises `CredbenchError` where this one failed alone: the others then wait for it in vain,
    until the launcher ends them.
    """
    if launched().size == 1:
        return
    from credbench import processes

    said = _NUMBER.sub("#", last_line(error))  # of devices and free memory, which may differ
    if not processes.all_say(trial.id, said):
        world = processes.current()
        raise CredbenchError(
            f"{trial.label}: process {world.rank} of {world.size} failed, the others did not or "
            f"otherwise ({last_line(error)}); finished trials are saved, the same command goes on"
        ) from error
