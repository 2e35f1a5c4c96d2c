"""From files to splits: a dataset is decoded or read, split, preprocessed and cut to size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from credbench import environment
from credbench.cache import Cache
from credbench.decoding import decoded, told
from credbench.images import Dataset, Images, Splits, limited, split


def prepare(
    dataset: Dataset, data_dir: Path, note: Callable[[str], Any] = lambda line: None
) -> None:
    """Make what `load` will read, before any process loads: downloads, decoded copies, fits.

    `note` is told, line by line, what takes long and what is left out. Raises `RequestError`
    where data is missing, unreadable or not what it should be.
    """
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
        images = found.images if files else dataset.load(data_dir)
        with _every_core():
            dataset.fit(split(dataset, images).train.x, cache)


def load(dataset: Dataset, data_dir: Path, limit_train: int | None = None) -> Splits:
    """Return a dataset's parts as they are trained on; `prepare` was called before.

    The preprocessing is that of the whole training part, however few of it are kept.
    """
    cache = Cache(data_dir)
    files = dataset.files(data_dir)
    images: Images = decoded(dataset, files, cache).images if files else dataset.load(data_dir)
    splits = split(dataset, images)
    preprocess = dataset.fit(splits.train.x, cache)
    return preprocess(limited(splits, limit_train))


@contextmanager
def _every_core() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(environment.cores())
    try:
        yield
    finally:
        torch.set_num_threads(before)
