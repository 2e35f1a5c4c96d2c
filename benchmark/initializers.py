"""Initial values of forward weights; biases and other vectors start at zero."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from credbench.component import Component, Search, parameter

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from credbench.blocks import Shape


@dataclass(frozen=True)
class Initializer(Component, ABC):
    """A distribution for the weights of one array (out, in, *kernel)."""

    kind: ClassVar[str] = "initializer"

    def draw(self, shape: Shape, generator: torch.Generator) -> Tensor:
        """Return an array of this shape on CPU in float32; vectors are zero."""
        import torch

        array = torch.zeros(shape)
        return self.fill(array, generator) if len(shape) > 1 else array

    @abstractmethod
    def fill(self, array: Tensor, generator: torch.Generator) -> Tensor:
        """Return the fresh, zero `array` filled."""


def _fans(array: Tensor) -> tuple[int, int]:
    """Return fan-in and fan-out of an array (out, in, *kernel)."""
    kernel = math.prod(array.shape[2:])
    return array.shape[1] * kernel, array.shape[0] * kernel


@dataclass(frozen=True)
class Gaussian(Initializer):
    """Zero-mean Gaussian of one standard deviation for every layer."""

    name: ClassVar[str] = "gaussian"
    summary: ClassVar[str] = "N(0, σ²), the same σ for every layer"

    sigma: float = parameter(
        0.05,
        help="standard deviation",
        source="arXiv 2002.03911: 0.025 to 0.1; the authors' code: 0.05",
        minimum=0,
        search=Search(0.025, 0.1, "log"),
    )

    def fill(self, array: Tensor, generator: torch.Generator) -> Tensor:
        return array.normal_(0, self.sigma, generator=generator)


class Glorot(Initializer):
    """Glorot & Bengio 2010: uniform, variance 2 / (fan-in + fan-out)."""

    name: ClassVar[str] = "glorot"
    summary: ClassVar[str] = "uniform, variance 2 / (fan-in + fan-out)"

    def fill(self, array: Tensor, generator: torch.Generator) -> Tensor:
        bound = math.sqrt(6 / sum(_fans(array)))
        return array.uniform_(-bound, bound, generator=generator)


class He(Initializer):
    """He et al. 2015: Gaussian, variance 2 / fan-in."""

    name: ClassVar[str] = "he"
    summary: ClassVar[str] = "Gaussian, variance 2 / fan-in"

    def fill(self, array: Tensor, generator: torch.Generator) -> Tensor:
        return array.normal_(0, math.sqrt(2 / _fans(array)[0]), generator=generator)


@dataclass(frozen=True)
class Orthogonal(Initializer):
    """Saxe et al. 2014: orthonormal rows or columns, scaled by a gain."""

    name: ClassVar[str] = "orthogonal"
    summary: ClassVar[str] = "orthonormal rows or columns"

    gain: float = parameter(1.0, help="factor on the orthonormal matrix", above=0)

    def fill(self, array: Tensor, generator: torch.Generator) -> Tensor:
        import torch

        return torch.nn.init.orthogonal_(array, gain=self.gain, generator=generator)


class Zero(Initializer):
    """All zeros: the null initialisation of arXiv 1803.01834."""

    name: ClassVar[str] = "zero"
    summary: ClassVar[str] = "all zeros"

    def fill(self, array: Tensor, generator: torch.Generator) -> Tensor:
        return array
