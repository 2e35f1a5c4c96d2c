"""From files to splits: a dataset is decoded or read, split, preprocessed and cut to size."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from credbench import environment
from credbench.cache import Cache
from credbench.decoding import decoded, told
from credbench.errors import RequestError
from credbench.folders import Listing
from credbench.images import Dataset, Images, Part, Splits, held_out, limited, split

if TYPE_CHECKING:
    from torch import Tensor


def prepare(
    dataset: Dataset, data_dir: Path, note: Callable[[str], Any] = lambda line: None
) -> None:
    """Make what `load` will read, before any process loads: downloads, decoded copies, fits.

    `note` is told, line by line, what takes long and what is left out. Raises `RequestError`
    where data is missing, unreadable or not what it should be.
    """
    if dataset.streamed:
        dataset.prepare(data_dir)
        return
    cache = Cache(data_dir, note)
    files = dataset.files(data_dir)
    if files is None:
        dataset.prepare(data_dir)
    else:
        found = decoded(dataset, files, cache)
        whole = len(files.train.names) + len(files.test.names)
        for line in told(dataset, found.broken, whole):
            note(line)
    if dataset.fitted:
        images = found.images if files else _checked(dataset, data_dir)
        with _every_core():
            dataset.fit(split(dataset, images).train.x, cache)


def load(dataset: Dataset, data_dir: Path, limit_train: int | None = None) -> Splits:
    """Return a dataset's parts as they are trained on; `prepare` was called before.

    The preprocessing is that of the whole training part, however few of it are kept.
    """
    if dataset.streamed:
        return _listed(dataset, data_dir, limit_train)
    cache = Cache(data_dir)
    files = dataset.files(data_dir)
    images = decoded(dataset, files, cache).images if files else _checked(dataset, data_dir)
    splits = split(dataset, images)
    preprocess = dataset.fit(splits.train.x, cache)
    return preprocess(limited(splits, limit_train))


def _checked(dataset: Dataset, data_dir: Path) -> Images:
    """Return the images of a dataset; raises `RequestError` for what it does not declare."""
    from credbench.declared import contradictions

    images = dataset.load(data_dir)
    for said in contradictions(dataset, images):
        raise RequestError(f"dataset {dataset.name!r}: {said}")
    return images


def _listed(dataset: Dataset, data_dir: Path, limit_train: int | None) -> Splits:
    """Return the parts of a dataset whose images stay on disk."""
    import torch

    files = dataset.files(data_dir)
    if files is None:
        raise RequestError(f"{dataset.name} is not in {data_dir}: give --data-dir another folder")
    held, kept = held_out(dataset, len(files.train.names))
    splits = Splits(
        _part(dataset, files.train, kept[:limit_train]),
        _part(dataset, files.train, held),
        _part(dataset, files.test, torch.arange(len(files.test.names))),
        dataset.peak,
    )
    return dataset.fit(splits.train.x, Cache(data_dir))(splits)


def _part(dataset: Dataset, listing: Listing, kept: Tensor) -> Part:
    """Return the images of a listing that are kept, in that order."""
    import numpy as np
    import torch

    from credbench.streams import Listed

    names = np.array([os.fsencode(name) for name in listing.names])[kept.numpy()]
    labels = torch.tensor(listing.labels, dtype=torch.int64)[kept]
    return Listed(torch.empty(0), labels, dataset, os.fspath(listing.folder), names)


@contextmanager
def _every_core() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(environment.cores())
    try:
        yield
    finally:
        torch.set_num_threads(before)
