"""Products in a lower precision: bfloat16 by autocast.

Weights, feedback, moments and statistics stay in float32, and so does the output's error. Products
and convolutions take and give bfloat16, updates among them, and activities and errors between them
are kept in it; differences of activities are computed without cancellation, so that they lose no
more than their last bits. torch casts the inputs of its own products; what is called by the name
of a gradient is not on its lists, and is cast here.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def computing(device: torch.device, dtype: str) -> AbstractContextManager[object]:
    """Return the context in which products are computed in float32 or bfloat16."""
    if dtype == "float32":
        return nullcontext()
    # Casts of weights are not kept: they change with every step, and a captured one must see it.
    return torch.autocast(device.type, getattr(torch, dtype), cache_enabled=False)


def precise(values: Tensor) -> Tensor:
    """Return values in which means are taken: in float32 where they are of a lower precision."""
    return values.float() if values.dtype == torch.bfloat16 else values


def raised(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors in float32 where they are of a lower precision."""
    return {k: precise(v) for k, v in tensors.items()}


def for_product(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Return tensors as a product takes them: in autocast's type where it is on."""
    kind = tensors[0].device.type
    if not torch.is_autocast_enabled(kind):
        return tensors
    lower = torch.get_autocast_dtype(kind)
    return tuple(tensor.to(lower) for tensor in tensors)
