"""Separate random streams, so that what one part draws never shifts what another does.

At equal seed every learner meets the same initial weights and batch order, whatever its
feedback and noise draw. All draws are made on CPU, so a seed means the same on every device.
"""

from __future__ import annotations

import hashlib

import torch

STREAMS = ("initialisation", "order", "feedback", "noise")


def stream_seed(seed: int, stream: str, *step: int) -> int:
    """Return the 63-bit seed of a stream of a trial, or of one step of it."""
    text = ":".join(map(str, (seed, stream, *step)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 1


def generator(seed: int, stream: str, *step: int) -> torch.Generator:
    """Return a CPU generator at the start of a stream."""
    return torch.Generator().manual_seed(stream_seed(seed, stream, *step))


def permutation(seed: int, epoch: int, n: int) -> torch.Tensor:
    """Return the order in which an epoch visits n examples, the same in all its phases."""
    return torch.randperm(n, generator=generator(seed, "order", epoch))
