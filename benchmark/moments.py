"""Normalisation of maps, over the batch or over groups of channels, with its derivative.

N takes off the mean and divides by the standard deviation: over batch and positions for each
channel (Ioffe & Szegedy 2015, arXiv 1502.03167), or over channels of a group and positions for
each image (Wu & He 2018, arXiv 1803.08494). The gain is kept as its difference from 1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import gcd, prod
from typing import Any

import torch
from torch import Tensor

from credbench import processes
from credbench.normalization import EPS, MOMENTUM
from credbench.precision import precise

aten = torch.ops.aten
_GROUPS = 32
_AXES = (0, 2, 3)


@dataclass(frozen=True)
class Pulled:
    """The derivative of a normalisation at an error."""

    error: Tensor
    """At the maps that were normalised."""
    gain: Tensor
    """The gradient of the gain, summed over the batch."""
    bias: Tensor
    """The gradient of the bias, summed over the batch."""


class Normalisation(ABC):
    """(1 + g) ⊙ N(c) + b of maps c (batch, channels, height, width)."""

    @abstractmethod
    def apply(
        self, maps: Tensor, gain: Tensor, bias: Tensor, kept: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, Any]:
        """Return the normalised maps, and what `pull` takes; `kept` are moments to use."""

    @abstractmethod
    def pull(self, maps: Tensor, gain: Tensor, saved: Any, error: Tensor) -> Pulled:
        """Return the derivative at an error of the normalised maps."""

    def statistics(self, maps: Tensor, saved: Any, kept: tuple[Tensor, Tensor]) -> list[Tensor]:
        """Return the kept mean and variance, moved towards those of the batch."""
        return []


class BatchNormalisation(Normalisation):
    """Over batch and positions in training, by running moments in prediction.

    One process takes torch's own kernels; several take each step of them apart, since the
    moments are those of the whole batch.
    """

    def apply(
        self, maps: Tensor, gain: Tensor, bias: Tensor, kept: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, Any]:
        if kept is not None:
            return torch.batch_norm(maps, 1 + gain, bias, *kept, False, 0.0, EPS, False), None
        if processes.current().size > 1:
            values = precise(maps)
            mean = processes.mean_over(values.mean(_AXES))
            variance = processes.mean_over((values - _wide(mean)).square().mean(_AXES))
            saved = [mean, (variance + EPS).rsqrt()]
            normal = (values - _wide(mean)) * _wide(saved[1])
            return torch.addcmul(_wide(bias), normal, _wide(1 + gain)).to(maps.dtype), saved
        found, *saved = aten.native_batch_norm(maps, 1 + gain, bias, None, None, True, 0.0, EPS)
        return found, saved

    def pull(self, maps: Tensor, gain: Tensor, saved: Any, error: Tensor) -> Pulled:
        if processes.current().size > 1:
            return self._pull_apart(maps, gain, saved, error)
        return Pulled(
            *aten.native_batch_norm_backward(
                error, maps, 1 + gain, None, None, *saved, True, EPS, [True, True, True]
            )
        )

    @staticmethod
    def _pull_apart(maps: Tensor, gain: Tensor, saved: Any, error: Tensor) -> Pulled:
        mean, scale = map(_wide, saved)
        error = precise(error)
        normal, own = (maps - mean) * scale, error * _wide(1 + gain)
        level = processes.mean_over(own.mean(_AXES, keepdim=True))
        along = processes.mean_over((own * normal).mean(_AXES, keepdim=True))
        pulled = ((own - level - normal * along) * scale).to(maps.dtype)
        return Pulled(pulled, (error * normal).sum(_AXES), error.sum(_AXES))

    def statistics(self, maps: Tensor, saved: Any, kept: tuple[Tensor, Tensor]) -> list[Tensor]:
        mean, scale = saved
        n = processes.whole(len(maps)) * prod(maps.shape[2:])
        variance = (scale.pow(-2) - EPS) * (n / max(n - 1, 1))
        return [old.lerp(new, MOMENTUM) for old, new in zip(kept, (mean, variance), strict=True)]


def _wide(each: Tensor) -> Tensor:
    """Return a value a channel so that it meets maps."""
    return each.view(-1, 1, 1)


class GroupNormalisation(Normalisation):
    """Over groups of channels and positions of each image, 32 groups where they divide."""

    def apply(
        self, maps: Tensor, gain: Tensor, bias: Tensor, kept: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, Any]:
        laid = _laid(maps, maps)
        found, *saved = aten.native_group_norm(laid, 1 + gain, bias, *self._sizes(maps), EPS)
        return found.to(maps.dtype), saved

    def pull(self, maps: Tensor, gain: Tensor, saved: Any, error: Tensor) -> Pulled:
        laid, sizes = _laid(maps, maps), self._sizes(maps)
        error, *own = aten.native_group_norm_backward(
            _laid(error, maps), laid, *saved, 1 + gain, *sizes, [True, True, True]
        )
        return Pulled(error.to(maps.dtype), *own)

    @staticmethod
    def _sizes(maps: Tensor) -> tuple[int, int, int, int]:
        n, channels, *sides = maps.shape
        return n, channels, prod(sides), gcd(channels, _GROUPS)


def _laid(each: Tensor, maps: Tensor) -> Tensor:
    """Return a tensor in the order of memory that torch's group norm takes for some maps.

    Its kernels trust that order: channels last on CPU alone, and the same for all they are given.
    Those of CUDA want all of it in one type, too.
    """
    each = each if maps.device.type == "cpu" else precise(each)
    last = maps.device.type == "cpu" and maps.is_contiguous(memory_format=torch.channels_last)
    order = torch.channels_last if last else torch.contiguous_format
    return each.contiguous(memory_format=order)


NORMS: dict[str, Normalisation] = {"batch": BatchNormalisation(), "group": GroupNormalisation()}
