"""Recursive local representation alignment (Ororbia, Mali, Kifer & Giles 2020, arXiv 2002.03911):
LRA-E with error synapses from the output to every g-th layer as well (Algorithm 2), or along any
list of error edges that has no cycle (Algorithm 1).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

from credbench import Network, RequestError, Search, parameter
from credbench.algorithms.local_representation_alignment import LraE, Wave

if TYPE_CHECKING:
    from credbench import Architecture
    from credbench.activations import Activation

_EDGE = re.compile(r"(L|[1-9]\d{0,5})>([1-9]\d{0,5})")
Edges = tuple[tuple[int, int], ...]
"""Pairs (j, i) of error edges j→i; 0 stands for the output layer L as a source."""


def parse_edges(text: str) -> Edges:
    """Return the error edges that `L>4+L>2+4>3+2>1` stands for; raises `ValueError`."""
    found = []
    for word in text.split("+"):
        match = _EDGE.fullmatch(word.strip())
        if match is None:
            raise ValueError(word)
        source, target = match.groups()
        found.append((0 if source == "L" else int(source), int(target)))
    if len(set(found)) < len(found):
        raise ValueError(text)
    return tuple(found)


def show_edges(edges: Edges) -> str:
    """Return the spelling that `parse_edges` takes back."""
    return "+".join(f"{j or 'L'}>{i}" for j, i in edges)


@dataclass(frozen=True)
class RecLra(LraE):
    """Every g-th layer hears from the output directly, those between from the layer above."""

    name: ClassVar[str] = "rec-lra"
    summary: ClassVar[str] = "recursive LRA: skip-error synapses from the output"
    paper: ClassVar[str] = "Ororbia, Mali, Kifer & Giles 2020, arXiv 2002.03911"
    equation: ClassVar[str] = "e_l = z_l − φ(h_l − β E_{L→l} e_L) where g divides l, else as lra-e"

    l2_skip: float = parameter(
        1.0,
        help="a for layers that hear from the output directly",
        source="the AAAI 2023 appendix of arXiv 2002.03911, as quoted by others: 0.19",
        minimum=0,
        maximum=1,
        search=Search(choices=(0.19, 1.0)),
        structural=True,
    )
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
    inside: str = parameter(
        "local",
        help="errors between the layers with skips: by error synapses from the layer above "
        "(local), down through the weights from the next skip (backprop), or that one's error "
        "as it is (hebbian); above the topmost skip they are local",
        source="arXiv 2002.03911 names the three for residual blocks and gives no equation of "
        "the last; this reading is ours",
        choices=("local", "backprop", "hebbian"),
        structural=True,
    )
    skips: str = parameter(
        "gap",
        help="which layers have skip-error synapses: every g-th (gap), or the last of every "
        "residual group (groups)",
        source="arXiv 2002.03911: every second layer in its MLPs, residual blocks in its ResNets",
        choices=("gap", "groups"),
        structural=True,
    )
    chained: bool = parameter(
        False,
        help="whether layers with skips hear from the layer above as well",
        source="Algorithm 1 of arXiv 2002.03911 admits any acyclic set of error edges",
        structural=True,
    )
    ends: str = parameter(
        "dense",
        help="what skip-error synapses lead to: every unit of a layer (dense) or every channel, "
        "at all positions alike (channel)",
        source="ours: dense ones of a ResNet on ImageNet would be some 750 million",
        choices=("dense", "channel"),
        structural=True,
    )
    edges: tuple[tuple[int, int], ...] = parameter(
        (),
        help="error edges j>i joined by +, L for the output, in place of the gap, such as "
        "L>4+L>2+4>3+2>1",
        source="arXiv 2002.03911, Algorithm 1",
        parse=parse_edges,
        show=show_edges,
        structural=True,
    )

    def __post_init__(self) -> None:
        """Raise `RequestError` for error edges that go round in a circle."""
        super().__post_init__()
        circle = _circle(self.edges)
        if circle:
            raise RequestError(
                f"rec-lra[edges={show_edges(self.edges)}]: the error edges "
                f"{show_edges(circle)} form a cycle; leave one of them out"
            )

    def derivative_for(self) -> str:
        """Return what φ′ is needed for; empty where it is not."""
        inside = "backpropagation inside a group" if self.inside == "backprop" else ""
        return super().derivative_for() or inside

    def unused(self) -> dict[str, str]:
        """Edges take the place of the gap; where every layer has a skip nothing is inside."""
        idle = super().unused()
        if self.edges:
            given = "the error edges are given"
            return {**idle, **dict.fromkeys(("gap", "inside", "skips", "chained"), given)}
        idle["edges"] = "none are given"
        if self.skips == "groups":
            idle["gap"] = "skips lead to residual groups"
        elif self.gap == 1:
            idle |= {"inside": "every layer has a skip", "l2": "every layer has a skip"}
        return idle

    def values(self) -> dict[str, Any]:
        """Return the parameters; of the newer ones nothing is said where they are as before."""
        return {
            k: v
            for k, v in super().values().items()
            if k not in _NEWER or v != self.parameters()[k].default
        }

    def mix(self, wave: Wave) -> float:
        """Return a: that of skips where the output is heard directly."""
        return self.l2_skip if wave.via in ("dense", "channel") else self.l2

    def refuses(self, network: Architecture, activation: Activation) -> str:
        """Edges must fit the layers there are, and each layer must hear from somewhere."""
        widths, hidden = network.widths, network.hidden_layers
        if self.ends == "channel" and not network.convolutional:
            return "its skips lead to channels, and the network has none: give ends=dense"
        if self.edges:
            return _misfit(_numbered(self.edges, hidden + 1), hidden + 1)
        if self.skips == "groups" and not network.residual:
            return "its skips lead to residual groups, and the network has none"
        if self.inside == "hebbian" and network.convolutional:
            if self.skips != "groups":
                return "its errors pass as they are within residual groups: give skips=groups"
            if not network.groups_alike:
                return "its errors pass as they are, and the layers of a group differ in shape"
        groups = [widths[k : k + self.gap] for k in range(0, len(widths), self.gap)]
        whole = [group for group in groups if len(group) == self.gap]
        if self.inside == "hebbian" and any(len(set(group)) > 1 for group in whole):
            return "its errors pass as they are between layers, which must be equally wide"
        return ""

    def waves(self, net: Network) -> list[Wave]:
        """Return every g-th hidden layer, grouped by shape, then the others; or Algorithm 1's."""
        if self.edges:
            return _ordered(net, _numbered(self.edges, net.depth), self.ends)
        far, top = self._far(net), (net.depth,)
        waves = [] if self.chained else [Wave(k, top, self.ends) for k in net.alike(far)]
        inside = {"backprop": "backprop", "hebbian": "hebbian"}.get(self.inside, "mirror")
        for i in reversed(net.hidden):
            if i not in far:
                waves.append(Wave((i,), (i + 1,), inside if far and i < far[-1] else "mirror"))
            elif self.chained:
                waves.append(self._both(net, i))
        return waves

    def _far(self, net: Network) -> Sequence[int]:
        """Return the layers that skip-error synapses lead to."""
        if self.skips == "groups":
            return [group[-1] for group in net.groups]
        return range(self.gap, net.depth, self.gap)

    def _both(self, net: Network, layer: int) -> Wave:
        """Return the wave of a layer that hears from the output and the layer above."""
        if layer + 1 == net.depth:
            return Wave.adjacent(layer)
        return Wave((layer,), (net.depth,), self.ends, chained=True)


_NEWER = ("skips", "chained", "ends")
"""Parameters that came later; trials without them keep their ids."""


def _numbered(edges: Edges, depth: int) -> Edges:
    return tuple((j or depth, i) for j, i in edges)


def _misfit(edges: Edges, depth: int) -> str:
    """Return why error edges do not fit a network of so many blocks; empty if they do."""
    if depth == 1:
        return ""
    for j, i in edges:
        if i >= depth or j > depth:
            return f"error edge {j}>{i} needs layers that are not there: the output is {depth}"
    if len(set(edges)) < len(edges):
        return "an error edge is given twice"
    deaf = sorted(set(range(1, depth)) - {i for _, i in edges})
    return f"no error edge leads to layer {deaf[0]}, which would never learn" if deaf else ""


def _sorter(edges: Edges) -> TopologicalSorter[int]:
    """Return the layers sorted along their error edges, to be asked which come next."""
    sorter: TopologicalSorter[int] = TopologicalSorter()
    for j, i in edges:
        sorter.add(i, j)
    sorter.prepare()
    return sorter


def _circle(edges: Edges) -> Edges:
    """Return error edges that form a cycle; empty where there is none."""
    try:
        _sorter(edges)
    except CycleError as error:
        return tuple(pairwise(error.args[1]))
    return ()


def _ordered(net: Network, edges: Edges, ends: str) -> list[Wave]:
    """Return waves along error edges: layers whose sources are known, by shape and sources."""
    sources: dict[int, tuple[int, ...]] = {}
    for j, i in edges:
        sources[i] = (*sources.get(i, ()), j)
    waves: list[Wave] = []
    sorter = _sorter(edges)
    while sorter.is_active():
        ready = sorter.get_ready()
        waves += _joined(net, {i: sources[i] for i in sorted(ready) if i in sources}, ends)
        sorter.done(*ready)
    return waves


def _joined(net: Network, sources: Mapping[int, tuple[int, ...]], ends: str) -> Iterator[Wave]:
    together: dict[object, list[int]] = {}
    for alike in net.alike(tuple(sources)):
        for i in alike:
            together.setdefault((sources[i], alike), []).append(i)
    for layers in together.values():
        i = layers[0]
        if layers == [i] and sources[i] == (i + 1,) and i + 1 < net.depth:
            yield Wave.adjacent(i)
        else:
            yield Wave(tuple(layers), sources[i], ends)
