"""Steps captured as CUDA graphs: replaying one costs its kernels, and no host work per kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from credbench.program import Program, Stage

if TYPE_CHECKING:
    from credbench.group import Group

_WARM_UP = 3


class Captured(Program):
    """A program recorded once and replayed; it finds its place in the epoch on the device."""

    def __init__(self, group: Group, phase: str, size: int, stage: Stage = "step") -> None:
        """Record the step; what the recording changes is put back.

        Raises `RuntimeError` where the learner reads a value back to the host.
        """
        super().__init__(group, phase, size, stage)
        self._places = torch.arange(size, device=group.device)
        self._next = 0
        self._graph = torch.cuda.CUDAGraph()
        kept = [tensor.clone() for tensor in group.tensors()]
        try:
            self._record()
        finally:
            for tensor, value in zip(group.tensors(), kept, strict=True):
                tensor.copy_(value)
        self._place(0)

    def _record(self) -> None:
        stream = torch.cuda.Stream(self.group.device)
        stream.wait_stream(torch.cuda.current_stream(self.group.device))
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP):  # libraries set themselves up; lazily made tensors appear
                self.run(self._places)
        torch.cuda.current_stream(self.group.device).wait_stream(stream)
        with torch.cuda.graph(self._graph):
            self.run(self._places)
            self._places.add_(self.size)

    def __call__(self, start: int) -> None:
        """Replay the step for the examples from `start` on."""
        if start != self._next:
            self._place(start)
        self._graph.replay()
        self._next = start + self.size

    def _place(self, start: int) -> None:
        torch.arange(start, start + self.size, out=self._places)
        self._next = start
