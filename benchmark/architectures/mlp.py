"""Fully connected networks, with and without residual connections."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

from credbench.architectures import Architecture
from credbench.component import Search, parameter
from credbench.errors import RequestError

if TYPE_CHECKING:
    from credbench.activations import Activation
    from credbench.blocks import Block, Shape
    from credbench.networks import Network

_WIDTHS = re.compile(r"\d{1,6}(x\d{1,4})?(-\d{1,6}(x\d{1,4})?)*")


def parse_widths(text: str) -> tuple[int, ...]:
    """Return layer widths: `256x3` is three layers of 256, `512-256` one of each."""
    if not _WIDTHS.fullmatch(text):
        raise ValueError(text)
    widths: list[int] = []
    for part in text.split("-"):
        width, _, repeats = part.partition("x")
        times = int(repeats or 1)
        if not int(width) or not times:
            raise ValueError(text)
        widths += [int(width)] * times
    return tuple(widths)


def show_widths(widths: Sequence[int]) -> str:
    """Return the spelling that `parse_widths` takes back."""
    runs: list[list[int]] = []
    for width in widths:
        if runs and runs[-1][0] == width:
            runs[-1][1] += 1
        else:
            runs.append([width, 1])
    return "-".join(f"{w}x{n}" if n > 1 else str(w) for w, n in runs)


@dataclass(frozen=True)
class Mlp(Architecture):
    """Fully connected layers."""

    name: ClassVar[str] = "mlp"
    summary: ClassVar[str] = "fully connected layers, biases, softmax output"

    hidden: tuple[int, ...] = parameter(
        (256, 256, 256),
        help="widths of the hidden layers, such as 256x3 or 512-256",
        unit="units",
        source="arXiv 2002.03911: 256x5, 256x8, 1024x3",
        search=Search(choices=("256x3", "256x5", "256x8")),
        parse=parse_widths,
        show=show_widths,
        structural=True,
    )
    norm: str = parameter(
        "none",
        help="normalisation of the hidden pre-activations: none, over the batch (batch) or over "
        "each example's units (layer)",
        source="Ioffe & Szegedy 2015, arXiv 1502.03167; Ba, Kiros & Hinton 2016, arXiv 1607.06450",
        choices=("none", "batch", "layer"),
        structural=True,
    )

    def values(self) -> dict[str, Any]:
        """Return the parameters; without normalisation there is nothing to say of it."""
        return {k: v for k, v in super().values().items() if k != "norm" or self.normalized}

    @property
    def widths(self) -> tuple[int, ...]:
        """The widths of the hidden layers."""
        return self.hidden

    @property
    def normalized(self) -> bool:
        """Whether pre-activations are normalised."""
        return self.norm != "none"

    def build(
        self, input_shape: Shape, classes: int, activation: Activation, *, separate: bool = False
    ) -> Network:
        """Return the network for inputs of one shape."""
        from credbench.networks import Network

        widths = [math.prod(input_shape), *self.hidden, classes]
        blocks = [self._block(k, a, b) for k, (a, b) in enumerate(pairwise(widths), start=1)]
        return Network(blocks, activation, separate=separate)

    def _block(self, number: int, n_in: int, n_out: int) -> Block:
        """Return block l; the last one, which gives the logits, is not normalised."""
        from credbench.blocks import Dense
        from credbench.normalization import BatchNormDense, LayerNormDense

        kinds: dict[str, type[Dense]] = {"batch": BatchNormDense, "layer": LayerNormDense}
        kind = kinds.get(self.norm, Dense) if number <= len(self.hidden) else Dense
        earlier, group = self._earlier(number), self._group(number)
        return kind(n_in, n_out, earlier=earlier, group=group)

    def _earlier(self, number: int) -> int | None:
        """Return the earlier layer that a block reads, if any."""
        return None

    def _group(self, number: int) -> str:
        """Return the label of a block's residual group."""
        return ""

    def deepened(self, layers: int) -> Mlp:
        """Return as many layers of the width that all of them share."""
        if len(set(self.hidden)) != 1:
            raise RequestError(
                f"network {self.spec(full=False)!r}: its depth can vary only where all layers "
                "are equally wide, such as mlp[hidden=256x8]"
            )
        return replace(self, hidden=self.hidden[:1] * layers)


@dataclass(frozen=True)
class ResidualMlp(Mlp):
    """Equally wide layers; the first of each group adds the activity a group below it.

    h_l = W_l z_{l−1} + b_l + z_{l−g} for l = g + 1, 2g + 1, … (arXiv 2002.03911, Algorithm 2).
    """

    name: ClassVar[str] = "res-mlp"
    summary: ClassVar[str] = "equally wide layers, an earlier activity added every g layers"
    residual: ClassVar[bool] = True

    gap: int = parameter(
        2,
        help="g: layers g + 1, 2g + 1, … add the activity of g layers before",
        unit="layers",
        source="arXiv 2002.03911, Algorithm 2",
        minimum=1,
        maximum=1_000_000,
        search=Search(choices=(1, 2, 4)),
        structural=True,
    )

    def __post_init__(self) -> None:
        """Raise `RequestError` for layers whose activities could not be added."""
        if len(set(self.hidden)) != 1:
            raise RequestError(
                f"network {show_widths(self.hidden)!r}: a residual network needs equally wide "
                "layers, such as res-mlp[hidden=256x8]"
            )
        if self.gap >= len(self.hidden):
            raise RequestError(
                f"res-mlp[hidden={show_widths(self.hidden)},gap={self.gap}] has no residual "
                f"connection: give a gap below {len(self.hidden)}, or more layers"
            )

    def _earlier(self, number: int) -> int | None:
        starts = number > self.gap and (number - 1) % self.gap == 0
        return number - self.gap if starts and number <= len(self.hidden) else None

    def _group(self, number: int) -> str:
        return str((number - 1) // self.gap)
