#!/usr/bin/env python3
"""What is measured on a CUDA device, and runs small on a CPU to be tested:

captured    a captured step against the sum of its kernels' own times
bandwidth   bytes that 64 replicas must move (28 a parameter and step) against a plain copy
depth       rec-LRA with skips to every layer against backprop, one replica each
images      ResNet-18 on random images of ImageNet's shape in bfloat16, rec-LRA against backprop
grid        the paper's MLP grid, extrapolated from some epochs of every algorithm there is
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from _measuring import ratio, record, settle, show, spread
from torch.profiler import ProfilerActivity, profile

from credbench.errors import RequestError
from credbench.experiment import Trial, make_experiment
from credbench.group import Group
from credbench.registry import Registry
from credbench.running import resolve_device
from credbench.timing import Clocked, clock, random_data
from credbench.training import now, train

REGISTRY = Registry()
BYTES_A_PARAMETER = 28
"""Read weight, update and two moments, write weight and two moments, four bytes each."""
IMAGENET = 1_281_167
"""Training images of ImageNet."""
WIRINGS = ("rec-lra[gap=1,ends=channel]", "rec-lra[skips=groups,ends=channel]", "lra-e")
GRID_ROWS, GRID_DATASETS, GRID_SEEDS, GRID_EPOCHS = 9, 2, 5, 100


def trials(algorithm: str, hidden: str, **given: str) -> list[Trial]:
    """Return trials on MNIST's form at batch 32."""
    settings = {"algorithm": algorithm, "dataset": "mnist", "network": f"mlp[hidden={hidden}]"}
    return list(make_experiment(REGISTRY, settings | {"seeds": "1"} | given).trials)


def step_seconds(clocked: Clocked) -> list[float]:
    """Return the seconds of the whole step, repeat by repeat."""
    return clocked.times["step"]


def captured(device: torch.device, hidden: str, repeats: int) -> dict[str, Any]:
    """Compare the time of a step with what its kernels take by themselves."""
    members = trials("backprop", hidden)
    (measured,) = clock([members], device, repeats, stages=("step",))
    kernels = kernel_seconds(members, device)
    step = step_seconds(measured)
    show("captured step / sum of its kernels", ratio(step, [kernels] * repeats), "<= 1.3")
    return {"step_seconds": step, "kernel_seconds": kernels}


def kernel_seconds(members: Sequence[Trial], device: torch.device, steps: int = 20) -> float:
    """Return the seconds that a step's kernels take, as the profiler sees them."""
    cuda = device.type == "cuda"
    activity = ProfilerActivity.CUDA if cuda else ProfilerActivity.CPU
    with torch.no_grad():
        data = random_data({t.dataset: t for t in members}, device)
        group = Group(members, [data[t.dataset] for t in members], device)
        group.shuffle(1)
        program = group.program("train", members[0].batch_size)
        program(0)
        now(device)
        with profile(activities=[activity]) as profiled:
            for k in range(steps):
                program(k * members[0].batch_size)
            now(device)
    events = profiled.key_averages()
    total = sum(e.self_device_time_total if cuda else e.self_cpu_time_total for e in events)
    return float(total) * 1e-6 / steps


def bandwidth(device: torch.device, hidden: str, replicas: int, repeats: int) -> dict[str, Any]:
    """Compare the bytes a step of replicas has to move with what a copy moves."""
    members = trials("backprop", hidden, seeds=str(replicas))
    (measured,) = clock([members], device, repeats, stages=("step",))
    moved = BYTES_A_PARAMETER * members[0].net.count() * replicas
    copied = copy_bandwidth(device, repeats)
    achieved = [moved / seconds for seconds in step_seconds(measured)]
    show(f"{replicas} replicas: bytes a second / copy", ratio(achieved, copied), ">= 0.5")
    return {"bytes_per_step": moved, "step_seconds": step_seconds(measured), "copy": copied}


def copy_bandwidth(device: torch.device, repeats: int) -> list[float]:
    """Return bytes a second, read and written, of copying a large tensor."""
    size = 2**30 if device.type == "cuda" else 2**26
    source = torch.zeros(size // 4, device=device)
    target = torch.empty_like(source)
    target.copy_(source)
    found = []
    for _ in range(repeats):
        started = now(device)
        for _ in range(10):
            target.copy_(source)
        found.append(20 * size / (now(device) - started))
    return found


def depth(device: torch.device, networks: Sequence[str], repeats: int) -> dict[str, Any]:
    """Compare rec-LRA with skips to every layer and backprop."""
    found = {}
    for hidden, bar in zip(networks, ("<= 0.85", "<= 0.65"), strict=False):
        groups = [trials(name, hidden) for name in ("rec-lra[gap=1]", "backprop")]
        rec, back = map(step_seconds, clock(groups, device, repeats, stages=("step",)))
        show(f"{hidden}: rec-LRA (skips to every layer) / backprop", ratio(rec, back), bar)
        found[hidden] = {"rec_lra": rec, "backprop": back}
    return found


def images(device: torch.device, side: int, batch: int, repeats: int) -> dict[str, Any]:
    """Compare wirings of rec-LRA with backprop on ResNet-18."""
    given = {
        "dataset": f"synthetic[shape=3x{side}x{side},classes=1000]", "batch-size": str(batch),
        "network": "resnet[stem=imagenet]", "activation": "relu", "init": "he",
        "dtype": "bfloat16",
    }  # fmt: skip
    groups = [trials(name, "", **given) for name in ("backprop", *WIRINGS)]
    found = [step_seconds(each) for each in clock(groups, device, repeats, stages=("step",))]
    for name, seconds in zip(("backprop", *WIRINGS), found, strict=True):
        minutes = [IMAGENET / batch * each / 60 for each in seconds]
        show(f"{name}: minutes for {IMAGENET:,} images of {side} px", spread(minutes), "<= 2.127")
        show(f"{name} / backprop", ratio(seconds, found[0]), "<= 0.8")
    return {"side": side, "batch": batch} | dict(zip(("backprop", *WIRINGS), found, strict=True))


def grid(device: torch.device, hidden: str, epochs: int, limit: int | None) -> dict[str, Any]:
    """Extrapolate the paper's MLP grid from some epochs of each algorithm."""
    seconds = {}
    for name in REGISTRY.names("algorithm"):
        given = {"dataset": "mnist,fashion-mnist", "seeds": str(GRID_SEEDS), "epochs": str(epochs)}
        if limit:
            given["limit-train"] = str(limit)
        members = trials(name, hidden, **given)
        data = random_data({t.dataset: t for t in members}, torch.device("cpu"))
        groups = [members] if device.type == "cuda" else [[member] for member in members]
        seconds[name] = _wall(lambda g=groups, d=data: [train(m, d, device) for m in g]) / epochs
    whole = GRID_ROWS * GRID_EPOCHS * sum(seconds.values()) / len(seconds)
    show("the paper's MLP grid, minutes, extrapolated", spread([whole / 60]), "<= 10")
    return {"seconds_per_epoch_of_ten_trials": seconds, "grid_seconds": whole, "epochs": epochs}


def _wall(run: Callable[[], Any]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def main() -> None:
    """Take all measures and keep the record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--hidden", default="256x5")
    parser.add_argument("--depths", nargs="+", default=["256x8", "256x64"])
    parser.add_argument("--replicas", type=int, default=64)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--limit", type=int, help="training images of the grid [default: all]")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--folder", type=Path, default=Path("results/timing"))
    given = parser.parse_args()
    try:
        name = resolve_device(given.device)
    except RequestError as error:
        print(f"time_gpu.py: {error}", file=sys.stderr)
        sys.exit(2)
    device = torch.device(name)
    settle()
    content = {
        "captured": captured(device, given.hidden, given.repeats),
        "bandwidth": bandwidth(device, given.hidden, given.replicas, given.repeats),
        "depth": depth(device, given.depths, given.repeats),
        "images": images(device, given.side, given.batch, given.repeats),
        "grid": grid(device, given.hidden, given.epochs, given.limit),
    }
    record(given.folder, "gpu" if name == "cuda" else "gpu-script-on-cpu", name, content)


if __name__ == "__main__":
    main()
