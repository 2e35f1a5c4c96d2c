"""Images that stay on disk: worker processes read them ahead of the steps that take them.

A step finds its batch in a buffer that stays where it is on the device, so it can be captured.
An image that cannot be read is told of once; the next one of its part that can, in the order of
the listing, stands in for it from then on, with its own label.
"""

from __future__ import annotations

import os
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as Source

from credbench import environment, processes
from credbench.children import end_with_parent, unheard
from credbench.errors import RequestError
from credbench.images import Channels, Dataset, Part, Splits
from credbench.randomness import stream_seed
from credbench.registry import last_line
from credbench.residents import one_hot, scaled

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Key = tuple[str, int | None]
"""The path of an image, and the seed it is varied by; None is for evaluation."""
Broken = list[tuple[int, str]]
"""The places in a batch whose image could not be read, and why."""
_AHEAD = 2
"""Batches that each worker process reads ahead."""


@dataclass(frozen=True)
class Listed(Part):
    """A part whose images are files; `x` (0,) holds none of them."""

    dataset: Dataset
    folder: str
    names: NDArray[np.bytes_]
    """Paths within the folder: a million as Python's strings would take many times as much."""

    def to(self, device: torch.device) -> Listed:
        """Return the same part with its labels on a device."""
        return Listed(self.x, self.y.to(device), self.dataset, self.folder, self.names)

    def path(self, place: int) -> str:
        """Return where an image lies."""
        return f"{self.folder}/{os.fsdecode(self.names[place])}"


class _Reader(Source[Any]):
    """What a worker process does; all that it needs comes with the key."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset

    def __getitem__(self, key: Key) -> Tensor | str:
        """Return an image (*shape) uint8, or why there is none."""
        path, seed = key
        try:
            return self._dataset.read(Path(path), seed)
        except Exception as error:  # decoders raise of every kind
            return f"{path} is broken ({last_line(error)})"

    def collate(self, items: Sequence[Tensor | str]) -> tuple[Tensor, Broken]:
        """Return images (batch, *shape), zeros in place of the broken ones."""
        blank = torch.zeros(self._dataset.shape, dtype=torch.uint8)
        images = torch.stack([blank if isinstance(item, str) else item for item in items])
        return images, [(k, item) for k, item in enumerate(items) if isinstance(item, str)]


def _start_worker(number: int) -> None:
    end_with_parent()  # which torch does not notice where that ended before this one began
    warnings.simplefilter("ignore")  # decoders warn of what some photographs carry beside pixels


@dataclass
class _Plan:
    """The batches to read next; a loader asks for them as it goes."""

    batches: Iterable[Sequence[Key]] = ()

    def __iter__(self) -> Iterator[list[Key]]:
        return map(list, self.batches)


def worker_count(device: torch.device) -> int:
    """Return how many processes read: the cores that are left, shared with processes beside."""
    own = environment.cores() // processes.current().beside
    return max(1, own if device.type == "cuda" else own - environment.threads())


class Loader:
    """Worker processes that read images in the order they are asked for, for all parts."""

    def __init__(self, dataset: Dataset, device: torch.device, workers: int | None = None) -> None:
        """Start nothing yet; 0 workers read in this process."""
        self.reader = _Reader(dataset)
        self.workers = worker_count(device) if workers is None else workers
        self._plan = _Plan()
        apart: dict[str, Any] = {
            "num_workers": self.workers, "persistent_workers": True, "prefetch_factor": _AHEAD,
            "multiprocessing_context": "spawn", "worker_init_fn": _start_worker,
        }  # fmt: skip
        self._loader: DataLoader[Any] = DataLoader(
            self.reader,
            batch_sampler=self._plan,
            collate_fn=self.reader.collate,
            pin_memory=device.type == "cuda",
            generator=torch.Generator(),  # else it would draw from the global one
            **(apart if self.workers else {}),
        )

    def close(self) -> None:
        """End the workers; nothing is read afterwards."""
        # They would otherwise live for as long as a cycle of references holds the loader.
        self._loader = DataLoader(self.reader)

    def read(self, batches: Iterable[Sequence[Key]]) -> Iterator[tuple[Tensor, Broken]]:
        """Yield the images of each batch; one reading at a time."""
        self._plan.batches = batches
        with unheard():
            found = iter(self._loader)
        yield from found


@dataclass(frozen=True)
class Walk:
    """One epoch's way through the training images."""

    seed: int
    epoch: int
    order: Sequence[int]
    batch_size: int
    passes: int
    """How often the order is walked: once a phase."""

    def batches(self) -> Iterator[list[int]]:
        """Yield this process's share of each batch, as places in the listing."""
        for _ in range(self.passes):
            for start in range(0, len(self.order), self.batch_size):
                whole = self.order[start : start + self.batch_size]
                share = processes.share_of(len(whole))
                yield list(whole[share.start : share.stop])

    def variation(self, place: int) -> int:
        """Return the seed that an image is varied by in this epoch."""
        return stream_seed(self.seed, "augmentation", self.epoch, place)


@dataclass
class Tidings:
    """What is told of broken images: each once, when it is met."""

    note: Callable[[str], Any] = lambda line: None
    broken: set[str] = field(default_factory=set)
    """Their paths."""

    def tell(self, path: str, reason: str, other: str) -> None:
        """Tell of an image for which another stands in."""
        if path not in self.broken:
            self.broken.add(path)
            self.note(f"{reason}: {Path(other).name} stands in for it")


class Stream:
    """One part of the data of one trial, in place of a `Resident`; its images are read as asked."""

    shared = True
    streamed = True

    def __init__(
        self,
        part: Listed,
        peak: float,
        channels: Channels | None,
        batch_size: int,
        loader: Loader,
        tidings: Tidings,
    ) -> None:
        """Take a part whose labels are on the device, and the size of a training batch."""
        self.labels = part.y.clone()
        """The labels (n,); one changes where another image stands in."""
        self._instead: dict[int, int] = {}
        """The places at which another image stands in, from when its own could not be read."""
        self._part, self._peak, self._channels = part, peak, channels
        self._loader, self._tidings = loader, tidings
        self._eye = one_hot(part.dataset.classes, self.labels.device)
        shape = (min(batch_size, len(part)), *part.dataset.shape)
        self._buffer = torch.zeros(shape, dtype=torch.uint8, device=self.labels.device)
        self._ahead: Iterator[tuple[list[int], Tensor]] = iter(())

    def __len__(self) -> int:
        return len(self._part)

    @property
    def workers(self) -> int:
        """How many processes read; 0 is this one."""
        return self._loader.workers

    @property
    def read_ahead(self) -> int:
        """How many batches there may be that were read before they were asked for."""
        return max(1, self.workers * _AHEAD)

    def start(self) -> None:
        """Let every worker read an image, so that none is still starting when time is taken."""
        for _ in self._read([[0]] * max(1, self._loader.workers), lambda place: None):
            pass

    def close(self) -> None:
        """End the processes that read, those of the other parts with them."""
        self._ahead = iter(())
        self._loader.close()

    def begin(self, walk: Walk) -> None:
        """Begin to read an epoch's batches."""
        self._ahead = self._read(walk.batches(), walk.variation)

    def advance(self) -> None:
        """Put the next batch where `inputs` finds it."""
        images = next(self._ahead)[1]
        self._buffer[: len(images)].copy_(self._moved(images))

    def _moved(self, images: Tensor) -> Tensor:
        """Return images on the device; they travel while the steps before are computed."""
        device = self._buffer.device
        if device.type != "cuda":
            return images.to(device)
        here, aside = torch.cuda.current_stream(device), _side(device)
        with torch.cuda.stream(aside):
            moved = images.to(device, non_blocking=True)
        here.wait_stream(aside)
        moved.record_stream(here)
        return moved

    def inputs(self, index: Tensor) -> Tensor:
        """Return the images put ready last, scaled, of which these are the indices (batch,)."""
        return scaled(self._buffer[: len(index)], self._peak, self._channels)

    def labels_at(self, index: Tensor) -> Tensor:
        """Return labels for indices (batch,)."""
        return self.labels.index_select(0, index)

    def targets(self, index: Tensor) -> Tensor:
        """Return one-hot labels (batch, classes) for indices (batch,)."""
        return self._eye.index_select(0, self.labels_at(index))

    def logged(self, logits: Tensor, index: Tensor) -> Tensor:
        """Return (batch, 2): whether wrong, and the cross-entropy in nats.

        The logits of a million examples would take gigabytes.
        """
        labels = self.labels_at(index)
        wrong = (logits.argmax(-1) != labels).to(logits.dtype)
        return torch.stack([wrong, cross_entropy(logits, labels, reduction="none")], -1)

    def runs(self, bounds: Sequence[tuple[int, int]]) -> Iterator[Tensor]:
        """Yield the images of runs of examples (batch, …) as evaluation sees them."""
        for _, images in self._read((list(range(*each)) for each in bounds), lambda place: None):
            yield scaled(self._moved(images), self._peak, self._channels)
        self._agree()

    def _read(
        self, batches: Iterable[Sequence[int]], seed: Callable[[int], int | None]
    ) -> Iterator[tuple[list[int], Tensor]]:
        """Yield the places in the listing and the images of each batch, all of them whole."""
        asked: deque[list[int]] = deque()

        def keys() -> Iterator[list[Key]]:
            for places in batches:
                asked.append(list(places))
                found = (self._instead.get(place, place) for place in places)
                yield [
                    (self._part.path(k), seed(place))
                    for k, place in zip(found, places, strict=True)
                ]

        for images, broken in self._loader.read(keys()):
            places = asked.popleft()
            for k, reason in broken:
                images[k] = self._stand_in(places[k], reason, seed(places[k]))
            yield places, images

    def _stand_in(self, place: int, reason: str, seed: int | None) -> Tensor:
        """Return the next image that can be read, and take over its label."""
        for step in range(1, len(self)):
            other = (place + step) % len(self)
            found = self._loader.reader[self._part.path(other), seed]
            if isinstance(found, Tensor):
                self.labels[place] = self._part.y[other]
                self._instead[place] = other
                self._tidings.tell(self._part.path(place), reason, self._part.path(other))
                return found
        raise RequestError(
            f"none of the {len(self)} images in {self._part.folder} can be read: {reason}"
        )

    def _agree(self) -> None:
        """Take over the labels that changed on other processes."""
        changed = self.labels != self._part.y
        times = processes.total(changed.long())
        summed = processes.total(self.labels * changed)
        self.labels.copy_(torch.where(times > 0, summed // times.clamp(min=1), self._part.y))


def stream(
    splits: Splits, batch_size: int, device: torch.device, tidings: Tidings
) -> dict[str, Stream] | None:
    """Return the parts of data whose images are files, read by the same workers; else None."""
    parts = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    listed = {name: part for name, part in parts.items() if isinstance(part, Listed)}
    if not listed:
        return None
    loader = Loader(listed["train"].dataset, device)
    return {
        name: Stream(part, splits.peak, splits.channels, batch_size, loader, tidings)
        for name, part in listed.items()
    }


_sides: dict[torch.device, torch.cuda.Stream] = {}


def _side(device: torch.device) -> torch.cuda.Stream:
    """Return the stream on which images travel."""
    if device not in _sides:
        _sides[device] = torch.cuda.Stream(device)
    return _sides[device]
