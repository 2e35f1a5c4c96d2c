"""Block-wise training (arXiv 2312.13311): each stage learns from a linear head of its own.

A network is cut into stages. The maps z_s at the end of each but the last are averaged over
positions and read by one linear layer, whose cross-entropy trains it and the stage; the last
stage learns from the network's own output:

    e at z_s = H_sᵀ (softmax(H_s mean(z_s) + c_s) − y) / positions, and backprop within the stage.

Nothing passes back between stages. The published code never detaches, so that every stage also
gets the gradient of all losses above it: backprop with deep supervision (Lee et al. 2015, arXiv
1409.5185). That is `between=gradient`, under a name of its own in every table.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, ClassVar

from credbench import Activities, Capabilities, Learner, Network, Step, Updates, parameter

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class Blockwise(Learner):
    """Backprop inside each stage, from the stage's own cross-entropy."""

    name: ClassVar[str] = "blockwise"
    summary: ClassVar[str] = "block-wise training: a linear head and a loss for every stage"
    paper: ClassVar[str] = "arXiv 2312.13311 (BWBPF, ICASSP 2024)"
    equation: ClassVar[str] = "e_s = H_sᵀ (softmax(H_s mean(z_s)) − y), backprop within a stage"
    capabilities: ClassVar[Capabilities] = Capabilities(needs_derivative=True)

    between: str = parameter(
        "nothing",
        help="what passes back from a stage to the one below: nothing, as the paper says, or the "
        "gradient, as its code does, which is backprop with deep supervision",
        source="the paper's text; its published code",
        choices=("nothing", "gradient"),
        structural=True,
    )
    cut: str = parameter(
        "stage",
        help="where the network is cut: at each stage (every layer where there are none), at each "
        "residual group, or at every layer",
        source="four stages of a ResNet, five of a VGG",
        choices=("stage", "group", "layer"),
        structural=True,
    )
    sigma: float = parameter(
        0.05,
        help="standard deviation of the initial heads",
        source="that of the forward weights in arXiv 2002.03911",
        minimum=0,
    )

    def heads(self, net: Network) -> list[int]:
        """Return the layers that a head reads: the last of every piece but the topmost."""
        pieces = {"stage": net.stages, "group": net.groups}.get(self.cut) or [
            (layer,) for layer in net.hidden
        ]
        return [piece[-1] for piece in pieces[:-1]]

    def init_feedback(self, net: Network, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw H (classes, channels of its layer) and zero c (classes,) for every head."""
        import torch

        made, classes = {}, net.width(net.depth)
        for layer in self.heads(net):
            shape = (classes, net.shape(layer)[0])
            made[f"H{layer}"] = torch.randn(shape, generator=generator) * self.sigma
            made[f"c{layer}"] = torch.zeros(classes)
        return made

    def updates(self, step: Step) -> Updates:
        """Train every head on what it reads, and every stage on its head's error."""
        a, net = step.forward(), step.net
        heads = self.heads(net)
        feedback: dict[str, Tensor] = {}
        injected: dict[int, Tensor] = {}
        for layer in heads:
            learned, injected[layer] = self._head(step, a, layer)
            feedback |= learned
        cuts = heads if self.between == "nothing" else ()
        top = step.output_error(a)
        errors = net.chain_errors(step.params, a, top, injected=injected, cuts=cuts)
        return step.updates(a, errors, feedback)

    @staticmethod
    def _head(step: Step, a: Activities, layer: int) -> tuple[dict[str, Tensor], Tensor]:
        """Return the updates of a head, and its error at the activity that it reads."""
        z, weight = a.z[layer], step.feedback[f"H{layer}"]
        positions = prod(z.shape[2:])
        mean = z.mean((2, 3)) if z.ndim == 4 else z
        logits = mean @ weight.T + step.feedback[f"c{layer}"]
        error = logits.softmax(-1) - step.targets
        learned = {
            f"H{layer}": (error / len(z)).T @ mean,
            f"c{layer}": error.mean(0),
        }
        below = (error / positions) @ weight
        return learned, below.view(*below.shape, *[1] * (z.ndim - 2)).expand(z.shape)
