"""Separate random streams, so that what one part draws never shifts what another does.

At equal seed every learner meets the same initial weights and batch order, whatever its
feedback and noise draw. A seed means the same on every device: initial values and orders are
drawn on CPU, and noise, which is needed at every step, is a function of seed and step.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping

import torch
from torch import Tensor

STREAMS = ("initialisation", "order", "feedback", "noise", "augmentation")


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


def normals(keys: Tensor, step: Tensor, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Return standard normal draws (*shape of keys, *shape), a function of key and step alone.

    `keys` (replicas,) or () and `step` () are int64, on the device that draws. SplitMix64
    (Steele, Lea & Flood 2014) of a counter gives two uniforms of 24 bits, and Box & Muller
    (1958) turn them into two normals.
    """
    sizes = [math.prod(shape) for shape in shapes.values()]
    pairs = (sum(sizes) + 1) // 2
    bits = _bits(keys, step, pairs)
    radius = _uniform(bits >> 40).log_().mul_(-2).sqrt_()
    angle = _uniform(bits).mul_(2 * math.pi)
    flat = torch.cat([radius * angle.cos(), radius * angle.sin()], dim=-1)
    drawn = flat[..., : sum(sizes)].split(sizes, dim=-1)
    return {
        name: each.unflatten(-1, shape)
        for (name, shape), each in zip(shapes.items(), drawn, strict=True)
    }


def uniforms(keys: Tensor, step: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return draws (*shape of keys, *shape), uniform in (0, 1], a function of key and step alone.

    `keys` and `step` are as those of `normals`.
    """
    flat = _uniform(_bits(keys, step, math.prod(shape)))
    return flat.view(*keys.shape, *shape)


def _bits(keys: Tensor, step: Tensor, n: int) -> Tensor:
    """Return n times 64 random bits (*shape of keys, n) of one step."""
    counter = torch.arange(n, device=keys.device) + step * n
    return _mix(keys.unsqueeze(-1) + counter.mul_(_GOLDEN))


def _signed(bits: int) -> int:
    """Return the int64 of the same 64 bits."""
    return bits - 2**64 if bits >= 2**63 else bits


_GOLDEN = _signed(0x9E3779B97F4A7C15)
_FIRST, _SECOND = _signed(0xBF58476D1CE4E5B9), _signed(0x94D049BB133111EB)


def _mix(bits: Tensor) -> Tensor:
    """Return SplitMix64's finaliser; int64 wraps around, and its shifts need masking."""
    bits = (bits ^ ((bits >> 30) & (2**34 - 1))).mul_(_FIRST)
    bits = (bits ^ ((bits >> 27) & (2**37 - 1))).mul_(_SECOND)
    return bits ^ ((bits >> 31) & (2**33 - 1))


def _uniform(bits: Tensor) -> Tensor:
    """Return float32 in (0, 1] of the lowest 24 bits; 1 is what the last of them rounds to."""
    return (bits & (2**24 - 1)).to(torch.float32).add_(0.5).mul_(2.0**-24)
