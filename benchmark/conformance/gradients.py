"""Whether the blocks' products of a network are those of calculus."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from credbench.conformance.probe import Probe, Tree, apart, probe
from credbench.conformance.result import Result
from credbench.conformance.subject import Subject
from credbench.networks import Network

_CLOSE = 1e-3


def gradients_of_blocks(subject: Subject) -> Result:
    """Check backprop through the blocks' own products against automatic differentiation."""
    if subject.trial.activation.surrogate:
        return Result(skipped="the activation's derivative is a surrogate")
    group = subject.group(subject.trials())
    found = probe(group, group.learner.phases[0], subject.trial.batch_size)
    wrong = list(_wrong(found.net, found.learn().params, _truth(found)))
    if not wrong:
        return Result()
    top = max(number for number, _ in wrong)
    arrays = [array for number, array in wrong if number == top]
    return Result([_told(found.net, top, arrays)])


def _truth(found: Probe) -> Tree:
    """Return the gradient of the loss by leaf; that of one that forward does not read is 0."""
    with torch.enable_grad():
        leaves = {k: v.detach().clone().requires_grad_() for k, v in found.params.items()}
        logits = found.net.forward(found.net.views(leaves), found.batch["x"]).logits
        loss = -(found.batch["targets"] * logits.log_softmax(-1)).sum(-1).mean()
        grads = torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True)
    return dict(zip(leaves, grads, strict=True))


def _wrong(net: Network, mine: Tree, truth: Tree) -> Iterator[tuple[int, str]]:
    """Yield the blocks, by number, and their arrays whose gradients are not those of calculus."""
    for name, each in mine.items():
        leaf = net.leaves[name]
        if leaf.array in net.frozen(leaf):
            continue
        for k, number in enumerate(leaf.blocks):
            if apart(each[k], truth[name][k]) > _CLOSE:
                yield number, leaf.array


def _told(net: Network, number: int, arrays: list[str]) -> str:
    """Return what to mend where this block's gradients are wrong and none above it are."""
    block = net.blocks[number - 1]
    names = " and ".join(map(repr, arrays))
    above = [
        f"block {k} ({type(net.blocks[k - 1]).__name__})"
        for k in range(number + 1, net.depth + 1)
        if number in (k - 1, net.blocks[k - 1].earlier)
    ]
    carried = f", or the `adjoint` of {' or '.join(above)}, which carries the error down to it"
    return _WRONG.format(names, number, type(block).__name__, carried if above else "")


_WRONG = (
    "the gradient of {} of block {} ({}) is not that of forward, and errors go down from there: "
    "mend the block's `gradient` (or `gradients`){}; a subclass that changes `forward` inherits "
    "neither, and credbench.blocks.Block derives both"
)
