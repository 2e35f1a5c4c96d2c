"""The linear maps of convolutional blocks, each with its two vector-Jacobian products.

A filter takes maps (batch, channels, height, width) to maps; what follows it in a block, such as
normalisation and pooling, is in `convolution`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from credbench.precision import for_product

if TYPE_CHECKING:
    from credbench.blocks import Arrays, Shape
    from credbench.initializers import Initializer


@dataclass(frozen=True)
class Filter(ABC):
    """A map that is linear in its weight."""

    shape_in: tuple[int, int, int]
    """Channels, height and width below."""
    channels: int
    """Channels above."""

    @property
    @abstractmethod
    def shape_out(self) -> tuple[int, int, int]:
        """Channels, height and width above."""

    @property
    @abstractmethod
    def weight(self) -> Shape:
        """The shape of the weight."""

    @property
    def bias(self) -> int:
        """The number of biases: one a channel."""
        return self.channels

    @property
    def frozen(self) -> dict[str, Shape]:
        """The shapes of the arrays that no learner changes."""
        return {}

    def draw(self, initializer: Initializer, generator: torch.Generator) -> Tensor:
        """Return a fresh weight."""
        return initializer.draw(self.weight, generator)

    def draw_frozen(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the arrays that no learner changes."""
        return {}

    def enter(self, arrays: Arrays, below: Tensor) -> Tensor:
        """Return what the weight is applied to: the activity below, unless a filter changes it."""
        return below

    def leave(self, arrays: Arrays, below: Tensor, error: Tensor) -> Tensor:
        """Return the error below of one at what `enter` gave."""
        return error

    @abstractmethod
    def apply(self, weight: Tensor, entered: Tensor) -> Tensor:
        """Return the maps above (batch, *shape_out), without a bias."""

    @abstractmethod
    def pull(self, weight: Tensor, entered: Tensor, error: Tensor) -> Tensor:
        """Return the error of maps above carried down through the weight, whatever entered."""

    @abstractmethod
    def push(self, weight: Tensor, entered: Tensor, error: Tensor) -> Tensor:
        """Return the gradient of the weight, summed over the batch."""

    def add_bias(self, maps: Tensor, bias: Tensor) -> Tensor:
        """Return maps with the bias."""
        return maps + bias.view(-1, 1, 1).to(maps.dtype)

    def sum_bias(self, error: Tensor) -> Tensor:
        """Return the gradient of the bias, summed over the batch."""
        return error.sum((0, 2, 3))


@dataclass(frozen=True)
class Convolution(Filter):
    """A convolution of odd size, padded so that the stride alone makes maps smaller."""

    size: int = 3
    stride: int = 1

    @property
    def padding(self) -> int:
        """Zeros added on each side."""
        return self.size // 2

    @property
    def shape_out(self) -> tuple[int, int, int]:
        """Channels, height and width above."""
        _, *sides = self.shape_in
        height, width = ((side + 2 * self.padding - self.size) // self.stride + 1 for side in sides)
        return self.channels, height, width

    @property
    def weight(self) -> Shape:
        """The shape of the weight: out, in, size, size."""
        return self.channels, self.shape_in[0], self.size, self.size

    def apply(self, weight: Tensor, entered: Tensor) -> Tensor:
        read, stride = self._thinned(entered)
        return functional.conv2d(read, weight, stride=stride, padding=self.padding)

    def pull(self, weight: Tensor, entered: Tensor, error: Tensor) -> Tensor:
        return self._backward(weight, entered, self.stride, error, 0)

    def push(self, weight: Tensor, entered: Tensor, error: Tensor) -> Tensor:
        return self._backward(weight, *self._thinned(entered), error, 1)

    def _thinned(self, entered: Tensor) -> tuple[Tensor, int]:
        """Return what a convolution reads of its input, and the stride that is left to take.

        On CPU the product at a strided 1x1 weight writes past its memory where there are fewer
        than 16 channels (uxlfoundation/oneDNN#6035): there the stride is taken beforehand.
        """
        narrow = self.shape_in[0] < 16 and entered.device.type == "cpu"
        if self.size > 1 or self.stride == 1 or not narrow:
            return entered, self.stride
        read = entered[..., :: self.stride, :: self.stride]
        return read.contiguous(memory_format=torch.channels_last), 1

    def _backward(
        self, weight: Tensor, entered: Tensor, stride: int, error: Tensor, which: int
    ) -> Tensor:
        """Return one of torch's own products: 0 at the input, 1 at the weight."""
        wanted = [which == 0, which == 1, False]
        sides = [stride] * 2, [self.padding] * 2
        found: Tensor = torch.ops.aten.convolution_backward(
            *for_product(error, entered, weight), None, *sides, [1, 1], False, [0, 0], 1, wanted
        )[which]
        return found


@dataclass(frozen=True)
class LocallyConnected(Convolution):
    """A convolution whose weights are of each position's own (Bartunov et al. 2018).

    The weight is (positions, out, in · size²), its patches in the order of `torch.nn.Unfold`.
    """

    @property
    def weight(self) -> Shape:
        """The shape of the weight: positions, out, in · size²."""
        return prod(self.shape_out[1:]), self.channels, self.shape_in[0] * self.size**2

    @property
    def bias(self) -> int:
        """The number of biases: one a unit."""
        return prod(self.shape_out)

    def draw(self, initializer: Initializer, generator: torch.Generator) -> Tensor:
        """Return a fresh weight: at each position a draw of a convolution's."""
        shape = super().weight
        kernels = (initializer.draw(shape, generator) for _ in range(self.weight[0]))
        return torch.stack([kernel.flatten(1) for kernel in kernels])

    def _patches(self, entered: Tensor) -> Tensor:
        """Return patches (positions, batch, in · size²)."""
        found = functional.unfold(entered, self.size, padding=self.padding, stride=self.stride)
        return found.permute(2, 0, 1)

    def apply(self, weight: Tensor, entered: Tensor) -> Tensor:
        maps = self._patches(entered) @ weight.transpose(1, 2)
        return maps.permute(1, 2, 0).reshape(len(entered), *self.shape_out)

    def pull(self, weight: Tensor, entered: Tensor, error: Tensor) -> Tensor:
        patches = self._positions(error) @ weight
        return functional.fold(
            patches.permute(1, 2, 0), self.shape_in[1:], self.size,
            padding=self.padding, stride=self.stride,
        )  # fmt: skip

    def push(self, weight: Tensor, entered: Tensor, error: Tensor) -> Tensor:
        return self._positions(error).transpose(1, 2) @ self._patches(entered)

    @staticmethod
    def _positions(error: Tensor) -> Tensor:
        """Return errors (positions, batch, out)."""
        return error.flatten(2).permute(2, 0, 1)

    def add_bias(self, maps: Tensor, bias: Tensor) -> Tensor:
        return maps + bias.view(self.shape_out).to(maps.dtype)

    def sum_bias(self, error: Tensor) -> Tensor:
        return error.sum(0).flatten()


@dataclass(frozen=True)
class Perturbed(Convolution):
    """Fixed noise in place of a convolution: Σ_m w_m relu(z_m + n_m) (Juefei-Xu et al. 2018).

    One mask for each channel below, of a value a position, drawn once and shared by all images;
    only the 1x1 weights w are learned (arXiv 1806.01817).
    """

    size: int = 1
    level: float = 0.1
    gaussian: bool = False

    @property
    def frozen(self) -> dict[str, Shape]:
        """The shape of the masks: height, width, channels, as maps lie in memory."""
        channels, *sides = self.shape_in
        return {"mask": (*sides, channels)}

    def draw_frozen(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Return masks, uniform within ± level or Gaussian with that deviation."""
        mask = torch.empty(self.frozen["mask"])
        if self.gaussian:
            return {"mask": mask.normal_(0, self.level, generator=generator)}
        return {"mask": mask.uniform_(-self.level, self.level, generator=generator)}

    def enter(self, arrays: Arrays, below: Tensor) -> Tensor:
        """Return relu(z + n)."""
        return self._noisy(arrays, below).relu_()

    def leave(self, arrays: Arrays, below: Tensor, error: Tensor) -> Tensor:
        """Return the error where z + n is above zero."""
        noisy = self._noisy(arrays, below)
        found: Tensor = torch.ops.aten.threshold_backward(error, noisy, 0)
        return found

    @staticmethod
    def _noisy(arrays: Arrays, below: Tensor) -> Tensor:
        return below + arrays["mask"].movedim(-1, 0).to(below.dtype)
