"""Watches a group in training: angles of its updates with those of a reference, off the clock.

Nothing is changed by it. A sample is taken before a step, of the same batch, weights and draws
that the step will have, and is read back to the host at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from credbench.blocks import Arrays, Dense
from credbench.program import Program
from credbench.training import now

if TYPE_CHECKING:
    from credbench.angles import Angles
    from credbench.group import Group

Found = dict[tuple[str, str], Tensor]
"""What a sample holds: (replicas,) values by series and by the block or the path it is of."""
_SERIES = ("update", "ratio", "feedback")


class Observer:
    """Takes samples every so many steps of a phase, in which the network's own arrays change."""

    def __init__(self, group: Group, angles: Angles) -> None:
        """Take the group to watch, whose program, data and weights are read."""
        self.group = group
        self.angles = angles
        self.kept: list[dict[str, Any]] = [
            {"every": angles.every, "steps": [], **{name: {} for name in _SERIES}}
            for _ in group.trials
        ]
        """For each replica the steps sampled, counted from 0 over all phases, and by block (or
        feedback path) angles in degrees and ratios; None where one is not defined."""
        self.seconds = 0.0
        """What samples have taken since this was last set to zero."""
        self._references: dict[tuple[str, int], Program] = {}
        self._size = group.trials[0].batch_size
        self._steps = -(-group.order.shape[-1] // self._size)

    def __call__(self, epoch: int, phase: str, start: int, size: int) -> None:
        """Look at the step of a phase that takes `size` examples from `start` on, if it is due.

        Steps are counted phase by phase, or a phase could be missed in every epoch.
        """
        here = start // self._size
        if ((epoch - 1) * self._steps + here) % self.angles.every:
            return
        began = now(self.group.device)
        phases = self.group.learner.phases
        passes = (epoch - 1) * len(phases) + phases.index(phase)
        self._take(passes * self._steps + here, phase, start, size)
        self.seconds += now(self.group.device) - began

    def series(self, replica: int, epochs: int) -> dict[str, Any]:
        """Return what was kept of a replica in so many epochs: a diverged one's go no further."""
        kept = self.kept[replica]
        end = epochs * len(self.group.learner.phases) * self._steps
        n = sum(step < end for step in kept["steps"])
        cut = {name: {of: v[:n] for of, v in kept[name].items()} for name in _SERIES}
        return {"every": kept["every"], "steps": kept["steps"][:n], **cut}

    def _take(self, step: int, phase: str, start: int, size: int) -> None:
        made = self.group.program(phase, size).updates_at(start).params
        if not made:  # a phase of feedback alone
            return
        compared = self._reference(phase, size).updates_at(start).params
        own = self._by_block(made)
        reference = self._by_block({name: compared[name] for name in made})
        found: Found = {}
        for block in sorted(own):
            mine, theirs = own[block], reference[block]
            found["update", str(block)] = angle(mine, theirs)
            found["ratio", str(block)] = mine.norm(dim=-1) / theirs.norm(dim=-1)
        found |= {("feedback", path): each for path, each in self._feedback()}
        self._keep(step, found)

    def _keep(self, step: int, found: Found) -> None:
        values = torch.stack(list(found.values())).T.tolist()  # the one read-back
        for kept, row in zip(self.kept, values, strict=True):
            before = len(kept["steps"])
            kept["steps"].append(step)
            for (name, of), value in zip(found, row, strict=True):
                kept[name].setdefault(of, [None] * before).append(_short(value))
            for name in _SERIES:
                for values_of in kept[name].values():
                    values_of += [None] * (before + 1 - len(values_of))

    def _reference(self, phase: str, size: int) -> Program:
        key = (phase, size)
        if key not in self._references:
            learner = self.angles.reference
            self._references[key] = Program(self.group, phase, size, learner=learner)
        return self._references[key]

    def _replicas(self, leaf: Tensor) -> Tensor:
        """Return a leaf with the replicas in front, in double precision."""
        return (leaf.unsqueeze(0) if self.group.single else leaf).double()

    def _by_block(self, updates: Mapping[str, Tensor]) -> dict[int, Tensor]:
        """Return all that changes in each block as one vector (replicas, n)."""
        net, parts = self.group.net, dict[int, list[Tensor]]()
        for name, leaf in net.leaves.items():
            if name in updates and leaf.array not in net.frozen(leaf):
                arrays = self._replicas(updates[name]).unbind(1)
                for block, array in zip(leaf.blocks, arrays, strict=True):
                    parts.setdefault(block, []).append(array.flatten(1))
        return {block: torch.cat(found, 1) for block, found in parts.items()}

    def _feedback(self) -> Iterator[tuple[str, Tensor]]:
        """Yield the angle of feedback with the weights it stands in for, by path as `5→2`.

        Left out is what does not have their layout, and a way through blocks that are not plain.
        """
        group = self.group
        mirrored = group.learner.mirrored(group.net)
        stacks = {name: self._replicas(leaf).transpose(0, 1) for name, leaf in group.params.items()}
        arrays = group.net.views(stacks) if mirrored else []
        for name, pairs in mirrored.items():
            entry = self._replicas(group.feedback[name])
            for (i, j), own in zip(pairs, self._each(entry, pairs), strict=False):
                stood_for = self._between(arrays, i, j)
                if stood_for is not None and stood_for.shape == own.shape:
                    yield f"{j}→{i}", angle(own.flatten(1), stood_for.flatten(1))

    def _each(self, entry: Tensor, pairs: Sequence[tuple[int, int]]) -> Sequence[Tensor]:
        """Return the arrays (replicas, …) of a feedback entry: it may be one, or stack several."""
        weight = self.group.net.blocks[pairs[0][1] - 1].shapes.get("weight")
        return [entry] if entry.shape[1:] == weight else entry.unbind(1)

    def _between(self, arrays: Sequence[Arrays], i: int, j: int) -> Tensor | None:
        """Return the weights (replicas, …) from layer i to layer j, those of several multiplied."""
        blocks = self.group.net.blocks[i:j]
        plain = all(type(block) is Dense and block.earlier is None for block in blocks)
        if len(blocks) != 1 and not plain:
            return None
        product = arrays[j - 1].get("weight")
        for below in reversed(arrays[i : j - 1]):
            assert product is not None
            product = product @ below["weight"]
        return product


def angle(one: Tensor, other: Tensor) -> Tensor:
    """Return the angles (…) in degrees between vectors (…, n); NaN where one is zero.

    By Kahan's formula, which loses no digits near 0 and 180 degrees as the arc cosine does.
    """
    u = one / one.norm(dim=-1, keepdim=True)
    v = other / other.norm(dim=-1, keepdim=True)
    return torch.rad2deg(2 * torch.atan2((u - v).norm(dim=-1), (u + v).norm(dim=-1)))


def _short(value: float) -> float | None:
    """Return a value at four digits; one that is not finite has no spelling in JSON."""
    return float(f"{value:.4g}") if math.isfinite(value) else None
