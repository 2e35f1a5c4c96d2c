"""The last hidden layer of a trained network in the plane, by t-SNE.

van der Maaten & Hinton 2008, JMLR 9:2579, as scikit-learn has it, from the two principal
components on, so that it depends on no draw of random numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

FEWEST = 10
"""The fewest images that there is anything to be seen of."""
MOST = 10_000
"""The most: what t-SNE takes grows faster than their number."""
_PERPLEXITY = 30.0
_DIGITS = 4
_SAME = 1e-12


def places(count: int, available: int) -> list[int]:
    """Return which images of a part are shown: so many, or all of fewer, evenly spread."""
    shown = min(count, available)
    return [k * available // shown for k in range(shown)]


def embed(activities: Tensor, labels: Sequence[int]) -> dict[str, Any]:
    """Return points of the plane for activities (n, units), n ≥ 10, with their labels.

    There are none where activities are not finite, or the same for all images.
    """
    import torch

    z = activities.double().cpu()
    if not z.isfinite().all():
        return {"points": [], "labels": []}
    z = z / z.abs().max().clamp_min(torch.finfo(z.dtype).tiny)  # squares of them must be numbers
    z = z - z.mean(0)
    spread = z.norm()
    if spread <= _SAME * len(z):  # a plane through one point has no directions
        return {"points": [], "labels": []}
    if z.shape[1] == 1:
        z = torch.nn.functional.pad(z, (0, 1))
    points = _project((z / spread).numpy()).tolist()
    rounded = [[float(f"{x:.{_DIGITS}g}") for x in point] for point in points]
    return {"points": rounded, "labels": list(labels)}


def _project(activities: Any) -> Any:
    from sklearn.manifold import TSNE

    perplexity = min(_PERPLEXITY, (len(activities) - 1) / 3)
    return TSNE(init="pca", perplexity=perplexity, random_state=0).fit_transform(activities)
