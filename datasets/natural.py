"""What datasets of colour photographs share: standardised channels, random flips and crops."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from credbench import Dataset, Preprocessing, parameter

if TYPE_CHECKING:
    from torch import Tensor

    from credbench import Cache
    from credbench.augmentation import FlipCrop


@dataclass(frozen=True)
class Natural(Dataset):
    """Small colour photographs."""

    padding: ClassVar[int] = 4
    """Pixels that random crops may be off by, on every side."""

    preprocess: str = parameter(
        "standardize",
        help="what is done to pixels, fitted to the training part: standardize (by channel), none",
        choices=("standardize", "none"),
        structural=True,
    )
    augment: str = parameter(
        "none",
        help="how training images are varied: flip-crop (mirrored, shifted at random), none",
        choices=("none", "flip-crop"),
        structural=True,
    )

    @property
    def scaling(self) -> str:
        """What is done to pixels, in words."""
        plain = super().scaling
        if self.standardized:
            return f"{plain}, standardised by channel, fitted to the training part"
        return plain

    @property
    def standardized(self) -> bool:
        """Whether `fit` gives the splits means and deviations by channel."""
        return self.preprocess == "standardize"

    @property
    def augmentation(self) -> FlipCrop | None:
        """How training images are varied."""
        from credbench.augmentation import FlipCrop

        return FlipCrop(self.padding) if self.augment == "flip-crop" else None

    def fit(self, train: Tensor, cache: Cache) -> Preprocessing:
        """Return the preprocessing, computed from training images (n, *shape) alone."""
        from credbench.whitening import channels

        if not self.standardized:
            return super().fit(train, cache)
        found = channels(train, self.peak)
        return lambda splits: replace(splits, channels=found)
