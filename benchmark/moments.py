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

from credbench.normalization import EPS, MOMENTUM

aten = torch.ops.aten
_GROUPS = 32


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
    """Over batch and positions in training, by running moments in prediction."""

    def apply(
        self, maps: Tensor, gain: Tensor, bias: Tensor, kept: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, Any]:
        if kept is not None:
            return torch.batch_norm(
                maps, 1 + gain, bias, *kept, False, 0.0, EPS, False
            ), None  # fmt: skip
        found, *saved = aten.native_batch_norm(maps, 1 + gain, bias, None, None, True, 0.0, EPS)
        return found, saved

    def pull(self, maps: Tensor, gain: Tensor, saved: Any, error: Tensor) -> Pulled:
        return Pulled(
            *aten.native_batch_norm_backward(
                error, maps, 1 + gain, None, None, *saved, True, EPS, [True, True, True]
            )
        )

    def statistics(self, maps: Tensor, saved: Any, kept: tuple[Tensor, Tensor]) -> list[Tensor]:
        mean, scale = saved
        n = maps.numel() // maps.shape[1]
        variance = (scale.pow(-2) - EPS) * (n / max(n - 1, 1))
        return [old.lerp(new, MOMENTUM) for old, new in zip(kept, (mean, variance), strict=True)]


class GroupNormalisation(Normalisation):
    """Over groups of channels and positions of each image, 32 groups where they divide."""

    def apply(
        self, maps: Tensor, gain: Tensor, bias: Tensor, kept: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, Any]:
        found, *saved = aten.native_group_norm(maps, 1 + gain, bias, *self._sizes(maps), EPS)
        return found, saved

    def pull(self, maps: Tensor, gain: Tensor, saved: Any, error: Tensor) -> Pulled:
        sizes = self._sizes(maps)
        return Pulled(
            *aten.native_group_norm_backward(
                error.contiguous(), maps, *saved, 1 + gain, *sizes, [True, True, True]
            )
        )

    @staticmethod
    def _sizes(maps: Tensor) -> tuple[int, int, int, int]:
        n, channels, *sides = maps.shape
        return n, channels, prod(sides), gcd(channels, _GROUPS)


NORMS: dict[str, Normalisation] = {"batch": BatchNormalisation(), "group": GroupNormalisation()}
