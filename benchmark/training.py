"""Trains a group of trials: epochs, their log, and the weights that validation chose.

The clock runs while training and stops for evaluation.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from credbench.embedding import embed, places
from credbench.experiment import Trial
from credbench.group import Group
from credbench.images import PARTS, Dataset, Splits
from credbench.metrics import Labels, Score, confusion, score
from credbench.randomness import STREAMS, stream_seed
from credbench.streams import Tidings

if TYPE_CHECKING:
    from credbench.angles import Angles
    from credbench.checkpoints import Checkpoint
    from credbench.scalars import Log


@dataclass
class Curve:
    """What is logged at the end of each epoch; errors in percent, losses in nats."""

    seconds: list[float] = field(default_factory=list)
    training_error: list[float] = field(default_factory=list)
    """Over the epoch's own passes, while the weights were changing."""
    training_loss: list[float] = field(default_factory=list)
    validation_error: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)


@dataclass
class Outcome:
    """How one trial went."""

    status: str = "done"
    epoch: int = 0
    """The epoch whose weights are reported (chosen on validation), or the one that diverged."""
    curve: Curve = field(default_factory=Curve)
    scores: dict[str, Score] = field(default_factory=dict)
    """By part: train, validation, test."""
    confusion: list[list[int]] = field(default_factory=list)
    """On the test part."""
    parameters: int = 0
    feedback: int = 0
    captured: bool = False
    """Whether the steps ran as captured graphs."""
    compile_seconds: float = 0.0
    """What capturing them took, before the clock of the first epoch."""
    resumed: list[int] = field(default_factory=list)
    """The epochs after which it was stopped and later went on."""
    embedding: dict[str, Any] = field(default_factory=dict)
    """The last hidden layer for some test images, in the plane, where that was asked for."""
    broken: int = 0
    """How many images could not be read, so that another stood in; since it was last stopped."""
    earlier_seconds: float = 0.0
    """What the runs that were stopped took, up to what they left."""
    angles: dict[str, Any] | None = None
    """What was watched, if anything was: see `Observer.kept`."""

    @property
    def training_seconds(self) -> float:
        """The seconds of all epochs, without evaluation; shared where a group trained."""
        return sum(self.curve.seconds)


def train(
    trials: Sequence[Trial],
    splits: Mapping[Dataset, Splits],
    device: torch.device,
    on_epoch: Callable[[], Any] = lambda: None,
    judged: Sequence[str] = PARTS,
    checkpoint: Checkpoint | None = None,
    note: Callable[[str], Any] = lambda line: None,
    embedded: int = 0,
    angles: Angles | None = None,
    log: Log | None = None,
) -> list[Outcome]:
    """Train trials of one program together and return how each went, in order.

    The weights reported are judged on the parts of the data in `judged`, and on no other; of so
    many test images their last hidden layer is `embedded` in the plane.

    A trial whose weights or validation loss stop being finite ends as `diverged`, with its
    epoch; the others of its group go on. With a checkpoint the training goes on from what it
    holds, and leaves its state there now and then. `note` is told of images that cannot be read.
    `angles` are taken off the clock and change nothing. `log` is given the curves after each epoch.
    """
    with torch.no_grad():
        there = {dataset: each.to(device) for dataset, each in splits.items()}
        tidings = Tidings(note)
        group = Group(trials, [there[trial.dataset] for trial in trials], device, tidings)
        try:
            outcomes = _Run(group, on_epoch, judged, checkpoint, embedded, angles, log).run()
        finally:
            group.close()
    if tidings.broken:
        note(f"{trials[0].label}: {len(tidings.broken)} images could not be read, others stood in")
    for outcome in outcomes:
        outcome.broken = len(tidings.broken)
    return outcomes


class _Run:
    """One training run of a group: epochs, their log, and the best weights so far."""

    def __init__(
        self,
        group: Group,
        on_epoch: Callable[[], Any],
        judged: Sequence[str],
        checkpoint: Checkpoint | None = None,
        embedded: int = 0,
        angles: Angles | None = None,
        log: Log | None = None,
    ) -> None:
        self.group = group
        self.log = log
        self.embedded = embedded
        self.watch = group.watch = None if angles is None else angles.observer(group)
        self.checkpoint = checkpoint
        self.began = time.perf_counter()
        self.judged = judged
        self.on_epoch = on_epoch
        self.outcomes = [Outcome() for _ in group.trials]
        self.best = group.weights().copy()
        self.lowest = [float("inf")] * len(group.trials)

    def run(self) -> list[Outcome]:
        self.group.prepare()
        for epoch in range(self._resume() + 1, self.group.trials[0].epochs + 1):
            if all(o.status == "diverged" for o in self.outcomes):
                break
            self._epoch(epoch)
            if self.checkpoint is not None and self.checkpoint.due():
                self.checkpoint.write(self._tensors(), self._facts(epoch))
            if self.log is not None:
                self.log([outcome.curve for outcome in self.outcomes])
            self.on_epoch()
        self._report()
        return self.outcomes

    def _resume(self) -> int:
        """Take up what the checkpoint holds; return the last epoch it has seen, 0 without."""
        held = None if self.checkpoint is None else self.checkpoint.read(self._tensors())
        if held is None:
            return 0
        epoch: int = held["epoch"]
        self.lowest = held["lowest"]
        if self.watch is not None:
            self.watch.kept = held["angles"]
        for outcome, facts in zip(self.outcomes, held["outcomes"], strict=True):
            vars(outcome).update(facts, curve=Curve(**facts["curve"]))
            outcome.resumed = [*outcome.resumed, epoch]
        for _ in range(epoch):
            self.on_epoch()
        return epoch

    def _tensors(self) -> dict[str, Tensor]:
        """Return, by name, every tensor that training on depends on."""
        named = {f"descent.{k}": v for k, v in enumerate(self.group.descent.tensors())}
        for when, weights in (("now", self.group.weights()), ("best", self.best)):
            for part, tree in vars(weights).items():
                named |= {f"{when}.{part}.{name}": leaf for name, leaf in tree.items()}
        return {"steps": self.group.steps, **named}

    def _facts(self, epoch: int) -> dict[str, Any]:
        """Return what a checkpoint keeps beside tensors."""
        seconds = time.perf_counter() - self.began
        outcomes = [
            {
                "status": outcome.status,
                "epoch": outcome.epoch,
                "curve": vars(outcome.curve),
                "resumed": outcome.resumed,
                "earlier_seconds": outcome.earlier_seconds + seconds,
            }
            for outcome in self.outcomes
        ]
        watched = {} if self.watch is None else {"angles": self.watch.kept}
        return {"epoch": epoch, "lowest": self.lowest, "outcomes": outcomes, **watched}

    def _epoch(self, epoch: int) -> None:
        group = self.group
        started = now(group.device)
        seen = group.train_epoch(epoch)
        seconds = now(group.device) - started
        if self.watch is not None:
            seconds -= self.watch.seconds
            self.watch.seconds = 0.0
        training = None
        if seen is not None:
            training = self._training(seen)
        predicted = group.predict("validation", group.weights())
        validation = _error_and_loss(predicted, group.data["validation"].labels)
        finite = self._finite()
        for k, outcome in enumerate(self.outcomes):
            if outcome.status == "diverged":
                continue
            self._log(outcome.curve, k, seconds, training, validation)
            error, loss = validation[0][k], validation[1][k]
            if not (finite[k] and loss == loss and abs(loss) < float("inf")):
                outcome.status, outcome.epoch = "diverged", epoch
            elif error < self.lowest[k]:
                self.lowest[k], outcome.epoch = error, epoch
                self._keep(k)

    def _training(self, seen: Tensor) -> ErrorsAndLosses:
        """Return error and loss of what an epoch has logged."""
        train = self.group.data["train"]
        if not train.streamed:
            return _error_and_loss(seen, train.labels_at(self.group.order))
        wrong, loss = seen.to(torch.float64).mean(0).tolist()
        return [100 * wrong], [loss]

    def _log(
        self,
        curve: Curve,
        k: int,
        seconds: float,
        training: ErrorsAndLosses | None,
        validation: ErrorsAndLosses,
    ) -> None:
        curve.seconds.append(seconds)
        curve.validation_error.append(validation[0][k])
        curve.validation_loss.append(validation[1][k])
        if training is not None:
            curve.training_error.append(training[0][k])
            curve.training_loss.append(training[1][k])

    def _finite(self) -> list[bool]:
        """Return, for each replica, whether all its weights are finite."""
        axes = 0 if self.group.single else 1
        flags = [
            leaf.flatten(axes).isfinite().all(-1)
            for tree in self.group.weights().trees()
            for leaf in tree.values()
        ]
        return torch.stack(flags).all(0).view(-1).tolist()

    def _keep(self, k: int) -> None:
        """Copy replica k's weights over the best so far."""
        for kept, now in zip(self.best.trees(), self.group.weights().trees(), strict=True):
            for name, leaf in now.items():
                if self.group.single:
                    kept[name].copy_(leaf)
                else:
                    kept[name][k].copy_(leaf[k])

    def _report(self) -> None:
        parameters, feedback = self.group.count_parameters()
        for outcome in self.outcomes:
            outcome.parameters, outcome.feedback = parameters, feedback
            outcome.captured = self.group.captured
            outcome.compile_seconds = self.group.compile_seconds
        if self.watch is not None:
            for k, outcome in enumerate(self.outcomes):
                outcome.angles = self.watch.series(k, len(outcome.curve.seconds))
        done = [k for k, o in enumerate(self.outcomes) if o.status == "done"]
        if not done:
            return
        dataset = self.group.trials[0].dataset
        classes, best = dataset.classes, 5 if dataset.top5 else 1
        for name in self.judged:
            part = self.group.data[name]
            guesses = self.group.predict(name, self.best, lambda logits: _guesses(logits, best))
            guesses = guesses.view(len(self.outcomes), -1, guesses.shape[-1])
            expected = part.labels.expand(guesses.shape[:-1])
            for k in done:
                labels: Labels = expected[k].cpu().numpy()
                ranked: Labels = guesses[k].cpu().numpy()
                self.outcomes[k].scores[name] = score(labels, ranked, classes)
                if name == "test":
                    self.outcomes[k].confusion = confusion(labels, ranked[:, 0], classes)
        if self.embedded:
            self._embed(done)

    def _embed(self, done: Sequence[int]) -> None:
        """Show the last hidden layer of the reported weights for some test images."""
        test = self.group.data["test"]
        shown = places(self.embedded, len(test))
        top = self.group.top("test", self.best, shown).view(len(self.outcomes), len(shown), -1)
        expected = test.labels.expand(len(self.outcomes), -1)
        for k in done:
            found = embed(top[k], expected[k, shown].tolist())
            self.outcomes[k].embedding = {"asked": self.embedded, **found}


ErrorsAndLosses = tuple[list[float], list[float]]


def _error_and_loss(logits: Tensor, labels: Tensor) -> ErrorsAndLosses:
    """Return error in percent and cross-entropy in nats, each a list with one entry a replica."""
    labels = labels.expand(logits.shape[:-1])
    error = 100 * (logits.argmax(-1) != labels).to(torch.float64).mean(-1)
    chosen = logits.log_softmax(-1).gather(-1, labels.unsqueeze(-1)).squeeze(-1)
    return error.view(-1).tolist(), (-chosen.to(torch.float64).mean(-1)).view(-1).tolist()


def _guesses(logits: Tensor, best: int) -> Tensor:
    """Return the classes (…, best) that stand highest; of equals the first."""
    if best == 1:
        return logits.argmax(-1, keepdim=True)
    ranked = logits.sort(dim=-1, descending=True, stable=True).indices
    return ranked[..., :best]


def now(device: torch.device) -> float:
    """Return the clock in seconds, once the device has finished what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def streams(trial: Trial) -> dict[str, int]:
    """Return the seeds of a trial's random streams, for its record."""
    return {stream: stream_seed(trial.seed, stream) for stream in STREAMS}
