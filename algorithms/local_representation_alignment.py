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

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from credbench import Activities, Learner, Network, Search, Step, Updates, parameter

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

    def skips(self, net: Network) -> dict[int, list[int]]:
        """Return the layers that hear from the output directly, grouped by width."""
        return {}

    def init_feedback(self, net: Network, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw E: adjacent ones in the layout of the weight they mirror, skips stacked.

        A stack of skips holds E_{L→i} (units of layer i, classes) for layers of one width.
        """
        import torch

        skips = self.skips(net)
        made = {
            f"E{i}": net.random_weight(i + 1, self.sigma, generator) for i in _adjacent(net, skips)
        }
        for width, layers in skips.items():
            shape = (len(layers), width, net.width(net.depth))
            made[_skip_name(layers)] = torch.randn(shape, generator=generator) * self.sigma
        return made

    def rate(self, name: str) -> float:
        """Return γ."""
        return self.gamma

    def updates(self, step: Step) -> Updates:
        """Give every hidden layer a target and, with it, an error; nothing else is carried."""
        a = step.forward()
        errors, signals = {step.net.depth: step.output_error(a)}, {}
        for layers in self.skips(step.net).values():
            found, signal = self._skip_errors(step, a, layers, errors[step.net.depth])
            errors |= found
            signals[_skip_name(layers)] = signal
        for i in reversed(_adjacent(step.net, self.skips(step.net))):
            signals[f"E{i}"] = _signal(step, a, i, errors[i + 1])
            errors[i] = self._local_error(step, a.h[i], a.z[i], signals[f"E{i}"])
        made = step.updates(a, errors)
        feedback = self._synapse_updates(step, a, errors, signals, made)
        return Updates(made.params, feedback, logits=made.logits)

    def _local_error(self, step: Step, h: Tensor, z: Tensor, d: Tensor) -> Tensor:
        """Return z − φ(h − βd), free of the cancellation that would round much of it to 0."""
        return step.net.activation.difference(h, z, self.beta * d)

    def _skip_errors(
        self, step: Step, a: Activities, layers: list[int], output_error: Tensor
    ) -> tuple[dict[int, Tensor], Tensor]:
        """Return the errors of all layers of one skip stack: one product, one target step."""
        synapses = step.feedback[_skip_name(layers)]
        signal = output_error @ synapses.flatten(0, 1).T
        signal = signal.unflatten(1, synapses.shape[:2])
        h, z = _side_by_side(a.h, layers), _side_by_side(a.z, layers)
        error = self._local_error(step, h, z, signal)
        return {i: error[:, k].view_as(a.h[i]) for k, i in enumerate(layers)}, signal

    def _synapse_updates(
        self,
        step: Step,
        a: Activities,
        errors: dict[int, Tensor],
        signals: dict[str, Tensor],
        made: Updates,
    ) -> dict[str, Tensor]:
        if self.rule == "fixed":
            return {}
        skips = self.skips(step.net)
        found = {}
        for layers in skips.values():
            post = _side_by_side(a.z, layers)
            if self.rule == "printed":
                post = -signals[_skip_name(layers)]
            mean = errors[step.net.depth] / len(step.x)
            stack = post.flatten(1).T @ mean
            found[_skip_name(layers)] = stack.unflatten(0, post.shape[1:])
        weights = step.net.views(made.params)
        for i in _adjacent(step.net, skips):
            found[f"E{i}"] = weights[i]["weight"]
            if self.rule == "printed":
                block = step.net.blocks[i]
                gradient = block.gradient(step.params[i], signals[f"E{i}"], errors[i + 1])
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

    def skips(self, net: Network) -> dict[int, list[int]]:
        """Return the layers that hear from the output directly, grouped by width."""
        groups = defaultdict(list)
        for i in net.hidden:
            if i % self.gap == 0:
                groups[net.width(i)].append(i)
        return dict(groups)


def _adjacent(net: Network, skips: dict[int, list[int]]) -> list[int]:
    skipped = {i for layers in skips.values() for i in layers}
    return [i for i in net.hidden if i not in skipped]


def _skip_name(layers: list[int]) -> str:
    return "S" + "-".join(map(str, layers))


def _side_by_side(activities: list[Tensor], layers: list[int]) -> Tensor:
    """Return the activities of equally wide layers as (batch, layers, units)."""
    import torch

    return torch.stack([activities[i].flatten(1) for i in layers], dim=1)


def _signal(step: Step, a: Activities, i: int, error: Tensor) -> Tensor:
    """Return d_i = E_{i+1→i} e_{i+1}."""
    mirrored = {"weight": step.feedback[f"E{i}"]}
    return step.net.blocks[i].adjoint(mirrored, a.z[i], error)[0]
