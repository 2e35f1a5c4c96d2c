"""Activations φ with what credit assignment asks of them: φ′, a surrogate, differences.

`difference(h, z, t)` is φ(h) − φ(h − t) for z = φ(h), computed without the cancellation
that turns small differences into exact zeros in float32.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from credbench.component import Component, Search, parameter

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Activation(Component, ABC):
    """An elementwise nonlinearity φ."""

    kind: ClassVar[str] = "activation"
    formula: ClassVar[str] = ""
    derivative_formula: ClassVar[str] = ""
    surrogate: ClassVar[str] = ""
    """What `derivative` returns where φ has no useful derivative; empty where it has one."""

    @abstractmethod
    def __call__(self, h: Tensor) -> Tensor:
        """Return φ(h)."""

    @abstractmethod
    def derivative(self, h: Tensor, z: Tensor) -> Tensor:
        """Return φ′(h), or the surrogate, given z = φ(h)."""

    def backward(self, h: Tensor, z: Tensor, error: Tensor) -> Tensor:
        """Return error ⊙ φ′(h): the error at the pre-activation of one at the activity."""
        return error * self.derivative(h, z)

    def difference(self, h: Tensor, z: Tensor, t: Tensor) -> Tensor:
        """Return φ(h) − φ(h − t), given z = φ(h), to within a few ulps of t.

        Unless overridden it is computed in double precision, which takes longer.
        """
        wide = h.double()
        return (self(wide) - self(wide - t)).to(h.dtype)


def _tanh(x: Tensor) -> Tensor:
    """Return tanh(x) to within a few ulps of it, however small x is."""
    if x.device.type != "cpu":
        return x.tanh()
    # torch's tanh takes twice as long on CPU; past 20 the result is 1 in double precision too.
    grown = x.clamp(-20.0, 20.0).mul_(2.0).expm1_()
    return grown / (grown + 2.0)


class Tanh(Activation):
    """Hyperbolic tangent."""

    name: ClassVar[str] = "tanh"
    formula: ClassVar[str] = "tanh(h)"
    derivative_formula: ClassVar[str] = "1 − tanh²(h)"

    def __call__(self, h: Tensor) -> Tensor:
        return _tanh(h)

    def derivative(self, h: Tensor, z: Tensor) -> Tensor:
        return 1 - z * z

    def backward(self, h: Tensor, z: Tensor, error: Tensor) -> Tensor:
        import torch

        return torch.ops.aten.tanh_backward(error, z)  # type: ignore[no-any-return]

    def difference(self, h: Tensor, z: Tensor, t: Tensor) -> Tensor:
        # tanh(t) (1 − tanh(h) tanh(h − t)), of which only the first factor may be near 0; the
        # last is had from the logistic function, eight times as fast as torch's tanh on CPU.
        step = _tanh(t)
        crossed = step * z
        return (step + crossed).addcmul(crossed, (h - t).mul_(2.0).sigmoid_(), value=-2.0)


class Sigmoid(Activation):
    """Logistic function."""

    name: ClassVar[str] = "sigmoid"
    formula: ClassVar[str] = "1 / (1 + exp(−h))"
    derivative_formula: ClassVar[str] = "φ(h) (1 − φ(h))"

    def __call__(self, h: Tensor) -> Tensor:
        return h.sigmoid()

    def derivative(self, h: Tensor, z: Tensor) -> Tensor:
        return z * (1 - z)

    def backward(self, h: Tensor, z: Tensor, error: Tensor) -> Tensor:
        import torch

        return torch.ops.aten.sigmoid_backward(error, z)  # type: ignore[no-any-return]

    def difference(self, h: Tensor, z: Tensor, t: Tensor) -> Tensor:
        # φ(h) = (1 + tanh(h/2)) / 2, so this is the identity of tanh at half the arguments:
        # tanh(t/2) (1 − (2 φ(h) − 1) (2 φ(h − t) − 1)) / 2.
        other = (h - t).sigmoid()
        return _tanh(t / 2) * (z + other - 2 * z * other)


class Sign(Activation):
    """Sign, with sign(0) = 0."""

    name: ClassVar[str] = "sign"
    formula: ClassVar[str] = "sign(h)"
    derivative_formula: ClassVar[str] = "0 almost everywhere"
    surrogate: ClassVar[str] = "clipped straight-through: 1 where |h| ≤ 1, else 0"

    def __call__(self, h: Tensor) -> Tensor:
        return h.sign()

    def derivative(self, h: Tensor, z: Tensor) -> Tensor:
        return (h.abs() <= 1).to(h.dtype)

    def difference(self, h: Tensor, z: Tensor, t: Tensor) -> Tensor:
        return z - (h - t).sign()


def _relu_difference(h: Tensor, t: Tensor) -> Tensor:
    """relu(h) − relu(h − t): the part of the step from h − t to h that lies above zero."""
    return _clipped_step(h, h.relu(), t)


def _clipped_step(h: Tensor, z: Tensor, t: Tensor) -> Tensor:
    """The same, given z = relu(h): t, kept from −relu(h − t) to z. One of the two binds at most."""
    return t.clamp((t - h).clamp(max=0), z)  # clamp_ has no batched form: replicas would loop


class Relu(Activation):
    """Rectified linear unit."""

    name: ClassVar[str] = "relu"
    formula: ClassVar[str] = "max(h, 0)"
    derivative_formula: ClassVar[str] = "1 where h ≥ 0, else 0"

    def __call__(self, h: Tensor) -> Tensor:
        return h.relu()

    def derivative(self, h: Tensor, z: Tensor) -> Tensor:
        # From the right at 0: by the left one, nothing that needs φ′ would leave zero weights.
        return (h >= 0).to(h.dtype)

    def difference(self, h: Tensor, z: Tensor, t: Tensor) -> Tensor:
        return _clipped_step(h, z, t)


class Relu6(Activation):
    """Rectified linear unit that saturates at 6."""

    name: ClassVar[str] = "relu6"
    formula: ClassVar[str] = "min(max(h, 0), 6)"
    derivative_formula: ClassVar[str] = "1 where 0 ≤ h < 6, else 0"

    def __call__(self, h: Tensor) -> Tensor:
        return h.clamp(0, 6)

    def derivative(self, h: Tensor, z: Tensor) -> Tensor:
        return ((h >= 0) & (h < 6)).to(h.dtype)

    def difference(self, h: Tensor, z: Tensor, t: Tensor) -> Tensor:
        return _relu_difference(h, t) - _relu_difference(h - 6, t)


class HardSigmoid(Activation):
    """Identity between 0 and 1, as in Scellier & Bengio 2017."""

    name: ClassVar[str] = "hard-sigmoid"
    formula: ClassVar[str] = "min(max(h, 0), 1)"
    derivative_formula: ClassVar[str] = "1 where 0 ≤ h < 1, else 0"

    def __call__(self, h: Tensor) -> Tensor:
        return h.clamp(0, 1)

    def derivative(self, h: Tensor, z: Tensor) -> Tensor:
        return ((h >= 0) & (h < 1)).to(h.dtype)

    def difference(self, h: Tensor, z: Tensor, t: Tensor) -> Tensor:
        return _relu_difference(h, t) - _relu_difference(h - 1, t)


@dataclass(frozen=True)
class LeakyRelu(Activation):
    """Leaky rectified linear unit."""

    name: ClassVar[str] = "lrelu"
    formula: ClassVar[str] = "h where h > 0, else slope · h"
    derivative_formula: ClassVar[str] = "1 where h ≥ 0, else slope"

    slope: float = parameter(
        0.01,
        help="slope below zero",
        source="Maas et al. 2013; arXiv 2002.03911 gives none",
        minimum=0,
        maximum=1,
        search=Search(0.001, 0.3, "log"),
        structural=True,
    )

    def __call__(self, h: Tensor) -> Tensor:
        return h.where(h > 0, self.slope * h)

    def derivative(self, h: Tensor, z: Tensor) -> Tensor:
        above = (h >= 0).to(h.dtype)
        return above + self.slope * (1 - above)

    def difference(self, h: Tensor, z: Tensor, t: Tensor) -> Tensor:
        return self.slope * t + (1 - self.slope) * _relu_difference(h, t)


class Elu(Activation):
    """Exponential linear unit."""

    name: ClassVar[str] = "elu"
    formula: ClassVar[str] = "h where h > 0, else exp(h) − 1"
    derivative_formula: ClassVar[str] = "1 where h > 0, else exp(h)"

    def __call__(self, h: Tensor) -> Tensor:
        return h.relu() + h.clamp(max=0).expm1()

    def derivative(self, h: Tensor, z: Tensor) -> Tensor:
        return h.clamp(max=0).exp()

    def difference(self, h: Tensor, z: Tensor, t: Tensor) -> Tensor:
        above = _relu_difference(h, t)
        below = t - above  # the part of the step below zero: min(h, 0) − min(h − t, 0)
        top = h.maximum(h - t).clamp(max=0)
        return above - below.sign() * top.exp() * (-below.abs()).expm1()


class Softplus(Activation):
    """Smooth rectifier."""

    name: ClassVar[str] = "softplus"
    formula: ClassVar[str] = "log(1 + exp(h))"
    derivative_formula: ClassVar[str] = "1 / (1 + exp(−h))"

    def __call__(self, h: Tensor) -> Tensor:
        return h.relu() + (-h.abs()).exp().log1p()

    def derivative(self, h: Tensor, z: Tensor) -> Tensor:
        return h.sigmoid()

    def difference(self, h: Tensor, z: Tensor, t: Tensor) -> Tensor:
        # Small steps: log((1 + e^h) / (1 + e^(h−t))). Large ones do not cancel.
        below = h - t
        small = (below.sigmoid() * t.clamp(-1, 1).expm1()).log1p()
        large = _relu_difference(h, t) + (-h.abs()).exp().log1p() - (-below.abs()).exp().log1p()
        return small.where(t.abs() <= 1, large)


class Identity(Activation):
    """No nonlinearity: a linear network."""

    name: ClassVar[str] = "identity"
    formula: ClassVar[str] = "h"
    derivative_formula: ClassVar[str] = "1"

    def __call__(self, h: Tensor) -> Tensor:
        return h

    def derivative(self, h: Tensor, z: Tensor) -> Tensor:
        return h.new_ones(()).expand_as(h)

    def difference(self, h: Tensor, z: Tensor, t: Tensor) -> Tensor:
        return t
