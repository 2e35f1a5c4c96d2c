"""What a worker of a Dask cluster does: it makes itself ready for a sweep once, then trains groups.

What it is sent names files of a folder that all machines see; groups come as bytes, for the classes
of a plugin can be unpacked only where the plugin was loaded.
"""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from credbench import __version__, environment, scalars
from credbench.errors import RequestError
from credbench.grouping import Grouping
from credbench.job import Events, Job
from credbench.registry import Registry
from credbench.running import resolve_device
from credbench.store import Record, Store

if TYPE_CHECKING:
    from credbench.experiment import Trial

_GRACE = 4.0
"""Seconds between telling that a group takes too long and ending the process that trains it."""


@dataclass(frozen=True)
class Sweep:
    """What a worker is told of a sweep; every path is absolute."""

    id: str
    device: str
    """As it was asked for: auto, cpu or cuda."""
    command: str
    results: Path
    name: str
    data_dir: Path
    plugins: tuple[Path, ...]
    seen: tuple[Path, ...]
    """Files and folders that every worker must see."""
    judged: tuple[str, ...]
    embedded: int
    timeout: float | None
    """Seconds after which a worker tells of a group that it still trains, and ends."""
    scalars: bool = False
    version: str = __version__

    @property
    def late(self) -> str:
        """The topic under which workers tell the keys of what takes too long."""
        return f"credbench-late-{self.id}"

    @property
    def begun(self) -> str:
        """What of the scheduler's metadata holds, by key, the worker that began with a group."""
        return f"credbench-begun-{self.id}"


@dataclass(frozen=True)
class Answer:
    """What comes back for a group."""

    environment: str
    host: str
    records: list[Record] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    left: list[list[str]] = field(default_factory=list)
    """The ids of trials, in groups, that are to be trained in another process."""
    spoiled: str | None = None
    """The address of the worker where its process can train no more."""
    gone: str | None = None
    """The address of a worker that began with the group before this one, which left it alone."""


@dataclass(frozen=True)
class Layout:
    """How trials are to be trained on workers such as the one that was asked."""

    device: str
    groups: list[list[str]]
    """The ids of the trials that train together."""
    environment: str


class CancelledError(BaseException):
    """Ends a group that nobody waits for; no failure of its trials, so not an `Exception`."""


def pack(trials: Sequence[Trial], more: Any) -> bytes:
    """Return trials and more as bytes, with the versions of their source."""
    return pickle.dumps(([t.source for t in trials], trials, more))


def lay_out(
    sweep: Sweep, packed: bytes, processes: dict[str, int], workers: int, replicas: int | None
) -> Layout:
    """Return what trains together, of packed trials and all those planned, on such workers.

    Raises `RequestError` where this one cannot train for the sweep.
    """
    job = _job(sweep, processes)
    trials, planned = _unpack(packed)
    groups = Grouping(job.device, workers, replicas).groups(trials, planned)
    return Layout(job.device, [[trial.id for trial in group] for group in groups], job.environment)


def train(sweep: Sweep, packed: bytes, processes: dict[str, int]) -> Answer:
    """Train a packed group and store its records; `processes` are the workers on each host.

    A group that another worker has begun with is left alone, for that one may have died of it.
    Raises `RequestError` where this worker cannot train for the sweep.
    """
    job = _job(sweep, processes)
    group, job.angles = _unpack(packed)
    gone = _begin(sweep)
    if gone is not None:
        return Answer(job.environment, _host(), gone=gone)
    notes: list[str] = []
    with _limited(sweep):
        trained = job(group, Events(epoch=lambda trials: _go_on(), note=notes.append))
    left = [[trial.id for trial in each] for each in trained.left]
    spoiled = _address() if trained.spoiled else None
    return Answer(job.environment, _host(), trained.records, notes, left, spoiled)


def _begin(sweep: Sweep) -> str | None:
    """Note that this worker begins with its task; return which one began before, if any did.

    The scheduler is asked directly: a client of the worker's own complains when that ends.
    """
    from distributed import get_worker
    from distributed.utils import sync

    worker = get_worker()
    place, asked = [sweep.begun, worker.get_current_task()], worker.scheduler
    before: str | None = sync(worker.loop, asked.get_metadata, keys=place, default=None)
    sync(worker.loop, asked.set_metadata, keys=place, value=_address())
    return before


_jobs: dict[tuple[Sweep, str], Job] = {}
"""The job of the last sweep, with the data that it holds."""


def _job(sweep: Sweep, processes: dict[str, int]) -> Job:
    """Return what trains for a sweep in this process, made where it is the first to be asked."""
    device = resolve_here(sweep.device)
    if (sweep, device) not in _jobs:
        from credbench import training  # noqa: F401  its seconds are no part of a trial's time

        _check(sweep)
        store = Store(sweep.results, sweep.name)
        store.check_writable()
        captured = environment.capture(device, processes.get(_host(), 1))
        where = store.write_environment(captured | {"command": sweep.command})
        _jobs.clear()
        _jobs[sweep, device] = Job(
            store, sweep.data_dir, device, where, sweep.judged, sweep.embedded,
            scalars=sweep.scalars,
        )  # fmt: skip
    return _jobs[sweep, device]


def resolve_here(device: str) -> str:
    """Return `cpu` or `cuda`; raises `RequestError` that names this host where CUDA is absent."""
    try:
        return resolve_device(device)
    except RequestError as error:
        raise RequestError(f"the worker on {_host()}: {error}") from None


def _check(sweep: Sweep) -> None:
    """Load the plugins; raise `RequestError` where a worker and who asks do not fit together."""
    if sweep.version != __version__:
        raise RequestError(
            f"the worker on {_host()} has credbench {__version__}, and {sweep.version} asks: "
            "install the same version there"
        )
    for path in (*sweep.seen, *sweep.plugins):
        if not path.exists():
            raise RequestError(
                f"the worker on {_host()} does not see {path}: expected --results-dir, --data-dir "
                "and plugins in folders that all machines share"
            )
    if sweep.scalars:
        scalars.check()
    Registry(sweep.plugins)


def _unpack(packed: bytes) -> tuple[list[Trial], Any]:
    """Return trials and what came with them; raises `RequestError` for those of other sources."""
    sources, trials, more = pickle.loads(packed)
    for source, trial in zip(sources, trials, strict=True):
        if source != trial.source:
            raise RequestError(
                f"the worker on {_host()} has another version of {trial.algorithm.name}, or "
                "of its data or network: install the same source there, and start the worker anew"
            )
    return trials, more


@contextmanager
def _limited(sweep: Sweep) -> Iterator[None]:
    """End this process where the context lasts longer than a trial may; who asked is told first."""
    from distributed import get_worker

    worker, ended = get_worker(), threading.Event()
    key = worker.get_current_task()

    def watch() -> None:
        if ended.wait(sweep.timeout):
            return
        worker.log_event(sweep.late, key)
        if not ended.wait(_GRACE):
            os._exit(1)

    if sweep.timeout is not None:
        threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def _go_on() -> None:
    """Raise `CancelledError` where nobody waits any longer for what this worker trains."""
    from distributed import get_worker

    worker = get_worker()
    task = worker.state.tasks.get(worker.get_current_task())
    ends = worker.status.name in ("closing", "closed", "failed")
    if ends or task is None or task.state == "cancelled":
        raise CancelledError


def _host() -> str:
    return host_of(_address())


def _address() -> str:
    from distributed import get_worker

    return str(get_worker().address)


def host_of(address: str) -> str:
    """Return the host in a worker's address, `tcp://host:port`."""
    return address.rpartition("://")[2].rpartition(":")[0]
