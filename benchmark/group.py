"""Replicas of one program: what they carry through training, and one epoch of it.

The data lives on the device and batches are gathered there; nothing is read back to the host
within an epoch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from credbench.blocks import Arrays
from credbench.descent import Descent
from credbench.experiment import Trial
from credbench.images import Part, Splits
from credbench.learner import Learner, Pass, Step, Updates
from credbench.networks import Network
from credbench.randomness import generator, permutation

_EVALUATION_BATCH = 2000

Tree = dict[str, Tensor]


@dataclass(frozen=True)
class Weights:
    """All that training changes."""

    params: Tree
    feedback: Tree
    state: Tree

    def trees(self) -> tuple[Tree, Tree, Tree]:
        """Return the three parts."""
        return self.params, self.feedback, self.state

    def copy(self) -> Weights:
        """Return a copy that further training leaves alone."""
        return Weights(*({k: v.clone() for k, v in tree.items()} for tree in self.trees()))


class Group:
    """Replicas of one program, and the state they carry through training."""

    def __init__(self, trials: Sequence[Trial], splits: Splits, device: torch.device) -> None:
        """Draw initial weights and feedback for trials of equal `Trial.program`."""
        self.trials = trials
        self.splits = splits
        self.device = device
        self.single = len(trials) == 1
        first = trials[0]
        self.learner: Learner = first.algorithm
        self.net: Network = first.network.build(
            first.dataset.shape,
            first.dataset.classes,
            first.activation,
            separate=self.learner.separate,
        )
        self.params = self._stack([self._init_params(t) for t in trials])
        self.feedback = self._stack([self._init_feedback(t) for t in trials])
        self.state = self._stack(
            [t.algorithm.init_state(self.net, len(splits.train)) for t in trials]
        )
        self.hyper = self._stack([self._numbers(t) for t in trials])
        self.descent = self._make_descent()
        self._views = self.net.views(self.params) if self.single else []
        self._own = self.learner.with_values(self.hyper) if self.single else self.learner
        self._one_hot = torch.eye(first.dataset.classes, device=device)

    def _init_params(self, trial: Trial) -> Tree:
        return self.net.init(trial.init, generator(trial.seed, "initialisation"))

    def _init_feedback(self, trial: Trial) -> Tree:
        return trial.algorithm.init_feedback(self.net, generator(trial.seed, "feedback"))

    def _numbers(self, trial: Trial) -> Tree:
        return {k: torch.tensor(v) for k, v in trial.algorithm.numeric().items()}

    def _stack(self, trees: Sequence[Tree]) -> Tree:
        if self.single:
            return {k: v.to(self.device).contiguous() for k, v in trees[0].items()}
        return {k: torch.stack([t[k] for t in trees]).to(self.device) for k in trees[0]}

    def _make_descent(self) -> Descent:
        axes = 0 if self.single else 1
        dims = {k: v.ndim - axes - 1 for k, v in self.params.items()}
        for name, entry in self.feedback.items():
            own = entry.ndim - axes
            dims[name] = own - 1 if own > 2 else own
        rates = {name: [1.0] * len(self.trials) for name in self.params}
        rates |= {k: [t.algorithm.rate(k) for t in self.trials] for k in self.feedback}
        return Descent(
            self.params | self.feedback,
            dims,
            [t.optimizer for t in self.trials],
            rates,
            self.trials[0].clip_norm,
        )

    def count_parameters(self) -> tuple[int, int]:
        """Return the numbers of forward parameters and of feedback entries of one replica."""
        feedback = sum(v.numel() for v in self.feedback.values()) // len(self.trials)
        return self.net.count(), feedback

    def train_epoch(self, epoch: int) -> Tensor | None:
        """Run every phase of an epoch; return the logits it made (replicas, n, classes)."""
        n, size = len(self.splits.train), self.trials[0].batch_size
        order = self.order(epoch)
        seen: Tensor | None = None
        for number, phase in enumerate(self.learner.phases):
            for start in range(0, n, size):
                index = order[..., start : start + size]
                noise = self._noise(phase, index.shape[-1], (epoch, number, start))
                updates = self._updates(index, noise, phase)
                self.descent.step({**updates.params, **updates.feedback})
                self.state |= {k: v.clone() for k, v in updates.state.items()}  # never a live view
                if updates.logits is not None:
                    if seen is None:
                        seen = updates.logits.new_empty((*order.shape, updates.logits.shape[-1]))
                    seen[..., start : start + size, :] = updates.logits
        return seen

    def order(self, epoch: int) -> Tensor:
        """Return the order in which each replica visits the training examples (replicas, n)."""
        n = len(self.splits.train)
        orders = [permutation(t.seed, epoch, n) for t in self.trials]
        return (orders[0] if self.single else torch.stack(orders)).to(self.device)

    def _noise(self, phase: str, size: int, step: tuple[int, ...]) -> Tree:
        shapes = self.learner.noise(self.net, phase)
        if not shapes:
            return {}
        draws = []
        for trial in self.trials:
            source = generator(trial.seed, "noise", *step)
            draws.append({k: torch.randn((size, *s), generator=source) for k, s in shapes.items()})
        return self._stack(draws)

    def _inputs(self, part: Part, index: Tensor) -> Tensor:
        """Return scaled images for indices of any shape."""
        found = part.x.index_select(0, index.flatten())
        scaled = found.to(self._one_hot.dtype).div_(self.splits.peak)
        return scaled if index.ndim == 1 else scaled.unflatten(0, index.shape)

    def _updates(self, index: Tensor, noise: Tree, phase: str) -> Updates:
        x = self._inputs(self.splits.train, index)
        targets = self._one_hot[self.splits.train.y[index]]
        if self.single:
            own = (self._views, self.feedback, self.state)
            return self._own.updates(Step(self.net, *own, x, targets, index, noise, phase))

        def one(
            hyper: Tree, params: Tree, feedback: Tree, state: Tree, batch: tuple[Tensor, ...],
            noise: Tree,
        ) -> tuple[Mapping[str, Tensor], ...]:  # fmt: skip
            views = self.net.views(params)
            x, targets, index = batch
            step = Step(self.net, views, feedback, state, x, targets, index, noise, phase)
            made = self.learner.with_values(hyper).updates(step)
            logits = {} if made.logits is None else {"logits": made.logits}
            return made.params, made.feedback, made.state, logits

        replicas = torch.func.vmap(one, randomness="error")
        params, feedback, state, logits = replicas(
            self.hyper, self.params, self.feedback, self.state, (x, targets, index), noise
        )
        return Updates(params, feedback, state, logits.get("logits"))

    def predict(self, part: Part, weights: Weights) -> Tensor:
        """Return logits (replicas, n, classes) of a part under some weights."""
        chunks = []
        for start in range(0, len(part), _EVALUATION_BATCH):
            stop = min(start + _EVALUATION_BATCH, len(part))
            x = self._inputs(part, torch.arange(start, stop, device=self.device))
            chunks.append(self._predict(x, weights))
        return torch.cat(chunks, dim=-2)

    def _predict(self, x: Tensor, weights: Weights) -> Tensor:
        def one(hyper: Tree, params: Tree, feedback: Tree, state: Tree) -> Tensor:
            views: list[Arrays] = self.net.views(params)
            view = Pass(self.net, views, feedback, state, x)
            return self.learner.with_values(hyper).predict(view)

        parts = (self.hyper, weights.params, weights.feedback, weights.state)
        return one(*parts) if self.single else torch.func.vmap(one)(*parts)

    def weights(self) -> Weights:
        """Return the present weights, not copied."""
        return Weights(self.params, self.feedback, self.state)
