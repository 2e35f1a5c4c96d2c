"""LRA in full: wiring, rules inside a group, mixes, and its ancestors with local targets."""

import pytest
import torch

from credbench.errors import RequestError
from helpers import (
    SMOOTH,
    dense_net,
    draw_params,
    errors_of,
    make,
    make_step,
    relative,
    slope,
)  # fmt: skip

FIVE = (6, 8, 8, 8, 8, 4)
BETAS = [0.1 * 2.0**-k for k in range(5)]


def edges(text, **given):
    return make("algorithm", "rec-lra", edges=text, **given)


def same(a, b):
    assert a.keys() == b.keys()
    for name in a:
        torch.testing.assert_close(a[name], b[name])


def test_error_edges_of_a_gap_are_that_gap():
    net = dense_net(FIVE)
    given, named = edges("L>4+L>2+4>3+2>1"), make("algorithm", "rec-lra", gap=2)
    one, other = (learner.updates(make_step(net, learner)) for learner in (given, named))
    same(one.params, other.params)
    same(one.feedback, other.feedback)


def test_error_edges_of_a_chain_are_lra_e():
    net, chain = dense_net(FIVE), make("algorithm", "lra-e")
    step = make_step(net, chain)
    feedback = dict(step.feedback)
    feedback["S4"] = feedback.pop("E4").unsqueeze(0)
    learner = edges("5>4+4>3+3>2+2>1")
    found = learner.updates(make_step(net, learner, feedback=feedback))
    same(found.params, chain.updates(step).params)


def test_a_layer_hears_from_several_edges_at_once():
    net, learner = dense_net(FIVE), edges("L>1+L>2+L>3+L>4+3>1+1>2", beta=0.3, sigma=1)
    step = make_step(net, learner, batch=1)
    a, f = step.forward(), step.feedback
    top = step.output_error(a)

    def error(layer, signal):
        return a.z[layer] - torch.tanh(a.h[layer] - 0.3 * signal)

    e3 = error(3, top @ f["S3-4"][0])
    e1 = error(1, top @ f["S1"][0] + e3 @ f["S3>1"][0])
    e2 = error(2, top @ f["S2"][0] + e1 @ f["S1>2"][0])
    e4 = error(4, top @ f["S3-4"][1])
    found = errors_of(net, draw_params(net), step, learner)
    for layer, expected in ((1, e1), (2, e2), (3, e3), (4, e4), (5, top)):
        torch.testing.assert_close(found[layer - 1], expected[0])
    updates = learner.updates(step).feedback
    torch.testing.assert_close(updates["S3>1"][0], e3.T @ a.z[1])
    torch.testing.assert_close(updates["S1>2"][0], e1.T @ a.z[2])


@pytest.mark.parametrize("text", ("L>1+2>3+3>2", "2>2", "4>3+3>2+2>1+1>4"))
def test_a_cycle_of_error_edges_is_refused_by_name(text):
    with pytest.raises(RequestError, match="form a cycle") as refused:
        edges(text)
    told = str(refused.value).partition("the error edges ")[2].partition(" form")[0]
    hops = [hop.split(">") for hop in told.split("+")]
    assert all(f"{j}>{i}" in text.split("+") for j, i in hops)
    assert [i for _, i in hops] == [j for j, _ in (*hops[1:], hops[0])]


@pytest.mark.parametrize(
    "text, why",
    [("L>1", "layer 2, which would never learn"), ("L>3+L>1+L>2", "layers that are not there"),
     ("9>1+L>2", "layers that are not there"), ("L>1+3>1+L>2", "given twice")],
)  # fmt: skip
def test_error_edges_that_do_not_fit_are_not_applicable(text, why):
    network, activation = make("network", "mlp", hidden="8x2"), make("activation", "tanh")
    assert why in edges(text).refuses(network, activation)
    assert not edges("L>1+L>2").refuses(network, activation)


@pytest.mark.parametrize("text", ("", "L>L", "1>0", "L<1", "1>2>3", "L>1+L>1"))
def test_words_that_are_no_edges_are_refused(text):
    with pytest.raises(RequestError, match="edges"):
        edges(text)


@pytest.mark.parametrize("gap, l2, l2_skip", [(2, 0.24, 0.19), (1, 1, 0.5), (9, 0, 1)])
def test_error_neurons_mix_the_difference_with_its_sign(gap, l2, l2_skip):
    net = dense_net((6, 8, 8, 4))
    given = {"l2_skip": l2_skip} | ({} if gap == 1 else {"l2": l2})
    plain, mixed = (make("algorithm", "rec-lra", gap=gap, **more) for more in ({}, given))
    step = make_step(net, plain, batch=1)
    params = draw_params(net)
    topmost = 2
    before, after = (errors_of(net, params, step, one) for one in (plain, mixed))
    weight = l2_skip if topmost % gap == 0 else l2
    expected = weight * before[topmost - 1] + (1 - weight) * before[topmost - 1].sign()
    torch.testing.assert_close(after[topmost - 1], expected)


@pytest.mark.parametrize("l2", (1, 0.3))
@pytest.mark.parametrize("gap", (1, 2, 9))
def test_the_discrepancy_rule_is_the_gradient_of_the_discrepancy(gap, l2):
    net = dense_net(FIVE)
    given = {"l2_skip": l2} | ({} if gap == 1 else {"l2": l2})
    learner = make("algorithm", "rec-lra", gap=gap, rule="discrepancy", sigma=1, **given)
    assert learner.capabilities.needs_derivative
    step = make_step(net, learner)
    a, updates = step.forward(), learner.updates(step)
    plain = make("algorithm", "rec-lra", gap=gap, sigma=1, **given)
    errors = {5: step.output_error(a)}
    for layer in (4, 3, 2, 1):
        skip = layer % gap == 0
        stack = "S" + "-".join(str(k) for k in range(gap, 5, gap))
        name = stack if skip else f"E{layer}"
        synapse = step.feedback[name].clone().requires_grad_()
        own = synapse[layer // gap - 1] if skip else synapse
        above = errors[5] if skip else errors[layer + 1]
        missed = a.z[layer] - torch.tanh(a.h[layer] - 0.1 * above @ own)
        discrepancy = (l2 * missed.square() / 2 + (1 - l2) * missed.abs()).sum() / len(step.x)
        (gradient,) = torch.autograd.grad(discrepancy, synapse)
        found = updates.feedback[name]
        if skip:
            gradient, found = gradient[layer // gap - 1], found[layer // gap - 1]
        torch.testing.assert_close(found, gradient)
        errors[layer] = (l2 * missed + (1 - l2) * missed.sign()).detach()
    same(updates.params, plain.updates(step).params)


def test_backprop_inside_a_group_is_the_gradient_from_its_end():
    """g = 4: layer 4 hears from the output; below it its error is carried by the weights."""
    net = dense_net(FIVE, separate=True)
    params = draw_params(net)
    learner = make("algorithm", "rec-lra", gap=4, inside="backprop")
    assert learner.capabilities.needs_derivative
    step = make_step(net, learner, params)
    a = step.forward()
    signal = 0.1 * step.output_error(a) @ step.feedback["S4"][0]
    end = a.z[4] - torch.tanh(a.h[4] - signal)
    leaves = {k: v.clone().requires_grad_() for k, v in params.items()}
    h4 = net.forward(net.views(leaves), step.x).h[4]
    names = [k for k in leaves if not k.endswith("5")]
    scalar = (h4 * end).sum() / len(step.x)
    expected = torch.autograd.grad(scalar, [leaves[k] for k in names])
    updates = learner.updates(step).params
    for name, gradient in zip(names, expected, strict=True):
        torch.testing.assert_close(updates[name], gradient)


def test_hebbian_groups_pass_their_error_as_it_is():
    net = dense_net(FIVE)
    learner = make("algorithm", "rec-lra", gap=2, inside="hebbian")
    step = make_step(net, learner, batch=1)
    assert set(step.feedback) == {"S2-4"}
    found = errors_of(net, draw_params(net), step, learner)
    torch.testing.assert_close(found[0], found[1])
    torch.testing.assert_close(found[2], found[3])
    uneven, activation = make("network", "mlp", hidden="8-9"), make("activation", "tanh")
    assert "equally wide" in learner.refuses(uneven, activation)
    above = make("network", "mlp", hidden="8x2-9")
    assert not learner.refuses(above, activation)


def capped(d, cap):
    norm = d.norm(dim=1, keepdim=True)
    return d * (cap / norm.clamp(min=cap))


def local_gradients(net, params, step, learner):
    """The same algorithm with every derivative taken by torch's own differentiation."""
    a, views, phi = step.forward(), net.views(params), net.activation
    leaves = {k: v.clone().requires_grad_() for k, v in params.items()}
    own = net.views(leaves)

    def local_loss(layer, z_below, target, arrays):
        h = z_below @ arrays["weight"].T + arrays["bias"]
        if layer == net.depth:
            return -(step.targets * h.log_softmax(-1)).sum(), h
        missed = phi(h) - target
        each = (1 + missed.square()).log() if learner.loss == "cauchy" else missed.square()
        return each.sum() / 2, h

    target, total = None, 0
    for layer in range(net.depth, 0, -1):
        loss, _ = local_loss(layer, a.z[layer - 1], target, own[layer - 1])
        total = total + loss / len(step.x)
        if layer == 1:
            break
        h = a.h[layer - 1].clone()
        for _ in range(learner.steps):
            point = h.clone().requires_grad_()
            below, above = local_loss(layer, phi(point), target, views[layer - 1])
            if learner.name == "lra-diff":
                (d,) = torch.autograd.grad(below, point)
            else:
                d = torch.autograd.grad(below, above)[0] @ step.feedback[f"E{layer}"]
            h = h - learner.beta * capped(d, learner.cap)
        target = phi(h).detach()
    return dict(zip(leaves, torch.autograd.grad(total, list(leaves.values())), strict=True))


@pytest.mark.parametrize("algorithm", ("lra-diff", "lra-fdbk"))
@pytest.mark.parametrize("loss", ("squared", "cauchy"))
@pytest.mark.parametrize("steps, cap", [(1, 1000), (1, 0.05), (4, 1000), (4, 0.05)])
@pytest.mark.parametrize("activation", ("tanh", "softplus"))
def test_local_targets_and_their_losses_by_differentiation(algorithm, loss, steps, cap, activation):
    net = dense_net(FIVE, activation)
    params = draw_params(net)
    learner = make("algorithm", algorithm, loss=loss, steps=steps, cap=cap, beta=0.3)
    step = make_step(net, learner, params)
    updates = learner.updates(step).params
    for name, expected in local_gradients(net, params, step, learner).items():
        torch.testing.assert_close(updates[name], expected)


def test_lra_diff_is_backprop_on_a_linear_net():
    net = dense_net(FIVE, "identity")
    params, learner = draw_params(net), make("algorithm", "lra-diff", beta=0.1, cap=1e9)
    step = make_step(net, learner, params, batch=1)
    found, expected = (
        errors_of(net, params, step, one) for one in (learner, make("algorithm", "backprop"))
    )
    for layer in range(1, 6):
        torch.testing.assert_close(found[layer - 1], expected[layer - 1] * 0.1 ** (5 - layer))


@pytest.mark.parametrize("activation", SMOOTH)
def test_lra_diff_tends_to_a_chain_of_cubed_slopes_with_order_one(activation):
    """e_l / β → φ′ d and d holds one φ′ of its own; the update's is the third."""
    net = dense_net((6, 8, 8, 4), activation)
    params = draw_params(net)
    views, misfits = net.views(params), []
    for beta in BETAS:
        learner = make("algorithm", "lra-diff", beta=beta, cap=1e9)
        step = make_step(net, learner, params, batch=1)
        a = step.forward()
        expected = step.output_error(a)
        for layer in (2, 1):
            expected = (expected @ views[layer]["weight"]) * net.slope(a, layer) ** 3
        found = errors_of(net, params, step, learner)
        misfits.append(relative(found[0] / beta**2, expected[0]))
    assert slope(BETAS, misfits) == pytest.approx(1, abs=0.1)


ZERO = [
    ("backprop", "tanh relu6 sign", "softplus"),
    ("lra-diff", "tanh relu6 sign", "softplus"),
    ("dfa", "", "tanh relu6 sign softplus"),
    ("lra-fdbk", "", "tanh relu6 sign softplus"),
    ("rec-lra", "", "tanh relu6 sign softplus"),
]


@pytest.mark.parametrize("algorithm, stays, leaves", ZERO)
def test_what_leaves_all_zero_weights(algorithm, stays, leaves):
    learner = make("algorithm", algorithm, **({"gap": 1} if algorithm == "rec-lra" else {}))
    for activation in (*stays.split(), *leaves.split()):
        net = dense_net((6, 8, 8, 4), activation)
        params = {k: torch.zeros_like(v) for k, v in draw_params(net).items()}
        feedback = make_step(net, learner).feedback
        for seed in range(20):
            step = make_step(net, learner, params, feedback, batch=32, seed=seed)
            updates = learner.updates(step).params
            params = {k: v - 0.5 * updates[k] for k, v in params.items()}
        moved = [params[f"weight.{k}"].abs().max() > 0 for k in (1, 2)]
        assert moved == [activation in leaves.split()] * 2, activation


def test_every_rule_moves_what_it_should_with_sgd():
    """Each of rec-LRA's structures lowers the loss of a small problem."""
    net = dense_net((6, 16, 16, 16, 4))
    for given in (
        {"rule": "discrepancy"}, {"rule": "fixed"}, {"inside": "backprop"}, {"inside": "hebbian"},
        {"l2": 0.24, "l2_skip": 0.19}, {"edges": "L>3+L>1+3>2"},
    ):  # fmt: skip
        learner = make("algorithm", "rec-lra", beta=0.3, sigma=0.5, **given)
        params = draw_params(net, sigma=0.3)
        step = make_step(net, learner, params, batch=60)
        feedback, losses = step.feedback, []
        for _ in range(150):
            step = make_step(net, learner, params, feedback, batch=60)
            updates = learner.updates(step)
            losses.append(float(-(step.targets * updates.logits.log_softmax(-1)).sum(-1).mean()))
            params = {k: v - 0.1 * updates.params[k] for k, v in params.items()}
            feedback = {
                k: v - 0.1 * updates.feedback[k] if k in updates.feedback else v
                for k, v in feedback.items()
            }
        assert losses[-1] < losses[0] - 0.05, given
