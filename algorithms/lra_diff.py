"""Local representation alignment with targets for pre-activations (Ororbia, Mali, Kifer & Giles
2018, arXiv 1803.01834), from the top down:

    δ_L = softmax(z_L) − y,    δ_l = ∂ℓ(z_l − y_l)/∂z_l ⊙ φ′(h_l)
    lra-diff     d_{l−1} = W_lᵀ δ_l ⊙ φ′(h_{l−1})
    lra-fdbk     d_{l−1} = E_l δ_l,    E fixed
    h_{l−1} moves K times by −β Nm(d_{l−1}, c); y_{l−1} is its activity then
    ΔW_l = δ_l z_{l−1}ᵀ

Nm scales each example's d to norm c where it is larger. ℓ(x) is x²/2, or log(1 + x²)/2, the
Cauchy (log-penalty) loss. From W = 0, hidden weights move with lra-fdbk, as E is not zero; with
lra-diff only where φ(0) is not.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from credbench import Activities, Capabilities, Learner, Network, Search, Step, Updates, parameter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch
    from torch import Tensor

    from credbench import Architecture
    from credbench.activations import Activation


@dataclass(frozen=True)
class _LocalTargets(Learner):
    """What both share: a target for each layer below, found by moving its pre-activation."""

    paper: ClassVar[str] = "Ororbia, Mali, Kifer & Giles 2018, arXiv 1803.01834"
    capabilities: ClassVar[Capabilities] = Capabilities(needs_derivative=True)

    beta: float = parameter(
        0.1,
        help="step from a pre-activation towards its target",
        source="that of LRA-E; arXiv 1803.01834 was not at hand",
        above=0,
        search=Search(0.01, 1.0, "log"),
    )
    cap: float = parameter(
        1.0,
        help="c: the most that the norm of one example's step may be, before β",
        source="that of the authors' code for PTNCN",
        above=0,
        search=Search(0.1, 10.0, "log"),
    )
    steps: int = parameter(
        1,
        help="K: steps that each pre-activation takes",
        unit="steps",
        source="arXiv 1803.01834: 1 in practice",
        minimum=1,
        maximum=1000,
        search=Search(choices=(1, 2, 5)),
        structural=True,
    )
    loss: str = parameter(
        "squared",
        help="local loss of an activity's distance from its target: squared or cauchy",
        source="arXiv 1803.01834",
        choices=("squared", "cauchy"),
        structural=True,
    )

    def refuses(self, network: Architecture, activation: Activation) -> str:
        """A target is found from the one layer above; a residual network has two."""
        return "its targets come from the one layer above" if network.residual else ""

    @abstractmethod
    def descent(self, step: Step, layer: int, h: Tensor, z: Tensor, error: Tensor) -> Tensor:
        """Return d for a layer at h and z, from δ of the layer above."""

    def updates(self, step: Step) -> Updates:
        """Find targets and errors layer by layer, from the output down."""
        a, net = step.forward(), step.net
        errors = {net.depth: step.output_error(a)}
        missed: Tensor | None = None  # z_l − y_l of the layer above; the output has labels
        for layer in reversed(net.hidden):
            move = self._move(step, a, layer, errors[layer + 1], missed)
            missed = net.activation.difference(a.h[layer], a.z[layer], move)
            errors[layer] = self._error(step, a.h[layer], a.z[layer], missed)
        return step.updates(a, errors)

    def _error(self, step: Step, h: Tensor, z: Tensor, missed: Tensor) -> Tensor:
        slope = missed / (1 + missed * missed) if self.loss == "cauchy" else missed
        return step.net.activation.backward(h, z, slope)

    def _move(
        self, step: Step, a: Activities, layer: int, above: Tensor, missed: Tensor | None
    ) -> Tensor:
        """Return what the pre-activation of a layer moves down by, all steps together."""
        move = self.beta * self._capped(self.descent(step, layer, a.h[layer], a.z[layer], above))
        for _ in range(1, self.steps):
            h = a.h[layer] - move
            z = step.net.activation(h)
            reached = self._reached(step, a, layer + 1, z, missed)
            move = move + self.beta * self._capped(self.descent(step, layer, h, z, reached))
        return move

    def _reached(
        self, step: Step, a: Activities, layer: int, below: Tensor, missed: Tensor | None
    ) -> Tensor:
        """Return δ of a layer where the activity below has changed."""
        if missed is None:
            logits = step.net.blocks[layer - 1].forward(step.params[layer - 1], below)
            return logits.softmax(-1) - step.targets
        h, z = step.net.apply(step.params, layer, below, a.z)
        return self._error(step, h, z, missed - (a.z[layer] - z))

    def _capped(self, d: Tensor) -> Tensor:
        flat = d.flatten(1)
        norm = flat.square().sum(1, keepdim=True).sqrt()
        return (flat * (self.cap / norm.maximum(self.cap * norm.new_ones(())))).view_as(d)


@dataclass(frozen=True)
class LraDiff(_LocalTargets):
    """Local targets down the gradient of the local loss above."""

    name: ClassVar[str] = "lra-diff"
    summary: ClassVar[str] = "local targets found by the gradient of the loss of the layer above"
    equation: ClassVar[str] = "y_{l−1} = φ(h_{l−1} − β Nm(W_lᵀ δ_l ⊙ φ′)), ΔW_l = δ_l z_{l−1}ᵀ"

    def descent(self, step: Step, layer: int, h: Tensor, z: Tensor, error: Tensor) -> Tensor:
        """Return W_lᵀ δ_l ⊙ φ′."""
        down = step.net.blocks[layer].adjoint(step.params[layer], z, error)[0]
        return step.net.activation.backward(h, z, down)


@dataclass(frozen=True)
class LraFdbk(_LocalTargets):
    """Local targets through fixed random feedback."""

    name: ClassVar[str] = "lra-fdbk"
    summary: ClassVar[str] = "local targets found through fixed random feedback"
    equation: ClassVar[str] = "y_{l−1} = φ(h_{l−1} − β Nm(E_l δ_l)), ΔW_l = δ_l z_{l−1}ᵀ, E fixed"

    sigma: float = parameter(
        1.0,
        help="standard deviation of the feedback E",
        source="arXiv 1803.01834, second-hand",
        above=0,
        search=Search(0.05, 1.0, "log"),
    )

    def init_feedback(self, net: Network, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw E for every block above the first, in the layout of its weight."""
        above = range(2, net.depth + 1)
        return {f"E{k}": net.random_weight(k, self.sigma, generator) for k in above}

    def mirrored(self, net: Network) -> Mapping[str, Sequence[tuple[int, int]]]:
        """E_l stands in for W_l."""
        return {f"E{k}": [(k - 1, k)] for k in range(2, net.depth + 1)}

    def descent(self, step: Step, layer: int, h: Tensor, z: Tensor, error: Tensor) -> Tensor:
        """Return E_l δ_l."""
        carrier = {"weight": step.feedback[f"E{layer + 1}"]}
        return step.net.blocks[layer].adjoint(step.params[layer], z, error, None, carrier)[0]
