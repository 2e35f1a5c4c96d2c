"""Target propagation: vanilla, and difference target propagation (Lee et al. 2015, arXiv 1412.7525)
with the variants of Bartunov et al. 2018 (arXiv 1807.04587).

    top target     gradient   ẑ_{L−1} = z_{L−1} − α ∂L/∂z_{L−1}                            (DTP)
                   inverse    ẑ_{L−1} = z_{L−1} − g_L(p) + g_L(y), p = softmax(z_L)       (SDTP)
                   augmented  the same of [p, r] and [y, r], r = φ(R z_{L−1}), R fixed (AO-SDTP)
    below          ẑ_l = z_l − g_{l+1}(z_{l+1}) + g_{l+1}(ẑ_{l+1}),    g_l(z) = φ(V_l z + c_l)
                   without the correction, as in vanilla TP:  ẑ_l = g_{l+1}(ẑ_{l+1})
    forward loss   ‖f_l(z_{l−1}) − ẑ_l‖² by the parameters of block l alone
    inverse loss   ‖z_{l−1} − g_l(f_l(z_{l−1} + ε))‖²,  ε ~ N(0, σ²)

The first block has no inverse, and the output layer one only where the top target needs it. The
inverses learn in an epoch of their own before each of the network's (alternating) or in the same
steps (parallel).
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
    """Targets carried down by learned inverses, corrected by their own error.

    DTP by default; SDTP is `top=inverse`, AO-SDTP `top=augmented`, vanilla TP `correction=none`.
    """

    name: ClassVar[str] = "target-prop"
    summary: ClassVar[str] = "difference target propagation and its family, alternating epochs"
    paper: ClassVar[str] = (
        "Lee et al. 2015, arXiv 1412.7525; Bartunov et al. 2018, arXiv 1807.04587"
    )
    equation: ClassVar[str] = "ẑ_l = z_l − g(z_{l+1}) + g(ẑ_{l+1}); ΔW_l from ‖z_l − ẑ_l‖²"
    capabilities: ClassVar[Capabilities] = Capabilities(needs_derivative=True)
    phases: ClassVar[tuple[str, ...]] = ("inverse", "forward")

    top: str = parameter(
        "gradient",
        help="where the top target comes from: a step down the loss (gradient, DTP), the inverse "
        "of the output layer (inverse, SDTP), or one that sees fixed random features as well "
        "(augmented, AO-SDTP)",
        source="Bartunov et al. 2018",
        choices=("gradient", "inverse", "augmented"),
        structural=True,
    )
    correction: str = parameter(
        "difference",
        help="whether targets are corrected by the inverse's own error (difference) or not "
        "(none, vanilla target propagation)",
        source="Lee et al. 2015",
        choices=("difference", "none"),
        structural=True,
    )
    schedule: str = parameter(
        "alternating",
        help="whether the inverses learn in epochs of their own (alternating) or in the same "
        "steps as the network (parallel)",
        source="Bartunov et al. 2018",
        choices=("alternating", "parallel"),
        structural=True,
    )
    features: int = parameter(
        512,
        help="random features beside the output where the top target is augmented",
        unit="features",
        source="Bartunov et al. 2018",
        minimum=1,
        maximum=100_000,
        search=Search(choices=(128, 512)),
        structural=True,
    )
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

    def __post_init__(self) -> None:
        """Make one phase of an epoch where all learn in the same steps."""
        if self.schedule == "parallel":
            object.__setattr__(self, "phases", ("both",))

    def unused(self) -> dict[str, str]:
        """α steps down the loss; features stand beside an augmented output."""
        idle = {} if self.top == "gradient" else {"alpha": f"the top target is {self.top}"}
        return idle if self.top == "augmented" else {**idle, "features": f"top is {self.top}"}

    def init_feedback(self, net: Network, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw V_l (units of layer l − 1, units of layer l) and zero c_l; R where it is needed.

        V_L reads the probabilities, and the features behind them where there are any. Where a
        layer is one of maps V_l has the layout of its block's weight, applied transposed.
        """
        import torch

        made: dict[str, Tensor] = {}
        extra = self.features if self.top == "augmented" else 0
        for k in self._inverted(net):
            if _on_maps(net, k):
                made[f"V{k}"] = net.random_weight(k, self.inverse_sigma, generator)
                made[f"c{k}"] = torch.zeros(net.shape(k - 1)[0])
                continue
            shape = (net.width(k - 1), net.width(k) + (extra if k == net.depth else 0))
            made[f"V{k}"] = torch.randn(shape, generator=generator) * self.inverse_sigma
            made[f"c{k}"] = torch.zeros(shape[0])
        if extra and net.depth > 1:
            width = net.width(net.depth - 1)
            made["R"] = torch.randn((extra, width), generator=generator) / width**0.5
        return made

    def _inverted(self, net: Network) -> range:
        """Return the blocks that have an inverse."""
        return range(2, net.depth + (self.top != "gradient"))

    def refuses(self, network: Architecture, activation: Activation) -> str:
        """An inverse gives back the one activity below; a residual block reads two."""
        if network.residual:
            return "its inverses are of layers that read one activity"
        if network.convolutional and (network.normalized or network.pools):
            return "its inverses of maps are transposed filters: give norm=none, without pooling"
        if network.convolutional and self.top != "gradient":
            return "on maps its top target comes from the gradient alone"
        return ""

    def noise(self, net: Network, phase: str) -> dict[str, tuple[int, ...]]:
        """Ask for the corruption of each inverted block's input."""
        if phase == "forward":
            return {}
        return {f"eps{k}": net.shape(k - 1) for k in self._inverted(net)}

    def rate(self, name: str) -> float:
        """Return the inverses' multiple of the learning rate."""
        return self.inverse_rate

    def updates(self, step: Step) -> Updates:
        """Train the inverses in one pass over the data and the network in the next, or both."""
        a = step.forward()
        inverses = {} if step.phase == "forward" else self._inverse_updates(step, a)
        if step.phase == "inverse":
            return Updates(feedback=inverses)
        return step.updates(a, self._errors(step, a), inverses)

    def _inverse_updates(self, step: Step, a: Activities) -> dict[str, Tensor]:
        made: dict[str, Tensor] = {}
        for k in self._inverted(step.net):
            corrupted = a.z[k - 1] + self.noise_sigma * step.noise[f"eps{k}"]
            h, z = step.net.apply(step.params, k, corrupted, a.z)
            above = z if k < step.net.depth else self._reached(step, h, corrupted)
            h, z = _inverse(step, k, above)
            slope = step.net.activation.derivative(h, z)
            error = 2 * (z - a.z[k - 1]) * slope
            made |= _inverse_gradient(step, k, above, error)
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
        targets = {top: self._top_target(step, a, output_error)}
        for k in range(top, 1, -1):
            targets[k - 1] = self._carried(step, k, a.z[k - 1], a.z[k], targets[k])
        return targets

    def _top_target(self, step: Step, a: Activities, output_error: Tensor) -> Tensor:
        top = step.net.depth - 1
        if self.top == "gradient":
            down, _ = step.net.blocks[top].adjoint(step.params[top], a.z[top], output_error)
            return a.z[top] - self.alpha * down
        reached = self._reached(step, a.logits, a.z[top])
        # ∂(cross-entropy)/∂logits is p − y, so this is y where the error is the step's own.
        wanted = self._augmented(step, a.logits.softmax(-1) - output_error, a.z[top])
        return self._carried(step, top + 1, a.z[top], reached, wanted)

    def _carried(
        self, step: Step, k: int, below: Tensor, reached: Tensor, wanted: Tensor
    ) -> Tensor:
        """Return the target below block k, from what it reached and what it should have."""
        target = _inverse(step, k, wanted)[1]
        if self.correction == "none":
            return target
        return below - _inverse(step, k, reached)[1] + target

    def _reached(self, step: Step, logits: Tensor, below: Tensor) -> Tensor:
        """Return what the output's inverse reads: probabilities, and features if any."""
        return self._augmented(step, logits.softmax(-1), below)

    def _augmented(self, step: Step, output: Tensor, below: Tensor) -> Tensor:
        import torch

        if self.top != "augmented":
            return output
        features = step.net.activation(below @ step.feedback["R"].T)
        return torch.cat([output, features], dim=-1)


def _on_maps(net: Network, k: int) -> bool:
    """Return whether block k has maps above or below."""
    return len(net.shape(k - 1)) > 1 or len(net.shape(k)) > 1


def _inverse(step: Step, k: int, above: Tensor) -> tuple[Tensor, Tensor]:
    """Return the pre-activation and activity of g_k, which maps layer k to layer k − 1."""
    v, c = step.feedback[f"V{k}"], step.feedback[f"c{k}"]
    if _on_maps(step.net, k):
        block, shape = step.net.blocks[k - 1], (len(above), *step.net.shape(k - 1))
        origin = above.new_zeros(()).expand(shape)
        h, _ = block.adjoint(step.params[k - 1], origin, above, None, {"weight": v})
        h = h + c.view(-1, *[1] * (len(shape) - 2))
    else:
        h = above @ v.T + c
    return h, step.net.activation(h)


def _inverse_gradient(step: Step, k: int, above: Tensor, error: Tensor) -> dict[str, Tensor]:
    """Return the batch-mean gradients of V_k and c_k, from an error at the inverse's output."""
    if _on_maps(step.net, k):
        block = step.net.blocks[k - 1]
        v = block.correlation(step.params[k - 1], error, above, error)
        return {f"V{k}": v, f"c{k}": error.flatten(2).sum((0, 2)) / len(step.x)}
    error = error / len(step.x)
    return {f"V{k}": error.T @ above, f"c{k}": error.sum(0)}
