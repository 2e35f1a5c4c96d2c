"""Small networks and steps for tests, in double precision."""

from __future__ import annotations

from itertools import pairwise

import torch

from credbench.blocks import Dense
from credbench.learner import Step
from credbench.networks import Network
from credbench.registry import Registry

REGISTRY = Registry()
SMOOTH = ("tanh", "sigmoid", "elu", "softplus")
DIFFERENTIABLE = (*SMOOTH, "relu", "relu6", "hard-sigmoid", "lrelu", "identity")
ALGORITHMS = REGISTRY.names("algorithm")


def make(kind, name, **given):
    return REGISTRY.get(kind, name).create({k: str(v) for k, v in given.items()})


def dense_net(widths, activation="tanh", separate=False):
    blocks = [Dense(a, b) for a, b in pairwise(widths)]
    return Network(blocks, make("activation", activation), separate=separate)


def double(tree):
    return {k: v.double() for k, v in tree.items()}


def draw_params(net, seed=0, sigma=0.5):
    """Gaussian weights, and biases that are not zero, so that they are tested too."""
    params = net.init(make("initializer", "gaussian", sigma=sigma), generator(seed))
    return {
        k: (v if v.abs().sum() else 0.1 * torch.randn(v.shape, generator=generator(seed + 99)))
        .double()
        for k, v in params.items()
    }  # fmt: skip


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def make_step(
    net, learner, params=None, feedback=None, batch=7, seed=1, phase=None, noise=None,
    dtype=torch.float64,
):  # fmt: skip
    """A step of a learner, in float64 unless asked otherwise, on random inputs and labels."""
    source = generator(seed)
    x = torch.rand((batch, *net.shape(0)), generator=source, dtype=torch.float64).to(dtype)
    labels = torch.randint(net.width(net.depth), (batch,), generator=source)
    phase = phase or learner.phases[-1]
    if noise is None:
        shapes = learner.noise(net, phase)
        noise = {
            k: torch.randn((batch, *s), generator=source, dtype=torch.float64)
            for k, s in shapes.items()
        }
    if feedback is None:
        feedback = double(learner.init_feedback(net, generator(seed + 1)))
    params = draw_params(net) if params is None else params
    state = {
        k: v.to(dtype) for k, v in (net.init_statistics() | learner.init_state(net, batch)).items()
    }
    return Step(
        net, net.views(params), feedback, state, x,
        torch.eye(net.width(net.depth), dtype=dtype)[labels], torch.arange(batch),
        noise, phase,
    )  # fmt: skip


def autograd(net, params, step):
    """The gradient of the mean cross-entropy by torch's own differentiation."""
    leaves = {k: v.clone().requires_grad_() for k, v in params.items()}
    logits = net.forward(net.views(leaves), step.x).logits
    loss = -(step.targets * logits.log_softmax(-1)).sum(-1).mean()
    grads = torch.autograd.grad(loss, list(leaves.values()))
    return dict(zip(leaves, grads, strict=True))


def errors_of(net, params, step, learner):
    """The error at each layer's pre-activation, read off the bias updates of single examples."""
    updates = learner.updates(step).params
    views = net.views({k: v for k, v in updates.items() if k.startswith("bias")})
    return [view["bias"] for view in views]


def relative(a, b):
    return float((a - b).norm() / b.norm())


def slope(sizes, misfits):
    """The order of convergence: the slope of log misfit over log size."""
    x = torch.tensor(sizes, dtype=torch.float64).log()
    y = torch.tensor(misfits, dtype=torch.float64).log()
    x, y = x - x.mean(), y - y.mean()
    return float((x * y).sum() / (x * x).sum())
