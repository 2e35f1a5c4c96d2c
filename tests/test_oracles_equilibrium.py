"""Equilibrium propagation against the gradient of the settled cost, with its order in β."""

from dataclasses import replace

import pytest
import torch

from helpers import dense_net, draw_params, make, make_step, relative, slope

BETAS = [0.1 * 2.0**-k for k in range(4)]
LONG = {"free": 100, "nudged": 100, "epsilon": 1}


def cost_gradient(net, params, step, learner):
    """The gradient of mean ‖z_L − y‖² at the free state, through every step of settling."""
    leaves = {k: v.clone().requires_grad_() for k, v in params.items()}
    settled = learner.predict(replace(step, params=net.views(leaves)))
    cost = (settled - step.targets).square().sum() / len(step.x)
    return dict(zip(leaves, torch.autograd.grad(cost, list(leaves.values())), strict=True))


def misfits(nudging, feedback, activation, betas=BETAS, widths=(6, 8, 8, 4)):
    net = dense_net(widths, activation)
    params = draw_params(net, sigma=0.2)
    found = []
    for beta in betas:
        learner = make("algorithm", "equilibrium-prop", nudging=nudging, beta=beta,
                       feedback=feedback, **LONG)  # fmt: skip
        step = make_step(net, learner, params)
        expected = cost_gradient(net, params, step, learner)
        updates = learner.updates(step).params
        assert updates.keys() == expected.keys()
        found.append({k: relative(updates[k], expected[k]) for k in expected})
    return {k: [each[k] for each in found] for k in found[0]}


@pytest.mark.parametrize("feedback", (1, 0.3))
@pytest.mark.parametrize("activation", ("tanh", "sigmoid"))
@pytest.mark.parametrize("nudging, order", [("positive", 1), ("symmetric", 2)])
def test_the_update_tends_to_the_gradient_of_the_settled_cost(nudging, order, activation, feedback):
    for name, each in misfits(nudging, feedback, activation).items():
        assert slope(BETAS, each) == pytest.approx(order, abs=0.15), (name, each)


def test_weak_feedback_tends_to_the_gradient_of_a_forward_pass():
    net, kappas = dense_net((6, 8, 8, 4)), [0.02 * 2.0**-k for k in range(4)]
    params = draw_params(net, sigma=0.2)
    found = []
    for kappa in kappas:
        learner = make("algorithm", "equilibrium-prop", beta=1e-3, feedback=kappa, **LONG)
        step = make_step(net, learner, params)
        leaves = {k: v.clone().requires_grad_() for k, v in params.items()}
        output = net.forward(net.views(leaves), step.x).logits.tanh()
        cost = (output - step.targets).square().sum() / len(step.x)
        expected = dict(zip(leaves, torch.autograd.grad(cost, list(leaves.values())), strict=True))
        updates = learner.updates(step).params
        found.append(max(relative(updates[k], expected[k]) for k in expected))
    assert slope(kappas, found) == pytest.approx(1, abs=0.1)


def test_a_random_sign_is_that_of_its_noise():
    net = dense_net((6, 8, 4), "sigmoid")
    learner = make("algorithm", "equilibrium-prop", nudging="random", beta=0.3)
    params = draw_params(net)
    found = []
    for sign in (0.7, -0.2):
        noise = {"sign": torch.full((7,), sign, dtype=torch.float64)}
        found.append(learner.updates(make_step(net, learner, params, noise=noise)).params)
    plus = make("algorithm", "equilibrium-prop", nudging="positive", beta=0.3)
    both = make("algorithm", "equilibrium-prop", beta=0.3)
    step = make_step(net, plus, params)
    one, symmetric = plus.updates(step).params, both.updates(step).params
    for name in one:
        torch.testing.assert_close(found[0][name], one[name])
        assert (found[1][name] - found[0][name]).abs().max() > 1e-6
        torch.testing.assert_close((found[0][name] + found[1][name]) / 2, symmetric[name])


def test_settling_ends_where_every_unit_is_what_its_neighbours_say():
    net, learner = dense_net((6, 8, 8, 4), "sigmoid"), make("algorithm", "equilibrium-prop", **LONG)
    step = make_step(net, learner)
    drive, z = learner.settle(step)
    for layer, goal in learner._goals(step, learner._fields(step, drive, z)).items():
        torch.testing.assert_close(z[layer], goal, rtol=0, atol=1e-10)
    torch.testing.assert_close(learner.predict(step), z[3])


@pytest.mark.parametrize(
    "network, given, activation",
    [
        ("res-mlp", {"hidden": "8x4"}, "tanh"),
        ("mlp", {"norm": "layer"}, "tanh"),
        ("mlp", {}, "sign"),
    ],
)
def test_it_is_not_defined_without_an_energy(network, given, activation):
    learner = make("algorithm", "equilibrium-prop")
    assert learner.refuses(make("network", network, **given), make("activation", activation))
    assert not learner.refuses(make("network", "mlp"), make("activation", "tanh"))


@pytest.mark.parametrize("kappa", (1, 0.1, 0.01))
def test_updates_survive_single_precision_and_reach_every_layer(kappa):
    """In float32 the nudged activities of the lower layers equal the free ones to the last bit."""
    net = dense_net((6, *[8] * 5, 4))
    learner = make("algorithm", "equilibrium-prop", feedback=kappa)
    params = draw_params(net, sigma=0.2)
    exact = learner.updates(make_step(net, learner, params)).params
    step = make_step(net, learner, params)
    single = replace(
        step, params=net.views({k: v.float() for k, v in params.items()}), x=step.x.float(),
        targets=step.targets.float(),
    )  # fmt: skip
    found = learner.updates(single).params
    for name, update in exact.items():
        assert all(one.abs().max() > 0 for one in update)
        for mine, expected in zip(found[name].double(), update, strict=True):
            assert relative(mine, expected) < 1e-3, name


def test_the_nudged_state_is_that_of_settling_with_the_nudge():
    """Away from equilibrium too: u is the nudged trajectory less the free one."""
    net = dense_net((6, 8, 8, 4), "sigmoid")
    learner = make("algorithm", "equilibrium-prop", free=2, nudged=3, feedback=0.7, beta=0.4)
    step = make_step(net, learner)
    drive, free = learner.settle(step)
    reached, (apart, _) = learner._nudge(step, drive, free, [0.4, -0.4])
    z = dict(free)
    for _ in range(5):
        h = learner._fields(step, drive, z)
        h[3] = h[3] - 2 * 0.4 * (z[3] - step.targets)
        z = learner._nearer(z, learner._goals(step, h))
    for layer in range(1, 4):
        torch.testing.assert_close(reached[layer] + apart[layer], z[layer])
