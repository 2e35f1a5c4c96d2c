"""Local representation alignment with error synapses.

LRA-E    (Ororbia & Mali 2019, arXiv 1805.11703): error synapses between adjacent layers.
rec-LRA  (Ororbia et al. 2020, arXiv 2002.03911): from the output to every g-th layer as well.

    e_L = softmax(z_L) − y,    d_i = E_{j→i} e_j,    e_i = z_i − φ(h_i − β d_i)
    ΔW_i = e_i z_{i−1}ᵀ        ΔE_{j→i} = γ z_i e_jᵀ, which is γ (ΔW_j)ᵀ between neighbours

No φ′ appears: e_i holds it to first order. E descends along ΔE as W does along ΔW, as in the
authors' code; the sign printed in the paper makes E grow without bound, and is kept as a
labelled variant only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from credbench import Activities, Layers, Learner, Network, Search, Step, Updates, parameter

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_RULES = ("transpose", "fixed", "printed")


@dataclass(frozen=True)
class LraE(Learner):
    """Every hidden layer is given its error by the layer above."""

    name: ClassVar[str] = "lra-e"
    summary: ClassVar[str] = "local representation alignment, adjacent error synapses"
    paper: ClassVar[str] = "Ororbia & Mali 2019, arXiv 1805.11703"
    equation: ClassVar[str] = "e_l = z_l − φ(h_l − β E_{l+1} e_{l+1}), ΔW_l = e_l z_{l−1}ᵀ"

    beta: float = parameter(
        0.1,
        help="step from an activity to its target",
        source="the authors' code; arXiv 1805.11703",
        above=0,
        search=Search(0.01, 1.0, "log"),
    )
    gamma: float = parameter(
        1.0,
        help="learning rate of the error synapses, as a multiple of the optimiser's",
        source="the authors' code",
        above=0,
        search=Search(0.01, 1.0, "log"),
    )
    sigma: float = parameter(
        0.05,
        help="standard deviation of the initial error synapses",
        source="the authors' code (PTNCN)",
        above=0,
        search=Search(0.01, 1.0, "log"),
    )
    rule: str = parameter(
        "transpose",
        help="how error synapses learn: +γ z_i e_jᵀ (transpose), not at all (fixed), "
        "or −γ d_i e_jᵀ as printed in arXiv 2002.03911, which diverges (printed)",
        source="the authors' code",
        choices=_RULES,
        structural=True,
    )

    def unused(self) -> dict[str, str]:
        """γ scales learning that fixed synapses do not do."""
        return {"gamma": "the error synapses are fixed"} if self.rule == "fixed" else {}

    def skips(self, net: Network) -> list[tuple[int, ...]]:
        """Return the layers that hear from the output directly, grouped by shape."""
        return []

    def init_feedback(self, net: Network, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw E: adjacent ones in the layout of the weight they mirror, skips stacked.

        A stack of skips holds E_{L→i}ᵀ for layers of one width: (layers, classes, units).
        """
        import torch

        skips = self.skips(net)
        made = {
            f"E{i}": net.random_weight(i + 1, self.sigma, generator) for i in _adjacent(net, skips)
        }
        for layers in skips:
            shape = (len(layers), net.width(net.depth), net.width(layers[0]))
            made[_skip_name(layers)] = torch.randn(shape, generator=generator) * self.sigma
        return made

    def rate(self, name: str) -> float:
        """Return γ."""
        return self.gamma

    def updates(self, step: Step) -> Updates:
        """Give every hidden layer a target and, with it, an error; nothing else is carried.

        The layers of a skip stack take one product and one elementwise step, however many.
        """
        a, net = step.forward(), step.net
        errors, moves = Layers({net.depth: step.output_error(a)}), {}
        skips = self.skips(net)
        adjacent = _adjacent(net, skips)
        for layers in skips:
            name, h, z = _skip_name(layers), a.h.stacked(layers), a.z.stacked(layers)
            moves[name] = (self.beta * errors[net.depth] @ step.feedback[name]).view_as(h)
            errors.put(layers, net.activation.difference(h, z, moves[name]))
        for i in reversed(adjacent):
            moves[f"E{i}"] = _carry(step, a, i, self.beta * errors[i + 1])
            errors[i] = net.activation.difference(a.h[i], a.z[i], moves[f"E{i}"])
        made = step.updates(a, errors)
        feedback = self._skip_updates(step, a, errors, moves) if skips else {}
        if adjacent:
            feedback |= self._adjacent_updates(step, adjacent, errors, moves, made)
        return Updates(made.params, feedback, logits=made.logits)

    def _skip_updates(
        self, step: Step, a: Activities, errors: Layers, moves: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        if self.rule == "fixed":
            return {}
        mean = errors[step.net.depth] / len(step.x)
        found = {}
        for layers in self.skips(step.net):
            printed = self.rule == "printed"
            post = -moves[_skip_name(layers)] / self.beta if printed else a.z.stacked(layers)
            found[_skip_name(layers)] = mean.T @ post.flatten(2)
        return found

    def _adjacent_updates(
        self,
        step: Step,
        adjacent: list[int],
        errors: Layers,
        moves: dict[str, Tensor],
        made: Updates,
    ) -> dict[str, Tensor]:
        if self.rule == "fixed":
            return {}
        if self.rule == "transpose":
            weights = step.net.views(made.params)
            return {f"E{i}": weights[i]["weight"] for i in adjacent}
        found = {}
        for i in adjacent:
            signal = moves[f"E{i}"] / self.beta
            gradient = step.net.blocks[i].gradient(step.params[i], signal, errors[i + 1])
            found[f"E{i}"] = -gradient["weight"]
        return found


@dataclass(frozen=True)
class RecLra(LraE):
    """Every g-th layer hears from the output directly, those between from the layer above."""

    name: ClassVar[str] = "rec-lra"
    summary: ClassVar[str] = "recursive LRA: skip-error synapses from the output"
    paper: ClassVar[str] = "Ororbia, Mali, Kifer & Giles 2020, arXiv 2002.03911"
    equation: ClassVar[str] = "e_l = z_l − φ(h_l − β E_{L→l} e_L) where g divides l, else as lra-e"

    gap: int = parameter(
        2,
        help="g: layers g, 2g, … have skip-error synapses from the output; 1 is every layer",
        unit="layers",
        source="arXiv 2002.03911, Algorithm 2; every second layer in its MLPs",
        minimum=1,
        maximum=1_000_000,
        search=Search(choices=(1, 2, 4)),
        structural=True,
    )

    def skips(self, net: Network) -> list[tuple[int, ...]]:
        """Return every g-th hidden layer, grouped by shape."""
        return net.alike(range(self.gap, net.depth, self.gap))


def _adjacent(net: Network, skips: list[tuple[int, ...]]) -> list[int]:
    if sum(map(len, skips)) == len(net.hidden):
        return []
    skipped = {i for layers in skips for i in layers}
    return [i for i in net.hidden if i not in skipped]


def _skip_name(layers: tuple[int, ...]) -> str:
    return "S" + "-".join(map(str, layers))


def _carry(step: Step, a: Activities, i: int, error: Tensor) -> Tensor:
    """Return E_{i+1→i} e for an error at layer i + 1."""
    mirrored = {"weight": step.feedback[f"E{i}"]}
    return step.net.blocks[i].adjoint(mirrored, a.z[i], error)[0]
