"""Convolutional networks without residual connections: strided, locally connected, and VGG."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from credbench.architectures import Architecture
from credbench.architectures.mlp import parse_widths, show_widths
from credbench.component import parameter
from credbench.errors import RequestError

if TYPE_CHECKING:
    from credbench.activations import Activation
    from credbench.blocks import Block, Shape
    from credbench.networks import Network

NORMS = ("none", "batch", "group")
NORM_HELP = (
    "normalisation behind every filter: none, over the batch (batch), or over 32 groups of each "
    "image's channels (group)"
)


@dataclass(frozen=True)
class ConvolutionalArchitecture(Architecture):
    """What networks on maps have in common."""

    convolutional: ClassVar[bool] = True

    @property
    def normalized(self) -> bool:
        """Whether pre-activations are normalised."""
        return bool(self.values().get("norm", "none") != "none")

    @property
    def usual(self) -> tuple[Shape, int]:
        """The form of CIFAR-10."""
        return (3, 32, 32), 10

    def refuses(self, input_shape: Shape) -> str:
        """Return why there is no such network for inputs that are not images, or too small."""
        shape = _channelled(input_shape)
        if len(shape) == 3 and min(shape[1:]) >= self.least_side:
            return ""
        sides = "x".join(map(str, input_shape))
        return f"it takes images of at least {self.least_side} pixels a side, these are {sides}"

    def build(
        self, input_shape: Shape, classes: int, activation: Activation, *, separate: bool = False
    ) -> Network:
        """Return the network for images (channels, height, width), or (height, width).

        Raises `RequestError` for inputs that it refuses.
        """
        from credbench.networks import Network

        wrong = self.refuses(input_shape)
        if wrong:
            raise RequestError(f"network {self.spec(full=False)!r}: {wrong}")
        blocks = list(self.blocks(_channelled(input_shape), classes))
        return Network(blocks, activation, separate=separate)

    @property
    def least_side(self) -> int:
        """The fewest pixels a side that leave something for the last layer."""
        return 1

    @abstractmethod
    def blocks(self, shape: tuple[int, ...], classes: int) -> Iterator[Block]:
        """Return the blocks for images (channels, height, width)."""


def _channelled(shape: Shape) -> Shape:
    """Return the shape of images with their channels, of which grey ones have one."""
    return (1, *shape) if len(shape) == 2 else shape


Filters = tuple[tuple[int, int, int], ...]
"""Channels, size and stride of each filter."""

_FILTER = re.compile(r"([1-9]\d{0,4})c([1-9]\d?)(?:s([1-9]))?")


def parse_filters(text: str) -> Filters:
    """Return filters: `64c5s2-256c3` is 64 of 5x5 with stride 2, then 256 of 3x3."""
    found = []
    for word in text.split("-"):
        match = _FILTER.fullmatch(word.strip())
        if match is None or int(match[2]) % 2 == 0:
            raise ValueError(word)
        found.append((int(match[1]), int(match[2]), int(match[3] or 1)))
    return tuple(found)


def show_filters(filters: Filters) -> str:
    """Return the spelling that `parse_filters` takes back."""
    return "-".join(f"{n}c{size}" + (f"s{s}" if s > 1 else "") for n, size, s in filters)


def parse_dense(text: str) -> tuple[int, ...]:
    """Return the widths of dense layers, as `parse_widths` does; none for `none`."""
    return () if text == "none" else parse_widths(text)


def show_dense(widths: Sequence[int]) -> str:
    """Return the spelling that `parse_dense` takes back."""
    return show_widths(widths) or "none"


@dataclass(frozen=True)
class _Filtered(ConvolutionalArchitecture):
    """Filters without pooling, then dense layers."""

    filters: tuple[tuple[int, int, int], ...] = parameter(
        ((64, 5, 2), (128, 5, 2), (256, 3, 1)),
        help="channels, size and stride of each filter, such as 64c5s2-128c5s2-256c3",
        source="Bartunov et al. 2018, arXiv 1807.04587, CIFAR-10; on MNIST 32c3s2-64c3s2",
        parse=parse_filters,
        show=show_filters,
        structural=True,
    )
    dense: tuple[int, ...] = parameter(
        (1024,),
        help="widths of the dense layers between filters and output, or none",
        source="Bartunov et al. 2018",
        parse=parse_dense,
        show=show_dense,
        structural=True,
    )

    @property
    def hidden_layers(self) -> int:
        """The number of filters and dense layers."""
        return len(self.filters) + len(self.dense)

    def blocks(self, shape: tuple[int, ...], classes: int) -> Iterator[Block]:
        """Return filters, dense layers and the output."""
        from credbench.blocks import Dense
        from credbench.convolution import Head

        for channels, size, stride in self.filters:
            block = self._filter(shape, channels, size, stride)
            yield block
            shape = block.shape_out
        widths = (*self.dense, classes)
        yield Head(shape, widths[0], pooled=self._pooled)
        for n_in, n_out in pairwise(widths):
            yield Dense(n_in, n_out)

    @property
    def _pooled(self) -> bool:
        return False

    @abstractmethod
    def _filter(self, shape: tuple[int, ...], channels: int, size: int, stride: int) -> Block: ...


@dataclass(frozen=True)
class ConvNet(_Filtered):
    """Strided convolutions, without pooling between them."""

    name: ClassVar[str] = "conv"
    summary: ClassVar[str] = "strided convolutions without pooling, dense layers (Bartunov et al.)"

    pooled: bool = parameter(
        False,
        help="whether what is above the filters sees the mean of each map, in place of all of it",
        structural=True,
    )
    norm: str = parameter("none", help=NORM_HELP, choices=NORMS, structural=True)

    @property
    def _pooled(self) -> bool:
        return self.pooled

    def _filter(self, shape: tuple[int, ...], channels: int, size: int, stride: int) -> Block:
        from credbench.convolution import MapBlock
        from credbench.filters import Convolution

        return MapBlock(Convolution(_maps(shape), channels, size, stride), norm=self.norm)


@dataclass(frozen=True)
class LocalNet(_Filtered):
    """The same with weights of each position's own."""

    name: ClassVar[str] = "local"
    summary: ClassVar[str] = "locally connected layers, dense layers (Bartunov et al.)"

    def _filter(self, shape: tuple[int, ...], channels: int, size: int, stride: int) -> Block:
        from credbench.convolution import MapBlock
        from credbench.filters import LocallyConnected

        return MapBlock(LocallyConnected(_maps(shape), channels, size, stride))


def _maps(shape: tuple[int, ...]) -> tuple[int, int, int]:
    channels, height, width = shape
    return channels, height, width


_VGG = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}
"""Convolutions in each of the five stages, by depth (Simonyan & Zisserman 2015)."""


@dataclass(frozen=True)
class Vgg(ConvolutionalArchitecture):
    """3x3 convolutions in five stages, each ending in max-pooling; one linear layer on top."""

    name: ClassVar[str] = "vgg"
    summary: ClassVar[str] = "3x3 convolutions in five max-pooled stages"
    pools: ClassVar[bool] = True

    depth: int = parameter(
        11,
        help="11, 13, 16 or 19, as in the paper; its three dense layers are one here",
        source="Simonyan & Zisserman 2015, arXiv 1409.1556; one linear layer as for CIFAR-10",
        choices=tuple(_VGG),
        structural=True,
    )
    width: int = parameter(
        64,
        help="channels of the first stage; the next three double them",
        unit="channels",
        minimum=1,
        maximum=4096,
        structural=True,
    )
    norm: str = parameter("batch", help=NORM_HELP, choices=NORMS, structural=True)

    @property
    def hidden_layers(self) -> int:
        """The number of convolutions."""
        return sum(_VGG[self.depth])

    @property
    def least_side(self) -> int:
        """Five poolings halve the sides five times, each rounding down."""
        return 32

    def blocks(self, shape: tuple[int, ...], classes: int) -> Iterator[Block]:
        """Return the stages and the output."""
        from credbench.convolution import Head, MapBlock
        from credbench.filters import Convolution

        for stage, count in enumerate(_VGG[self.depth], start=1):
            channels = self.width * 2 ** min(stage - 1, 3)
            for k in range(1, count + 1):
                filter = Convolution(_maps(shape), channels)
                pool = (2, 2) if k == count else None
                block = MapBlock(filter, norm=self.norm, pool=pool, stage=str(stage))
                yield block
                shape = block.shape_out
        yield Head(shape, classes)
