"""Equilibrium propagation (Scellier & Bengio 2017, arXiv 1602.05179).

Units settle where the energy F = Σ_l κ^(l−L) [G(z_l) − z_lᵀ W_l z_{l−1} − b_lᵀ z_l] + β C is least,
G′ = φ⁻¹, C = ‖z_L − y‖², that is where

    z_l = φ(W_l z_{l−1} + b_l + κ W_{l+1}ᵀ z_{l+1}),    z_L = φ(W_L z_{L−1} + b_L − 2 β (z_L − y)),

each going ε of the way there in every step. κ = 1 is the symmetric network; a small κ, the weak
feedback of arXiv 2508.11659, settles in about as many steps as there are layers. From the free
state z⁰ and the nudged one z^β,

    ΔW_l = −κ^(l−L) (z_l^β z_{l−1}^βᵀ − z_l⁰ z_{l−1}⁰ᵀ) / β,

which tends to the gradient of C at the settled state; with symmetric nudging, from z^β and z^−β
over 2 β, one order of β sooner. Free settling starts from a forward pass, where the authors' code
starts from the state in which it left the same example an epoch ago.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from credbench import (
    Activities,
    Capabilities,
    Layers,
    Learner,
    Network,
    Search,
    Step,
    Updates,
    parameter,
)

if TYPE_CHECKING:
    from torch import Tensor

    from credbench import Architecture
    from credbench.activations import Activation
    from credbench.learner import Pass


@dataclass(frozen=True)
class EquilibriumPropagation(Learner):
    """The difference between a state that settled freely and one that was nudged."""

    name: ClassVar[str] = "equilibrium-prop"
    summary: ClassVar[str] = "contrast of a free and a nudged equilibrium"
    paper: ClassVar[str] = "Scellier & Bengio 2017, arXiv 1602.05179"
    equation: ClassVar[str] = "ΔW_l = −(z_l^β z_{l−1}^βᵀ − z_l⁰ z_{l−1}⁰ᵀ) / β"
    capabilities: ClassVar[Capabilities] = Capabilities(convolution=False)

    beta: float = parameter(
        0.5,
        help="strength of the nudge towards the label",
        source="the authors' code, 784-500-10",
        above=0,
        search=Search(0.1, 1.0, "log"),
    )
    nudging: str = parameter(
        "symmetric",
        help="a nudge either way (symmetric), one of random sign a batch (random), or one always "
        "towards the label (positive)",
        source="the authors' code; Laborieux et al. 2021, arXiv 2006.03824",
        choices=("symmetric", "random", "positive"),
        structural=True,
    )
    epsilon: float = parameter(
        0.5,
        help="part of the way to its momentary goal that a unit goes in a step",
        source="the authors' code",
        above=0,
        maximum=1,
        search=Search(choices=(0.5, 1.0)),
    )
    free: int = parameter(
        20,
        help="steps of the free phase, in training and prediction",
        unit="steps",
        source="the authors' code, 784-500-10",
        minimum=1,
        maximum=100_000,
        search=Search(choices=(10, 20, 40)),
        structural=True,
    )
    nudged: int = parameter(
        4,
        help="steps of the nudged phase",
        unit="steps",
        source="the authors' code, 784-500-10",
        minimum=1,
        maximum=100_000,
        search=Search(choices=(4, 10)),
        structural=True,
    )
    feedback: float = parameter(
        1.0,
        help="κ: feedback connections as a multiple of the forward ones",
        source="Scellier & Bengio 2017; arXiv 2508.11659: 0.01, with 10 steps of either phase",
        above=0,
        maximum=1,
        search=Search(0.01, 1.0, "log"),
    )

    def refuses(self, network: Architecture, activation: Activation) -> str:
        """Its energy is that of a chain of dense layers with a continuous φ."""
        if network.residual or network.normalized:
            return "its energy is that of a plain chain of layers"
        jumps = activation.derivative_formula.startswith("0 ")
        return "its units settle where a continuous φ tells them" if jumps else ""

    def noise(self, net: Network, phase: str) -> dict[str, tuple[int, ...]]:
        """Ask for a number whose sign is that of the nudge."""
        return {"sign": ()} if self.nudging == "random" else {}

    def updates(self, step: Step) -> Updates:
        """Settle freely, then nudged, and contrast the two."""
        drive, start = self._free(step)
        if self.nudging == "symmetric":
            ends = [self.settle(step, drive, start, self.nudged, s * self.beta) for s in (1, -1)]
            made = self._contrast(step, ends[0], ends[1], 2 * self.beta)
        else:
            beta: float | Tensor = self.beta
            if self.nudging == "random":
                beta = beta * (2 * (step.noise["sign"][0] > 0) - 1)
            nudged = self.settle(step, drive, start, self.nudged, beta)
            made = self._contrast(step, nudged, start, beta)
        return Updates(made, logits=start[step.net.depth])

    def predict(self, view: Pass) -> Tensor:
        """Return the settled output layer."""
        return self._free(view)[1][view.net.depth]

    def _free(self, view: Pass) -> tuple[Tensor, Layers]:
        """Return what the input gives the first layer throughout, and the free state."""
        a, top = view.forward(), view.net.depth
        drive = a.h[1]
        start = {layer: a.z[layer] for layer in range(top)}
        start[top] = view.net.activation(a.h[top])
        return drive, self.settle(view, drive, start, self.free)

    def settle(
        self,
        view: Pass,
        drive: Tensor,
        start: Mapping[int, Tensor],
        steps: int,
        beta: float | Tensor | None = None,
    ) -> Layers:
        """Return the activities after so many steps from `start`.

        `beta` nudges the output of a `Step` towards its labels.
        """
        z = dict(start)
        for _ in range(steps):
            z = {0: z[0]} | {
                layer: z[layer].lerp(self._goal(view, drive, z, layer, beta), self.epsilon)
                for layer in range(1, view.net.depth + 1)
            }
        return Layers(z)

    def _goal(
        self,
        view: Pass,
        drive: Tensor,
        z: dict[int, Tensor],
        layer: int,
        beta: float | Tensor | None,
    ) -> Tensor:
        """Return what a layer's activity would be by what its neighbours are now."""
        net, params = view.net, view.params
        h = drive
        if layer > 1:
            h = net.blocks[layer - 1].forward(params[layer - 1], z[layer - 1])
        if layer < net.depth:
            back = net.blocks[layer].adjoint(params[layer], z[layer], z[layer + 1])[0]
            h = h + self.feedback * back
        elif beta is not None:
            assert isinstance(view, Step)
            h = h - 2 * beta * (z[layer] - view.targets)
        return net.activation(h)

    def _contrast(
        self, step: Step, nudged: Layers, other: Layers, distance: float | Tensor
    ) -> dict[str, Tensor]:
        """Return −κ^(l−L) (nudged products − other products) / distance for every block."""
        depth = step.net.depth
        scale = {k: -(self.feedback ** (k - depth)) / distance for k in range(1, depth + 1)}
        found = [self._products(step, each, scale) for each in (nudged, other)]
        return {name: found[0][name] - found[1][name] for name in found[0]}

    @staticmethod
    def _products(step: Step, z: Layers, scale: Mapping[int, float | Tensor]) -> dict[str, Tensor]:
        """Return the batch mean of z_l z_{l−1}ᵀ for every block, scaled."""
        scaled = {layer: z[layer] * factor for layer, factor in scale.items()}
        return step.net.gradients(step.params, Activities(z, z), scaled)
