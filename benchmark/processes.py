"""Several processes that train one trial: each takes a share of every batch, and they average.

Blocks whose statistics go over the batch call `mean_over`; with one process, which is what
there is unless a run joined others, it returns what it is given.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.rendezvous import rendezvous

from credbench.errors import RequestError
from credbench.launch import World

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

_PATIENCE = timedelta(hours=2)
"""How long one waits for another, which may prepare data; torchrun ends those left behind."""


@dataclass(frozen=True)
class Share:
    """The examples of a batch that one process takes: `start` to `stop` of `whole`."""

    start: int
    stop: int
    whole: int
    weight: float
    """What a mean over them counts in the mean over the batch."""


@dataclass
class _Here:
    """What this process knows of the others."""

    world: World
    share: Share | None = None
    store: Store | None = None


_here = _Here(World())


def current() -> World:
    """Return the processes that train together with this one, itself alone unless it joined."""
    return _here.world


@contextmanager
def joined(world: World, device: str) -> Iterator[None]:
    """Join the other processes (NCCL on `cuda`, gloo on `cpu`), and leave them at the end."""
    store, rank, size = next(iter(rendezvous("env://")))
    _expect_alike(store, world, device)
    backend = "cpu:gloo,cuda:nccl" if device == "cuda" else "gloo"
    if device == "cuda":
        torch.cuda.set_device(world.local)
    dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=_PATIENCE)
    _here.world, _here.store = world, store
    clean = False
    try:
        total(torch.zeros(1, device=device))  # connects them before any clock runs
        yield
        clean = True
    finally:
        _here.world, _here.store = World(), None
        if clean or device == "cpu":  # NCCL would wait for others, who may have failed
            dist.destroy_process_group()


def _expect_alike(store: Store, world: World, device: str) -> None:
    """Raise `RequestError` where processes would compute on different kinds of device."""
    store.set(f"device/{world.rank}", device)
    for rank in range(world.size):
        other = store.get(f"device/{rank}").decode()
        if other != device:
            raise RequestError(
                f"process {rank} would compute on {other}, process {world.rank} on {device}: "
                "give --device, and one GPU for each process where it is cuda"
            )
    if device == "cuda" and world.beside > torch.cuda.device_count():
        raise RequestError(
            f"{world.beside} processes on a machine with {torch.cuda.device_count()} CUDA devices: "
            "expected one device for each; give a lower --nproc-per-node, or --device cpu"
        )


def share_of(n: int) -> Share:
    """Return this process's share of n examples; all together take each once.

    A process that there is no example for takes the first one, and counts it nothing.
    """
    world = _here.world
    start, stop = (n * k // world.size for k in (world.rank, world.rank + 1))
    return Share(start, stop, n, (stop - start) / n) if start < stop else Share(0, 1, n, 0.0)


@contextmanager
def sharing(share: Share) -> Iterator[Share]:
    """Weigh means by this share of the batch while the context lasts."""
    _here.share = share
    try:
        yield share
    finally:
        _here.share = None


def mean_over(own: Tensor) -> Tensor:
    """Return the mean over the whole batch, given that over this process's own examples.

    Differentiable: what is pulled back through it is averaged likewise. What is averaged must
    not be divided by the number of own examples before, which may differ between processes.
    """
    if _here.world.size == 1:
        return own
    averaged: Tensor = _Mean.apply(own)
    return averaged


def whole(n: int) -> int:
    """Return the examples of the whole batch, of which this process has n."""
    return n * _here.world.size if _here.share is None else _here.share.whole


def mean_all(tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Return `mean_over` of each of some tensors, by one exchange of them all."""
    if _here.world.size == 1 or not tensors:
        return tensors
    flat = _mean(torch.cat([each.flatten() for each in tensors.values()]))
    parts = flat.split([each.numel() for each in tensors.values()])
    return {k: part.view(t.shape) for (k, t), part in zip(tensors.items(), parts, strict=True)}


def total(own: Tensor) -> Tensor:
    """Return the sum of what each process gives, all of one shape."""
    if _here.world.size == 1:
        return own
    summed = own.clone()
    dist.all_reduce(summed)
    return summed


def assembled(own: Tensor, share: Share) -> Tensor:
    """Return (…, whole, classes) of every process's rows, given those of this one's share."""
    if _here.world.size == 1:
        return own
    rows = own.new_zeros((*own.shape[:-2], share.whole, own.shape[-1]))
    if share.weight:
        rows[..., share.start : share.stop, :] = own
    return total(rows)


def tell(value: Any) -> Any:
    """Return what the leading process gives; the others' own is ignored."""
    held = [value]
    if _here.world.size > 1:
        dist.broadcast_object_list(held)
    return held[0]


def meet() -> None:
    """Return when every process has come this far."""
    total(torch.zeros(()))


def all_say(about: str, text: str, patience: timedelta = timedelta(seconds=10)) -> bool:
    """Return whether every process says the same text about something, within some time."""
    world, store = _here.world, _here.store
    if store is None:
        return True
    store.set(f"{about}/{world.rank}", text)
    keys = [f"{about}/{rank}" for rank in range(world.size)]
    try:
        store.wait(keys, patience)
    except RuntimeError:  # some said nothing
        return False
    return all(store.get(key) == text.encode() for key in keys)


class _Mean(torch.autograd.Function):
    """The weighted mean over processes, which is its own adjoint but for the weights."""

    @staticmethod
    def forward(own: Tensor) -> Tensor:
        return _mean(own)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *errors: Tensor) -> Tensor:
        weight = _weight()
        summed = errors[0].contiguous() * float(weight > 0)  # an example taken twice counts once
        dist.all_reduce(summed)
        return summed * weight


def _mean(own: Tensor) -> Tensor:
    weighted = own.contiguous() * _weight()
    dist.all_reduce(weighted)
    return weighted


def _weight() -> float:
    return 1 / _here.world.size if _here.share is None else _here.share.weight
