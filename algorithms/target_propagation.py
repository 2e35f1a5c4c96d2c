"""Difference target propagation (Lee et al. 2015, arXiv 1412.7525), in the form of
Bartunov et al. 2018 (arXiv 1807.04587), with alternating epochs.

    top target     ẑ_{L−1} = z_{L−1} − α ∂L/∂z_{L−1}
    below          ẑ_l = z_l − g_{l+1}(z_{l+1}) + g_{l+1}(ẑ_{l+1}),    g_l(z) = φ(V_l z + c_l)
    forward loss   ‖f_l(z_{l−1}) − ẑ_l‖² by the parameters of block l alone
    inverse loss   ‖z_{l−1} − g_l(f_l(z_{l−1} + ε))‖²,  ε ~ N(0, σ²)

There is no inverse for the first block and none for the output layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from credbench import Activities, Capabilities, Learner, Network, Search, Step, Updates, parameter

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from credbench import Architecture
    from credbench.activations import Activation


@dataclass(frozen=True)
class TargetPropagation(Learner):
    """Targets carried down by learned inverses, corrected by their own error."""

    name: ClassVar[str] = "target-prop"
    summary: ClassVar[str] = "difference target propagation, alternating epochs"
    paper: ClassVar[str] = (
        "Lee et al. 2015, arXiv 1412.7525; Bartunov et al. 2018, arXiv 1807.04587"
    )
    equation: ClassVar[str] = "ẑ_l = z_l − g(z_{l+1}) + g(ẑ_{l+1}); ΔW_l from ‖z_l − ẑ_l‖²"
    capabilities: ClassVar[Capabilities] = Capabilities(needs_derivative=True, convolution=False)
    phases: ClassVar[tuple[str, ...]] = ("inverse", "forward")

    alpha: float = parameter(
        0.232,
        help="step on the loss that gives the top target",
        source="Bartunov et al. 2018, Table 5, MNIST, DTP alternating",
        above=0,
        search=Search(0.01, 1.0, "log"),
    )
    noise_sigma: float = parameter(
        0.22,
        help="standard deviation of the noise that inverses are trained with",
        source="Bartunov et al. 2018, Table 5",
        minimum=0,
        search=Search(0.01, 0.5),
    )
    inverse_rate: float = parameter(
        15.0,
        help="learning rate of the inverses, as a multiple of the optimiser's",
        source="Bartunov et al. 2018, Table 5: 4.593e-3 / 3.08e-4",
        above=0,
        search=Search(1.0, 30.0, "log"),
    )
    inverse_sigma: float = parameter(
        0.05,
        help="standard deviation of the initial inverse weights",
        source="that of the forward weights in arXiv 2002.03911",
        above=0,
        search=Search(0.01, 0.2, "log"),
    )

    def init_feedback(self, net: Network, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw V_l (units of layer l − 1, units of layer l) and zero c_l."""
        import torch

        made: dict[str, Tensor] = {}
        for k in _inverted(net):
            shape = (net.width(k - 1), net.width(k))
            made[f"V{k}"] = torch.randn(shape, generator=generator) * self.inverse_sigma
            made[f"c{k}"] = torch.zeros(shape[0])
        return made

    def refuses(self, network: Architecture, activation: Activation) -> str:
        """An inverse gives back the one activity below; a residual block reads two."""
        return "its inverses are of layers that read one activity" if network.residual else ""

    def noise(self, net: Network, phase: str) -> dict[str, tuple[int, ...]]:
        """Ask for the corruption of each inverted block's input."""
        if phase != "inverse":
            return {}
        return {f"eps{k}": net.shape(k - 1) for k in _inverted(net)}

    def rate(self, name: str) -> float:
        """Return the inverses' multiple of the learning rate."""
        return self.inverse_rate

    def updates(self, step: Step) -> Updates:
        """Train the inverses in one pass over the data and the network in the next."""
        a = step.forward()
        if step.phase == "inverse":
            return Updates(feedback=self._inverse_updates(step, a))
        return step.updates(a, self._errors(step, a))

    def _inverse_updates(self, step: Step, a: Activities) -> dict[str, Tensor]:
        made: dict[str, Tensor] = {}
        for k in _inverted(step.net):
            corrupted = a.z[k - 1] + self.noise_sigma * step.noise[f"eps{k}"]
            _, above = step.net.apply(step.params, k, corrupted, a.z)
            h, z = _inverse(step, k, above)
            slope = step.net.activation.derivative(h, z)
            error = 2 * (z - a.z[k - 1]) * slope / len(step.x)
            made |= {f"V{k}": error.T @ above, f"c{k}": error.sum(0)}
        return made

    def _errors(self, step: Step, a: Activities) -> dict[int, Tensor]:
        errors = {step.net.depth: step.output_error(a)}
        targets = self.targets(step, a, errors[step.net.depth])
        for k, target in targets.items():
            errors[k] = 2 * (a.z[k] - target) * step.net.slope(a, k)
        return errors

    def targets(self, step: Step, a: Activities, output_error: Tensor) -> dict[int, Tensor]:
        """Return the target of every hidden layer's activity, the topmost first."""
        top = step.net.depth - 1
        if top == 0:
            return {}
        down, _ = step.net.blocks[top].adjoint(step.params[top], a.z[top], output_error)
        targets = {top: a.z[top] - self.alpha * down}
        for k in reversed(_inverted(step.net)):
            _, reached = _inverse(step, k, a.z[k])
            _, wanted = _inverse(step, k, targets[k])
            targets[k - 1] = a.z[k - 1] - reached + wanted
        return targets


def _inverted(net: Network) -> range:
    """The blocks that have an inverse: all but the first and the output's."""
    return range(2, net.depth)


def _inverse(step: Step, k: int, above: Tensor) -> tuple[Tensor, Tensor]:
    """Return the pre-activation and activity of g_k, which maps layer k to layer k − 1."""
    h = above @ step.feedback[f"V{k}"].T + step.feedback[f"c{k}"]
    return h, step.net.activation(h)
