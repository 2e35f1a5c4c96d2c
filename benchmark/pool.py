"""Trains groups in processes of their own; one that dies or hangs costs no other its result.

Every process has a pipe of its own: whichever ends, it is known what it was training, and no
lock that others wait for goes with it.
"""

from __future__ import annotations

import signal
import threading
import time
import traceback
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

from credbench.children import end_with_parent, unheard
from credbench.errors import CredbenchError, LostTrialError
from credbench.registry import Registry

if TYPE_CHECKING:
    from credbench.experiment import Trial
    from credbench.job import Events, Job, Trained

Group = Sequence["Trial"]
_TRIES = 3


class Pool:
    """Processes that share groups; each trains one group at a time, single-threaded."""

    def __init__(
        self, job: Job, plugins: tuple[Path, ...], events: Events, timeout: float | None = None
    ) -> None:
        """Take what trains a group, and after how many seconds a trial is given up."""
        self._job = job
        self._plugins = plugins
        self._events = events
        self._timeout = timeout
        self._left: deque[Group] = deque()
        self._lost: list[Group] = []
        self._workers: list[_Worker] = []
        self._alone = False
        self._failures = 0
        """How many processes, one after the other, ended before they were ready."""

    def run(self, groups: Sequence[Group], workers: int) -> None:
        """Train groups in so many processes, then those whose process was killed, one by one.

        It may have been killed for what the others took of the memory. One that is killed with
        nothing beside it is halved, down to the trial that fails. Raises `CredbenchError` where
        no process can go on, such as of a full disk.
        """
        self._run(groups, workers)
        self._alone = True
        while self._lost:
            again, self._lost = self._lost, []
            self._run(again, 1)

    def _run(self, groups: Sequence[Group], workers: int) -> None:
        self._left.extend(groups)
        try:
            while self._left or any(worker.group for worker in self._workers):
                self._hand_out(workers)
                self._listen()
        finally:
            for worker in self._workers:  # all of them, before the first is waited for
                worker.process.kill()
            for worker in self._workers:
                worker.end()
            self._workers.clear()

    def _hand_out(self, workers: int) -> None:
        """Give every idle process a group; start as many more as there is work for."""
        idle = [worker for worker in self._workers if not worker.group]
        while self._left:
            if not idle:
                if len(self._workers) >= workers:
                    return
                idle.append(_Worker(self._job, self._plugins))
                self._workers.append(idle[-1])
            idle.pop().take(self._left.popleft())

    def _listen(self) -> None:
        """Wait until a process tells something, ends, or has taken too long."""
        ends = [worker.since + self._timeout for worker in self._workers if self._timeout]
        patience = max(0.0, min(ends) - time.monotonic()) if ends else None
        heard = wait(
            [end for worker in self._workers for end in worker.ends],
            None if patience == float("inf") else patience,
        )
        for worker in list(self._workers):
            if worker.pipe in heard:
                self._hear(worker)
            elif worker.process.sentinel in heard:
                self._dead(worker)
            elif self._timeout and time.monotonic() - worker.since >= self._timeout:
                self._late(worker, self._timeout)

    def _hear(self, worker: _Worker) -> None:
        try:
            kind, content = worker.pipe.recv()
        except (EOFError, OSError):
            self._dead(worker)
            return
        if kind == "error":
            raise content
        if kind == "ready":
            self._failures = 0
            worker.begin()
        elif kind == "trained":
            self._take(worker, content)
        elif kind == "epoch":
            worker.epochs += content
            self._events.epoch(content)
        else:
            getattr(self._events, kind)(content)

    def _take(self, worker: _Worker, trained: Trained) -> None:
        """Hand on records; where the process is spoiled another takes up what it left."""
        if trained.spoiled:
            self._remove(worker)
            self._left.extendleft(reversed(trained.left))
        worker.rest()
        for record in trained.records:
            self._events.finished(record)

    def _dead(self, worker: _Worker) -> None:
        """Put by what a process was training when it ended of itself."""
        group = self._remove(worker)
        how = _ending(worker.process.exitcode)
        if not worker.ready:
            self._unborn(group, how)
        elif not self._alone:
            self._lost.append(group)
        elif len(group) > 1:
            half = len(group) // 2
            self._lost += [group[:half], group[half:]]
        else:
            self._give_up(group[0], f"its worker process {how}", worker)

    def _unborn(self, group: Group, how: str) -> None:
        """Start another process in place of one that ended before it could train."""
        self._failures += 1
        if self._failures > _TRIES:
            raise CredbenchError(
                f"worker processes cannot start, the last {how}: what had finished is saved; run "
                "the same command to go on, with fewer --workers if memory is short"
            )
        self._left.appendleft(group)

    def _late(self, worker: _Worker, timeout: float) -> None:
        """End a process that has taken too long; of several trials each gets its own time."""
        group = self._remove(worker)
        if len(group) > 1:
            self._left.extend(group[k : k + 1] for k in range(len(group)))
        else:
            self._give_up(group[0], f"took longer than {timeout:g} s", worker)

    def _remove(self, worker: _Worker) -> Group:
        self._workers.remove(worker)
        worker.end()
        self._events.epoch(-worker.epochs)
        return worker.group

    def _give_up(self, trial: Trial, reason: str, worker: _Worker) -> None:
        seconds = time.monotonic() - worker.since
        self._events.finished(self._job.fail(trial, LostTrialError(reason), seconds))


def _ending(code: int | None) -> str:
    """Return how a process ended, by its exit code."""
    if code is None or code >= 0:
        return f"ended (exit code {code})"
    guess = "; out of memory?" if -code == signal.SIGKILL else ""
    return f"was killed (signal {-code}{guess})"


class _Worker:
    """A process, the pipe to it, and what it is training."""

    def __init__(self, job: Job, plugins: tuple[Path, ...]) -> None:
        context = get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, job, plugins))
        with unheard():
            self.process.start()
        theirs.close()
        self.ready = False
        self.group: Group = ()
        self.since = float("inf")
        """When it began with the group, by the monotonic clock."""
        self.epochs = 0
        """How many epochs of the group's trials have ended."""

    @property
    def ends(self) -> tuple[Any, int]:
        """What becomes readable when it tells something, and when it ends."""
        return self.pipe, self.process.sentinel

    def take(self, group: Group) -> None:
        """Send a group; its time begins when the process is ready for it."""
        self.group, self.epochs = group, 0
        if self.ready:
            self.begin()

    def begin(self) -> None:
        """Let it train what it was given."""
        self.ready, self.since = True, time.monotonic()
        with suppress(OSError):  # it has ended, which its sentinel tells
            self.pipe.send(self.group)

    def rest(self) -> None:
        """Note that the group is done."""
        self.group, self.since = (), float("inf")

    def end(self) -> None:
        """End the process, whatever it does."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


class _Teller:
    """Sends what a job tells of to the process that started this one."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._lock = threading.Lock()

    def __call__(self, kind: str, content: Any) -> None:
        with self._lock:
            self._pipe.send((kind, content))


def _serve(pipe: Connection, job: Job, plugins: tuple[Path, ...]) -> None:
    """Train every group that comes through the pipe, in a process of its own."""
    from credbench import training  # what takes seconds to import is no part of a trial's time
    from credbench.job import Events

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where it could not be blocked
    end_with_parent()
    Registry(plugins)
    tell = _Teller(pipe)
    events = Events(
        epoch=lambda trials: tell("epoch", trials),
        note=lambda line: tell("note", line),
        debug=lambda text: tell("debug", text),
    )
    tell("ready", training.__name__)
    while True:
        group = pipe.recv()
        try:
            tell("trained", job(group, events))
        except CredbenchError as error:
            tell("error", error)
        except Exception as error:
            error.add_note(traceback.format_exc())  # which does not travel by itself
            tell("error", error)
