"""A process that can use its GPU no more, and the errors that leave it so."""

from __future__ import annotations

from collections.abc import Iterator

TOLD = "an error of CUDA has left this process unable to use the GPU"
_OF_MEMORY = ("out of memory", "ALLOC_FAILED")
_found: list[str] = []


def spoils(error: BaseException) -> bool:
    """Return whether an error has spoiled this process, which is remembered.

    After an illegal access or a failed assertion on the device every call of CUDA fails in turn;
    after a lack of memory, under whichever name, none does.
    """
    if any(_is_of_device(each) for each in _chain(error)):
        _found.append(str(error))
    return bool(_found)


def spoiled() -> bool:
    """Return whether an error has spoiled this process."""
    return bool(_found)


def _is_of_device(error: BaseException) -> bool:
    import torch

    said = str(error)
    if any(text in said for text in _OF_MEMORY):
        return False
    return isinstance(error, torch.AcceleratorError) or "CUDA error" in said


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and those that it was raised from, or while they were handled."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
