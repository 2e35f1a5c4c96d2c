"""How many numbers two networks have to learn: counted, no records needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from credbench.activations import Activation
from credbench.architectures import Architecture
from credbench.report.claims.criterion import Criterion
from credbench.report.claims.evidence import Evidence
from credbench.report.claims.finding import Finding
from credbench.spec import parse_axis


@dataclass(frozen=True, kw_only=True)
class FewerParameters(Criterion):
    """A network has fewer trainable parameters than another on images of its usual form."""

    network: str
    beside: str

    @property
    def unit(self) -> str:
        return "parameters"

    @property
    def says(self) -> str:
        return f"{self.network} has fewer trainable parameters than {self.beside}"

    def findings(self, evidence: Evidence) -> list[Finding]:
        made = [_architecture(text, evidence) for text in (self.network, self.beside)]
        shape, classes = made[0].usual
        identity = cast(Activation, evidence.registry.create("activation", parse_axis("relu")[0]))
        nets = [each.build(shape, classes, identity) for each in made]
        mine, other = (net.count() for net in nets)
        frozen = nets[0].count_frozen()
        fewer = float(mine < other)
        sides = "x".join(map(str, shape))
        return [
            Finding(
                setting={"network": self.network},
                algorithms=(),
                value=mine - other,
                limits=None,
                p_holds=1 - fewer,
                p_fails=fewer,
                detail=f"{mine:,} (and {frozen:,} fixed) against {other:,}",
                scale=f"counted on {sides} inputs and {classes:,} classes",
                n=1,
            )
        ]

    def absent(self, evidence: Evidence) -> str:
        return ""

    def command(self) -> str:
        return ""

    def more(self, finding: Finding) -> str:
        return ""

    def show(self, value: float) -> str:
        return f"{value:,.0f}"


def _architecture(text: str, evidence: Evidence) -> Architecture:
    return cast(Architecture, evidence.registry.create("network", parse_axis(text)[0]))
