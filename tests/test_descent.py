"""Optimisers against torch's own, re-projection, rates, and the absent update."""

import pytest
import torch

from credbench.descent import Descent, reproject
from helpers import make

TORCH = {
    "sgd": (torch.optim.SGD, {"lr": 0.1}, {"lr": 0.1}),
    "sgd, momentum": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9}, {"lr": 0.1, "momentum": 0.9}),
    "sgd, nesterov": (
        torch.optim.SGD,
        {"lr": 0.1, "momentum": 0.9, "nesterov": True},
        {"lr": 0.1, "momentum": 0.9, "nesterov": "true"},
    ),
    "adam": (
        torch.optim.Adam,
        {"lr": 0.1, "betas": (0.8, 0.95)},
        {"lr": 0.1, "beta1": 0.8, "beta2": 0.95},
    ),
    "rmsprop": (torch.optim.RMSprop, {"lr": 0.1, "alpha": 0.9}, {"lr": 0.1, "decay": 0.9}),
}


def leaves(replicas=0, seed=0):
    source = torch.Generator().manual_seed(seed)
    shape = (replicas,) if replicas else ()
    return {k: torch.randn((*shape, *s), generator=source) for k, s in SHAPES.items()}


SHAPES = {"weight": (2, 5, 4), "bias": (2, 5)}


def descent(params, *optimizers, rates=None, clip=None):
    rates = rates or {k: [1.0] * len(optimizers) for k in params}
    return Descent(params, {"weight": 2, "bias": 1}, optimizers, rates, clip)


@pytest.mark.parametrize("name", TORCH)
@pytest.mark.parametrize("kernel", ("fused", "pure"))
def test_steps_are_torchs(name, kernel, monkeypatch):
    theirs, options, ours = TORCH[name]
    optimizer = make("optimizer", name.partition(",")[0], **ours)
    if kernel == "pure":
        monkeypatch.setattr(type(optimizer), "fused", lambda self, *a: False)
    params = leaves()
    expected = {k: v.clone().requires_grad_() for k, v in params.items()}
    reference, mine = theirs(expected.values(), **options), descent(params, optimizer)
    for seed in range(5):
        updates = leaves(seed=seed + 1)
        for k, p in expected.items():
            p.grad = updates[k].clone()
        reference.step()
        mine.step(updates)
    for k in params:
        torch.testing.assert_close(params[k], expected[k].detach())


@pytest.mark.parametrize("name", ("sgd", "adam", "rmsprop"))
def test_replicas_with_rates_of_their_own_are_single_runs(name):
    optimizers = [make("optimizer", name, lr=lr) for lr in (0.1, 0.01, 0.3)]
    rates = {"weight": [1.0, 0.5, 2.0], "bias": [1.0, 1.0, 3.0]}
    together = leaves(3)
    apart = [{k: v[r].clone() for k, v in together.items()} for r in range(3)]
    group = descent(together, *optimizers, rates=rates, clip=2.0)
    alone = [
        descent(apart[r], optimizers[r], rates={k: [v[r]] for k, v in rates.items()}, clip=2.0)
        for r in range(3)
    ]
    for seed in range(4):
        updates = leaves(3, seed + 1)
        group.step(updates)
        for r, one in enumerate(alone):
            one.step({k: v[r] for k, v in updates.items()})
    for r in range(3):
        for k in together:
            torch.testing.assert_close(together[k][r], apart[r][k])


def test_rates_act_after_adam():
    """Within it they would cancel: Adam's step does not depend on the update's scale."""
    plain, scaled, halved = leaves(), leaves(), leaves()
    adam = make("optimizer", "adam", lr=0.1)
    start, updates = leaves(), leaves(seed=1)
    descent(plain, adam).step(updates)
    descent(scaled, adam).step({k: v / 2 for k, v in updates.items()})
    descent(halved, adam, rates={"weight": [0.5], "bias": [1.0]}).step(updates)
    torch.testing.assert_close(scaled["weight"], plain["weight"])
    moved = plain["weight"] - start["weight"]
    torch.testing.assert_close(halved["weight"], start["weight"] + moved / 2)


@pytest.mark.parametrize("kernel", ("fused", "pure"))
def test_an_absent_update_is_not_a_zero_update(kernel, monkeypatch):
    adam = make("optimizer", "adam", lr=0.1)
    if kernel == "pure":
        monkeypatch.setattr(type(adam), "fused", lambda self, *a: False)
    updates, ones = leaves(seed=1), leaves(seed=2)
    absent, zero, without = leaves(), leaves(), leaves()
    first, second, third = (descent(p, adam) for p in (absent, zero, without))
    for one in (first, second, third):
        one.step(updates)
    kept = absent["bias"].clone()
    first.step({"weight": ones["weight"]})
    second.step({"weight": ones["weight"], "bias": torch.zeros_like(kept)})
    assert torch.equal(absent["bias"], kept)
    assert not torch.equal(zero["bias"], kept)  # Adam's momentum moves it
    first.step({"bias": ones["bias"]})
    third.step({"bias": ones["bias"]})
    assert torch.equal(absent["bias"], without["bias"])  # its moments had not moved either


def test_reprojection_scales_each_matrix_of_a_stack_on_its_own():
    stack = torch.stack([torch.full((3, 4), 0.01), torch.full((3, 4), 5.0)])
    found = reproject(stack, 1.0, 2)
    torch.testing.assert_close(found[0], stack[0])
    torch.testing.assert_close(found[1].norm(), torch.tensor(1.0))
    torch.testing.assert_close(found[1] / found[1].norm(), stack[1] / stack[1].norm())
    assert torch.equal(reproject(torch.zeros(2, 3, 4), 1.0, 2), torch.zeros(2, 3, 4))


def test_updates_of_nothing_or_of_another_shape_are_refused_by_name():
    mine = descent(leaves(), make("optimizer", "sgd"))
    with pytest.raises(ValueError, match="'wieght'; there are weight, bias"):
        mine.step({"wieght": torch.zeros(2, 5, 4)})
    with pytest.raises(ValueError, match=r"'weight' has shape \(5, 4\), expected \(2, 5, 4\)"):
        mine.step({"weight": torch.zeros(5, 4)})
