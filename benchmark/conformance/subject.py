"""What is to be checked, with the small network and the digits that it is checked on."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch

from credbench.errors import RequestError
from credbench.experiment import Trial, own_optimizer
from credbench.group import Group
from credbench.images import Dataset, Splits, limited
from credbench.loading import load, prepare
from credbench.stopwatch import REFERENCE

if TYPE_CHECKING:
    from credbench.architectures import Architecture
    from credbench.component import Component
    from credbench.learner import Learner
    from credbench.optimizers import Optimizer
    from credbench.registry import Registry

KINDS = ("algorithm", "dataset", "network", "activation")
"""What can be checked."""
NETWORK = "mlp[hidden=16x3]"
ACTIVATION = "tanh"
_OPTIMIZER = "adam[lr=0.002]"
"""Where the learner names none: on a small network, a rate that shows soon."""
BATCH = 16
IMAGES = 40
"""Two batches and a short one."""
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Subject:
    """What is checked, in a trial whose other parts are usual."""

    trial: Trial
    reference: Learner
    data_dir: Path = Path()
    kind: str = "algorithm"
    """Of what is checked, whose author is to be told what to change."""

    @property
    def learner(self) -> Learner:
        """The learner, as it was before any trial ran."""
        return copy.deepcopy(self.trial.algorithm)

    @cached_property
    def splits(self) -> Splits:
        """All images of the dataset."""
        return load(self.trial.dataset, self.data_dir)

    def trials(self, images: int = IMAGES, seeds: int = 1, **changes: Any) -> list[Trial]:
        """Return trials that differ in their seed, on so many training images at most."""
        images = min(images, self.trial.dataset.trainable)
        given = replace(self.trial, limit_train=images, **changes)
        return [replace(given, algorithm=self.learner, seed=seed) for seed in range(seeds)]

    def data(self, trials: Sequence[Trial]) -> dict[Dataset, Splits]:
        """Return the images that trials train on and are judged by."""
        return {self.trial.dataset: limited(self.splits, trials[0].limit_train)}

    def group(self, trials: Sequence[Trial], device: torch.device = CPU) -> Group:
        """Return replicas, in the order of their first epoch."""
        (splits,) = self.data(trials).values()
        group = Group(trials, [splits.to(device)] * len(trials), device)
        group.shuffle(1)
        return group


def make_subject(
    registry: Registry,
    given: Component,
    network: str = NETWORK,
    activation: str = ACTIVATION,
    data_dir: Path = Path(),
) -> Subject:
    """Return a component as it is checked.

    Raises `RequestError` for a component of another kind, for a network or an activation on which
    a learner is not defined, and for a dataset that is not to be had.
    """
    (learner,) = registry.axis("algorithm", REFERENCE)
    made: dict[str, Any] = {
        "algorithm": learner,
        "network": registry.axis("network", network)[0],
        "activation": registry.axis("activation", activation)[0],
        "initializer": registry.axis("initializer", "glorot")[0],
        given.kind: given,
    }
    if given.kind not in KINDS:
        raise RequestError(
            f"{given.kind} {given.name!r} cannot be checked: expected an algorithm, a dataset, a "
            "network or an activation"
        )
    data = made.get("dataset") or _images_for(registry, made["network"])
    data = data.located(data_dir)
    if data.streamed:
        raise RequestError(f"dataset {data.name!r} is streamed from disk: it cannot be checked")
    prepare(data, data_dir)
    rule = own_optimizer(registry, made["algorithm"], _OPTIMIZER)
    trial = Trial(
        made["algorithm"], data, made["activation"], made["network"], cast("Optimizer", rule),
        made["initializer"], BATCH, 1, None, IMAGES, 0,
    )  # fmt: skip
    if trial.refusal:
        where = f"{trial.network.spec(full=False)}, {trial.activation.spec(full=False)}"
        raise RequestError(
            f"{trial.algorithm.name} on {where}: {trial.refusal}; give --network or --activation "
            "one that it is defined on"
        )
    return Subject(trial, cast("Learner", learner), data_dir, given.kind)


def _images_for(registry: Registry, network: Architecture) -> Dataset:
    """Return digits, or images of the network's usual form where it takes no digits."""
    (digits,) = registry.axis("dataset", "digits")
    assert isinstance(digits, Dataset)
    if not network.refuses(digits.shape):
        return digits
    shape, classes = network.usual
    form = f"synthetic[shape={'x'.join(map(str, shape))},classes={min(classes, 10)},images=400]"
    return cast("Dataset", registry.axis("dataset", form)[0])
