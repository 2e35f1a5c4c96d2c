"""Applies updates: re-projection to a norm, the optimiser, and scales of its rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from credbench.optimizers import Moments, Optimizer


def reproject(update: Tensor, limit: float, dims: int) -> Tensor:
    """Return Nm(Δ, c): each array scaled to norm c where its norm exceeds c.

    An array is the last `dims` dimensions; axes before it stack arrays and replicas.
    """
    over = tuple(range(-dims, 0))
    norm: Tensor = torch.linalg.vector_norm(update, dim=over, keepdim=True)
    return update * (limit / norm.clamp(min=limit))


@dataclass(frozen=True)
class _Batch:
    """Leaves, or their replicas, that take a step by one rule and rate: one fused kernel."""

    rule: Optimizer
    rate: float
    where: list[tuple[str, slice | None]]
    leaves: list[Tensor]
    moments: list[list[Tensor]]
    counts: list[Tensor]

    def step(self, updates: Mapping[str, Tensor]) -> bool:
        """Take the step, or return False where the rule has no fused kernel."""
        own = [
            (updates[name] if part is None else updates[name][part]).contiguous()
            for name, part in self.where
        ]
        return self.rule.fused(self.leaves, own, self.moments, self.counts, self.rate)


class Descent:
    """Optimises named leaves in place, for one trial or for replicas along a first axis.

    Everything it keeps stays where it is in memory, so that a captured step can be replayed.
    """

    def __init__(
        self,
        leaves: Mapping[str, Tensor],
        dims: Mapping[str, int],
        optimizers: Sequence[Optimizer],
        rates: Mapping[str, Sequence[float]],
        clip_norm: float | None,
    ) -> None:
        """Take the leaves, how many dimensions one array of each has, and rate factors.

        With one optimiser leaves have no replica axis; with more, one entry a replica of
        `optimizers` and of each of `rates`.
        """
        self._leaves = leaves
        self._dims = dims
        self._optimizers = optimizers
        self._rates = rates
        self._clip_norm = clip_norm
        self._single = len(optimizers) == 1
        self._moments: dict[str, Moments] = {
            k: tuple(torch.zeros_like(p) for _ in range(optimizers[0].moments))
            for k, p in leaves.items()
        }
        device = next(iter(leaves.values())).device if leaves else None
        self._steps = torch.zeros(len(leaves), device=device)
        self._counts = dict(zip(leaves, self._steps.unbind(), strict=True))
        self._plans: dict[tuple[str, ...], tuple[Tensor, list[_Batch]]] = {}
        self._spread: dict[str, tuple[Optimizer, float | Tensor]] = {}

    def tensors(self) -> list[Tensor]:
        """Return all that a step changes beside the leaves."""
        return [self._steps, *(m for moments in self._moments.values() for m in moments)]

    def step(self, updates: Mapping[str, Tensor]) -> None:
        """Descend along the updates given; leaves without one keep value and moments."""
        if not updates:
            return
        names = tuple(updates)
        if names not in self._plans:
            self._plans[names] = self._plan(updates)
        if self._clip_norm is not None:
            updates = {k: reproject(u, self._clip_norm, self._dims[k]) for k, u in updates.items()}
        counted, batches = self._plans[names]
        self._steps.add_(counted)
        for batch in batches:
            if not batch.step(updates):
                self._each(updates)
                break

    def _plan(self, updates: Mapping[str, Tensor]) -> tuple[Tensor, list[_Batch]]:
        """Return which counts these updates raise, and the batches that apply them.

        Raises `ValueError` for updates of no leaf, or of another shape.
        """
        for name, update in updates.items():
            if name not in self._leaves:
                known = ", ".join(self._leaves)
                raise ValueError(f"an update was given for {name!r}; there are {known}")
            given, expected = tuple(update.shape), tuple(self._leaves[name].shape)
            if given != expected:
                raise ValueError(f"the update of {name!r} has shape {given}, expected {expected}")
        counted = self._steps.new_tensor([float(name in updates) for name in self._leaves])
        found: dict[object, list[tuple[str, slice | None]]] = {}
        for name in updates:
            for rule, part in self._runs(name):
                found.setdefault(rule, []).append((name, part))
        return counted, [self._batch(where) for where in found.values()]

    def _runs(self, name: str) -> list[tuple[object, slice | None]]:
        """Return the runs of neighbouring replicas with one rule and rate."""
        rules = list(zip(self._optimizers, self._rates[name], strict=True))
        if len(set(rules)) == 1:
            return [(rules[0], None)]
        runs = [list(run) for _, run in groupby(range(len(rules)), key=lambda k: rules[k])]
        return [(rules[run[0]], slice(run[0], run[-1] + 1)) for run in runs]

    def _batch(self, where: list[tuple[str, slice | None]]) -> _Batch:
        def cut(tensor: Tensor, part: slice | None) -> Tensor:
            return tensor if part is None else tensor[part]

        name, part = where[0]
        first = 0 if part is None else part.start
        kinds = range(self._optimizers[0].moments)
        return _Batch(
            self._optimizers[first],
            self._rates[name][first],
            where,
            [cut(self._leaves[n], p) for n, p in where],
            [[cut(self._moments[n][kind], p) for n, p in where] for kind in kinds],
            [self._counts[n] for n, _ in where],
        )

    def _each(self, updates: Mapping[str, Tensor]) -> None:
        """Take the step leaf by leaf, with a rate and constants for every replica."""
        for name, update in updates.items():
            rule, rate = self._constants(name)
            delta, moments = rule.delta(update, self._moments[name], self._counts[name])
            self._leaves[name].sub_(delta * rate)
            for held, new in zip(self._moments[name], moments, strict=True):
                held.copy_(new)

    def _constants(self, name: str) -> tuple[Optimizer, float | Tensor]:
        if self._single:
            return self._optimizers[0], self._rates[name][0]
        if name not in self._spread:
            columns = {
                k: self._column(name, [o.numeric()[k] for o in self._optimizers])
                for k in self._optimizers[0].numeric()
            }
            rule = self._optimizers[0].with_values(columns)
            self._spread[name] = rule, self._column(name, self._rates[name])
        return self._spread[name]

    def _column(self, name: str, values: Sequence[float]) -> Tensor:
        """Return a value a replica, shaped to broadcast over the leaf."""
        leaf = self._leaves[name]
        shape = (len(values), *[1] * (leaf.ndim - 1))
        return torch.tensor(values, dtype=leaf.dtype, device=leaf.device).view(shape)
