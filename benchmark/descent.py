"""Applies updates: re-projection to a norm, the optimiser, and scales of its rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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


class Descent:
    """Optimises named leaves in place, for one trial or for replicas along a first axis."""

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
        self._clip_norm = clip_norm
        self._single = len(optimizers) == 1
        rule = optimizers[0]
        self._moments: dict[str, Moments] = {
            k: tuple(torch.zeros_like(p) for _ in range(rule.moments)) for k, p in leaves.items()
        }
        self._counts = {k: torch.zeros((), device=p.device) for k, p in leaves.items()}
        self._checked: set[tuple[str, ...]] = set()
        self._rates: dict[str, float | Tensor] = {}
        self._rules: dict[str, Optimizer] = {}
        for name, leaf in leaves.items():
            self._rates[name] = self._spread(rates[name], leaf)
            columns = {k: [o.numeric()[k] for o in optimizers] for k in rule.numeric()}
            self._rules[name] = rule.with_values(
                {k: self._spread(column, leaf) for k, column in columns.items()}
            )

    def _spread(self, values: Sequence[float], leaf: Tensor) -> float | Tensor:
        """Return a value a replica, shaped to broadcast over the leaf."""
        if self._single:
            return values[0]
        shape = (len(values), *[1] * (leaf.ndim - 1))
        return torch.tensor(values, dtype=leaf.dtype, device=leaf.device).view(shape)

    def step(self, updates: Mapping[str, Tensor]) -> None:
        """Descend along the updates given; leaves without one keep value and moments."""
        self._check(updates)
        if self._clip_norm is not None:
            updates = {k: reproject(u, self._clip_norm, self._dims[k]) for k, u in updates.items()}
        if updates:
            torch._foreach_add_([self._counts[k] for k in updates], 1.0)
        for names in self._by_rate(updates):
            if not (self._single and self._fused(names, updates)):
                self._each(names, updates)

    def _check(self, updates: Mapping[str, Tensor]) -> None:
        """Raise `ValueError` for updates of no leaf, or of another shape; once a set of names."""
        names = tuple(updates)
        if names in self._checked:
            return
        for name, update in updates.items():
            if name not in self._leaves:
                known = ", ".join(self._leaves)
                raise ValueError(f"an update was given for {name!r}; there are {known}")
            given, expected = tuple(update.shape), tuple(self._leaves[name].shape)
            if given != expected:
                raise ValueError(f"the update of {name!r} has shape {given}, expected {expected}")
        self._checked.add(names)

    def _by_rate(self, updates: Mapping[str, Tensor]) -> list[list[str]]:
        if not self._single:
            return [list(updates)]
        groups: dict[object, list[str]] = {}
        for name in updates:
            groups.setdefault(self._rates[name], []).append(name)
        return list(groups.values())

    def _fused(self, names: Sequence[str], updates: Mapping[str, Tensor]) -> bool:
        rate = self._rates[names[0]]
        leaves = [self._leaves[k] for k in names]
        if leaves[0].device.type != "cpu" or isinstance(rate, Tensor):
            return False
        return self._rules[names[0]].fused(
            leaves,
            [updates[k].contiguous() for k in names],
            [self._moments[k] for k in names],
            [self._counts[k] for k in names],
            rate,
        )

    def _each(self, names: Sequence[str], updates: Mapping[str, Tensor]) -> None:
        for k in names:
            delta, moments = self._rules[k].delta(updates[k], self._moments[k], self._counts[k])
            self._leaves[k].sub_(delta * self._rates[k])
            self._moments[k] = moments
