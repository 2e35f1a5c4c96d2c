"""Networks on maps: products against torch's differentiation, learners against theory, float64."""

import json
import math

import pytest
import torch
from torch.nn import functional

from credbench.blocks import Dense
from credbench.convolution import Head, MapBlock
from credbench.errors import RequestError
from credbench.experiment import make_experiment
from credbench.filters import Convolution, LocallyConnected, Perturbed
from credbench.group import Group
from credbench.layers import as_maps
from credbench.networks import Network
from credbench.timing import random_data
from helpers import (
    REGISTRY,
    autograd,
    double,
    draw_params,
    generator,
    make,
    make_step,
    relative,
    slope,
)

SMALL = (3, 8, 8)
NETS = {
    "conv": {"filters": "4c5s2-6c3", "dense": "7"},
    "local": {"filters": "4c3s2-6c3", "dense": "none"},
    "conv-norm": {"filters": "4c3-6c3s2", "dense": "7", "norm": "batch"},
    "conv-pooled": {"filters": "4c3-6c3s2", "dense": "none", "norm": "group", "pooled": True},
    "resnet": {"depth": 10, "width": 4, "norm": "batch"},
    "resnet-group": {"depth": 10, "width": 4, "norm": "group"},
    "resnet-none": {"depth": 10, "width": 4, "norm": "none"},
    "resnet-50": {"depth": 50, "width": 2},
    "resnet-imagenet": {"depth": 10, "width": 4, "stem": "imagenet"},
    "pnn-resnet": {"depth": 10, "masks": 4},
    "vgg": {"width": 2},
}


def build(name, activation="tanh", classes=4):
    recipe = make("network", name.rsplit("-", 1)[0] if name != "pnn-resnet" else name, **NETS[name])
    side = {"vgg": 32, "resnet-imagenet": 32}.get(name, 8)
    return recipe.build((3, side, side), classes, make("activation", activation))


def params_of(net, seed=0):
    """Draws for every array, none of them zero, masks as drawn."""
    drawn = net.init(make("initializer", "he"), generator(seed))
    return {
        k: (v if v.abs().sum() else 0.1 * torch.randn(v.shape, generator=generator(seed + 9)))
        .double()
        for k, v in drawn.items()
    }  # fmt: skip


def step_of(net, learner, params, feedback=None, batch=5):
    return make_step(net, learner, params, feedback, batch=batch)


@pytest.mark.parametrize("activation", ("tanh", "relu"))
@pytest.mark.parametrize("name", NETS)
def test_backprop_is_the_gradient(name, activation):
    net = build(name, activation)
    params, learner = params_of(net), make("algorithm", "backprop")
    step = step_of(net, learner, params)
    updates, expected = learner.updates(step).params, autograd(net, params, step)
    frozen = {k for k, leaf in net.leaves.items() if leaf.array == "mask"}
    assert updates.keys() == expected.keys() - frozen
    assert (name == "pnn-resnet") == bool(frozen)
    for key, update in updates.items():
        torch.testing.assert_close(update, expected[key], rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("name", NETS)
def test_products_without_a_trace_are_those_with_it(name):
    net = build(name)
    params = params_of(net)
    views = net.views(params)
    a = net.forward(views, step_of(net, make("algorithm", "backprop"), params).x)
    for number, block in enumerate(net.blocks, start=1):
        error = torch.randn(a.h[number].shape, generator=generator(number), dtype=torch.float64)
        below, error, earlier, *trace = a.given(block, number, error)
        arrays = views[number - 1]
        one, other = (block.gradient(arrays, below, error, earlier, *t) for t in (trace, ()))
        assert one.keys() == other.keys()
        for key in one:
            torch.testing.assert_close(one[key], other[key])
        feedback = {k: arrays[k] for k in block.carriers}
        for found, plain in zip(
            block.adjoint(arrays, below, error, earlier, feedback, *trace),
            block.adjoint(arrays, below, error, earlier), strict=True,
        ):  # fmt: skip
            assert (found is None) == (plain is None)
            if found is not None:
                torch.testing.assert_close(found, plain)
        if "weight" in one:
            same = block.correlation(arrays, below, error, below, *trace)
            torch.testing.assert_close(same, one["weight"])


def test_a_locally_connected_layer_of_one_kernel_is_a_convolution():
    shared, own = (kind((3, 6, 6), 5, 3, 2) for kind in (Convolution, LocallyConnected))
    kernel = torch.randn(shared.weight, generator=generator(), dtype=torch.float64)
    weight = kernel.flatten(1).expand(own.weight).clone()
    below = torch.randn((4, 3, 6, 6), generator=generator(1), dtype=torch.float64)
    above = shared.apply(kernel, below)
    torch.testing.assert_close(own.apply(weight, below), above)
    error = torch.randn(above.shape, generator=generator(2), dtype=torch.float64)
    torch.testing.assert_close(own.pull(weight, below, error), shared.pull(kernel, below, error))
    summed = own.push(weight, below, error).sum(0).view(kernel.shape)
    torch.testing.assert_close(summed, shared.push(kernel, below, error))


@pytest.mark.parametrize("gaussian", (False, True))
def test_a_perturbative_layer_is_its_equation(gaussian):
    block = MapBlock(Perturbed((3, 5, 5), 4, level=0.3, gaussian=gaussian))
    arrays = double(block.init(make("initializer", "he"), generator()))
    below = torch.randn((2, 3, 5, 5), generator=generator(1), dtype=torch.float64)
    expected = torch.zeros((2, 4, 5, 5), dtype=torch.float64)
    for out in range(4):
        for m in range(3):
            noisy = (below[:, m] + arrays["mask"][..., m]).clamp(min=0)
            expected[:, out] += arrays["weight"][out, m, 0, 0] * noisy
    torch.testing.assert_close(block.forward(arrays, below), expected)
    assert "mask" not in block.gradient(arrays, below, expected)
    if not gaussian:
        assert arrays["mask"].abs().max() <= 0.3


def test_running_moments_are_those_of_torch():
    block = MapBlock(Convolution(SMALL, 5), norm="batch")
    net = Network([block, Head((5, 8, 8), 4)], make("activation", "relu"))
    params, module = params_of(net), torch.nn.BatchNorm2d(5).double()
    views, state = net.views(params), double(net.init_statistics())
    for seed in range(3):
        x = torch.randn((6, *SMALL), generator=generator(seed), dtype=torch.float64)
        state = net.statistics(state, views, net.forward(views, x))
        module(functional.conv2d(x, views[0]["weight"], padding=1))
    torch.testing.assert_close(state["mean.1"], module.running_mean)
    torch.testing.assert_close(state["variance.1"], module.running_var)
    module.eval()
    settled = net.settled(views, state)
    with torch.no_grad():
        module.weight.copy_(1 + views[0]["gain"])
        module.bias.copy_(views[0]["bias"])
        expected = module(functional.conv2d(x, views[0]["weight"], padding=1))
    torch.testing.assert_close(net.forward(settled, x).h[1], expected)


def test_resnet_18_has_the_parameters_of_torchvision():
    from torchvision.models import resnet18, resnet50

    for depth, reference in ((18, resnet18()), (50, resnet50())):
        recipe = make("network", "resnet", depth=depth, stem="imagenet")
        net = recipe.build((3, 224, 224), 1000, make("activation", "relu"))
        assert net.count() == sum(p.numel() for p in reference.parameters())
        assert net.depth - 1 == recipe.hidden_layers


def test_resnet_18_computes_what_torchvision_does():
    from torchvision.models import resnet18

    reference = resnet18(num_classes=10).double()
    recipe = make("network", "resnet", stem="imagenet")
    net = recipe.build((3, 64, 64), 10, make("activation", "relu"))
    convs = [m for m in reference.modules() if isinstance(m, torch.nn.Conv2d)]
    main = [c for c in convs if c.kernel_size != (1, 1)]
    detours = iter([c for c in convs if c.kernel_size == (1, 1)])
    views = [
        {k: torch.zeros(shape, dtype=torch.float64) for k, shape in block.shapes.items()}
        for block in net.blocks
    ]
    for arrays, conv in zip(views, main, strict=False):
        arrays["weight"] = conv.weight.detach()
        if "shortcut_weight" in arrays:
            arrays["shortcut_weight"] = next(detours).weight.detach()
    views[-1] = {"weight": reference.fc.weight.detach(), "bias": reference.fc.bias.detach()}
    x = torch.randn((4, 3, 64, 64), generator=generator(), dtype=torch.float64)
    torch.testing.assert_close(net.forward(views, x).logits, reference(x).detach())


@pytest.mark.parametrize("name", ("conv", "resnet", "pnn-resnet", "vgg"))
def test_fa_with_the_weights_is_backprop(name):
    net = build(name)
    params, learner = params_of(net), make("algorithm", "fa")
    views = net.views(params)
    made = learner.init_feedback(net, generator())
    feedback = {
        f"B{k}{array.removeprefix('weight')}": views[k - 1][array]
        for k in range(2, net.depth + 1)
        for array in net.blocks[k - 1].carriers
    }
    assert {k: v.shape for k, v in made.items()} == {k: v.shape for k, v in feedback.items()}
    step = step_of(net, learner, params, feedback)
    expected = autograd(net, params, step)
    for key, update in learner.updates(step).params.items():
        torch.testing.assert_close(update, expected[key], rtol=1e-8, atol=1e-11)


def bias_errors(net, updates):
    """What the biases of layers on maps and dense ones got: their errors, summed."""
    views = net.views({k: v for k, v in updates.items() if k.startswith("bias")})
    return [view["bias"] for view in views]


def chain_of(net, params, beta):
    """LRA-E with every synapse the weight above."""
    views = net.views(params)
    learner = make("algorithm", "lra-e", beta=beta)
    return learner, {f"E{k}": views[k]["weight"] for k in net.hidden}


@pytest.mark.parametrize("name", ("conv", "conv-norm", "conv-pooled", "local", "vgg"))
def test_chain_with_the_weights_tends_to_backprop_with_order_one(name):
    net = build(name)
    params = params_of(net)
    backprop = make("algorithm", "backprop")
    expected = bias_errors(net, backprop.updates(step_of(net, backprop, params)).params)
    betas = [0.1 * 2.0**-k for k in range(5)]
    misfits = {k: [] for k in net.hidden}
    for beta in betas:
        learner, feedback = chain_of(net, params, beta)
        found = bias_errors(net, learner.updates(step_of(net, learner, params, feedback)).params)
        for k in net.hidden:
            misfits[k].append(relative(found[k - 1] / beta ** (net.depth - k), expected[k - 1]))
    for layer, each in misfits.items():
        if layer > net.depth - 4:  # below, double precision drowns in β to the depth
            assert slope(betas, each) == pytest.approx(1, abs=0.15), (layer, each)


def test_skips_tend_to_dfa_with_order_one():
    net = build("resnet-none")
    params, dfa = params_of(net), make("algorithm", "dfa", sigma=0.1)
    step = step_of(net, dfa, params)
    expected = bias_errors(net, dfa.updates(step).params)
    feedback = {f"S{name[1:]}": value for name, value in step.feedback.items()}
    betas = [0.1 * 2.0**-k for k in range(5)]
    misfits = {k: [] for k in net.hidden}
    for beta in betas:
        learner = make("algorithm", "rec-lra", beta=beta, gap=1)
        found = bias_errors(net, learner.updates(step_of(net, learner, params, feedback)).params)
        for k in net.hidden:
            misfits[k].append(relative(found[k - 1] / beta, expected[k - 1]))
    for layer, each in misfits.items():
        assert slope(betas, each) == pytest.approx(1, abs=0.15), (layer, each)


def test_a_channel_synapse_is_a_dense_one_that_is_the_same_at_every_position():
    net = build("resnet")
    params = params_of(net)
    channel = make("algorithm", "rec-lra", gap=1, ends="channel")
    dense = make("algorithm", "rec-lra", gap=1)
    few = double(channel.init_feedback(net, generator(3)))
    many = {k: each.repeat(1, 1, math.prod(net.shape(int(k[1:]))[1:])) for k, each in few.items()}
    one = channel.updates(step_of(net, channel, params, few))
    other = dense.updates(step_of(net, dense, params, many))
    for key in one.params:
        torch.testing.assert_close(one.params[key], other.params[key])
    for key, update in one.feedback.items():
        whole = other.feedback[key].unflatten(2, (-1, update.shape[2])).sum(2)
        torch.testing.assert_close(update, whole)


def test_skips_lead_to_the_end_of_every_residual_group():
    net = build("resnet")
    ends = {group[-1] for group in net.groups}
    learner = make("algorithm", "rec-lra", skips="groups")
    made = set(learner.init_feedback(net, generator()))
    inside = {k for k in net.hidden if k not in ends}
    assert made == {f"S{k}" for k in ends} | {f"E{k}" for k in inside}
    both = make("algorithm", "rec-lra", skips="groups", chained=True)
    made = set(both.init_feedback(net, generator()))
    assert made == {f"S{k}" for k in ends if k + 1 < net.depth} | {f"E{k}" for k in net.hidden}


def test_a_chained_skip_hears_from_both():
    net = build("conv")
    params = params_of(net)
    learner = make("algorithm", "rec-lra", gap=1, chained=True, beta=0.3, sigma=0.5)
    step = step_of(net, learner, params)
    a, f, views = step.forward(), step.feedback, net.views(params)
    errors = {net.depth: step.output_error(a)}
    for k in reversed(net.hidden):
        d, _ = net.pull(views, a, k + 1, errors[k + 1], {"weight": f[f"E{k}"]})
        if k + 1 < net.depth:
            d = d + as_maps(errors[net.depth] @ f[f"S{k}"][0], d)
        errors[k] = a.z[k] - torch.tanh(a.h[k] - 0.3 * d)
    expected = step.updates(a, errors).params
    for key, update in learner.updates(step).params.items():
        torch.testing.assert_close(update, expected[key], rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("inside", ("backprop", "hebbian"))
def test_inside_a_group_errors_are_carried_or_passed_on(inside):
    net = build("resnet")
    params = params_of(net)
    learner = make("algorithm", "rec-lra", skips="groups", inside=inside, sigma=0.5)
    step = step_of(net, learner, params)
    a, updates = step.forward(), learner.updates(step)
    d = as_maps(step.output_error(a) @ step.feedback["S3"][0], a.z[3])
    error = a.z[3] - torch.tanh(a.h[3] - 0.1 * d)
    if inside == "backprop":
        h = a.h[2].detach()
        z = torch.tanh(h).requires_grad_()
        with torch.enable_grad():
            out = net.blocks[2].forward(net.views(params)[2], z, a.z[1])
        (pulled,) = torch.autograd.grad(out, z, error)
        error = pulled * (1 - torch.tanh(h) ** 2)
    bias = net.views(updates.params)[1]["bias"]
    torch.testing.assert_close(bias, error.sum((0, 2, 3)) / len(step.x))


@pytest.mark.parametrize("name", ("conv", "local"))
def test_inverses_of_maps_learn_down_the_gradient_of_their_loss(name):
    net = build(name)
    params, learner = params_of(net), make("algorithm", "target-prop", noise_sigma=0.1)
    step = make_step(net, learner, params, batch=5, phase="inverse")
    updates = learner.updates(step).feedback
    leaves = {k: v.clone().requires_grad_() for k, v in step.feedback.items()}
    a, loss = step.forward(), 0
    for k in range(2, net.depth):
        block, arrays = net.blocks[k - 1], step.params[k - 1]
        above = torch.tanh(block.forward(arrays, a.z[k - 1] + 0.1 * step.noise[f"eps{k}"]))
        below = a.z[k - 1].clone().requires_grad_()
        with torch.enable_grad():  # the transposed map, by differentiating the map
            linear = block.forward({**arrays, "weight": leaves[f"V{k}"]}, below)
            (h,) = torch.autograd.grad(linear, below, above, create_graph=True)
        found = torch.tanh(h + leaves[f"c{k}"].view(-1, *[1] * (h.ndim - 2)))
        loss = loss + (found - a.z[k - 1]).square().flatten(1).sum(1).mean()
    expected = torch.autograd.grad(loss, list(leaves.values()))
    for key, gradient in zip(leaves, expected, strict=True):
        torch.testing.assert_close(updates[key], gradient, rtol=1e-8, atol=1e-10)


class TestBlockwise:
    def test_no_gradient_crosses_a_cut(self):
        """Each stage's update is the gradient of its own loss; others' losses change nothing."""
        net = build("resnet", "relu")
        params, learner = params_of(net), make("algorithm", "blockwise")
        step = step_of(net, learner, params)
        updates = learner.updates(step)
        heads = learner.heads(net)
        assert heads == [stage[-1] for stage in net.stages[:-1]] == [3, 5, 7]
        leaves = {k: v.clone().requires_grad_() for k, v in params.items()}
        feedback = {k: v.clone().requires_grad_() for k, v in step.feedback.items()}
        losses = self.losses(net, leaves, feedback, step, detach=True)
        expected = torch.autograd.grad(sum(losses), [*leaves.values(), *feedback.values()])
        both = {**updates.params, **updates.feedback}
        for (key, _), gradient in zip([*leaves.items(), *feedback.items()], expected, strict=True):
            torch.testing.assert_close(both[key], gradient, rtol=1e-8, atol=1e-11)

    def test_other_heads_leave_a_stage_alone(self):
        net = build("resnet")
        params, learner = params_of(net), make("algorithm", "blockwise")
        step = step_of(net, learner, params)
        other = {**step.feedback, "H7": step.feedback["H7"] + 1}
        one = net.views(learner.updates(step).params)
        two = net.views(learner.updates(step_of(net, learner, params, other)).params)
        changed = [
            number
            for number, (a, b) in enumerate(zip(one, two, strict=True), start=1)
            if not all(torch.equal(a[k], b[k]) for k in a)
        ]
        assert changed == list(net.stages[2])

    def test_the_published_code_is_deep_supervision(self):
        net = build("resnet", "relu")
        params = params_of(net)
        learner = make("algorithm", "blockwise", between="gradient")
        step = step_of(net, learner, params)
        updates = learner.updates(step)
        leaves = {k: v.clone().requires_grad_() for k, v in params.items()}
        losses = self.losses(net, leaves, step.feedback, step, detach=False)
        expected = torch.autograd.grad(sum(losses), list(leaves.values()))
        for key, gradient in zip(leaves, expected, strict=True):
            torch.testing.assert_close(updates.params[key], gradient, rtol=1e-8, atol=1e-11)

    @staticmethod
    def losses(net, params, feedback, step, detach):
        """The losses of all stages, in plain autograd."""
        views, found, z = net.views(params), [], {0: step.x}
        ends = [stage[-1] for stage in net.stages]
        labels = step.targets.argmax(1)
        for number, (block, arrays) in enumerate(zip(net.blocks, views, strict=True), start=1):
            start = max([e for e in ends if e < number], default=0)

            def seen(layer, start=start):
                return z[layer].detach() if detach and layer <= start else z[layer]

            if number == net.depth:
                h = net.blocks[-1].forward(arrays, z[number - 1])
                return [*found, functional.cross_entropy(h, labels)]
            earlier = None if block.earlier is None else seen(block.earlier)
            z[number] = torch.relu(block.forward(arrays, seen(number - 1), earlier))
            if number in ends[:-1]:
                mean = z[number].mean((2, 3))
                logits = mean @ feedback[f"H{number}"].T + feedback[f"c{number}"]
                found.append(functional.cross_entropy(logits, labels))
        raise AssertionError

    def test_on_dense_layers_every_layer_is_a_stage(self):
        net = Network([Dense(6, 5), Dense(5, 7), Dense(7, 4)], make("activation", "tanh"))
        params, learner = draw_params(net), make("algorithm", "blockwise")
        assert learner.heads(net) == [1]
        step = make_step(net, learner, params)
        a = step.forward()
        logits = a.z[1] @ step.feedback["H1"].T + step.feedback["c1"]
        error = (logits.softmax(1) - step.targets) @ step.feedback["H1"] * (1 - a.z[1] ** 2)
        views = net.views(learner.updates(step).params)
        torch.testing.assert_close(views[0]["weight"], error.T @ step.x / len(step.x))


@pytest.mark.parametrize("spec, message", [
    ("conv[filters=64c4]", "channels, size and stride"),
    ("resnet[depth=19]", "expected one of 10, 18, 34, 50"),
    ("vgg[norm=layer]", "expected one of none, batch, group"),
])  # fmt: skip
def test_a_network_that_cannot_be_is_one_line(spec, message, credbench):
    ran = credbench("run", "-n", spec, "--dry-run", code=2)
    assert message in ran.stderr and ran.stderr.count("\n") == 1


def test_images_too_small_for_the_strides_are_refused():
    with pytest.raises(RequestError, match="images of at least 32 pixels a side, these are 8x8"):
        make("network", "vgg").build((8, 8), 10, make("activation", "relu"))


def test_describe_counts_masks_apart_and_the_network_they_stand_in_for(credbench):
    known = json.loads(credbench("describe", "pnn-resnet", "--format", "json").stdout)
    assert known["trainable"] == 8_745_130
    assert known["never trained"] == 160 * 32**2 * 5 + 320 * 16**2 * 4 + 640 * 8**2 * 4 + (
        1280 * 4**2 * 3
    )
    assert "11173962" in known["beside"]
    feedback = known["feedback"]
    dense, channel = (feedback[f"rec-lra[skips=groups{end}]"] for end in ("", ",ends=channel"))
    assert channel < dense < feedback["dfa"]


def test_replicas_of_networks_on_maps_are_trained_one_by_one(credbench, tmp_path):
    given = ("run", "-n", "conv[filters=4c3s2,dense=none]", "-a", "backprop", "-e", "1")
    credbench(*given, "--replicas", "2", "-s", "2", "--no-timing", "--name", "maps")
    found = sorted((tmp_path / "results" / "maps" / "trials").glob("*.json"))
    assert [json.loads(path.read_text())["group"] for path in found] == [1, 1]


def test_an_error_of_another_shape_is_refused():
    net = build("resnet")
    params, backprop = params_of(net), make("algorithm", "backprop")
    step = step_of(net, backprop, params)
    a = step.forward()
    with pytest.raises(ValueError, match=r"an error of shape \(4, 4, 4\) was given for maps of"):
        net.pull(step.params, a, 2, a.z[2][..., :4, :4])


@pytest.mark.parametrize("network, algorithm, message", [
    ("resnet[depth=50,width=2]", "rec-lra[skips=groups,inside=hebbian]", "differ in shape"),
    ("resnet[depth=10,width=2]", "rec-lra[inside=hebbian]", "give skips=groups"),
    ("conv[filters=4c3]", "rec-lra[skips=groups]", "the network has none"),
    ("mlp", "rec-lra[ends=channel]", "the network has none"),
    ("vgg", "target-prop", "transposed filters"),
    ("resnet[depth=10,width=2]", "target-prop", "read one activity"),
])  # fmt: skip
def test_what_a_network_does_not_have_is_not_applicable(network, algorithm, message, credbench):
    given = ("-d", "synthetic[shape=3x32x32]", "-n", network, "-a", algorithm, "--dry-run")
    ran = credbench("run", *given, code=2)
    assert message in ran.stderr and ran.stderr.count("\n") == 1


@pytest.mark.parametrize("algorithm", ("rec-lra[ends=channel]", "rec-lra[gap=1,chained=true]"))
def test_skips_end_in_dense_layers_above_maps(algorithm):
    net = build("conv")
    params, learner = params_of(net), REGISTRY.axis("algorithm", algorithm)[0]
    updates = learner.updates(step_of(net, learner, params))
    assert updates.params.keys() == net.leaves.keys()


@pytest.mark.parametrize("name", ("conv", "local"))
def test_feedback_that_mirrors_a_filter_is_reprojected_as_the_filter_is(name):
    """A step of SGD with a small c moves every matrix by lr · c, those of E as those of W."""
    network = NETS[name] | {"dense": "none"}
    spelled = ",".join(f"{k}={v}" for k, v in network.items())
    settings = {"algorithm": "lra-e[gamma=1]", "dataset": "synthetic[shape=3x8x8,images=100]",
                "network": f"{name}[{spelled}]", "optimizer": "sgd[lr=0.5]", "seeds": "1",
                "clip-norm": "1e-6"}  # fmt: skip
    members = list(make_experiment(REGISTRY, settings).trials)
    device = torch.device("cpu")
    with torch.no_grad():
        data = random_data({t.dataset: t for t in members}, device)
        group = Group(members, [data[t.dataset] for t in members], device)
        group.shuffle(1)
        before = {k: v.clone() for k, v in (group.params | group.feedback).items()}
        group.program("train", members[0].batch_size)(0)
        for key in ("E1", "weight.2"):
            moved = (group.params | group.feedback)[key] - before[key]
            assert float(moved.norm()) == pytest.approx(0.5e-6, rel=0.1), key


@pytest.mark.parametrize("name", ("conv", "local", "resnet", "pnn-resnet", "vgg"))
def test_a_network_runs_on_images_of_every_size_that_it_does_not_refuse(name):
    recipe = make("network", name)
    taken = [side for side in (8, 17, 20, 28, 31, 32, 40) if not recipe.refuses((3, side, side))]
    assert 32 in taken
    for side in taken:
        net = recipe.build((3, side, side), 10, make("activation", "relu"))
        leaves = {k: (len(leaf.blocks), *leaf.shape) for k, leaf in net.leaves.items()}
        params = {name: torch.empty(shape, device="meta") for name, shape in leaves.items()}
        z = net.forward(net.views(params), torch.empty((2, 3, side, side), device="meta")).z
        assert [tuple(z[k].shape[1:]) for k in net.hidden] == [net.shape(k) for k in net.hidden]


@pytest.mark.parametrize("channels", (4, 8, 12, 16))
def test_a_strided_channel_product_keeps_to_its_memory(channels):
    """torch's own ends the process below 16 channels, on maps as large as these."""
    layer = Convolution((channels, 56, 56), 8, size=1, stride=2)
    torch.manual_seed(0)
    below = torch.randn(16, channels, 56, 56).contiguous(memory_format=torch.channels_last)
    error = torch.randn(16, 8, 28, 28).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(layer.weight)
    read = below[:, :, ::2, ::2].double()
    expected = torch.einsum("noyx,niyx->oi", error.double(), read)[..., None, None]
    for _ in range(5):
        found = layer.push(weight, below, error)
        torch.testing.assert_close(found.double(), expected, rtol=1e-3, atol=1e-3)
    maps = torch.einsum("oi,niyx->noyx", weight.double()[..., 0, 0], read)
    torch.testing.assert_close(layer.apply(weight, below).double(), maps, rtol=1e-4, atol=1e-4)
