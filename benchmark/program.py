"""One step of training as a program: gather, forward, credit assignment, descent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from credbench import processes
from credbench.blocks import Arrays
from credbench.learner import Step, Updates
from credbench.precision import computing, raised
from credbench.randomness import normals, uniforms

if TYPE_CHECKING:
    from credbench.group import Group, Tree
    from credbench.learner import Learner

Stage = Literal["forward", "updates", "step"]
STAGES: tuple[Stage, ...] = ("forward", "updates", "step")
"""How far a program goes; what a stage takes more than the one before it is its own cost."""


class Program:
    """The step of one phase for batches of one size, run as it stands."""

    def __init__(
        self,
        group: Group,
        phase: str,
        size: int,
        stage: Stage = "step",
        learner: Learner | None = None,
    ) -> None:
        """Take the group whose tensors it reads and changes, and how far it should go.

        Another `learner` than the group's, without numbers, is for looking at its updates.
        """
        self.group = group
        self.phase = phase
        self.size = size
        self.stage = stage
        self.share = processes.share_of(size)
        self._dtype = group.trials[0].dtype
        self._learner = learner or group.learner
        self._hyper: Tree = {} if learner else group.hyper
        self._noise = self._learner.noise(group.net, phase)
        self._views: list[Arrays] = []
        if group.single:
            self._views = group.net.views(group.params)
            self._learner = self._learner.with_values(self._hyper)

    def __call__(self, start: int) -> None:
        """Take the examples from `start` on, in the order of the epoch."""
        self.run(slice(start, start + self.size))

    def run(self, where: slice | Tensor) -> None:
        """Take the examples at some places of the epoch's order (a slice, or one by one)."""
        if processes.current().size == 1:
            self._run(where)
            return
        with processes.sharing(self.share):
            self._run(self._own(where))

    def updates_at(self, start: int) -> Updates:
        """Return the updates of the step for the examples from `start` on, which is not taken.

        They are those that the next step will have, if it is of these examples: what a step
        draws at random is drawn again. For one process.
        """
        return self._updates(self.group.order[..., start : start + self.size])

    def _own(self, where: slice | Tensor) -> slice | Tensor:
        """Return this process's share of a batch's places."""
        start, stop = self.share.start, self.share.stop
        if isinstance(where, slice):
            return slice(where.start + start, where.start + stop)
        return where[start:stop]

    def _run(self, where: slice | Tensor) -> None:
        group = self.group
        index = group.order[..., where]
        if self.stage == "forward":
            x = self._inputs(index)
            with computing(group.device, self._dtype):
                self._forward(x)
            return
        updates = self._updates(index)
        if self._noise or group.augmentation:
            group.steps.add_(1)
        if self.stage == "updates":
            return
        if updates.params or updates.feedback or updates.state:
            group.idle = False
        changes: Mapping[str, Tensor] = {**updates.params, **updates.feedback}
        if self._dtype != "float32":
            changes = raised(changes)
        group.descent.step(processes.mean_all(changes))
        for name, value in updates.state.items():
            group.state[name].copy_(value)
        if updates.logits is not None:
            logged = group.data["train"].logged(updates.logits.float(), index)
            if group.seen is None:
                shape = (*group.order.shape, logged.shape[-1])
                group.seen = torch.zeros(shape, dtype=torch.float32, device=group.device)
            if self.share.weight:
                group.seen[..., where, :] = logged

    def _forward(self, x: Tensor) -> None:
        group = self.group
        if group.single:
            group.net.forward(self._views, x)
            return

        def one(params: Tree, x: Tensor) -> Tensor:
            return group.net.forward(group.net.views(params), x).logits

        _replicas(one)(group.params, x)

    def _updates(self, index: Tensor) -> Updates:
        x, data = self._inputs(index), self.group.data["train"]
        with computing(self.group.device, self._dtype):
            return self._learn(x, data.targets(index), index)

    def _learn(self, x: Tensor, targets: Tensor, index: Tensor) -> Updates:
        group, noise = self.group, self._draw()
        if group.single:
            own = (self._views, group.feedback, group.state)
            return self._learner.updates(
                Step(group.net, *own, x, targets, index, noise, self.phase)
            )

        def one(
            hyper: Tree, params: Tree, feedback: Tree, state: Tree, x: Tensor, targets: Tensor,
            index: Tensor, noise: Tree,
        ) -> tuple[Mapping[str, Tensor], ...]:  # fmt: skip
            own = (group.net.views(params), feedback, state)
            step = Step(group.net, *own, x, targets, index, noise, self.phase)
            made = self._learner.with_values(hyper).updates(step)
            logits = {} if made.logits is None else {"logits": made.logits}
            return made.params, made.feedback, made.state, logits

        trees = (self._hyper, *group.weights().trees())
        params, feedback, state, logits = _replicas(one)(*trees, x, targets, index, noise)
        return Updates(params, feedback, state, logits.get("logits"))

    def _draw(self) -> Tree:
        """Return the standard normal draws that the learner asked for, of the own examples."""
        if not self._noise:
            return {}
        shapes = {name: (self.size, *shape) for name, shape in self._noise.items()}
        drawn = normals(self.group.keys["noise"], self.group.steps, shapes)
        return {name: self._mine(each) for name, each in drawn.items()}

    def _mine(self, drawn: Tensor) -> Tensor:
        """Return what was drawn for the own examples, of draws for the batch."""
        axis, start, stop = int(not self.group.single), self.share.start, self.share.stop
        return drawn.narrow(axis, start, stop - start)

    def _inputs(self, index: Tensor) -> Tensor:
        """Return images (…, batch, *shape) by their indices, as they enter the network."""
        return self._varied(self.group.data["train"].inputs(index))

    def _varied(self, x: Tensor) -> Tensor:
        """Return images (…, batch, *shape) as the dataset's augmentation varies them."""
        group, vary = self.group, self.group.augmentation
        if vary is None:
            return x
        draws = uniforms(group.keys["augmentation"], group.steps, (self.size, vary.draws))
        return vary(x, self._mine(draws))


def _replicas(one: Callable[..., Any]) -> Callable[..., Any]:
    """Return a program of one trial as one of many, along the first axis of all it is given."""
    return torch.func.vmap(one, randomness="error")
