"""The state of a group in training, left in a file from which it goes on when it was stopped.

<results-dir>/<experiment>/checkpoints/<id of the first trial>-<how many train together>.pt
"""

from __future__ import annotations

import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from credbench import processes
from credbench.experiment import Trial
from credbench.registry import last_line
from credbench.store import checkpoint_file, write_file
from credbench.wording import count

FORMAT = 1
EVERY = 30.0
"""Seconds between one writing and the next, at least."""

Tensors = Mapping[str, Tensor]


class Checkpoint:
    """The file of one group; it is found again by the same trials, trained together."""

    def __init__(
        self,
        folder: Path,
        trials: Sequence[Trial],
        device: str,
        note: Callable[[str], Any] = lambda line: None,
        angles: int | None = None,
    ) -> None:
        """Take the folder of checkpoints and whom to tell, a line each time, how it goes on.

        `angles` is after how many steps one is taken; what was trained without lacks them.
        """
        self.path = checkpoint_file(folder, trials)
        self._trials = trials
        self._made_by: dict[str, Any] = {
            "trials": [trial.id for trial in trials],
            "source": [trial.source for trial in trials],
            "data": [[t.dataset.origin, *t.dataset.examples] for t in trials],
            "device": device,
        }
        if angles is not None:
            self._made_by["angles"] = angles
        self._note = note
        self._last = time.monotonic()

    def read(self, tensors: Tensors) -> dict[str, Any] | None:
        """Put the tensors of the file in place of those given; return what goes with them.

        None where there is no file, or one that does not fit, of which a line tells. Of several
        processes the leading one reads, and the others take over what it found.
        """
        leads = processes.current().leads
        facts: dict[str, Any] | None = processes.tell(self._read(tensors) if leads else None)
        if facts is not None:
            for tensor in tensors.values():
                tensor.copy_(processes.total(tensor if leads else torch.zeros_like(tensor)))
        return facts

    def _read(self, tensors: Tensors) -> dict[str, Any] | None:
        if not self.path.exists():
            return None
        try:
            found = self._load()
            self._check(found, tensors)
        except Exception as error:  # bytes of any kind may lie there
            self._note(f"{self.path} is left aside ({last_line(error)}): training starts anew")
            return None
        for name, tensor in tensors.items():
            tensor.copy_(found["tensors"][name])
        facts: dict[str, Any] = found["facts"]
        self._tell(facts["epoch"])
        return facts

    def _tell(self, epoch: int) -> None:
        rest = f" and {len(self._trials) - 1} more" if len(self._trials) > 1 else ""
        after = f"{epoch} of {count(self._trials[0].epochs, 'epoch')}"
        self._note(f"{self._trials[0].label}{rest}: goes on after {after}")

    def _load(self) -> Any:
        with zipfile.ZipFile(self.path) as archive:  # torch does not look at the checksums
            broken = archive.testzip()
        if broken is not None:
            raise ValueError(f"{broken} in it is corrupt")
        return torch.load(self.path, map_location="cpu", weights_only=True)

    def _check(self, found: Mapping[str, Any], tensors: Tensors) -> None:
        """Raise `ValueError` for a checkpoint that is not of these trials and tensors."""
        if found["format"] != FORMAT:
            raise ValueError(f"format {found['format']!r}, this version reads {FORMAT}")
        for key, mine in self._made_by.items():
            if found["made_by"].get(key) != mine:
                raise ValueError(f"made with another {key}")
        if _layout(found["tensors"]) != _layout(tensors):
            raise ValueError("its tensors have other names, shapes or types")

    def due(self) -> bool:
        """Return whether it is time to write, for the process that does."""
        if not processes.current().leads:
            return False
        return time.monotonic() - self._last >= EVERY

    def write(self, tensors: Tensors, facts: Mapping[str, Any]) -> None:
        """Write the file in one step; a disk that is full is told of and stops nothing."""
        content = {
            "format": FORMAT,
            "made_by": self._made_by,
            "tensors": {name: tensor.cpu() for name, tensor in tensors.items()},
            "facts": dict(facts),
        }
        try:
            write_file(self.path, lambda file: torch.save(content, file))
        except (OSError, RuntimeError) as error:
            self._note(f"{self.path} could not be written: {last_line(error)}")
        self._last = time.monotonic()

    def remove(self) -> None:
        """Remove the file, and any that these trials left in another company or half written."""
        if not processes.current().leads:
            return
        for trial in self._trials:
            for pattern in (f"{trial.id}-*.pt", f".{trial.id}-*.tmp"):
                for path in self.path.parent.glob(pattern):
                    path.unlink(missing_ok=True)


def _layout(tensors: Tensors) -> dict[str, tuple[torch.Size, torch.dtype]]:
    return {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}
