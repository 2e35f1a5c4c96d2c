"""The 8x8 digits that ship inside scikit-learn: no download, seconds to train on.

They are the test part of Alpaydin & Kaynak's optical digits (UCI, 1998): 1,797 images with
pixels of 0 to 16. A fixed fifth of them is the test set here, a fifth of the rest validation.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from credbench import Dataset, Images

_TEST = 360


class Digits(Dataset):
    """Handwritten digits of 8x8 pixels."""

    name: ClassVar[str] = "digits"
    summary: ClassVar[str] = "1,797 handwritten digits, 8x8, shipped with scikit-learn"
    source: ClassVar[str] = "Alpaydin & Kaynak 1998, UCI optical recognition of handwritten digits"
    shape: ClassVar[tuple[int, ...]] = (8, 8)
    labels: ClassVar[tuple[str, ...]] = tuple("0123456789")
    peak: ClassVar[float] = 16.0
    examples: ClassVar[tuple[int, int]] = (1437, _TEST)
    validation: ClassVar[int] = 287
    epochs: ClassVar[int] = 40

    def load(self, data_dir: Path) -> Images:
        """Return the images; `data_dir` is not needed."""
        import numpy as np
        import torch
        from sklearn.datasets import load_digits

        found = load_digits()
        order = np.random.RandomState(0).permutation(len(found.target))
        x = torch.from_numpy(found.images[order].astype(np.uint8))
        y = torch.from_numpy(found.target[order].astype(np.int64))
        return Images(x[_TEST:], y[_TEST:], x[:_TEST], y[:_TEST])
