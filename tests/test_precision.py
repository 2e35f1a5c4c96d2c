"""Products in bfloat16: what stays in float32, and that learning goes on."""

import pytest
import torch

from credbench.precision import computing
from helpers import generator, make, make_step, relative

NETWORKS = {
    "conv": {"filters": "4c3-6c3s2", "dense": "7"},
    "resnet": {"depth": 10, "width": 4},
    "pnn-resnet": {"depth": 10, "masks": 4},
    "vgg": {"width": 4},
    "mlp": {"hidden": "8x2", "norm": "batch"},
}


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("algorithm", ("backprop", "dfa", "lra-e", "blockwise"))
def test_updates_are_those_of_float32_to_its_rounding(network, algorithm):
    recipe, learner = make("network", network, **NETWORKS[network]), make("algorithm", algorithm)
    net = recipe.build((3, 32, 32), 4, make("activation", "tanh"))
    params = net.init(make("initializer", "he"), generator())
    feedback = learner.init_feedback(net, generator(1))
    step = make_step(net, learner, params, feedback, batch=16, dtype=torch.float32)
    exact = learner.updates(step)
    with computing(torch.device("cpu"), "bfloat16"):
        rough = learner.updates(step)
    assert rough.logits.dtype == torch.bfloat16
    top = f"weight.{net.depth}"
    assert relative(rough.params[top].float(), exact.params[top]) < 0.2
    for name, update in rough.params.items():
        assert update.isfinite().all()
        assert update.abs().sum() > 0, name  # no error has vanished
    for name, value in rough.state.items():
        assert value.dtype == torch.float32, name


def test_a_run_in_bfloat16_learns_and_says_so(credbench):
    arguments = ("run", "-a", "backprop,rec-lra", "-n", "conv[filters=8c3s2-16c3,norm=batch]",
                 "-f", "relu", "-e", "6", "-s", "1", "--init", "he", "-o", "adam[lr=2e-3]",
                 "--no-timing", "--format", "md")  # fmt: skip
    rough = credbench(*arguments, "--dtype", "bfloat16").stdout
    assert "dtype bfloat16" in rough
    for line in rough.splitlines():
        if line.startswith(("| backprop", "| rec-lra")):
            assert float(line.split("|")[4].split()[0]) < 50


def test_a_type_that_is_not_offered_is_one_line(credbench):
    ran = credbench("run", "--dtype", "float16", "--dry-run", code=2)
    assert "dtype" in ran.stderr and ran.stderr.count("\n") == 1
