"""How much memory training takes, and how much there is."""

from __future__ import annotations

import math
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from credbench.errors import RequestError
from credbench.experiment import Trial

if TYPE_CHECKING:
    from credbench.networks import Network

_FLOAT = 4
_GIB = 2**30
_SMALL = 2**26
_STREAMED = 32
"""Batches of images on their way from disk, at most, where they are streamed."""
_TENSORS_A_LAYER = 8
"""Tensors of a layer's activity that a step holds at once: h, z, stacks of both, errors."""


def available(device: str) -> int | None:
    """Return the bytes free for new tensors on `cpu` or `cuda`, or None where it is not known."""
    if device == "cuda":
        return int(torch.cuda.mem_get_info()[0])
    found = [_free_on_machine(), _free_in_container()]
    return min((n for n in found if n is not None), default=None)


def _free_on_machine() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvail"))
    except (OSError, StopIteration, ValueError):
        return None


def _free_in_container() -> int | None:
    group = Path("/sys/fs/cgroup")
    try:
        limit = int((group / "memory.max").read_text(encoding="ascii"))
        return limit - int((group / "memory.current").read_text(encoding="ascii"))
    except (OSError, ValueError):  # there is none, or it is "max"
        return None


@dataclass(frozen=True)
class Need:
    """About how many bytes training takes at its peak."""

    data: int
    """The images, once for all replicas."""
    replica: int
    """Weights, what goes with them, and activities, for each replica."""

    def together(self, replicas: int = 1) -> int:
        """Return the bytes for so many replicas."""
        return self.data + replicas * self.replica


def needs(trial: Trial) -> Need:
    """Return what training a trial takes."""
    dataset, net = trial.dataset, trial.net
    images = _STREAMED * trial.batch_size if dataset.streamed else sum(dataset.examples)
    data = images * math.prod(dataset.shape) * dataset.value_bytes
    return Need(data, _weight_bytes(trial, net) + _batch(trial) * _bytes_an_example(net))


def _batch(trial: Trial) -> int:
    return min(trial.batch_size, trial.limit_train or trial.dataset.trainable)


def _weight_bytes(trial: Trial, net: Network) -> int:
    # Weights, their update, the best epoch's copy, a copy on the host, and the moments.
    copies, own = 4 + trial.optimizer.moments, net.count() + net.count_frozen()
    # Counting feedback takes torch a second to set up; a small network's is no larger than this.
    feedback = count_feedback(trial, net) if own * _FLOAT > _SMALL else 2 * own
    return copies * _FLOAT * (own + feedback)


def _bytes_an_example(net: Network) -> int:
    return _FLOAT * _TENSORS_A_LAYER * sum(net.width(k) for k in range(net.depth + 1))


def count_feedback(trial: Trial, net: Network) -> int:
    """Return the numbers in a learner's feedback, without making them."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        made = trial.algorithm.init_feedback(net, torch.Generator())
        return sum(tensor.numel() for tensor in made.values())


def fitting(trial: Trial, device: str) -> int | None:
    """Return how many trials like this one fit in memory at once; None where that is not known.

    Raises `RequestError` where not even one does, with the size that would fit.
    """
    free, whole = available(device), needs(trial)
    if free is None:
        return None
    need, net = whole.together(), trial.net
    if need <= free:
        return 1 + (free - need) // whole.replica
    asked = f"{trial.label} with batch size {trial.batch_size}"
    sizes = f"needs about {need / _GIB:,.1f} GiB of memory, {free / _GIB:,.1f} GiB are free"
    fixed = need - _batch(trial) * _bytes_an_example(net)
    batch = (free - fixed) // _bytes_an_example(net)
    if batch > 0:
        advice = f"give a batch size of at most {batch}"
    else:
        advice = f"give a network of at most {net.count() * free // need:,} parameters"
    raise RequestError(f"{asked} {sizes} on {device}: {advice}")


def held(tensors: Sequence[Tensor]) -> int:
    """Return the bytes of the storage behind tensors."""
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}
    return sum(storages.values())


class PeakBytes(TorchDispatchMode):
    """Follows the tensors that operators make while it is active; `peak` is in bytes."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = 0
        self._now = 0
        self._users: dict[int, int] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operator and count what its results hold."""
        result = func(*args, **(kwargs or {}))
        given = {t.untyped_storage().data_ptr() for t in _tensors((args, kwargs))}
        for tensor in _tensors(result):
            place = tensor.untyped_storage().data_ptr()
            if place not in self._users and place in given:
                continue  # a view, or a change in place, of what was there before
            self._hold(tensor, place)
        return result

    def _hold(self, tensor: Tensor, place: int) -> None:
        size = tensor.untyped_storage().nbytes()
        if place not in self._users:
            self._now += size
            self.peak = max(self.peak, self._now)
        self._users[place] = self._users.get(place, 0) + 1
        weakref.finalize(tensor, self._release, place, size)

    def _release(self, place: int, size: int) -> None:
        self._users[place] -= 1
        if not self._users[place]:
            del self._users[place]
            self._now -= size


def _tensors(found: Any) -> list[Tensor]:
    if isinstance(found, Tensor):
        return [found]
    if isinstance(found, dict):
        found = list(found.values())
    if isinstance(found, (list, tuple)):
        return [tensor for each in found for tensor in _tensors(each)]
    return []
