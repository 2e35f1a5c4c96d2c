"""Replicas of one program: what they carry through training, and one epoch of it.

The data lives on the device and batches are gathered there; nothing is read back to the host
within an epoch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from credbench import processes
from credbench.blocks import Arrays
from credbench.capture import Captured
from credbench.descent import Descent
from credbench.experiment import Trial
from credbench.images import Splits
from credbench.learner import Learner, Pass
from credbench.networks import Network
from credbench.precision import computing
from credbench.program import Program
from credbench.randomness import generator, permutation, stream_seed
from credbench.residents import Resident, reside
from credbench.streams import Stream, Tidings, Walk, stream

_EVALUATION_BATCH = 2000
_EVALUATED_AT_ONCE = 16_000
_EVALUATED_UNITS = {"cpu": 2**24, "cuda": 2**28}
"""Units of all layers that a chunk of an evaluation has at most: on CPU 64 MiB for h, and for z."""

Tree = dict[str, Tensor]
Watch = Callable[[int, str, int, int], None]
"""Is given the epoch, the phase, and where a batch starts and its size."""


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
    """Replicas of one program, and the state they carry through training.

    Every tensor that a step changes stays where it is in memory, so that the step can be
    captured and replayed.
    """

    def __init__(
        self,
        trials: Sequence[Trial],
        splits: Sequence[Splits],
        device: torch.device,
        tidings: Tidings | None = None,
    ) -> None:
        """Draw initial weights and feedback for trials of equal `Trial.program`.

        `splits` is each trial's data, on the device; trials on the same data give the same.
        `tidings` hears of images that cannot be read, where they are streamed.
        """
        self.trials = trials
        self.device = device
        self.single = len(trials) == 1
        first = trials[0]
        self.learner: Learner = first.algorithm
        self.net: Network = first.net
        self.data: Mapping[str, Resident | Stream] = stream(
            splits[0], first.batch_size, device, tidings or Tidings()
        ) or reside(splits, first.dataset.classes)
        self.params = self._stack([self._init_params(t) for t in trials])
        self.feedback = self._stack([self._init_feedback(t) for t in trials])
        examples = len(self.data["train"])
        kept = self.net.init_statistics()
        self.state = self._stack(
            [kept | t.algorithm.init_state(self.net, examples) for t in trials]
        )
        self.hyper = self._stack([self._numbers(t) for t in trials])
        self.keys = self._stack([self._keys(t) for t in trials])
        """The seeds, by stream, of what is drawn at every step."""
        self.augmentation = first.dataset.augmentation
        self.steps = torch.zeros((), dtype=torch.int64, device=device)
        """Steps taken so far, of all phases; kept where something is drawn at random."""
        self.descent = self._make_descent()
        lead = () if self.single else (len(trials),)
        self.order = torch.zeros((*lead, examples), dtype=torch.int64, device=device)
        """The order in which each replica visits the training examples in this epoch."""
        self._drawn = 0, self.order
        self.seen: Tensor | None = None
        """The logits made in this epoch (replicas, n, classes), or what is logged of them, in
        that order; zero for the examples that other processes take."""
        units = sum(self.net.width(k) for k in range(self.net.depth + 1))
        self._evaluated = max(1, min(_EVALUATION_BATCH, _EVALUATED_UNITS[device.type] // units))
        self.idle = True
        """Whether no step has changed anything yet."""
        self.captured = device.type == "cuda" and self.learner.capabilities.capturable
        self.compile_seconds = 0.0
        self.watch: Watch | None = None
        """What is told of every step before it is taken."""
        self._programs: dict[tuple[str, int], Program] = {}

    def _init_params(self, trial: Trial) -> Tree:
        return self.net.init(trial.init, generator(trial.seed, "initialisation"))

    def _init_feedback(self, trial: Trial) -> Tree:
        return trial.algorithm.init_feedback(self.net, generator(trial.seed, "feedback"))

    def _numbers(self, trial: Trial) -> Tree:
        return {k: torch.tensor(v) for k, v in trial.algorithm.numeric().items()}

    def _keys(self, trial: Trial) -> Tree:
        streams = ("noise", "augmentation")
        return {stream: torch.tensor(stream_seed(trial.seed, stream)) for stream in streams}

    def _stack(self, trees: Sequence[Tree]) -> Tree:
        if self.single:
            return {k: v.to(self.device).contiguous() for k, v in trees[0].items()}
        return {k: torch.stack([t[k] for t in trees]).to(self.device) for k in trees[0]}

    def _make_descent(self) -> Descent:
        axes = 0 if self.single else 1
        dims = {k: v.ndim - axes - 1 for k, v in self.params.items()}
        mirrored = {b.shapes[array] for b in self.net.blocks for array in b.carriers}
        for name, entry in self.feedback.items():
            own = entry.ndim - axes
            dims[name] = own if own < 3 or entry.shape[axes:] in mirrored else own - 1
        rates = {name: [1.0] * len(self.trials) for name in self.params}
        rates |= {k: [t.algorithm.rate(k) for t in self.trials] for k in self.feedback}
        frozen = {k for k, leaf in self.net.leaves.items() if leaf.array in self.net.frozen(leaf)}
        learned = {k: v for k, v in self.params.items() if k not in frozen}
        return Descent(
            learned | self.feedback,
            dims,
            [t.optimizer for t in self.trials],
            rates,
            self.trials[0].clip_norm,
        )

    def count_parameters(self) -> tuple[int, int]:
        """Return the numbers of forward parameters and of feedback entries of one replica."""
        feedback = sum(v.numel() for v in self.feedback.values()) // len(self.trials)
        return self.net.count(), feedback

    def weights(self) -> Weights:
        """Return the present weights, not copied."""
        return Weights(self.params, self.feedback, self.state)

    def tensors(self) -> list[Tensor]:
        """Return every tensor that a step changes, but for the log of its predictions."""
        trees = self.weights().trees()
        return [*(v for t in trees for v in t.values()), *self.descent.tensors(), self.steps]

    def shuffle(self, epoch: int) -> None:
        """Draw the order in which each replica visits the training examples in an epoch."""
        drawn, order = self._drawn
        self.order.copy_(order if drawn == epoch else self._orders(epoch))

    def _orders(self, epoch: int) -> Tensor:
        n = self.order.shape[-1]
        orders = [permutation(t.seed, epoch, n) for t in self.trials]
        return orders[0] if self.single else torch.stack(orders)

    def train_epoch(self, epoch: int) -> Tensor | None:
        """Run every phase of an epoch; return what was logged (replicas, n, classes)."""
        self.shuffle(epoch)
        train, advance = self.data["train"], None
        n, size = self.order.shape[-1], self.trials[0].batch_size
        if isinstance(train, Stream):
            order, passes = self.order.tolist(), len(self.learner.phases)
            train.begin(Walk(self.trials[0].seed, epoch, order, size, passes))
            advance = train.advance
        for phase in self.learner.phases:
            for start in range(0, n, size):
                if advance is not None:
                    advance()
                own = min(size, n - start)
                if self.watch is not None:
                    self.watch(epoch, phase, start, own)
                self.program(phase, own)(start)
        if self.idle:
            raise ValueError("the updates of every phase are empty: nothing is learned")
        if self.device.type == "cuda":  # while it still computes
            self._drawn = epoch + 1, self._orders(epoch + 1)
        return None if self.seen is None else processes.total(self.seen)

    def prepare(self) -> None:
        """Make the programs of an epoch, so that capturing them is not timed as training."""
        n, size = self.order.shape[-1], self.trials[0].batch_size
        sizes = [s for s in (min(size, n), n % size) if s]
        began = time.perf_counter()
        for phase in self.learner.phases:
            for each in dict.fromkeys(sizes):
                self.program(phase, each)
        if self.captured:
            self.compile_seconds = time.perf_counter() - began
        if isinstance(train := self.data["train"], Stream):
            train.start()

    def close(self) -> None:
        """End what runs beside this process."""
        for part in self.data.values():
            if isinstance(part, Stream):
                part.close()

    def program(self, phase: str, size: int) -> Program:
        """Return the step of a phase for batches of one size, captured where that is possible."""
        if (phase, size) not in self._programs:
            self._programs[phase, size] = self._make_program(phase, size)
        return self._programs[phase, size]

    def _make_program(self, phase: str, size: int) -> Program:
        if not self.captured:
            return Program(self, phase, size)
        try:
            return Captured(self, phase, size)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError:  # what a capture says of a read-back; a true error comes back below
            self.captured = False
            return Program(self, phase, size)

    def predict(
        self,
        part: str,
        weights: Weights,
        keep: Callable[[Tensor], Tensor] = lambda logits: logits,
    ) -> Tensor:
        """Return logits (replicas, n, classes) of a part of the data under some weights.

        Of some thousand examples' logits at a time, what `keep` makes of them is kept.
        """
        data = self.data[part]
        own = processes.share_of(len(data))
        size = max(1, min(self._evaluated, _EVALUATED_AT_ONCE // len(self.trials)))
        if data.streamed:  # so that every worker process has some to read
            size = min(size, self.trials[0].batch_size)
        starts = range(own.start, own.stop, size)
        runs = data.runs([(start, min(start + size, own.stop)) for start in starts])
        chunks = [keep(self._predict(x, data.shared, weights)) for x in runs]
        return processes.assembled(torch.cat(chunks, dim=-2), own)

    def _predict(self, x: Tensor, shared: bool, weights: Weights) -> Tensor:
        def one(hyper: Tree, params: Tree, feedback: Tree, state: Tree, x: Tensor) -> Tensor:
            views: list[Arrays] = self.net.settled(self.net.views(params), state)
            view = Pass(self.net, views, feedback, state, x)
            return self.learner.with_values(hyper).predict(view)

        return self._by_replica(one, shared, self.hyper, *weights.trees(), x)

    def top(self, part: str, weights: Weights, places: Sequence[int]) -> Tensor:
        """Return z_{L−1} (replicas, n, units) of a forward pass, for n images of a part."""
        data = self.data[part]

        def one(params: Tree, state: Tree, x: Tensor) -> Tensor:
            views = self.net.settled(self.net.views(params), state)
            return self.net.forward(views, x).z[self.net.depth - 1].flatten(1)

        runs = data.runs([(place, place + 1) for place in places])
        found = [self._by_replica(one, data.shared, weights.params, weights.state, x) for x in runs]
        return torch.cat(found, dim=-2)

    def _by_replica(self, one: Callable[..., Tensor], shared: bool, *parts: Any) -> Tensor:
        """Return what a function of one trial gives for each, its last argument the images."""
        with computing(self.device, self.trials[0].dtype):
            if self.single:
                return one(*parts).float()
            axes = (*[0] * (len(parts) - 1), None if shared else 0)
            return torch.func.vmap(one, in_dims=axes)(*parts).float()
