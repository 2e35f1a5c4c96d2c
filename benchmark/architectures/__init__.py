"""Recipes for networks: what an experiment names, before the data's shape is known.

One close family a file; a file put here is found.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from credbench.component import Component
from credbench.errors import RequestError

if TYPE_CHECKING:
    from credbench.activations import Activation
    from credbench.blocks import Shape
    from credbench.networks import Network


@dataclass(frozen=True)
class Architecture(Component, ABC):
    """A recipe for networks, before the data's shape is known."""

    kind: ClassVar[str] = "network"
    residual: ClassVar[bool] = False
    """Whether blocks read earlier activities beside the one below them."""
    convolutional: ClassVar[bool] = False
    """Whether activities are maps, with blocks other than dense ones; such a network is trained
    alone, since replicas of convolutions take longer together than one after the other."""
    pools: ClassVar[bool] = False
    """Whether maxima are taken between layers."""

    @property
    def groups_alike(self) -> bool:
        """Whether the layers of each residual group, and the one below the first, are alike."""
        return True

    @property
    def usual(self) -> tuple[Shape, int]:
        """The shape of the images, and the classes, that `describe` counts parameters on."""
        return (28, 28), 10

    @property
    def ordinary(self) -> Architecture | None:
        """The ordinary network that this one is to be compared with, if it stands for one."""
        return None

    def refuses(self, input_shape: Shape) -> str:
        """Return why there is no such network for inputs of a shape; empty if there is."""
        return ""

    @property
    def hidden_layers(self) -> int:
        """The number of hidden layers."""
        return len(self.widths)

    @property
    def widths(self) -> tuple[int, ...]:
        """The widths of the hidden layers; empty where they depend on the data."""
        return ()

    @property
    def normalized(self) -> bool:
        """Whether pre-activations are normalised over a batch or a layer."""
        return False

    @abstractmethod
    def build(
        self, input_shape: Shape, classes: int, activation: Activation, *, separate: bool = False
    ) -> Network:
        """Return the network for inputs of one shape; `separate` keeps leaves unstacked."""

    def deepened(self, layers: int) -> Architecture:
        """Return the same recipe with another number of hidden layers.

        Raises `RequestError` where the recipe does not say what more layers would be.
        """
        raise RequestError(f"network {self.spec(full=False)!r} has no depth to vary")
