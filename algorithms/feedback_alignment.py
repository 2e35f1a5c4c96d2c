"""Feedback alignment: errors carried down by fixed random arrays instead of Wᵀ.

FA  (Lillicrap et al. 2016, Nat. Commun. 7:13276):   e_l = B_{l+1} e_{l+1} ⊙ φ′(h_l)
DFA (Nøkland 2016, arXiv 1609.01596):                e_l = B_l e_L ⊙ φ′(h_l)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from credbench import Capabilities, Layers, Learner, Search, Step, Updates, as_maps, parameter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch
    from torch import Tensor

    from credbench import Network


@dataclass(frozen=True)
class _RandomFeedback(Learner):
    """What both share: fixed Gaussian feedback, errors that need φ′."""

    capabilities: ClassVar[Capabilities] = Capabilities(needs_derivative=True)

    sigma: float = parameter(
        0.05,
        help="standard deviation of the feedback B",
        source="that of the forward weights in arXiv 2002.03911",
        above=0,
        search=Search(0.01, 1.0, "log"),
    )


@dataclass(frozen=True)
class FeedbackAlignment(_RandomFeedback):
    """Backprop's chain through random arrays of the shape of the weights."""

    name: ClassVar[str] = "fa"
    summary: ClassVar[str] = "feedback alignment: fixed random feedback, layer by layer"
    paper: ClassVar[str] = "Lillicrap et al. 2016, Nat. Commun. 7:13276"
    equation: ClassVar[str] = "e_l = B_{l+1} e_{l+1} ⊙ φ′(h_l), B fixed"

    def init_feedback(self, net: Network, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw B for every block above the first, stored in the layout of its weight.

        A shortcut with a weight of its own has a B of its own.
        """
        return {
            name: net.random_weight(k, self.sigma, generator, array)
            for k in range(2, net.depth + 1)
            for array, name in _carriers(net, k).items()
        }

    def mirrored(self, net: Network) -> Mapping[str, Sequence[tuple[int, int]]]:
        """B_{l+1} stands in for W_{l+1}."""
        return {
            name: [(k - 1, k)]
            for k in range(2, net.depth + 1)
            for array, name in _carriers(net, k).items()
            if array == "weight"
        }

    def updates(self, step: Step) -> Updates:
        """Carry the output error down through B."""
        carriers = {
            k: {array: step.feedback[name] for array, name in _carriers(step.net, k).items()}
            for k in range(2, step.net.depth + 1)
        }
        a = step.forward()
        top = step.output_error(a)
        return step.updates(a, step.net.chain_errors(step.params, a, top, carriers))


@dataclass(frozen=True)
class DirectFeedbackAlignment(_RandomFeedback):
    """The output error, projected at random to every hidden layer at once."""

    name: ClassVar[str] = "dfa"
    summary: ClassVar[str] = "direct feedback alignment: fixed random feedback from the output"
    paper: ClassVar[str] = "Nøkland 2016, arXiv 1609.01596"
    equation: ClassVar[str] = "e_l = B_l e_L ⊙ φ′(h_l), B fixed"

    def init_feedback(self, net: Network, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw B_lᵀ, stacked for layers of one width: (layers, classes, units of layer l)."""
        import torch

        shapes = {
            _name(layers): (len(layers), net.width(net.depth), net.width(layers[0]))
            for layers in net.alike(net.hidden)
        }
        return {k: torch.randn(s, generator=generator) * self.sigma for k, s in shapes.items()}

    def mirrored(self, net: Network) -> Mapping[str, Sequence[tuple[int, int]]]:
        """B_l stands in for all weights above layer l."""
        return {_name(k): [(i, net.depth) for i in k] for k in net.alike(net.hidden)}

    def updates(self, step: Step) -> Updates:
        """Send the output error straight to every layer, one product for all of one width."""
        a = step.forward()
        errors = Layers({step.net.depth: step.output_error(a)})
        for layers in step.net.alike(step.net.hidden):
            h, z = a.h.stacked(layers), a.z.stacked(layers)
            signal = errors[step.net.depth] @ step.feedback[_name(layers)]
            errors.put(layers, step.net.activation.backward(h, z, as_maps(signal, h)))
        return step.updates(a, errors)


def _carriers(net: Network, number: int) -> dict[str, str]:
    """Return the name of the feedback for each array of a block that carries errors down."""
    carriers = net.blocks[number - 1].carriers
    return {array: f"B{number}{array.removeprefix('weight')}" for array in carriers}


def _name(layers: tuple[int, ...]) -> str:
    return "B" + "-".join(map(str, layers))
