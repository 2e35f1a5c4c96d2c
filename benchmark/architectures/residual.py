"""Residual networks: with convolutions, and with fixed noise in their place."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from credbench.architectures.convolutional import NORM_HELP, NORMS, ConvolutionalArchitecture
from credbench.component import parameter

if TYPE_CHECKING:
    from credbench.blocks import Block, Shape
    from credbench.convolution import MapBlock
    from credbench.filters import Filter

_GROUPS = {10: (1, 1, 1, 1), 18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}
"""Residual groups in each of the four stages, by depth (He et al. 2016, Table 1)."""
_BOTTLENECK = 50
_EXPANSION = 4

Sides = tuple[int, int, int]
"""Channels, height and width."""


@dataclass(frozen=True)
class _Residual(ConvolutionalArchitecture):
    """A stem, four stages of residual groups, and one linear layer on the mean of each map."""

    residual: ClassVar[bool] = True

    depth: int = parameter(
        18,
        help="weighted layers along the deepest path, shortcuts left out: 10, 18, 34 or 50",
        source="He et al. 2016, arXiv 1512.03385",
        choices=tuple(_GROUPS),
        structural=True,
    )
    stem: str = parameter(
        "cifar",
        help="a 3x3 convolution (cifar), or 7x7 with stride 2 and max-pooling (imagenet)",
        source="He et al. 2016",
        choices=("cifar", "imagenet"),
        structural=True,
    )
    norm: str = parameter("batch", help=NORM_HELP, choices=NORMS, structural=True)

    @property
    def groups_alike(self) -> bool:
        """Bottlenecks differ within."""
        return self.depth != _BOTTLENECK

    @property
    def usual(self) -> tuple[tuple[int, ...], int]:
        """The form of the data that the stem is for."""
        return super().usual if self.stem == "cifar" else ((3, 224, 224), 1000)

    @property
    def hidden_layers(self) -> int:
        """The number of layers below the output."""
        return 1 + sum(_GROUPS[self.depth]) * self._layers_a_group

    @property
    def _layers_a_group(self) -> int:
        return 3 if self.depth == _BOTTLENECK else 2

    @property
    def least_side(self) -> int:
        """Three strides halve the sides three times, those of the larger stem twice more."""
        return 8 if self.stem == "cifar" else 32

    @property
    @abstractmethod
    def _base(self) -> int:
        """The channels of the first stage."""

    @abstractmethod
    def _map(self, shape: Sides, channels: int, size: int, stride: int) -> dict[str, object]:
        """Return the filter of a layer within a group, and the pooling if that is its stride."""

    def blocks(self, shape: tuple[int, ...], classes: int) -> Iterator[Block]:
        """Return the stem, the groups and the output."""
        from credbench.convolution import Head

        stem = self._stem(_sides(shape))
        yield stem
        below, number, group = _sides(stem.shape_out), 1, 0
        for stage, count in enumerate(_GROUPS[self.depth]):
            for k in range(count):
                group += 1
                stride = 2 if stage and not k else 1
                made = self._group(below, self._base * 2**stage, stride, number, str(group))
                for block in made:
                    block.stage = str(stage + 1)
                    yield block
                    below, number = _sides(block.shape_out), number + 1
        yield Head(below, classes)

    def _stem(self, shape: Sides) -> MapBlock:
        from credbench.convolution import MapBlock
        from credbench.filters import Convolution

        if self.stem == "cifar":
            return MapBlock(Convolution(shape, self._base), norm=self.norm, stage="1")
        first = Convolution(shape, self._base, 7, 2)
        return MapBlock(first, norm=self.norm, pool=(3, 2), stage="1")

    def _group(
        self, below: Sides, channels: int, stride: int, earlier: int, label: str
    ) -> list[MapBlock]:
        """Return the blocks of a residual group that starts above layer `earlier`."""
        from credbench.convolution import MapBlock
        from credbench.filters import Convolution

        if self.depth == _BOTTLENECK:
            top = channels * _EXPANSION
            plan = [(channels, 1, 1), (channels, 3, stride), (top, 1, 1)]
        else:
            top = channels
            plan = [(channels, 3, stride), (channels, 3, 1)]
        shape = below
        blocks: list[MapBlock] = []
        for width, size, step in plan:
            last = len(blocks) == len(plan) - 1
            detour: Filter | None = None
            if last and (stride > 1 or below[0] != top):
                detour = Convolution(below, top, 1, stride)
            block = MapBlock(
                norm=self.norm,
                shortcut=detour,
                earlier=earlier if last else None,
                group=label,
                **self._map(shape, width, size, step),  # type: ignore[arg-type]
            )
            blocks.append(block)
            shape = _sides(block.shape_out)
        return blocks


def _sides(shape: tuple[int, ...]) -> Sides:
    channels, height, width = shape
    return channels, height, width


@dataclass(frozen=True)
class ResNet(_Residual):
    """Residual groups of convolutions."""

    name: ClassVar[str] = "resnet"
    summary: ClassVar[str] = "residual convolutional network, CIFAR or ImageNet stem"

    width: int = parameter(
        64,
        help="channels of the first stage; each of the others doubles them",
        unit="channels",
        source="He et al. 2016",
        minimum=1,
        maximum=4096,
        structural=True,
    )

    @property
    def _base(self) -> int:
        return self.width

    def _map(self, shape: Sides, channels: int, size: int, stride: int) -> dict[str, object]:
        from credbench.filters import Convolution

        return {"filter": Convolution(shape, channels, size, stride)}


@dataclass(frozen=True)
class PerturbativeResNet(_Residual):
    """Residual groups of fixed noise masks and learned 1x1 weights, behind a real convolution.

    Strides are max-pooling, as in the authors' code (arXiv 1806.01817).
    """

    name: ClassVar[str] = "pnn-resnet"
    summary: ClassVar[str] = "perturbative residual network: fixed noise masks, learned 1x1 weights"

    masks: int = parameter(
        160,
        help="noise masks, one a channel, in the first stage; each of the others doubles them",
        unit="masks",
        source="arXiv 2002.03911: 160 for CIFAR-10, 256 for ImageNet",
        minimum=1,
        maximum=4096,
        structural=True,
    )
    level: float = parameter(
        0.1,
        help="the noise: its largest magnitude (uniform) or its standard deviation (gaussian)",
        source="arXiv 2002.03911; the code of arXiv 1806.01817",
        above=0,
        structural=True,
    )
    noise: str = parameter(
        "uniform",
        help="distribution of the masks",
        source="uniform: the code of arXiv 1806.01817; gaussian: the text of arXiv 2002.03911",
        choices=("uniform", "gaussian"),
        structural=True,
    )

    @property
    def ordinary(self) -> ResNet:
        """The network of convolutions of the same depth, at its usual width."""
        return ResNet(depth=self.depth, stem=self.stem, norm=self.norm)

    def refuses(self, input_shape: Shape) -> str:
        """Return why there is no such network for inputs that are no images, or do not halve.

        Pooling rounds down where the strided shortcut beside it rounds up.
        """
        wrong = super().refuses(input_shape)
        unit = self.least_side
        if wrong or not any(side % unit for side in input_shape[-2:]):
            return wrong
        sides = "x".join(map(str, input_shape))
        return f"it takes images whose sides are multiples of {unit} pixels, these are {sides}"

    @property
    def _base(self) -> int:
        return self.masks

    def _map(self, shape: Sides, channels: int, size: int, stride: int) -> dict[str, object]:
        from credbench.filters import Perturbed

        filter = Perturbed(shape, channels, level=self.level, gaussian=self.noise == "gaussian")
        return {"filter": filter, "pool": (stride, stride) if stride > 1 else None}
