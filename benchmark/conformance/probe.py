"""All that a step is given, laid open: it can be copied, moved, doubled and compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from credbench.conformance.subject import Subject
from credbench.group import Group
from credbench.learner import Errors, Learner, Pass, Step, Tensors, Updates
from credbench.networks import Activities, Network
from credbench.randomness import normals

Tree = Mapping[str, Tensor]
_WEIGHTS = ("params", "feedback", "state", "hyper")
_BATCH = ("batch", "noise")


@dataclass(frozen=True)
class Probe:
    """A step of a learner before it is taken, its tensors by what the learner calls them."""

    learner: Learner
    net: Network
    phase: str
    params: Tree
    """By leaf."""
    feedback: Tree
    state: Tree
    hyper: Tree
    noise: Tree
    batch: Tree
    """x, targets and index."""

    def learn(self) -> Updates:
        """Return what the learner wants done."""
        return self._learner.updates(self.step())

    def predict(self) -> Tensor:
        """Return the logits (batch, classes) of its prediction."""
        views = self.net.settled(self.net.views(self.params), self.state)
        view = Pass(self.net, views, self.feedback, self.state, self.batch["x"])
        return self._learner.predict(view)

    def step(self) -> Step:
        """Return the step as the learner gets it."""
        views = self.net.views(self.params)
        return _Watched(
            self.net, views, self.feedback, self.state, self.batch["x"], self.batch["targets"],
            self.batch["index"], self.noise, self.phase,
        )  # fmt: skip

    @cached_property
    def _learner(self) -> Learner:
        return self.learner.with_values(self.hyper)

    def changed(self, change: Callable[[Tensor], Tensor]) -> Probe:
        """Return the same step with every tensor changed."""
        return self._with(change, (*_WEIGHTS, *_BATCH))

    def twice(self) -> Probe:
        """Return the step with every example of its batch in it twice."""
        return self._with(lambda each: torch.cat([each, each]), _BATCH)

    def _with(self, change: Callable[[Tensor], Tensor], parts: tuple[str, ...]) -> Probe:
        trees: dict[str, dict[str, Tensor]] = {
            part: {name: change(each) for name, each in getattr(self, part).items()}
            for part in parts
        }
        return replace(self, **trees)  # type: ignore[arg-type]

    def named(self) -> Iterator[tuple[str, Tensor]]:
        """Yield every tensor that a learner is given, but for its own numbers, and its name."""
        for part in ("params", "feedback", "state", "noise"):
            for name, each in getattr(self, part).items():
                yield f"step.{part}, {name!r}", each
        for name, each in self.batch.items():
            yield f"step.{name}", each


class ComplaintError(Exception):
    """Raised inside a learner, with a sentence that says what to change."""


class _Watched(Step):
    """A step that looks at the errors which it is to turn into updates."""

    def updates(
        self,
        activities: Activities,
        errors: Errors,
        feedback: Tensors | None = None,
        state: Tensors | None = None,
    ) -> Updates:
        if not isinstance(errors, Mapping):
            raise ComplaintError(
                f"step.updates was given a {type(errors).__name__} of errors: give a dict of "
                "tensors by layer, {l: error}"
            )
        for layer, error in errors.items():
            self._look(layer, error)
        return super().updates(activities, errors, feedback, state)

    def _look(self, layer: object, error: object) -> None:
        depth = self.net.depth
        if not isinstance(layer, int) or not 1 <= layer <= depth:
            raise ComplaintError(
                f"step.updates was given an error of layer {layer!r}: give those of layers 1 to "
                f"{depth}, the last of them the output"
            )
        if not isinstance(error, Tensor):
            raise ComplaintError(
                f"the error of layer {layer} is a {type(error).__name__}: give a tensor"
            )
        expected = (len(self.x), *self.net.shape(layer))
        if tuple(error.shape) != expected:
            raise ComplaintError(
                f"the error of layer {layer} has the shape {tuple(error.shape)}: give it that of "
                f"the layer's activities, {expected}"
            )
        if error.dtype != self.x.dtype:
            raise ComplaintError(
                f"the error of layer {layer} is {error.dtype}: make it {self.x.dtype}, as the "
                "activities are"
            )


def probes(subject: Subject, epochs: int = 1) -> Iterator[Probe]:
    """Yield a step of every phase, from the weights after so many epochs."""
    group = subject.group(subject.trials())
    for epoch in range(1, epochs + 1):
        group.train_epoch(epoch)
    for phase in group.learner.phases:
        yield probe(group, phase, subject.trial.batch_size)


def untouched(subject: Subject) -> Iterator[str]:
    """Yield the leaves of the network that no phase of an epoch updates, though they could be."""
    made = {name for probe in probes(subject, epochs=0) for name in probe.learn().params}
    net = subject.trial.net
    for name, leaf in net.leaves.items():
        if name not in made and leaf.array not in net.frozen(leaf):
            yield name


def probe(group: Group, phase: str, size: int) -> Probe:
    """Return the step of a phase that takes the first examples of the epoch's order."""
    index, data = group.order[:size], group.data["train"]
    shapes = group.learner.noise(group.net, phase)
    sizes = {name: (size, *shape) for name, shape in shapes.items()}
    noise = normals(group.keys["noise"], group.steps, sizes) if shapes else {}
    batch = {"x": data.inputs(index), "targets": data.targets(index), "index": index}
    weights = {part: dict(tree) for part, tree in vars(group.weights()).items()}
    return Probe(
        group.learner, group.net, phase, **weights, hyper=group.hyper, noise=noise, batch=batch
    )


def apart(one: Tensor, other: Tensor) -> float:
    """Return how far one tensor is from another, relative to that; 0 where both vanish."""
    scale = float(other.double().norm())
    distance = float((one.double() - other.double()).norm())
    return distance / scale if scale else float(distance > 0)


def parts(updates: Updates) -> dict[str, Tensor]:
    """Return all that a learner gave back, by what it is called."""
    found = {
        f"{part} {name!r}": each
        for part in ("params", "feedback", "state")
        for name, each in getattr(updates, part).items()
    }
    return found | ({} if updates.logits is None else {"logits": updates.logits})
