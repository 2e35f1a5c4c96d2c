"""Each rule against theory, in float64: equalities in special cases, limits with their order."""

from functools import partial

import pytest
import torch

from credbench.costs import Kernels
from credbench.errors import RequestError
from helpers import (
    DIFFERENTIABLE,
    SMOOTH,
    autograd,
    dense_net,
    draw_params,
    errors_of,
    make,
    make_step,
    relative,
    slope,
)  # fmt: skip

DEPTHS = (1, 2, 3, 5)
WIDTHS = {1: (6, 4), 2: (6, 8, 4), 3: (6, 8, 8, 4), 5: (6, 8, 8, 7, 8, 4)}
BETAS = [0.1 * 2.0**-k for k in range(5)]
EXACT = 1e-10


def transposes(net, params):
    """Feedback for a chain that equals the forward weights, in their own layout."""
    return {f"W{k}": a["weight"] for k, a in enumerate(net.views(params), start=1)}


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("activation", DIFFERENTIABLE)
def test_backprop_is_the_gradient(depth, activation):
    net = dense_net(WIDTHS[depth], activation)
    params, learner = draw_params(net), make("algorithm", "backprop")
    step = make_step(net, learner, params)
    updates, expected = learner.updates(step).params, autograd(net, params, step)
    assert updates.keys() == expected.keys()
    for name in expected:
        torch.testing.assert_close(updates[name], expected[name], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("activation", ("tanh", "lrelu"))
def test_fa_with_the_weights_is_backprop(depth, activation):
    net = dense_net(WIDTHS[depth], activation)
    params, learner = draw_params(net), make("algorithm", "fa")
    weights = transposes(net, params)
    feedback = {f"B{k}": weights[f"W{k}"] for k in range(2, depth + 1)}
    step = make_step(net, learner, params, feedback)
    for name, expected in autograd(net, params, step).items():
        torch.testing.assert_close(learner.updates(step).params[name], expected)


@pytest.mark.parametrize("depth", DEPTHS)
def test_dfa_with_the_product_of_weights_is_backprop_on_a_linear_net(depth):
    net = dense_net(WIDTHS[depth], "identity")
    params, learner = draw_params(net), make("algorithm", "dfa")
    each = products(net, params)
    feedback = {
        f"B{'-'.join(map(str, layers))}": torch.stack([each[k].T for k in layers])
        for layers in net.alike(net.hidden)
    }
    step = make_step(net, learner, params, feedback)
    for name, expected in autograd(net, params, step).items():
        torch.testing.assert_close(learner.updates(step).params[name], expected)


def products(net, params):
    """(W_L … W_{l+1})ᵀ for every hidden layer."""
    weights = transposes(net, params)
    found, product = {}, torch.eye(net.width(net.depth), dtype=torch.float64)
    for k in range(net.depth, 1, -1):
        product = product @ weights[f"W{k}"]
        found[k - 1] = product.T
    return found


def chain_misfits(activation, depth, betas):
    """How far e_l / β^(L−l) is from backprop's error, for each hidden layer and β."""
    net = dense_net(WIDTHS[depth], activation)
    params = draw_params(net)
    weights = transposes(net, params)
    feedback = {f"E{k}": weights[f"W{k + 1}"] for k in net.hidden}
    backprop = make("algorithm", "backprop")
    expected = errors_of(net, params, make_step(net, backprop, params, batch=1), backprop)
    misfits = {k: [] for k in net.hidden}
    for beta in betas:
        learner = make("algorithm", "lra-e", beta=beta)
        step = make_step(net, learner, params, feedback, batch=1)
        found = errors_of(net, params, step, learner)
        for k in net.hidden:
            scaled = found[k - 1] / beta ** (net.depth - k)
            misfits[k].append(relative(scaled, expected[k - 1]))
    return misfits


@pytest.mark.parametrize("depth", (2, 3, 5))
@pytest.mark.parametrize("activation", SMOOTH)
def test_chain_with_the_weights_tends_to_backprop_with_order_one(activation, depth):
    for layer, misfits in chain_misfits(activation, depth, BETAS).items():
        assert slope(BETAS, misfits) == pytest.approx(1, abs=0.1), (layer, misfits)


@pytest.mark.parametrize("depth", (2, 3, 5))
@pytest.mark.parametrize("activation, betas", [("identity", BETAS), ("lrelu", [1e-4])])
def test_chain_with_the_weights_is_backprop_where_phi_is_linear(activation, depth, betas):
    # lrelu is linear as long as no pre-activation crosses its kink, which a small β ensures.
    for misfits in chain_misfits(activation, depth, betas).values():
        assert max(misfits) < 1e-8


def skip_misfits(activation, depth, betas):
    """How far e_l / β is from DFA's error with the same feedback."""
    net = dense_net(WIDTHS[depth], activation)
    params, dfa = draw_params(net), make("algorithm", "dfa", sigma=0.25)
    step = make_step(net, dfa, params, batch=1)
    expected = errors_of(net, params, step, dfa)
    misfits = {k: [] for k in net.hidden}
    for beta in betas:
        learner = make("algorithm", "rec-lra", beta=beta, gap=1)
        feedback = {f"S{name[1:]}": value for name, value in step.feedback.items()}
        mine = make_step(net, learner, params, feedback, batch=1)
        found = errors_of(net, params, mine, learner)
        for k in net.hidden:
            misfits[k].append(relative(found[k - 1] / beta, expected[k - 1]))
    return misfits


@pytest.mark.parametrize("depth", (2, 3, 5))
@pytest.mark.parametrize("activation", SMOOTH)
def test_skips_tend_to_dfa_with_order_one(activation, depth):
    for layer, misfits in skip_misfits(activation, depth, BETAS).items():
        assert slope(BETAS, misfits) == pytest.approx(1, abs=0.1), (layer, misfits)


@pytest.mark.parametrize("activation, betas", [("identity", BETAS), ("lrelu", [1e-4])])
def test_skips_are_dfa_where_phi_is_linear(activation, betas):
    for misfits in skip_misfits(activation, 5, betas).values():
        assert max(misfits) < 1e-8


def test_skips_of_products_are_backprop_on_a_linear_net():
    net = dense_net(WIDTHS[5], "identity")
    params, learner = draw_params(net), make("algorithm", "rec-lra", gap=1, beta=0.1)
    found = products(net, params)
    feedback = {
        f"S{'-'.join(map(str, layers))}": torch.stack([found[k].T for k in layers])
        for layers in net.alike(net.hidden)
    }
    step = make_step(net, learner, params, feedback, batch=1)
    backprop = make("algorithm", "backprop")
    expected = errors_of(net, params, make_step(net, backprop, params, batch=1), backprop)
    mine = errors_of(net, params, step, learner)
    for k in net.hidden:
        torch.testing.assert_close(mine[k - 1] / 0.1, expected[k - 1])


def test_a_gap_beyond_the_depth_is_lra_e():
    net = dense_net(WIDTHS[5])
    params = draw_params(net)
    chain, far = make("algorithm", "lra-e"), make("algorithm", "rec-lra", gap=9)
    step = make_step(net, chain, params)
    a, b = chain.updates(step), far.updates(step)
    for name in a.params:
        assert torch.equal(a.params[name], b.params[name])
    assert a.feedback.keys() == b.feedback.keys()


def test_a_mixed_wiring_uses_the_layer_above_between_skips():
    """g = 2 on four hidden layers: 2 and 4 hear from the output, 1 and 3 from 2 and 4."""
    net = dense_net((6, 8, 8, 8, 8, 4))
    params, learner = draw_params(net), make("algorithm", "rec-lra", gap=2, beta=0.3, sigma=1)
    step = make_step(net, learner, params, batch=1)
    a, f = step.forward(), step.feedback
    top = step.output_error(a)
    expected = {5: top}
    for layer, signal in (
        (2, lambda: top @ f["S2-4"][0]),
        (4, lambda: top @ f["S2-4"][1]),
        (1, lambda: expected[2] @ f["E1"]),
        (3, lambda: expected[4] @ f["E3"]),
    ):
        expected[layer] = a.z[layer] - torch.tanh(a.h[layer] - 0.3 * signal())
    found = errors_of(net, params, step, learner)
    for layer, error in expected.items():
        torch.testing.assert_close(found[layer - 1], error[0])
    updates = learner.updates(step).feedback
    torch.testing.assert_close(updates["E1"], expected[2].T @ a.z[1])
    torch.testing.assert_close(updates["S2-4"][1], top.T @ a.z[4])


def test_synapses_turn_by_the_change_of_the_weights():
    """Chain, γ = 1, plain SGD, no clipping: E − Wᵀ stays what it was."""
    net = dense_net(WIDTHS[5])
    params, learner = draw_params(net), make("algorithm", "lra-e", gamma=1, beta=1, sigma=1)
    feedback = make_step(net, learner, params).feedback
    before = difference(net, params, feedback)
    start = {k: v.clone() for k, v in params.items()}
    for seed in range(20):
        step = make_step(net, learner, params, feedback, seed=seed)
        updates = learner.updates(step)
        params = {k: v - 0.1 * updates.params[k] for k, v in params.items()}
        feedback = {k: v - 0.1 * learner.rate(k) * updates.feedback[k] for k, v in feedback.items()}
    assert all((params[k] - start[k]).norm() > 1e-3 for k in params)
    for k, gap in difference(net, params, feedback).items():
        torch.testing.assert_close(gap, before[k], rtol=0, atol=EXACT)


def difference(net, params, feedback):
    weights = transposes(net, params)
    return {k: feedback[f"E{k}"] - weights[f"W{k + 1}"] for k in net.hidden}


def test_fixed_synapses_have_no_update_and_printed_ones_the_other_sign():
    net = dense_net(WIDTHS[3])
    fixed, printed = (make("algorithm", "rec-lra", rule=r, gap=2) for r in ("fixed", "printed"))
    step = make_step(net, fixed)
    assert fixed.updates(step).feedback == {}
    a, f = step.forward(), step.feedback
    top = step.output_error(a)
    expected = -top.T @ (top @ f["S2"][0]) / len(step.x)
    torch.testing.assert_close(printed.updates(step).feedback["S2"][0], expected)
    second = errors_at(step, 2, 0.1)
    expected = -(second.T @ (second @ f["E1"])) / len(step.x)
    torch.testing.assert_close(printed.updates(step).feedback["E1"], expected)


def errors_at(step, layer, beta):
    a = step.forward()
    signal = step.output_error(a) @ step.feedback["S2"][0]
    return a.z[layer] - torch.tanh(a.h[layer] - beta * signal)


FAMILY = (
    {},
    {"top": "inverse"},
    {"top": "augmented", "features": 5},
    {"correction": "none"},
    {"schedule": "parallel"},
)


@pytest.mark.parametrize("given", FAMILY)
@pytest.mark.parametrize("activation", ("tanh", "sigmoid", "lrelu"))
def test_dtp_targets_are_the_activities_when_the_output_is_right(activation, given):
    """True of every difference variant, and false of vanilla target propagation."""
    net, learner = dense_net(WIDTHS[5], activation), make("algorithm", "target-prop", **given)
    step = make_step(net, learner)
    a = step.forward()
    targets = learner.targets(step, a, torch.zeros_like(a.logits))
    assert targets.keys() == set(net.hidden)
    for k, target in targets.items():
        if "correction" in given and k < net.depth - 1:
            assert (target - a.z[k]).abs().max() > 0.01
        else:
            torch.testing.assert_close(target, a.z[k], rtol=0, atol=EXACT)


def top_target(learner, step, a):
    """The top target, written out on its own."""
    net, f = step.net, step.feedback
    z = a.z[net.depth - 1]
    if learner.top == "gradient":
        top = z.clone().requires_grad_()
        logits = net.blocks[-1].forward(step.params[-1], top)
        loss = -(step.targets * logits.log_softmax(-1)).sum()
        return z - learner.alpha * torch.autograd.grad(loss, top)[0]

    def g(output):
        extra = [(z @ f["R"].T).tanh()] if learner.top == "augmented" else []
        return (torch.cat([output, *extra], -1) @ f[f"V{net.depth}"].T + f[f"c{net.depth}"]).tanh()

    return z - g(a.logits.softmax(-1)) + g(step.targets)


@pytest.mark.parametrize("given", FAMILY)
@pytest.mark.parametrize("depth", (2, 3, 5))
def test_dtp_updates_are_gradients_of_its_losses(depth, given):
    net, learner = dense_net(WIDTHS[depth]), make("algorithm", "target-prop", **given)
    params = draw_params(net)
    step = make_step(net, learner, params)
    a = step.forward()
    targets = learner.targets(step, a, step.output_error(a))
    torch.testing.assert_close(targets[net.depth - 1], top_target(learner, step, a))
    for k in range(2, net.depth):
        wanted = (targets[k] @ step.feedback[f"V{k}"].T + step.feedback[f"c{k}"]).tanh()
        own = (a.z[k] @ step.feedback[f"V{k}"].T + step.feedback[f"c{k}"]).tanh()
        expected = wanted if "correction" in given else a.z[k - 1] - own + wanted
        torch.testing.assert_close(targets[k - 1], expected)
    leaves = {k: v.clone().requires_grad_() for k, v in params.items()}
    views, total = net.views(leaves), 0
    for k in net.hidden:
        z = net.blocks[k - 1].forward(views[k - 1], a.z[k - 1]).tanh()
        total = total + (z - targets[k]).square().sum() / len(step.x)
    logits = net.blocks[-1].forward(views[-1], a.z[net.depth - 1])
    total = total - (step.targets * logits.log_softmax(-1)).sum(-1).mean()
    expected = torch.autograd.grad(total, list(leaves.values()))
    updates = learner.updates(step)
    assert bool(updates.feedback) == (learner.schedule == "parallel" and depth > 2)
    for name, gradient in zip(leaves, expected, strict=True):
        torch.testing.assert_close(updates.params[name], gradient)


def inverse_loss(learner, step, feedback):
    a, net, total = step.forward(), step.net, 0
    for k in range(2, net.depth + (learner.top != "gradient")):
        noisy = a.z[k - 1] + learner.noise_sigma * step.noise[f"eps{k}"]
        above = net.blocks[k - 1].forward(step.params[k - 1], noisy)
        above = above.tanh() if k < net.depth else above.softmax(-1)
        if k == net.depth and learner.top == "augmented":
            above = torch.cat([above, (noisy @ step.feedback["R"].T).tanh()], -1)
        guess = (above @ feedback[f"V{k}"].T + feedback[f"c{k}"]).tanh()
        total = total + (guess - a.z[k - 1]).square().sum() / len(step.x)
    return total


@pytest.mark.parametrize("given", FAMILY)
def test_dtp_inverse_updates_are_the_gradient_and_the_inverse_loss_falls(given):
    net, learner = dense_net(WIDTHS[5]), make("algorithm", "target-prop", **given)
    phase = learner.phases[0]
    step = make_step(net, learner, phase=phase, batch=50)
    learned = [k for k in step.feedback if k != "R"]
    feedback = {k: step.feedback[k].clone().requires_grad_() for k in learned}
    loss = inverse_loss(learner, step, feedback)
    expected = torch.autograd.grad(loss, list(feedback.values()))
    updates = learner.updates(step)
    assert bool(updates.params) == (phase == "both") and list(updates.feedback) == learned
    for name, gradient in zip(feedback, expected, strict=True):
        torch.testing.assert_close(updates.feedback[name], gradient)
    moved = step.feedback
    for _ in range(300):
        now = make_step(net, learner, feedback=moved, phase=phase, batch=50, noise=step.noise)
        found = learner.updates(now).feedback
        moved = {k: v - 0.05 * found[k] if k in found else v for k, v in moved.items()}
    assert inverse_loss(learner, step, moved) < 0.6 * loss


def test_dtp_phases_follow_the_schedule():
    make_one = partial(make, "algorithm", "target-prop")
    assert make_one().phases == ("inverse", "forward")
    assert make_one(schedule="parallel").phases == ("both",)
    with pytest.raises(RequestError, match="no effect"):
        make_one(top="inverse", alpha=0.1)
    with pytest.raises(RequestError, match="no effect"):
        make_one(features=5)


def update_kernels(learner, depth):
    """How many kernels the updates take beyond those of the forward pass."""
    net = dense_net((6, *[8] * depth, 4))
    step = make_step(net, learner)
    with Kernels() as forward:
        step.forward()
    with Kernels() as whole:
        learner.updates(step)
    return whole.count - forward.count


@pytest.mark.parametrize("algorithm, given", [("rec-lra", {"gap": 1}), ("dfa", {})])
def test_skips_take_as_many_kernels_at_any_depth(algorithm, given):
    learner = make("algorithm", algorithm, **given)
    assert update_kernels(learner, 4) == update_kernels(learner, 32)


@pytest.mark.parametrize("algorithm", ("backprop", "lra-e"))
def test_chains_take_more_kernels_the_deeper_they_are(algorithm):
    learner = make("algorithm", algorithm)
    assert update_kernels(learner, 32) > update_kernels(learner, 4) + 28
