"""Class folders of images for tests."""

from __future__ import annotations

import numpy as np
from PIL import Image

from helpers import REGISTRY


def draw(shape, classes, each, seed=0):
    """Random images (n, *shape) uint8, sorted by class, and their labels (n,)."""
    source = np.random.default_rng(seed)
    images = source.integers(0, 256, (classes * each, *shape), dtype=np.uint8)
    return images, np.repeat(np.arange(classes), each)


def write(folder, names, images, labels, suffix=".png"):
    """Write images into class folders, numbered in their order."""
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        place = folder / names[label]
        place.mkdir(parents=True, exist_ok=True)
        pixels = image.transpose(1, 2, 0) if image.ndim == 3 else image
        Image.fromarray(pixels).save(place / f"{number:04}{suffix}")


def write_both(folder, names, shape, train=4, test=2):
    """Write random images of train and test; return all four arrays."""
    parts = []
    for seed, (part, each) in enumerate((("train", train), ("test", test))):
        images, labels = draw(shape, len(names), each, seed)
        write(folder / part, names, images, labels)
        parts += [images, labels]
    return parts


def labels_of(dataset):
    """The names of a dataset's classes as those of folders."""
    return [label.replace("/", "-") for label in REGISTRY.get("dataset", dataset).labels]
