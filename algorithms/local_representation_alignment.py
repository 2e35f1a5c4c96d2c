"""Local representation alignment with error synapses.

LRA-E    (Ororbia & Mali 2019, arXiv 1805.11703): error synapses between adjacent layers.
rec-LRA  (Ororbia et al. 2020, arXiv 2002.03911): see recursive_lra.py; what they share is here.

    e_L = softmax(z_L) − y,    d_i = Σ_j E_{j→i} e_j,    δ_i = z_i − φ(h_i − β d_i)
    e_i = a δ_i + (1 − a) sign(δ_i)                      (a = 1 but for the L1 / L2 mix)
    ΔW_i = e_i z_{i−1}ᵀ        ΔE_{j→i} = γ z_i e_jᵀ, which is γ (ΔW_j)ᵀ between neighbours

No φ′ appears: e_i holds it to first order. E descends along ΔE as W does along ΔW, as in the
authors' code; the sign printed in the paper makes E grow without bound, and is kept as a
labelled variant only. E may also descend the discrepancy Σ_i a δ_i²/2 + (1 − a) |δ_i| itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
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
    as_maps,
    in_line,
    parameter,
)  # fmt: skip

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch
    from torch import Tensor


_RULES = ("transpose", "discrepancy", "fixed", "printed")


@dataclass(frozen=True)
class Wave:
    """Layers of one shape that get their errors together, from the same sources."""

    layers: tuple[int, ...]
    sources: tuple[int, ...]
    via: str
    """How errors come: by synapses from each source to each unit of a layer (`dense`) or to each
    of its channels, at all positions alike (`channel`), by one in the layout of the weight above
    (`mirror`), down through that weight (`backprop`), or as they are (`hebbian`)."""
    chained: bool = False
    """Whether the one layer hears from the layer above as well, by a synapse that mirrors."""

    @classmethod
    def adjacent(cls, layer: int) -> Wave:
        """Return the wave of a layer that hears from the one above."""
        return cls((layer,), (layer + 1,), "mirror")

    @property
    def mirrors(self) -> bool:
        """Whether a synapse has the layout of the weight above."""
        return self.via == "mirror" or self.chained

    def skips(self, depth: int) -> dict[int, str]:
        """Return the name of the feedback entry for each source heard from afar."""
        if self.via not in ("dense", "channel"):
            return {}
        to = "-".join(map(str, self.layers))
        return {j: f"S{to}" if j == depth else f"S{j}>{to}" for j in self.sources}


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
        help="how error synapses learn: +γ z_i e_jᵀ (transpose), down the gradient of the "
        "discrepancy (discrepancy), not at all (fixed), or −γ d_i e_jᵀ as printed in arXiv "
        "2002.03911, which diverges (printed)",
        source="the authors' code",
        choices=_RULES,
        structural=True,
    )
    l2: float = parameter(
        1.0,
        help="a: weight of the difference in an error neuron, beside 1 − a of its sign",
        source="the AAAI 2023 appendix of arXiv 2002.03911, as quoted by others: 0.24",
        minimum=0,
        maximum=1,
        search=Search(choices=(0.24, 1.0)),
        structural=True,
    )

    def __post_init__(self) -> None:
        """Say so where φ′ is needed after all."""
        if self.derivative_for():
            object.__setattr__(self, "capabilities", Capabilities(needs_derivative=True))

    def derivative_for(self) -> str:
        """Return what φ′ is needed for; empty where it is not."""
        return "the gradient of the discrepancy" if self.rule == "discrepancy" else ""

    def unused(self) -> dict[str, str]:
        """γ scales learning that fixed synapses do not do."""
        return {"gamma": "the error synapses are fixed"} if self.rule == "fixed" else {}

    def waves(self, net: Network) -> list[Wave]:
        """Return the layers in the order in which they get their errors."""
        return [Wave.adjacent(i) for i in reversed(net.hidden)]

    def mix(self, wave: Wave) -> float:
        """Return a for the layers of a wave."""
        return self.l2

    def init_feedback(self, net: Network, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw E: those that mirror a weight in its layout, the others stacked.

        A stack holds E_{j→i}ᵀ for layers of one width: (layers, units of j, units of i), or
        channels in the place of the latter.
        """
        import torch

        waves, made = self.waves(net), {}
        for wave in sorted((w for w in waves if w.mirrors), key=lambda w: w.layers):
            i = wave.layers[0]
            made[f"E{i}"] = net.random_weight(i + 1, self.sigma, generator)
        for wave in waves:
            for j, name in wave.skips(net.depth).items():
                i = wave.layers[0]
                ends = net.shape(i)[0] if wave.via == "channel" else net.width(i)
                shape = (len(wave.layers), net.width(j), ends)
                made[name] = torch.randn(shape, generator=generator) * self.sigma
        return made

    def mirrored(self, net: Network) -> Mapping[str, Sequence[tuple[int, int]]]:
        """E_{j→i} stands in for the weights from layer i to layer j."""
        found: dict[str, list[tuple[int, int]]] = {}
        for wave in self.waves(net):
            i = wave.layers[0]
            if wave.mirrors:
                found[f"E{i}"] = [(i, i + 1)]
            for j, name in wave.skips(net.depth).items():
                found[name] = [(i, j) for i in wave.layers]
        return found

    def rate(self, name: str) -> float:
        """Return γ."""
        return self.gamma

    def updates(self, step: Step) -> Updates:
        """Give every hidden layer a target and, with it, an error; nothing else is carried.

        The layers of a wave take one product and one elementwise step, however many.
        """
        a, net = step.forward(), step.net
        errors, moves = Layers({net.depth: step.output_error(a)}), {}
        waves = self.waves(net)
        for wave in waves:
            if wave.via == "hebbian":
                errors.put(wave.layers, errors[wave.sources[0]].unsqueeze(0))
            elif wave.via == "backprop":
                self._carry_down(step, a, wave, errors)
            else:
                moves[wave] = self._move(step, a, wave, errors)
                h, z = _of(a.h, wave), _of(a.z, wave)
                difference = net.activation.difference(h, z, moves[wave])
                _put(errors, wave, self._error_neuron(difference, wave))
        made = step.updates(a, errors)
        if self.rule == "fixed":
            return made
        feedback: dict[str, Tensor] = {}
        mirrored = net.views(made.params) if self.rule == "transpose" else []
        for wave, move in moves.items():
            i = wave.layers[0]
            if wave.mirrors and mirrored:
                feedback[f"E{i}"] = mirrored[i]["weight"]
            elif wave.mirrors:
                post = self._post(step, a, wave, errors, move).view_as(a.z[i])
                feedback[f"E{i}"] = net.correlation(step.params, a, i + 1, errors[i + 1], post)
            feedback |= self._skip_updates(step, a, wave, errors, move)
        return replace(made, feedback=feedback)

    @staticmethod
    def _carry_down(step: Step, a: Activities, wave: Wave, errors: Layers) -> None:
        (i,), (j,) = wave.layers, wave.sources
        below, _ = step.net.pull(step.params, a, j, errors[j])
        errors[i] = step.net.activation.backward(a.h[i], a.z[i], below)

    def _move(self, step: Step, a: Activities, wave: Wave, errors: Layers) -> Tensor:
        """Return β d for the layers of a wave."""
        i, found = wave.layers[0], []
        if wave.mirrors:
            synapse = {"weight": step.feedback[f"E{i}"]}
            carried, _ = step.net.pull(step.params, a, i + 1, errors[i + 1], synapse, self.beta)
            found.append(carried if wave.via == "mirror" else carried.unsqueeze(0))
        z = _of(a.z, wave)
        for j, name in wave.skips(step.net.depth).items():
            signal = self.beta * in_line(errors[j])
            found.append(_spread(signal @ step.feedback[name], z, wave.via))
        total = found[0]
        for each in found[1:]:
            total = total + each
        return total

    def _error_neuron(self, difference: Tensor, wave: Wave) -> Tensor:
        mix = self.mix(wave)
        return difference if mix == 1 else mix * difference + (1 - mix) * difference.sign()

    def _skip_updates(
        self, step: Step, a: Activities, wave: Wave, errors: Layers, move: Tensor
    ) -> dict[str, Tensor]:
        names = wave.skips(step.net.depth)
        if not names:
            return {}
        post = self._post(step, a, wave, errors, move)
        channels = wave.via == "channel" and post.ndim > 3
        ends = post.flatten(3).sum(-1) if channels else in_line(post)
        return {name: (in_line(errors[j]) / len(step.x)).T @ ends for j, name in names.items()}

    def _post(self, step: Step, a: Activities, wave: Wave, errors: Layers, move: Tensor) -> Tensor:
        """Return what stands at the receiving end of a synapse's update."""
        z = _of(a.z, wave)
        if self.rule == "transpose":
            return z
        if self.rule == "printed":
            return -move / self.beta
        h, phi = _of(a.h, wave), step.net.activation
        target = z - phi.difference(h, z, move)
        return self.beta * phi.backward(h - move, target, _of(errors, wave))


def _of(each: Layers, wave: Wave) -> Tensor:
    """Return the tensors of a wave's layers: as they are for one alone, else stacked."""
    return each[wave.layers[0]] if wave.via == "mirror" else each.stacked(wave.layers)


def _put(errors: Layers, wave: Wave, found: Tensor) -> None:
    if wave.via == "mirror":
        errors[wave.layers[0]] = found
    else:
        errors.put(wave.layers, found)


def _spread(carried: Tensor, z: Tensor, via: str) -> Tensor:
    """Return what was carried to units, or to channels, in the shape of the activity."""
    if via != "channel":
        return as_maps(carried, z)
    return carried.view(*carried.shape, *[1] * (z.ndim - carried.ndim)).expand_as(z)
