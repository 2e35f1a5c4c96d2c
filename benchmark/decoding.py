"""Class folders decoded into arrays, once; a broken image is left out and named."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from credbench import environment
from credbench.cache import Arrays, Cache, digest
from credbench.errors import RequestError
from credbench.folders import Files, Listing
from credbench.registry import last_line

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from credbench.images import Dataset, Images

_AT_ONCE = 256
_WORTH_A_NOTE = 5000
_MOST_NAMED = 5


@dataclass(frozen=True)
class Decoded:
    """The images of class folders, and what is wrong with those that could not be read."""

    images: Images
    broken: tuple[str, ...]
    """The path and the reason, one sentence each."""


def decoded(dataset: Dataset, files: Files, cache: Cache) -> Decoded:
    """Return the images in class folders; the cache has them from the second time on.

    Raises `RequestError` for an image of another size than the dataset's, and for a part of
    which no image can be read.
    """
    made_from = _fingerprint(dataset, files)
    name = _name(dataset, files)
    arrays = cache.get(name, made_from)
    if arrays is None:
        arrays = _decode(dataset, files, cache)
        cache.put(name, made_from, arrays)
    return _unpacked(arrays)


def _unpacked(arrays: Arrays) -> Decoded:
    import torch

    from credbench.images import Images

    parts = ("train_x", "train_y", "test_x", "test_y")
    return Decoded(Images(*(torch.from_numpy(arrays[k]) for k in parts)), tuple(arrays["broken"]))


def told(dataset: Dataset, broken: Sequence[str], whole: int) -> Iterator[str]:
    """Yield the lines that tell of broken images: some by name, and how many there are."""
    if not broken:
        return
    yield from (f"{each}: it is left out" for each in broken[:_MOST_NAMED])
    if len(broken) > _MOST_NAMED:
        yield f"and {len(broken) - _MOST_NAMED} more"
    yield f"{dataset.name}: {len(broken)} of {whole:,} images are broken and left out"


def _name(dataset: Dataset, files: Files) -> str:
    """Return what the decoded copy is called: the same while the folder is, so none piles up."""
    return f"{dataset.name}-{digest(files.folder.resolve(), dataset.shape)[:8]}"


def _fingerprint(dataset: Dataset, files: Files) -> str:
    """Return a hash of all that the decoded copy depends on."""
    facts = [f"{dataset.shape} {files.classes}"]
    facts += [
        f"{name} {_stamp(part.folder / name)}"
        for part in (files.train, files.test)
        for name in part.names
    ]
    return digest(*facts)


def _stamp(path: Path) -> str:
    try:
        found = path.stat()
    except OSError:  # a link to nothing, say: decoding tells
        return "none"
    return f"{found.st_size} {found.st_mtime_ns}"


def _decode(dataset: Dataset, files: Files, cache: Cache) -> Arrays:
    from credbench.progress import show_steps

    parts = {"train": files.train, "test": files.test}
    whole = sum(len(part.names) for part in parts.values())
    _check_room(dataset, files, whole)
    if whole >= _WORTH_A_NOTE:
        cache.note(f"decoding {whole:,} images of {dataset.name}, once")
    arrays: Arrays = {}
    broken: list[str] = []
    steps = sum(len(_starts(part)) for part in parts.values())
    with show_steps(steps, f"decoding {dataset.name}") as advance:
        for name, part in parts.items():
            x, problems = _decode_part(dataset, part, advance)
            if len(problems) == len(x):
                raise RequestError(f"no image in {part.folder} can be read: give some that can")
            kept = np.delete(np.arange(len(x)), list(problems))
            broken += problems.values()
            arrays[f"{name}_x"] = x[kept] if problems else x
            arrays[f"{name}_y"] = np.array(part.labels, np.int64)[kept]
    return {**arrays, "broken": np.array(broken, dtype=str)}


def _check_room(dataset: Dataset, files: Files, whole: int) -> None:
    from credbench.memory import available

    need, free = whole * math.prod(dataset.shape), available("cpu")
    if free is not None and need > free:
        raise RequestError(
            f"the {whole:,} images in {files.folder} take {need / 2**30:,.1f} GiB of memory at "
            f"{dataset.shape[-1]} pixels, {free / 2**30:,.1f} GiB are free: give fewer or smaller"
        )


def _starts(part: Listing) -> range:
    return range(0, len(part.names), _AT_ONCE)


def _decode_part(
    dataset: Dataset, part: Listing, advance: Callable[[], None]
) -> tuple[NDArray[np.uint8], dict[int, str]]:
    """Return the images of a part, and what is wrong with the broken ones by their place."""
    from joblib import Parallel, delayed

    x = np.zeros((len(part.names), *dataset.shape), np.uint8)
    # Decoders let go of Python's lock, so threads use every core.
    pool = Parallel(environment.cores(), prefer="threads", return_as="generator")
    broken: dict[int, str] = {}
    for found in pool(delayed(_fill)(dataset, part, x, start) for start in _starts(part)):
        broken |= found
        advance()
    return x, broken


def _fill(dataset: Dataset, part: Listing, x: NDArray[np.uint8], start: int) -> dict[int, str]:
    """Decode some images into their places; return what is wrong with the broken ones."""
    broken = {}
    for place in range(start, min(start + _AT_ONCE, len(x))):
        path = part.folder / part.names[place]
        try:
            x[place] = dataset.decode(path)
        except (RequestError, MemoryError):
            raise
        except Exception as error:  # decoders raise of every kind
            broken[place] = f"{path} is broken ({last_line(error)})"
    return broken
