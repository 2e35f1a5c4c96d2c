"""Preprocessing fitted to training images: standardisation, contrast normalisation, whitening."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from credbench.cache import Cache, digest
from credbench.images import Channels

_FLATTEST = 1e-8
_CHUNK = 4096


def channels(train: Tensor, peak: float) -> Channels:
    """Return means and deviations by channel of images (n, channels, height, width) uint8."""
    values = torch.arange(256, dtype=torch.float64) / peak
    found = [torch.bincount(train[:, k].flatten(), minlength=256) for k in range(train.shape[1])]
    shares = torch.stack(found).to(torch.float64) * (train.shape[1] / train.numel())
    mean = shares @ values
    variance = shares @ values**2 - mean**2
    deviation = variance.clamp_min(_FLATTEST).sqrt()
    form = (-1, 1, 1)
    return Channels(mean.float().view(form), deviation.float().view(form))


def normalize_contrast(images: Tensor, norm: float) -> Tensor:
    """Return images (n, *shape) as rows (n, values) of mean 0 and one norm; flat ones as 0."""
    rows = images.flatten(1).to(torch.float32)
    rows = rows - rows.mean(1, keepdim=True)
    size = rows.norm(dim=1, keepdim=True) / norm
    return rows / torch.where(size < _FLATTEST, 1.0, size)


@dataclass(frozen=True)
class Whitening:
    """Contrast normalisation, then x ↦ P (x − m): P = (C + ε)^(−1/2) of the covariance C."""

    norm: float
    """What the norm of every image is made, before."""
    mean: Tensor
    """(values,) float32."""
    matrix: Tensor
    """(values, values) float32, symmetric."""

    def __call__(self, images: Tensor) -> Tensor:
        """Return images (n, *shape) uint8 whitened, as float32."""
        made = torch.empty(images.shape, dtype=torch.float32)
        rows = made.view(len(images), len(self.mean))
        for start, chunk in _chunks(images, self.norm):
            torch.mm(chunk - self.mean, self.matrix, out=rows[start : start + len(chunk)])
        return made


def fit_whitening(train: Tensor, norm: float, eps: float) -> Whitening:
    """Return the whitening of training images (n, *shape) uint8."""
    n, values = len(train), math.prod(train.shape[1:])
    total = torch.zeros(values, dtype=torch.float64)
    for _, chunk in _chunks(train, norm):
        total += chunk.sum(0, dtype=torch.float64)
    mean = (total / n).float()
    covariance = torch.zeros((values, values), dtype=torch.float64)
    for _, chunk in _chunks(
        train, norm
    ):  # float32 within a chunk: the variances differ by far more
        centred = chunk - mean
        covariance += centred.T @ centred
    variances, axes = torch.linalg.eigh(covariance / n)
    matrix = (axes * (variances + eps).rsqrt()) @ axes.T
    return Whitening(norm, mean, matrix.float())


def _chunks(images: Tensor, norm: float) -> Iterator[tuple[int, Tensor]]:
    """Yield the place of some images and their rows, contrast normalised."""
    for start in range(0, len(images), _CHUNK):
        yield start, normalize_contrast(images[start : start + _CHUNK], norm)


def kept_whitening(name: str, train: Tensor, norm: float, eps: float, cache: Cache) -> Whitening:
    """Return the whitening of training images, from the cache where it has it."""
    made_from = digest(train.contiguous().numpy().data, train.shape, norm, eps)
    key = f"{name}-zca-{eps:g}"
    arrays = cache.get(key, made_from)
    if arrays is None:
        cache.note(f"computing the whitening of {name} from {len(train):,} training images, once")
        made = fit_whitening(train, norm, eps)
        cache.put(key, made_from, {"mean": made.mean.numpy(), "matrix": made.matrix.numpy()})
        return made
    return Whitening(norm, torch.from_numpy(arrays["mean"]), torch.from_numpy(arrays["matrix"]))
