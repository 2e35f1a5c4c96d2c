"""Backpropagation of errors (Rumelhart, Hinton & Williams 1986).

    e_l = W_{l+1}ᵀ e_{l+1} ⊙ φ′(h_l),    ΔW_l = e_l z_{l−1}ᵀ

Written by hand, block by block, so that it costs what its arithmetic costs.
"""

from __future__ import annotations

from typing import ClassVar

from credbench import Capabilities, Learner, Step, Updates


class Backprop(Learner):
    """The gradient of the cross-entropy, by the chain rule."""

    name: ClassVar[str] = "backprop"
    summary: ClassVar[str] = "the exact gradient"
    paper: ClassVar[str] = "Rumelhart, Hinton & Williams 1986, Nature 323:533"
    equation: ClassVar[str] = "e_l = W_{l+1}ᵀ e_{l+1} ⊙ φ′(h_l)"
    capabilities: ClassVar[Capabilities] = Capabilities(needs_derivative=True)

    def updates(self, step: Step) -> Updates:
        """Carry the output error down through the forward weights."""
        a = step.forward()
        return step.updates(a, step.net.chain_errors(step.params, a, step.output_error(a)))
