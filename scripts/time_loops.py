#!/usr/bin/env python3
"""One epoch of backprop on MNIST in four loops, which take turns:

engine      credbench's, one replica
bare        by hand, without autograd: tensors in memory, fused Adam
autograd    tensors in memory, torch.nn, torch's fused Adam
usual       torchvision's dataset and transforms, a DataLoader, torch.nn, torch.optim.Adam

All use one thread (OMP_NUM_THREADS for another number) and the same settings of the process.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import torch
from _measuring import in_turns, ratio, record, settle, show
from torch import Tensor, nn

from credbench.experiment import Trial, make_experiment
from credbench.group import Group
from credbench.images import Part, Splits
from credbench.loading import load
from credbench.registry import Registry

LR = 2e-4


class Engine:
    """credbench's own epoch."""

    def __init__(self, trial: Trial, splits: Splits) -> None:
        self.group = Group([trial], [splits], torch.device("cpu"))
        self.epochs = 0

    def epoch(self) -> None:
        self.epochs += 1
        with torch.no_grad():
            self.group.train_epoch(self.epochs)


class Bare:
    """Backprop of a tanh network written out, as short as it can be."""

    def __init__(self, trial: Trial, train: Part) -> None:
        widths = [784, *trial.network.hidden, 10]
        pairs = list(pairwise(widths))
        self.w = [torch.randn(b, a) * 0.05 for a, b in pairs]
        self.b = [torch.zeros(b) for _, b in pairs]
        self.params = [*self.w, *self.b]
        self.means = [torch.zeros_like(p) for p in self.params]
        self.squares = [torch.zeros_like(p) for p in self.params]
        self.counts = [torch.zeros(()) for _ in self.params]
        self.x = train.x.flatten(1).float() / 255
        self.targets = torch.eye(10)[train.y]
        self.batch = trial.batch_size

    @torch.no_grad()
    def epoch(self) -> None:
        order = torch.randperm(len(self.x))
        for index in order.split(self.batch):
            self.step(self.x.index_select(0, index), self.targets.index_select(0, index))

    def step(self, x: Tensor, targets: Tensor) -> None:
        w, b, depth = self.w, self.b, len(self.w)
        z = [x]
        for k in range(depth - 1):
            z.append(torch.addmm(b[k], z[-1], w[k].T).tanh_())
        logits = torch.addmm(b[-1], z[-1], w[-1].T)
        error = (logits.softmax(1) - targets) / len(x)
        updates_w, updates_b = [], []
        for k in range(depth - 1, -1, -1):
            updates_w.append(error.T @ z[k])
            updates_b.append(error.sum(0))
            if k:
                error = (error @ w[k]) * (1 - z[k] * z[k])
        torch._foreach_add_(self.counts, 1.0)
        torch._fused_adam_(
            self.params, [*updates_w[::-1], *updates_b[::-1]], self.means, self.squares, [],
            self.counts, lr=LR, beta1=0.9, beta2=0.999, weight_decay=0.0, eps=1e-8,
            amsgrad=False, maximize=False,
        )  # fmt: skip


class Autograd:
    """The same with torch.nn on tensors in memory."""

    def __init__(self, trial: Trial, train: Part) -> None:
        self.model = model(trial)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=LR, fused=True)
        self.x, self.y = train.x.flatten(1).float() / 255, train.y
        self.batch = trial.batch_size

    def epoch(self) -> None:
        order = torch.randperm(len(self.x))
        for index in order.split(self.batch):
            learn(self.model, self.optimizer, self.x[index], self.y[index])


class Usual:
    """The loop of most tutorials and of the peers."""

    def __init__(self, trial: Trial, data_dir: Path, examples: int) -> None:
        from torch.utils.data import DataLoader, Subset
        from torchvision import datasets, transforms

        images = datasets.MNIST(str(data_dir), transform=transforms.ToTensor())
        some = Subset(images, range(examples))
        self.loader = DataLoader(some, batch_size=trial.batch_size, shuffle=True)
        self.model = model(trial)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=LR)

    def epoch(self) -> None:
        for x, y in self.loader:
            learn(self.model, self.optimizer, x.flatten(1), y)


def model(trial: Trial) -> nn.Module:
    """Return the trial's network as torch.nn builds it."""
    widths = [784, *trial.network.hidden]
    hidden = [module for a, b in pairwise(widths) for module in (nn.Linear(a, b), nn.Tanh())]
    return nn.Sequential(*hidden, nn.Linear(widths[-1], 10))


def learn(net: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor) -> None:
    """Take one step by autograd."""
    optimizer.zero_grad()
    nn.functional.cross_entropy(net(x), y).backward()
    optimizer.step()


def timer(epoch: Callable[[], None]) -> Callable[[], float]:
    """Return what runs an epoch and gives its seconds; the first, of warm-up, is thrown away."""

    def run() -> float:
        started = time.perf_counter()
        epoch()
        return time.perf_counter() - started

    run()  # warm-up
    return run


def measure(batch: int, given: argparse.Namespace) -> dict[str, list[float]]:
    """Return the seconds of an epoch of each loop, repeat by repeat."""
    settings = {
        "algorithm": "backprop", "dataset": "mnist", "network": f"mlp[hidden={given.hidden}]",
        "batch-size": str(batch), "seeds": "1",
    }  # fmt: skip
    if given.limit:
        settings["limit-train"] = str(given.limit)
    (trial,) = make_experiment(Registry(), settings).trials
    trial.dataset.prepare(given.data_dir)
    splits = load(trial.dataset, given.data_dir, given.limit)
    loops = {
        "engine": Engine(trial, splits),
        "bare": Bare(trial, splits.train),
        "autograd": Autograd(trial, splits.train),
        "usual": Usual(trial, given.data_dir, len(splits.train)),
    }
    return in_turns({name: timer(loop.epoch) for name, loop in loops.items()}, given.repeats)


def main() -> None:
    """Measure at each batch size, print the ratios and keep the record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data-dir", type=Path, default=Path("~/.cache/credbench").expanduser())
    parser.add_argument("--hidden", default="256x3")
    parser.add_argument("--batches", type=int, nargs="+", default=[32, 128])
    parser.add_argument("--limit", type=int, help="training images [default: all]")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path("results/timing"))
    given = parser.parse_args()
    settle()
    found = {}
    for batch in given.batches:
        seconds = measure(batch, given)
        found[batch] = seconds
        print(f"batch {batch}: seconds an epoch, medians: ", end="")
        print(", ".join(f"{k} {sorted(v)[len(v) // 2]:.3f}" for k, v in seconds.items()))
        show(f"batch {batch}: engine / bare", ratio(seconds["engine"], seconds["bare"]), "<= 1.05")
        bar = "<= 0.85" if batch == 32 else ""
        show(f"batch {batch}: bare / autograd", ratio(seconds["bare"], seconds["autograd"]), bar)
        show(f"batch {batch}: usual / engine", ratio(seconds["usual"], seconds["engine"]), ">= 4")
    content = {"hidden": given.hidden, "limit": given.limit, "seconds_per_epoch": found}
    record(given.folder, "loops", "cpu", content)


if __name__ == "__main__":
    main()
