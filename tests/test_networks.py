"""Blocks other than dense ones: the same rules serve convolutions and residual networks."""

import pytest
import torch

from credbench.architectures.mlp import parse_widths, show_widths
from credbench.blocks import Block, Dense
from credbench.errors import RequestError
from credbench.networks import Network
from helpers import autograd, dense_net, draw_params, make, make_step


class Convolution(Block):
    """A strided 3x3 convolution, with its products derived by differentiation."""

    @property
    def shapes(self):
        return {"weight": (self.shape_out[0], self.shape_in[0], 3, 3), "bias": self.shape_out[:1]}

    def forward(self, arrays, below, earlier=None):
        return torch.nn.functional.conv2d(
            below, arrays["weight"], arrays["bias"], stride=2, padding=1
        )


class Flattened(Dense):
    """A dense block on top of a convolution."""

    def __init__(self, shape, n_out):
        super().__init__(shape[0] * shape[1] * shape[2], n_out)
        self.shape_in = shape

    @property
    def shapes(self):
        return {"weight": (*self.shape_out, self.shape_in[0] * 4), "bias": self.shape_out}

    def forward(self, arrays, below, earlier=None):
        return super().forward(arrays, below.flatten(1))

    def gradient(self, arrays, below, error, earlier=None):
        return super().gradient(arrays, below.flatten(1), error)

    def adjoint(self, arrays, below, error, earlier=None, feedback=None):
        down, _ = super().adjoint(arrays, below, error, None, feedback)
        return down.view_as(below), None


def conv_net(activation="tanh"):
    blocks = [
        Convolution((1, 8, 8), (3, 4, 4)),
        Convolution((3, 4, 4), (3, 2, 2)),
        Flattened((3, 2, 2), 4),
    ]
    return Network(blocks, make("activation", activation))


def residual_net():
    """Dense layers of which 3 and 5 add the activity two layers down."""
    blocks = [
        Dense(6, 8), Dense(8, 8), Dense(8, 8, earlier=1), Dense(8, 8), Dense(8, 8, earlier=3),
        Dense(8, 4),
    ]  # fmt: skip
    return Network(blocks, make("activation", "tanh"))


@pytest.mark.parametrize("net", (conv_net(), residual_net(), dense_net((6, 4), separate=True)))
def test_backprop_is_the_gradient_on_any_blocks(net):
    params, learner = draw_params(net), make("algorithm", "backprop")
    step = make_step(net, learner, params)
    updates = learner.updates(step).params
    for name, expected in autograd(net, params, step).items():
        torch.testing.assert_close(updates[name], expected)


@pytest.mark.parametrize("algorithm", ("fa", "dfa", "lra-e", "rec-lra"))
@pytest.mark.parametrize("net", (conv_net(), residual_net()))
def test_local_rules_move_every_array_of_any_blocks(algorithm, net):
    learner = make("algorithm", algorithm)
    updates = learner.updates(make_step(net, learner))
    assert updates.params.keys() == net.leaves.keys()
    for name, update in updates.params.items():
        assert update.shape == (len(net.leaves[name].blocks), *net.leaves[name].shape)
        assert all(one.abs().max() > 0 for one in update)


def test_chain_errors_of_a_convolution_are_those_of_its_transpose():
    net = conv_net("identity")
    params, learner = draw_params(net), make("algorithm", "lra-e", beta=0.1)
    views = net.views(params)
    feedback = {f"E{k}": views[k]["weight"] for k in net.hidden}
    step = make_step(net, learner, params, feedback)
    backprop = make("algorithm", "backprop")
    mine, gradient = learner.updates(step).params, backprop.updates(step).params
    # On a linear net e_l = β^(L−l) · backprop's, whatever the blocks are; 1 and 2 are apart.
    for name, power in (("weight.1", 2), ("weight.2", 1), ("weight.3", 0)):
        torch.testing.assert_close(mine[name], gradient[name] * 0.1**power)


def test_equal_shapes_share_a_leaf_unless_they_must_not():
    assert list(dense_net((6, 8, 8, 8, 4)).leaves) == [
        "weight.1", "bias.1", "weight.2-3", "bias.2-3", "weight.4", "bias.4",
    ]  # fmt: skip
    apart = dense_net((6, 8, 8, 8, 4), separate=True)
    assert "weight.2" in apart.leaves and apart.count() == 6 * 8 + 2 * 64 + 32 + 28


def test_an_error_for_part_of_a_stack_is_refused_by_name():
    net, learner = dense_net((6, 8, 8, 8, 4)), make("algorithm", "backprop")
    step = make_step(net, learner)
    a = step.forward()
    with pytest.raises(ValueError, match=r"blocks \[2\] but not for all of \[2, 3\]"):
        net.gradients(step.params, a, {2: a.h[2]})
    apart = dense_net((6, 8, 8, 8, 4), separate=True)
    step = make_step(apart, learner)
    only = apart.gradients(step.params, step.forward(), {2: a.h[2]})
    assert set(only) == {"weight.2", "bias.2"}


@pytest.mark.parametrize(
    "text, widths", [("256x3", (256,) * 3), ("512-256", (512, 256)), ("8x2-4", (8, 8, 4))]
)
def test_widths_read_back(text, widths):
    assert parse_widths(text) == widths
    assert show_widths(widths) == text


@pytest.mark.parametrize("text", ("", "0", "256x0", "x3", "256,3", "-5", "9" * 30))
def test_widths_that_are_none_are_refused(text):
    with pytest.raises(ValueError):
        parse_widths(text)


def residual_mlp(gap, layers=5):
    recipe = make("network", "res-mlp", hidden=f"8x{layers}", gap=gap)
    return recipe.build((6,), 4, make("activation", "tanh"))


@pytest.mark.parametrize("gap", (1, 2, 3))
def test_a_residual_network_adds_the_activity_a_group_below(gap):
    net, source = residual_mlp(gap), torch.Generator().manual_seed(0)
    leaves = draw_params(net)
    params = net.views(leaves)
    a = net.forward(params, torch.rand((3, 6), generator=source, dtype=torch.float64))
    for k in range(1, net.depth + 1):
        plain = a.z[k - 1] @ params[k - 1]["weight"].T + params[k - 1]["bias"]
        adds = k > gap and (k - 1) % gap == 0 and k < net.depth
        expected = plain + a.z[k - gap] if adds else plain
        torch.testing.assert_close(a.h[k], expected)
    assert any(block.earlier is not None for block in net.blocks)


@pytest.mark.parametrize("gap", (1, 2, 3))
def test_backprop_on_residual_networks_is_the_gradient(gap):
    net = residual_mlp(gap)
    params, learner = draw_params(net), make("algorithm", "backprop")
    step = make_step(net, learner, params)
    updates = learner.updates(step).params
    for name, expected in autograd(net, params, step).items():
        torch.testing.assert_close(updates[name], expected)


def test_zero_weights_leave_a_residual_network_the_identity_of_its_groups():
    net = residual_mlp(1, layers=3)
    views = net.views({k: torch.zeros(len(v.blocks), *v.shape) for k, v in net.leaves.items()})
    bias = torch.linspace(-1, 1, 8)
    views[0] = {**views[0], "bias": bias}
    a = net.forward(views, torch.rand(2, 6))
    torch.testing.assert_close(a.h[3], bias.tanh().tanh().expand(2, 8))


def test_residual_networks_need_equal_widths():
    with pytest.raises(RequestError, match="equally wide"):
        make("network", "res-mlp", hidden="8-4")
    with pytest.raises(RequestError, match="no residual connection"):
        make("network", "res-mlp", hidden="8x2", gap=2)
    assert make("network", "res-mlp", hidden="8x3").deepened(6).hidden == (8,) * 6


class LowRank(Block):
    """A product of two matrices, none of which is called weight."""

    @property
    def shapes(self):
        (n_out,), (n_in,) = self.shape_out, self.shape_in
        return {"u": (n_out, 2), "v": (2, n_in), "bias": (n_out,)}

    def forward(self, arrays, below, earlier=None):
        return below @ arrays["v"].T @ arrays["u"].T + arrays["bias"]


def test_feedback_carries_errors_through_every_matrix_of_a_block():
    net = Network([Dense(6, 8), LowRank((8,), (8,)), Dense(8, 4)], make("activation", "tanh"))
    assert [block.carriers for block in net.blocks] == [("weight",), ("u", "v"), ("weight",)]
    feedback = make("algorithm", "fa").init_feedback(net, torch.Generator().manual_seed(0))
    assert {name: tuple(each.shape) for name, each in feedback.items()} == {
        "B2u": (8, 2), "B2v": (2, 8), "B3": (4, 8),
    }  # fmt: skip
    with pytest.raises(ValueError, match=r"block 2, a LowRank, has no array 'weight' .* u, v, bi"):
        make("algorithm", "lra-e").init_feedback(net, torch.Generator())
