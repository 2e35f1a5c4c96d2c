"""Normalised blocks: their derivatives, what they keep of the data, and learners on them."""

import pytest
import torch

from credbench.architectures.mlp import Mlp
from credbench.group import Group
from helpers import REGISTRY, autograd, draw_params, make, make_step

NORMS = ("batch", "layer")
LEARNERS = [n for n in REGISTRY.names("algorithm") if n != "equilibrium-prop"]


def network(norm, kind="mlp", activation="tanh", hidden="8x3"):
    recipe = make("network", kind, norm=norm, hidden=hidden)
    return recipe.build((6,), 4, make("activation", activation))


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("kind", ("mlp", "res-mlp"))
def test_backprop_is_the_gradient_through_a_norm(norm, kind):
    net = network(norm, kind)
    params, learner = draw_params(net), make("algorithm", "backprop")
    step = make_step(net, learner, params)
    updates, expected = learner.updates(step).params, autograd(net, params, step)
    assert updates.keys() == expected.keys() and any("gain" in name for name in updates)
    for name in expected:
        torch.testing.assert_close(updates[name], expected[name], rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("norm", NORMS)
def test_fa_with_the_weights_is_backprop_through_a_norm(norm):
    net = network(norm)
    params, fa = draw_params(net), make("algorithm", "fa")
    weights = [block["weight"] for block in net.views(params)]
    feedback = {f"B{k}": weights[k - 1] for k in range(2, net.depth + 1)}
    step = make_step(net, fa, params, feedback)
    for name, expected in autograd(net, params, step).items():
        torch.testing.assert_close(fa.updates(step).params[name], expected)


@pytest.mark.parametrize("norm, module", [
    ("batch", torch.nn.BatchNorm1d), ("layer", torch.nn.LayerNorm),
])  # fmt: skip
def test_values_and_running_moments_are_torchs(norm, module):
    net = network(norm, hidden="8")
    params = draw_params(net)
    arrays, theirs = net.views(params)[0], module(8).double()
    with torch.no_grad():
        theirs.weight.copy_(1 + arrays["gain"])
        theirs.bias.copy_(arrays["bias"])
    state = {k: v.double() for k, v in net.init_statistics().items()}
    for seed in range(3):
        x = torch.rand((9, 6), dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        a = net.forward(net.views(params), x)
        torch.testing.assert_close(a.h[1], theirs(x @ arrays["weight"].T))
        state |= net.statistics(state, net.views(params), a)
    theirs.eval()
    x = x[:4]
    settled = net.forward(net.settled(net.views(params), state), x).h[1]
    torch.testing.assert_close(settled, theirs(x @ arrays["weight"].T))
    assert bool(state) == (norm == "batch")
    if state:
        torch.testing.assert_close(state["mean.1"], theirs.running_mean)
        torch.testing.assert_close(state["variance.1"], theirs.running_var)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("algorithm", LEARNERS)
def test_every_learner_moves_every_array_of_normalised_nets(algorithm, norm):
    net, learner = network(norm), make("algorithm", algorithm)
    updates = learner.updates(make_step(net, learner, batch=16))
    assert updates.params.keys() == net.leaves.keys()
    assert all(one.abs().max() > 0 for update in updates.params.values() for one in update)


def test_the_running_moments_are_kept_with_the_weights_and_used():
    from credbench.experiment import make_experiment
    from credbench.images import split

    settings = {"algorithm": "lra-e", "network": "mlp[hidden=16,norm=batch]", "seeds": "2"}
    trials = make_experiment(REGISTRY, settings).trials
    dataset = trials[0].dataset
    splits = split(dataset, dataset.load(None), 200)
    for members in (trials[:1], trials):
        group = Group(members, [splits] * len(members), torch.device("cpu"))
        with torch.no_grad():
            before = group.predict("validation", group.weights())
            group.train_epoch(1)
            assert (group.state["mean.1"].abs() > 1e-3).any()
            after = group.predict("validation", group.weights())
            one = group.predict("validation", group.weights())[..., :1, :]
        assert not torch.equal(before, after)
        torch.testing.assert_close(one, after[..., :1, :])


def test_a_net_without_a_norm_says_nothing_of_it():
    assert Mlp().spec() == "mlp[hidden=256x3]"
    assert make("network", "mlp", norm="none").spec() == "mlp[hidden=256x3]"
    assert make("network", "mlp", norm="layer").spec() == "mlp[hidden=256x3,norm=layer]"
