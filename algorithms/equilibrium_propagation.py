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

The nudged phase follows how far the nudged state is from the free one, u = z^β − z⁰, and not z^β,
of which float32 would keep nothing where κ is small:

    u_l → φ(h_l + Δ_l) − φ(h_l),    Δ_l = W_l u_{l−1} + κ W_{l+1}ᵀ u_{l+1}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

    State = Mapping[int, Tensor]


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
        help="steps of the nudged phase with one hidden layer; each further one takes two more",
        unit="steps",
        source="the authors' code: 4, 6 and 8 with one, two and three hidden layers",
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
        return "its units settle where a continuous φ tells them" if activation.surrogate else ""

    def noise(self, net: Network, phase: str) -> dict[str, tuple[int, ...]]:
        """Ask for a number whose sign is that of the nudge."""
        return {"sign": ()} if self.nudging == "random" else {}

    def predict(self, view: Pass) -> Tensor:
        """Return the settled output layer."""
        return self.settle(view)[1][view.net.depth]

    def settle(self, view: Pass) -> tuple[Tensor, Layers]:
        """Return what the input gives the first layer throughout, and the free state."""
        a, top = view.forward(), view.net.depth
        drive, z = a.h[1], {layer: a.z[layer] for layer in range(top)}
        z[top] = view.net.activation(a.h[top])
        for _ in range(self.free):
            z = self._nearer(z, self._goals(view, self._fields(view, drive, z)))
        return drive, Layers(z)

    def updates(self, step: Step) -> Updates:
        """Settle freely, then nudged, and contrast the two."""
        drive, free = self.settle(step)
        beta: float | Tensor = self.beta
        if self.nudging == "random":
            beta = beta * (2 * (step.noise["sign"][0] > 0) - 1)
        betas = [beta, -beta] if self.nudging == "symmetric" else [beta]
        reached, apart = self._nudge(step, drive, free, betas)
        if self.nudging == "symmetric":
            made = self._contrast(step, reached, apart[0], apart[1], 2 * beta)
        else:
            made = self._contrast(step, reached, apart[0], _nowhere(free), beta)
        return Updates(made, logits=free[step.net.depth])

    def _nudge(
        self, step: Step, drive: Tensor, free: State, betas: Sequence[float | Tensor]
    ) -> tuple[State, list[State]]:
        """Return the free state some steps on, and how far each nudge has moved it by then."""
        z = free
        apart: list[State] = [_nowhere(free) for _ in betas]
        for _ in range(self.nudged + 2 * max(0, step.net.depth - 2)):
            h = self._fields(step, drive, z)
            goals = self._goals(step, h)
            apart = [
                self._nearer(u, self._shifts(step, h, goals, z, u, beta))
                for u, beta in zip(apart, betas, strict=True)
            ]
            z = self._nearer(z, goals)
        return z, apart

    def _nearer(self, z: State, goals: State) -> dict[int, Tensor]:
        """Return every layer ε of the way to its goal; what has none stays."""
        return {0: z[0]} | {k: z[k].lerp(goal, self.epsilon) for k, goal in goals.items()}

    @staticmethod
    def _goals(view: Pass, h: State) -> dict[int, Tensor]:
        return {layer: view.net.activation(each) for layer, each in h.items()}

    def _fields(self, view: Pass, drive: Tensor, z: State) -> dict[int, Tensor]:
        """Return what every layer hears from its neighbours; the first from the input besides."""
        net, params = view.net, view.params
        h = {1: drive} | {
            k: net.blocks[k - 1].forward(params[k - 1], z[k - 1]) for k in range(2, net.depth + 1)
        }
        return {k: h[k] + self._feedback(view, k, z) if k < net.depth else h[k] for k in h}

    def _feedback(self, view: Pass, layer: int, z: State) -> Tensor:
        """Return κ W_{l+1}ᵀ z_{l+1}."""
        block, arrays = view.net.blocks[layer], view.params[layer]
        return self.feedback * block.adjoint(arrays, z[layer], z[layer + 1])[0]

    def _shifts(
        self, step: Step, h: State, goals: State, z: State, u: State, beta: float | Tensor
    ) -> dict[int, Tensor]:
        """Return how far each layer's goal moves when the state is u away and nudged."""
        net, found = step.net, {}
        for k in range(1, net.depth + 1):
            arrays = step.params[k - 1]
            unbiased = {**arrays, "bias": arrays["bias"].new_zeros(arrays["bias"].shape)}
            heard = net.blocks[k - 1].forward(unbiased, u[k - 1]) if k > 1 else None
            if k < net.depth:
                back = self._feedback(step, k, u)
                heard = back if heard is None else heard + back
            else:
                pull = -2 * beta * (z[k] + u[k] - step.targets)
                heard = pull if heard is None else heard + pull
            found[k] = -net.activation.difference(h[k], goals[k], -heard)
        return found

    def _contrast(
        self, step: Step, z: State, one: State, other: State, distance: float | Tensor
    ) -> dict[str, Tensor]:
        """Return −κ^(l−L) (products of z + one − those of z + other) / distance, every block.

        With d the difference of the two states and m their mean, that of the products is
        d_l m_{l−1}ᵀ + m_l d_{l−1}ᵀ.
        """
        depth = step.net.depth
        scale = {k: -(self.feedback ** (k - depth)) / distance for k in range(1, depth + 1)}
        d = Layers({k: one[k] - other[k] for k in z})
        m = Layers({k: z[k] + (one[k] + other[k]) / 2 for k in z})
        after = self._products(step, {k: d[k] * scale[k] for k in scale}, m)
        before = self._products(step, {k: m[k] * scale[k] for k in scale}, d)
        return {
            name: found + before[name] if name.startswith("weight") else found
            for name, found in after.items()
        }

    @staticmethod
    def _products(step: Step, upper: State, lower: Layers) -> dict[str, Tensor]:
        """Return the batch mean of upper_l lower_{l−1}ᵀ for every block, and of upper_l."""
        return step.net.gradients(step.params, Activities(lower, lower), upper)


def _nowhere(z: State) -> dict[int, Tensor]:
    return {layer: each.new_zeros(each.shape) for layer, each in z.items()}
