"""Products in a lower precision, where autocast is on.

torch casts the inputs of its own products; what is called by the name of a gradient is not on its
lists, and is cast here.
"""

from __future__ import annotations

import torch
from torch import Tensor


def for_product(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Return tensors as a product takes them: in autocast's type where it is on."""
    kind = tensors[0].device.type
    if not torch.is_autocast_enabled(kind):
        return tensors
    lower = torch.get_autocast_dtype(kind)
    return tuple(tensor.to(lower) for tensor in tensors)
