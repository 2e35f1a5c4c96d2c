"""The data of a group of replicas, resident on its device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from credbench.images import Channels, Part, Splits


class Resident:
    """One part of the data that replicas train or are judged on, gathered by index.

    Replicas on different datasets of one shape find them one after the other in one tensor.
    """

    streamed = False

    def __init__(
        self, parts: Sequence[Part], classes: int, peak: float, channels: Channels | None = None
    ) -> None:
        """Take each replica's part, on one device; replicas on the same data give the same."""
        distinct = list({id(part): part for part in parts}.values())
        self._peak = peak
        self._channels = channels
        self._eye = one_hot(classes, distinct[0].y.device)
        self._n = len(distinct[0])
        self._first: Tensor | None = None
        self._x, self._y = distinct[0].x, distinct[0].y
        self.labels = self._y
        """The labels (n,), or (replicas, n) where replicas differ in their data."""
        if len(distinct) > 1:
            where = {id(part): k for k, part in enumerate(distinct)}
            self._x = torch.cat([part.x for part in distinct])
            self._y = torch.cat([part.y for part in distinct])
            self.labels = torch.stack([part.y for part in parts])
            starts = [where[id(part)] * self._n for part in parts]
            self._first = torch.tensor(starts, device=self._y.device).unsqueeze(1)

    def __len__(self) -> int:
        return self._n

    @property
    def shared(self) -> bool:
        """Whether every replica has the same data."""
        return self._first is None

    def inputs(self, index: Tensor) -> Tensor:
        """Return images as a network takes them, for indices (batch,) or (replicas, batch).

        Pixels are scaled to [0, 1], and standardised by channel where the data asks for it;
        what was preprocessed is left as it is.
        """
        found = self._x.index_select(0, self._positions(index))
        found = scaled(found, self._peak, self._channels)
        return found if index.ndim == 1 else found.unflatten(0, index.shape)

    def labels_at(self, index: Tensor) -> Tensor:
        """Return labels for indices (batch,) or (replicas, batch)."""
        return self._y.index_select(0, self._positions(index)).view(index.shape)

    def targets(self, index: Tensor) -> Tensor:
        """Return one-hot labels (…, classes) for indices (batch,) or (replicas, batch)."""
        found = self._eye.index_select(0, self._y.index_select(0, self._positions(index)))
        return found if index.ndim == 1 else found.unflatten(0, index.shape)

    def run(self, start: int, stop: int) -> Tensor:
        """Return the images of a run of examples: (batch, …), or (replicas, batch, …)."""
        index = torch.arange(start, stop, device=self._y.device)
        if self._first is not None:
            index = index.expand(len(self._first), -1)
        return self.inputs(index)

    def runs(self, bounds: Sequence[tuple[int, int]]) -> Iterator[Tensor]:
        """Yield the images of runs of examples, each as `run` returns them."""
        return (self.run(*each) for each in bounds)

    def logged(self, logits: Tensor, index: Tensor) -> Tensor:
        """Return what the log of an epoch keeps of the predictions for indices: all."""
        return logits

    def _positions(self, index: Tensor) -> Tensor:
        if index.ndim == 1:
            return index
        return (index if self._first is None else index + self._first).flatten()


def scaled(images: Tensor, peak: float, channels: Channels | None) -> Tensor:
    """Return pixels as a network takes them; those of floating point were preprocessed."""
    if not images.is_floating_point():
        images = images / peak
    if channels is not None:
        images = images.sub_(channels.mean).div_(channels.deviation)
    return images


def one_hot(classes: int, device: torch.device) -> Tensor:
    """Return the one-hot label of every class (classes, classes)."""
    return torch.eye(classes, device=device)


def reside(splits: Sequence[Splits], classes: int) -> dict[str, Resident]:
    """Return the train, validation and test parts of the replicas' data."""
    parts = {
        "train": [s.train for s in splits],
        "validation": [s.validation for s in splits],
        "test": [s.test for s in splits],
    }
    first = splits[0]  # replicas whose datasets differ share both of these
    return {
        name: Resident(part, classes, first.peak, first.channels) for name, part in parts.items()
    }
