"""Dense blocks whose pre-activations are normalised: h = (1 + g) ⊙ N(W z) + b.

N takes off the mean and divides by the standard deviation, over the batch (Ioffe & Szegedy 2015,
arXiv 1502.03167) or over the units of each example (Ba, Kiros & Hinton 2016, arXiv 1607.06450).
The gain is kept as its difference from 1, so that vectors of parameters all start at zero.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from credbench import processes
from credbench.blocks import Arrays, Block, Dense, Shape
from credbench.precision import precise

if TYPE_CHECKING:
    from credbench.layers import Layers
    from credbench.networks import Activities

EPS = 1e-5
MOMENTUM = 0.1


class _NormDense(Dense):
    """What both have in common; `dim` is the axis that N takes its mean over."""

    dim: ClassVar[int]

    def _mean(self, values: Tensor) -> Tensor:
        """Return what N takes off: the mean of values (batch, n_out) over `dim`, which stays."""
        return values.mean(self.dim, keepdim=True)

    @property
    def shapes(self) -> dict[str, Shape]:
        """The shapes of W, b and g."""
        return {**super().shapes, "gain": self.shape_out}

    @abstractmethod
    def moments(self, arrays: Arrays, linear: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean and variance to normalise W z (batch, n_out) by."""

    def forward(self, arrays: Arrays, below: Tensor, earlier: Tensor | None = None) -> Tensor:
        """Return the pre-activation (batch, n_out)."""
        normal, _ = self._normal(arrays, below)
        h = torch.addcmul(arrays["bias"] + normal, normal, arrays["gain"])
        return h if earlier is None else h + earlier

    def _normal(self, arrays: Arrays, below: Tensor) -> tuple[Tensor, Tensor]:
        """Return N(W z) and one over the standard deviation."""
        linear = precise(below @ arrays["weight"].T)
        mean, variance = self.moments(arrays, linear)
        scale = (variance + EPS).rsqrt()
        return (linear - mean) * scale, scale

    def _pull(self, arrays: Arrays, below: Tensor, error: Tensor) -> tuple[Tensor, Tensor]:
        """Return the error at W z of one at h, and N(W z), by the batch's own moments."""
        normal, scale = self._normal(arrays, below)
        own = error * (1 + arrays["gain"])
        along = self._mean(own * normal)
        return (own - self._mean(own) - normal * along) * scale, normal

    def gradient(
        self, arrays: Arrays, below: Tensor, error: Tensor, earlier: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Return the batch means for W, b and g."""
        pulled, normal = self._pull(arrays, below, error)
        mean, pulled = error / len(below), pulled / len(below)
        return {"weight": pulled.T @ below, "bias": mean.sum(0), "gain": (mean * normal).sum(0)}

    def adjoint(
        self,
        arrays: Arrays,
        below: Tensor,
        error: Tensor,
        earlier: Tensor | None = None,
        feedback: Arrays | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Return the error below; feedback stands for W, the derivative of N stays its own."""
        pulled, _ = self._pull(arrays, below, error)
        down, _ = super().adjoint(arrays, below, pulled, None, feedback)
        return down, None if earlier is None else error

    def correlation(self, arrays: Arrays, below: Tensor, error: Tensor, post: Tensor) -> Tensor:
        """Return the batch mean of the error at W z times `post`."""
        pulled, _ = self._pull(arrays, below, error)
        return (pulled / len(below)).T @ post

    @staticmethod
    def gradients(
        blocks: Mapping[int, Block],
        params: Sequence[Arrays],
        activities: Activities,
        errors: Layers,
    ) -> dict[str, Tensor]:
        """Return the gradients of blocks of one kind and shape, stacked."""
        return Block.gradients(blocks, params, activities, errors)


class LayerNormDense(_NormDense):
    """Normalised over the units of each example, in training and prediction alike."""

    dim: ClassVar[int] = 1

    def moments(self, arrays: Arrays, linear: Tensor) -> tuple[Tensor, Tensor]:
        """Return each example's mean and variance (batch, 1)."""
        mean = self._mean(linear)
        return mean, self._mean((linear - mean).square())


class BatchNormDense(_NormDense):
    """Normalised over the batch in training, by running moments in prediction."""

    dim: ClassVar[int] = 0

    def moments(self, arrays: Arrays, linear: Tensor) -> tuple[Tensor, Tensor]:
        """Return the kept moments (n_out,) if there are any, else the batch's own (1, n_out)."""
        if "mean" in arrays:
            return arrays["mean"], arrays["variance"]
        mean = self._mean(linear)
        return mean, self._mean((linear - mean).square())

    def _mean(self, values: Tensor) -> Tensor:
        """Return the mean (1, n_out) over the batch, all processes' examples of it included."""
        return processes.mean_over(super()._mean(values))

    def init_statistics(self) -> dict[str, Tensor]:
        """Return mean 0 and variance 1."""
        return {"mean": torch.zeros(self.shape_out), "variance": torch.ones(self.shape_out)}

    def statistics(
        self, kept: Arrays, arrays: Arrays, below: Tensor, earlier: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Return the kept moments a tenth of the way to the batch's; the variance unbiased."""
        n = processes.whole(len(below))
        mean, variance = self.moments(arrays, precise(below @ arrays["weight"].T))
        own = {"mean": mean[0], "variance": variance[0] * (n / max(n - 1, 1))}
        return {k: kept[k].lerp(own[k], MOMENTUM) for k in kept}
