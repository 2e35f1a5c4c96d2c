"""Trains groups on the workers of a Dask cluster, near or far; records go to a shared folder."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import re
import time
import uuid
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from credbench import environment, worker
from credbench.children import unheard
from credbench.errors import CredbenchError, LostTrialError, RequestError
from credbench.grouping import Grouping
from credbench.interrupting import postponed
from credbench.job import Events, Job
from credbench.registry import last_line
from credbench.running import Options, resolve_device, worker_count
from credbench.spoiling import TOLD
from credbench.store import Store, checkpoint_file

if TYPE_CHECKING:
    from distributed import Client, Future, SpecCluster

    from credbench.experiment import Trial

Group = Sequence["Trial"]
LOCAL = "local"
"""The address of a cluster of this machine alone, which lasts as long as a run."""
_ALLOWED_FAILURES = 0
"""What a worker of a local cluster died of is tried again when there is nothing beside it."""
_PATIENCE = 10.0
_POLL = 1.0
_ADDRESS = re.compile(r"(tcp|tls|wss?|ucxx?)://.+:\d+")


def check(scheduler: str) -> None:
    """Raise `RequestError` where Dask is missing, or for what is no scheduler's address."""
    if importlib.util.find_spec("distributed") is None:
        raise RequestError(
            f"scheduler {scheduler!r}: the package distributed is not installed; install it with "
            "pip install 'credbench[dask]', or leave --scheduler out"
        )
    if scheduler != LOCAL:
        _address(scheduler)


def _address(scheduler: str) -> str:
    """Return the address that is given, or that stands in the scheduler file given.

    Raises `RequestError` for what is none: a client that is given it may never come to an end.
    """
    found: Any = scheduler
    if Path(scheduler).is_file():
        try:
            found = json.loads(Path(scheduler).read_bytes())["address"]
        except (OSError, ValueError, TypeError, LookupError):
            found = None
    if not isinstance(found, str) or not _ADDRESS.fullmatch(found):
        raise RequestError(
            f"scheduler {scheduler!r}: expected an address (tcp://host:8786), a scheduler file, or "
            f"{LOCAL} for a cluster of this machine"
        )
    return found


def train(
    trials: Group, planned: Group, store: Store, options: Options, events: Events, scheduler: str
) -> None:
    """Train trials on the cluster at an address and store a record for each.

    Trials that were `planned` with them decide which train together. Raises `RequestError` where
    there is no such cluster or its workers cannot be used, `CredbenchError` where it is lost.
    """
    events.started(len(trials), sum(trial.epochs for trial in trials))
    if scheduler == LOCAL:
        _train_here(trials, planned, store, options, events)
    else:
        _train_there(trials, planned, store, options, events, scheduler)


def _train_here(
    trials: Group, planned: Group, store: Store, options: Options, events: Events
) -> None:
    device = resolve_device(options.device)
    gpus = _gpus() if device == "cuda" else []
    workers = _local_workers(options.workers, gpus)
    grouping = Grouping(device, workers, options.replicas)
    groups = list(grouping.groups(trials, planned))
    fitting = workers if gpus else grouping.workers_fitting(groups)
    workers = min(len(groups), fitting)
    where = store.write_environment(environment.capture(device, workers))
    with _local_cluster(workers, gpus) as cluster, _client(cluster) as client:
        sweep = _sweep(store, options, device)
        Dispatcher(client, sweep, _job(store, options, device, where), events).run(groups, 1)


def _train_there(
    trials: Group, planned: Group, store: Store, options: Options, events: Events, scheduler: str
) -> None:
    with _client(_address(scheduler)) as client:
        if not client.nthreads():
            events.note(f"waiting for a worker of {scheduler}")
        client.wait_for_workers(1)
        sweep = _sweep(store, options, options.device)
        found = _laid_out(client, sweep, trials, planned, options)
        by_id = {trial.id: trial for trial in trials}
        groups = [[by_id[id] for id in ids] for ids in found.groups]
        sweep = replace(sweep, device=found.device)
        job = _job(store, options, found.device, found.environment)
        Dispatcher(client, sweep, job, events, options.workers or 0).run(groups)


def _laid_out(
    client: Client, sweep: worker.Sweep, trials: Group, planned: Group, options: Options
) -> worker.Layout:
    """Return what a worker says of what is to train together, for its device and memory."""
    processes = _processes(client)
    count = options.workers or processes.total()
    packed = worker.pack(trials, planned)
    asked = client.submit(
        worker.lay_out, sweep, packed, dict(processes), count, options.replicas, pure=False
    )
    found: worker.Layout = _result(asked)
    return found


def _processes(client: Client) -> Counter[str]:
    """Return how many workers there are on each host.

    Raises `RequestError` for one that would train several groups at once.
    """
    threads: dict[str, int] = client.nthreads()
    for address, count in threads.items():
        if count > 1:
            raise RequestError(
                f"the worker at {address} has {count} threads: expected one, for what it trains "
                "takes all of a core or GPU; start it with --nthreads 1"
            )
    return Counter(map(worker.host_of, threads))


def _job(store: Store, options: Options, device: str, where: str) -> Job:
    more = (options.embedded, options.angles)
    return Job(store, options.data_dir, device, where, options.judged, *more)


def _sweep(store: Store, options: Options, device: str) -> worker.Sweep:
    folder, data = store.folder.resolve(), options.data_dir.resolve()
    needed = [*(folder / "plans").glob("*.json")]
    needed += [path for path in data.glob("*") if path.is_dir()]
    return worker.Sweep(
        uuid.uuid4().hex, device, environment.command(), folder.parent, folder.name, data,
        tuple(path.resolve() for path in options.plugins), tuple(sorted(needed)), options.judged,
        options.embedded, options.timeout, options.scalars,
    )  # fmt: skip


@dataclass(frozen=True)
class _Task:
    """What was handed to a worker."""

    group: Group
    since: float
    progress: int
    """What it had left, in an earlier attempt."""


class Dispatcher:
    """Hands groups to workers, no more at once than there are workers, and takes what comes back.

    A scheduler blames all that it has given to a worker for that worker's death: so it is given
    no more than is trained.
    """

    def __init__(
        self, client: Client, sweep: worker.Sweep, job: Job, events: Events, expected: int = 0
    ) -> None:
        """Take the cluster, the sweep, what stores a failed trial, and how many workers may come.

        Groups are ready for those that are expected, which lets an adaptive cluster grow.
        """
        self._client = client
        self._sweep = sweep
        self._job = job
        self._events = events
        self._expected = expected
        self._left: deque[Group] = deque()
        self._running: dict[Future[worker.Answer], _Task] = {}
        self._late: set[Any] = set()
        """The keys of what workers tell takes too long."""
        self._lost: list[Group] = []
        self._deaths: Counter[str] = Counter()
        """How many workers died while they trained a trial that got nowhere, by its id."""
        self._alone = False
        self._environments: dict[str, str] = {}

    def run(self, groups: Sequence[Group], rounds: int = 2) -> None:
        """Train groups, then those that a worker died of, once more in each of some rounds.

        They may have died for want of memory, or with their machine. In the last round they are
        alone: a group that a worker dies of then is halved, down to the trial that fails.
        """
        self._client.subscribe_topic(self._sweep.late, lambda event: self._late.add(event[1]))
        try:
            for _ in range(rounds):
                self._run(groups, None)
                groups, self._lost = self._lost, []
            self._alone = True
            while groups:
                self._run(groups, 1)
                groups, self._lost = self._lost, []
        finally:
            if self._running:
                self._client.cancel(list(self._running), force=True)
            with suppress(OSError):
                self._client.set_metadata(self._sweep.begun, None)

    def _run(self, groups: Sequence[Group], most: int | None) -> None:
        self._left.extend(groups)
        while self._left or self._running:
            processes = _processes(self._client)
            room = most or max(processes.total(), self._expected, 1)
            while self._left and len(self._running) < room:
                self._submit(self._left.popleft(), processes)
            self._wait()
            for future in list(self._running):
                if future.done():
                    self._take(future, self._running.pop(future))
                elif future.key in self._late:
                    self._give_up(future, self._running.pop(future))

    def _submit(self, group: Group, processes: Counter[str]) -> None:
        packed = worker.pack(group, self._job.angles)
        future = self._client.submit(worker.train, self._sweep, packed, dict(processes), pure=False)
        self._running[future] = _Task(group, time.monotonic(), self._progress(group))

    def _wait(self) -> None:
        from distributed import wait

        with suppress(TimeoutError):
            wait(list(self._running), timeout=_POLL, return_when="FIRST_COMPLETED")

    def _take(self, future: Future[worker.Answer], task: _Task) -> None:
        from distributed import KilledWorker

        try:
            answer = _result(future)
        except KilledWorker as error:
            self._killed(task, error.last_worker.address)
            return
        self._environments[answer.host] = answer.environment
        if answer.gone is not None:
            self._killed(task, answer.gone)
            return
        group = task.group
        for line in answer.notes:
            self._events.note(line)
        for record in answer.records:
            self._events.epoch(group[0].epochs)
            self._events.finished(record)
        if answer.spoiled is not None:
            future.release()  # else it would be trained again, as lost with the worker
            self._renew(answer.spoiled)
        by_id = {trial.id: trial for trial in group}
        self._left.extendleft([by_id[id] for id in ids] for ids in reversed(answer.left))

    def _renew(self, address: str) -> None:
        """Give a worker whose process can train no more a new one; without a nanny, end it."""
        try:
            self._client.restart_workers([address])
        except (ValueError, TimeoutError):
            self._client.retire_workers([address])
            self._events.note(f"the worker at {address} was ended, for {TOLD}: start another")

    def _killed(self, task: _Task, address: str) -> None:
        """Put by what a worker died of; what it died of alone is halved or fails.

        What got on before goes on: it will come to its end, however often its machines do.
        """
        group = task.group
        if self._progress(group) != task.progress:
            self._left.append(group)
            return
        self._deaths.update(trial.id for trial in group)
        if not self._alone:
            self._lost.append(group)
        elif len(group) > 1:
            half = len(group) // 2
            self._lost += [group[:half], group[half:]]
        else:
            host = worker.host_of(address)
            self._job.environment = self._environments.get(host, self._job.environment)
            where = f"{self._deaths[group[0].id]} times, the last on {host}"
            reason = f"its worker process was killed ({where}; out of memory?)"
            self._fail(group[0], reason, time.monotonic() - task.since)

    def _progress(self, group: Group) -> int:
        """Return what changes whenever a group leaves a checkpoint."""
        try:
            return checkpoint_file(self._job.store.checkpoints, group).stat().st_mtime_ns
        except OSError:
            return 0

    def _give_up(self, future: Future[worker.Answer], task: _Task) -> None:
        """Wait no longer for what takes too long; of several trials each gets its own time."""
        self._client.cancel([future], force=True)
        group = task.group
        if len(group) > 1:
            self._left.extend(group[k : k + 1] for k in range(len(group)))
        else:
            reason = f"took longer than {self._sweep.timeout:g} s"
            self._fail(group[0], reason, time.monotonic() - task.since)

    def _fail(self, trial: Trial, reason: str, seconds: float) -> None:
        self._events.finished(self._job.fail(trial, LostTrialError(reason), seconds))


def _result(future: Future[Any]) -> Any:
    """Return what a task came to; raises `CredbenchError` for what is no matter of a trial."""
    from distributed import CancelledError, KilledWorker

    try:
        return future.result()
    except (CredbenchError, KilledWorker, CancelledError):
        raise
    except Exception as error:
        raise CredbenchError(
            f"a worker could not train ({last_line(error)}): what had finished is saved; expected "
            "the same Python packages on every worker"
        ) from error


def _gpus() -> list[str]:
    """Return the GPUs that may be used here, as CUDA_VISIBLE_DEVICES names them."""
    import torch

    count = torch.cuda.device_count()
    named = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return named[:count] or [str(k) for k in range(count)]


def _local_workers(asked: int | None, gpus: Sequence[str]) -> int:
    """Return how many workers are started; raises `RequestError` for more than there are GPUs."""
    if not gpus:
        return worker_count(asked, "cpu")
    if asked is not None and asked > len(gpus):
        raise RequestError(
            f"workers {asked}: expected at most {len(gpus)}, one for each GPU; give fewer, or "
            "--device cpu"
        )
    return asked or len(gpus)


@contextmanager
def _local_cluster(workers: int, gpus: Sequence[str]) -> Iterator[SpecCluster]:
    """Yield a cluster of processes of this machine, each on a GPU of its own where there are."""
    import dask
    from distributed import Nanny, Scheduler, SpecCluster

    options = {
        "nthreads": 1,
        "memory_limit": 0,  # what fits was reckoned beforehand
        "host": "127.0.0.1",
        "dashboard": False,
        "silence_logs": logging.CRITICAL,
    }
    each = [{"env": {"CUDA_VISIBLE_DEVICES": gpu}} for gpu in gpus] or [{}] * workers
    spec = {k: {"cls": Nanny, "options": options | each[k]} for k in range(workers)}
    scheduler = {
        "cls": Scheduler,
        "options": {
            "host": "127.0.0.1",
            "port": 0,
            "dashboard_address": "127.0.0.1:0",
            "allowed_failures": _ALLOWED_FAILURES,
        },
    }
    settings = {
        # Else a worker could not start the processes that read images from disk.
        "distributed.worker.daemon": False,
        # Else one that is twice restarted within this time counts as lost.
        "distributed.deploy.lost-worker-timeout": "1 day",
    }
    with dask.config.set(settings):
        with unheard(), postponed():
            cluster = SpecCluster(spec, scheduler, silence_logs=logging.CRITICAL)
        with cluster:
            yield cluster


@contextmanager
def _client(cluster: SpecCluster | str) -> Iterator[Client]:
    """Yield a client of a cluster; raises `CredbenchError` where it is lost."""
    from distributed import CancelledError

    client = _connect(cluster)
    try:
        yield client
    except (OSError, CancelledError) as error:
        raise CredbenchError(
            f"the scheduler is lost ({last_line(error)}): what had finished is saved; run the same "
            "command to go on"
        ) from error
    finally:
        with suppress(OSError):
            client.close(timeout=1)


def _connect(cluster: SpecCluster | str) -> Client:
    from distributed import Client

    try:
        return Client(cluster, timeout=_PATIENCE)
    except OSError as error:
        raise RequestError(
            f"scheduler {cluster!r} does not answer ({last_line(error)}): start it, or give "
            "another --scheduler"
        ) from error
