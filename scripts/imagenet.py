#!/usr/bin/env python3
"""Train on ImageNet from a folder in torchvision's layout, DIR/{train,val}/<wnid>/*.

    python scripts/imagenet.py DIR [options of `credbench run`]

By default ResNet-18 is trained with backprop for 90 epochs; every option of `credbench run`, such
as --algorithm, --network, --epochs or --seeds, may be given in place of that. Killed at any time,
the same command goes on from the last whole epoch. A folder without a val part is a sample to try
this on: the first image of each class then serves as val, too, and two epochs are trained.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from _checkout import ensure_environment

DEFAULTS = {
    "--dataset": "imagenet",
    "--network": "resnet[depth=18,stem=imagenet]",
    "--activation": "relu",
    "--algorithm": "backprop",
    "--optimizer": "sgd[lr=0.1,momentum=0.9]",
    "--init": "he",
    "--batch-size": "256",
    "--seeds": "1",
}
_SAMPLE = Path("results") / "imagenet-sample"


def main(arguments: list[str]) -> None:
    """Become `credbench run`; a wrong request ends in one line and exit code 2."""
    if not arguments or arguments[0].startswith("-"):
        print((__doc__ or "").strip())
        sys.exit(0 if arguments and arguments[0] in ("-h", "--help") else 2)
    folder, options = Path(arguments[0]).resolve(), dict(DEFAULTS)
    photographs = folder / "imagenet" if (folder / "imagenet").is_dir() else folder
    if not (photographs / "train").is_dir():
        _refuse(f"{folder} holds no train folder: expected {folder}/train/<wnid>/*.JPEG")
    if not any((photographs / part).is_dir() for part in ("val", "test", "validation")):
        print(f"{photographs} has no val folder: this is a trial run on a sample", flush=True)
        folder, options["--epochs"] = _with_val(photographs), "2"
    given = [word for pair in options.items() for word in pair]
    command = [*_credbench(), "run", *given, "--data-dir", str(folder), *arguments[1:]]
    if os.name == "nt":
        sys.exit(subprocess.run(command).returncode)
    os.execv(command[0], command)  # so that who stops this stops the training


def _with_val(photographs: Path) -> Path:
    """Return a folder of links in which the first image of each class is its val part."""
    copy = _SAMPLE.resolve()
    (copy / "imagenet").mkdir(parents=True, exist_ok=True)
    _link(copy / "imagenet" / "train", photographs / "train")
    shutil.rmtree(copy / "imagenet" / "val", ignore_errors=True)  # links to another sample
    for place in sorted((photographs / "train").iterdir()):
        found = place.iterdir() if place.is_dir() else []
        images = sorted(each for each in found if not each.name.startswith("."))
        if images:
            here = copy / "imagenet" / "val" / place.name
            here.mkdir(parents=True, exist_ok=True)
            _link(here / images[0].name, images[0])
    return copy


def _link(link: Path, target: Path) -> None:
    if link.is_symlink():
        link.unlink()
    link.symlink_to(target, target.is_dir())


def _credbench() -> list[str]:
    """Return the command of this Python's environment, or else of the checkout's own."""
    beside = Path(sys.executable).with_name("credbench")
    return [str(beside if beside.exists() else ensure_environment() / "credbench")]


def _refuse(sentence: str) -> None:
    print(f"imagenet.py: {sentence}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main(sys.argv[1:])
