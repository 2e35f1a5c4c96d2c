"""Whether something draws at random of its own, and where."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from credbench.conformance.probe import ComplaintError


class Undrawn(TorchDispatchMode):
    """Inside it, torch's random operations raise `ComplaintError`."""

    def __init__(self, sentence: str) -> None:
        """Take what is to be said of them; the line where it happens is added by who reports."""
        super().__init__()  # type: ignore[no-untyped-call]
        self._sentence = sentence

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        """Run an operation as it is, unless it is random."""
        if torch.Tag.nondeterministic_seeded in func.tags:
            raise ComplaintError(self._sentence)
        return func(*args, **(kwargs or {}))


def undrawn(sentence: str, call: Callable[[], object]) -> None:
    """Call something; raise `ComplaintError` with a sentence where it draws at random."""
    with Undrawn(sentence):
        call()
