"""Whether a network is built as it says, and its blocks' products are those of calculus."""

from __future__ import annotations

import torch
from torch import Tensor

from credbench.architectures import Architecture
from credbench.conformance.probe import apart, probe
from credbench.conformance.result import Result
from credbench.conformance.subject import Subject
from credbench.networks import Network

_CLOSE = 1e-3


def layers_as_declared(subject: Subject) -> Result:
    """Check that a network is built, and gives activities of the shapes that it declares."""
    trial = subject.trial
    made: object = trial.network.build(
        trial.dataset.shape, trial.dataset.classes, trial.activation, separate=True
    )
    if not isinstance(made, Network):
        return Result([f"build returned a {type(made).__name__}: return credbench.Network(…)"])
    complaints = _declared(trial.network, made)
    group = subject.group(subject.trials())
    step = probe(group, group.learner.phases[0], trial.batch_size).step()
    z = step.forward().z
    for layer in range(made.depth + 1):
        found, expected = tuple(z[layer].shape[1:]), tuple(made.shape(layer))
        if found != expected:
            complaints.append(
                f"layer {layer} has the shape {found}, its block declares {expected}: mend "
                "shape_out, or forward"
            )
    if tuple(made.shape(made.depth)) != (trial.dataset.classes,):
        complaints.append(
            f"the last block gives {tuple(made.shape(made.depth))}: let it give one logit a class, "
            f"here ({trial.dataset.classes},)"
        )
    return Result(complaints, f"{made.count():,} parameters in {made.depth} blocks")


def _declared(network: Architecture, made: Network) -> list[str]:
    found = tuple(made.width(layer) for layer in made.hidden)
    if network.widths and network.widths != found:
        return [f"widths says {network.widths}, the hidden layers have {found}: make them agree"]
    return []


def gradients_of_blocks(subject: Subject) -> Result:
    """Check backprop through the blocks' own products against automatic differentiation."""
    group = subject.group(subject.trials())
    found = probe(group, group.learner.phases[0], subject.trial.batch_size)
    mine = found.learn().params
    with torch.enable_grad():
        leaves = {k: v.detach().clone().requires_grad_() for k, v in found.params.items()}
        logits = group.net.forward(group.net.views(leaves), found.batch["x"]).logits
        loss = -(found.batch["targets"] * logits.log_softmax(-1)).sum(-1).mean()
        grads = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
    theirs: dict[str, Tensor | None] = dict(zip(leaves, grads, strict=True))
    frozen = {k for k, leaf in group.net.leaves.items() if leaf.array in group.net.frozen(leaf)}
    wrong = [
        name
        for name, each in mine.items()
        if name not in frozen and (truth := theirs[name]) is not None
        and apart(each, truth) > _CLOSE
    ]  # fmt: skip
    if subject.trial.activation.surrogate:
        return Result(skipped="the activation's derivative is a surrogate")
    return Result([_WRONG.format(name) for name in wrong])


_WRONG = (
    "the gradient of {!r} is not that of forward: mend the block's gradients or adjoint, or leave "
    "them to credbench.blocks.Block, which derives both"
)
