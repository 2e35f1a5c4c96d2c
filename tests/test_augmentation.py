"""Augmentation: flips and crops as a loop would make them, a function of seed and step."""

import pytest
import torch
from scipy.stats import chisquare, kstest

from credbench.angles import Angles
from credbench.augmentation import FlipCrop
from credbench.experiment import make_experiment
from credbench.group import Group
from credbench.images import Part, Splits
from credbench.program import Program
from credbench.randomness import uniforms
from helpers import REGISTRY, generator


def by_loop(x, draws, padding):
    """One image after the other: padded, cropped, and mirrored where the last draw says so."""
    size = 2 * padding + 1
    made = torch.empty_like(x)
    height, width = x.shape[-2:]
    for k, image in enumerate(x):
        padded = torch.zeros(len(image), height + 2 * padding, width + 2 * padding)
        padded[:, padding : padding + height, padding : padding + width] = image
        down, right = (min(int(d * size), size - 1) for d in draws[k, :2].tolist())
        made[k] = padded[:, down : down + height, right : right + width]
        if draws[k, 2] < 0.5:
            made[k] = made[k].flip(-1)
    return made


def test_flips_and_crops_are_those_of_a_loop():
    source = generator(1)
    x = torch.randn((200, 3, 7, 9), generator=source)
    draws = torch.rand((200, 3), generator=source)
    draws[0], draws[1], draws[2] = torch.ones(3), torch.zeros(3), torch.tensor([0.5, 0.5, 1.0])
    made = FlipCrop(4)(x, draws)
    assert torch.equal(made, by_loop(x, draws, 4))
    assert torch.equal(made[2], x[2]), "in the middle, not mirrored: as it was"
    many = FlipCrop(4)(x.view(5, 40, 3, 7, 9), draws.view(5, 40, 3))
    assert torch.equal(many, made.view(5, 40, 3, 7, 9))


def test_shifts_and_flips_are_equally_likely():
    draws = uniforms(torch.tensor(5), torch.tensor(2), (20_000, 3))
    assert draws.shape == (20_000, 3) and draws.dtype == torch.float32
    assert all(kstest(draws[:, k].numpy(), "uniform").pvalue > 1e-3 for k in range(3))
    numbered = torch.arange(1.0, 10.0).view(1, 1, 3, 3).expand(20_000, 1, 3, 3)
    seen, counts = FlipCrop(1)(numbered, draws).flatten(1).unique(dim=0, return_counts=True)
    assert len(seen) == 18 and chisquare(counts).pvalue > 1e-3


def test_draws_are_new_at_every_step_and_the_same_for_replicas():
    keys = torch.tensor([7, 2**62 + 11, 0])
    together = uniforms(keys, torch.tensor(9), (4, 3))
    for key, expected in zip(keys, together, strict=True):
        assert torch.equal(uniforms(key, torch.tensor(9), (4, 3)), expected)
        assert not torch.equal(uniforms(key, torch.tensor(8), (4, 3)), expected)


def trials(seeds, algorithm="backprop", augment="flip-crop"):
    settings = {
        "dataset": f"cifar10[preprocess=none,augment={augment}]", "network": "mlp[hidden=8]",
        "algorithm": algorithm, "seeds": seeds, "batch-size": "16", "epochs": "2",
    }  # fmt: skip
    return make_experiment(REGISTRY, settings).trials


@pytest.fixture(scope="module")
def splits():
    x = torch.randint(256, (60, 3, 32, 32), generator=generator(3), dtype=torch.uint8)
    part = Part(x, torch.arange(60) % 10)
    return Splits(part, part, part, 255.0)


def batches(group, epochs=1):
    """What the learner is given, batch by batch; what is watched, before each as well."""
    seen = []

    class Seeing(Program):
        def _varied(self, x):
            made = super()._varied(x)
            seen.append(made.clone())
            return made

    group._make_program = lambda phase, size: Seeing(group, phase, size)
    for epoch in range(1, epochs + 1):
        group.train_epoch(epoch)
    return seen


def test_what_is_watched_is_what_the_step_is_given(splits):
    (trial,) = trials("1", "target-prop")
    plain, watched = (Group([trial], [splits], torch.device("cpu")) for _ in range(2))
    watched.watch = Angles(1, REGISTRY.get("algorithm", "backprop")()).observer(watched)
    seen = batches(watched)
    for before, given, without in zip(seen[::2], seen[1::2], batches(plain), strict=True):
        assert torch.equal(before, given) and torch.equal(given, without)


@pytest.mark.parametrize("algorithm", ("backprop", "target-prop"))
def test_a_replica_is_given_what_it_is_given_alone(algorithm, splits):
    """With a learner that draws noise, too, and has two phases."""
    alone = [batches(Group([t], [splits], torch.device("cpu"))) for t in trials("3", algorithm)]
    group = Group(trials("3", algorithm), [splits] * 3, torch.device("cpu"))
    together = batches(group)
    assert len(together) == len(alone[0]) and int(group.steps) == len(together)
    for k, single in enumerate(alone):
        assert all(torch.equal(b[k], s) for b, s in zip(together, single, strict=True))


def test_batches_differ_between_seeds_epochs_and_from_the_images(splits):
    first, again, other = (
        batches(Group([trials(seeds)[0]], [splits], torch.device("cpu")), epochs=2)
        for seeds in ("1", "1", "5,")
    )
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0]) and len(first) == 8
    group = Group(list(trials("1")), [splits], torch.device("cpu"))
    group.shuffle(1)
    plain = group.data["train"].inputs(group.order[:16])
    flipped = FlipCrop(4)(plain, uniforms(group.keys["augmentation"], torch.tensor(0), (16, 3)))
    assert torch.equal(first[0], flipped) and not torch.equal(first[0], plain)


def test_evaluation_sees_the_images_as_they_are(splits):
    varied, plain = (
        Group(trials("1", augment=augment), [splits], torch.device("cpu"))
        for augment in ("flip-crop", "none")
    )
    found = [group.predict("test", group.weights()) for group in (varied, plain)]
    assert torch.equal(*found) and int(varied.steps) == 0


def test_steps_are_counted_where_something_is_drawn(splits):
    """Four batches: without augmentation, only in phases with noise, as ever."""
    for algorithm in ("backprop", "target-prop"):
        for augment in ("none", "flip-crop"):
            (trial,) = trials("1", algorithm, augment)
            group = Group([trial], [splits], torch.device("cpu"))
            group.train_epoch(1)
            drawing = [
                phase
                for phase in group.learner.phases
                if augment != "none" or group.learner.noise(group.net, phase)
            ]
            assert int(group.steps) == 4 * len(drawing)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device at hand")
@pytest.mark.parametrize("seeds", ("1", "2"))
def test_captured_steps_vary_images_as_others_do(seeds, splits):
    cuda = torch.device("cuda")
    captured, eager = (Group(trials(seeds), [splits.to(cuda)] * int(seeds), cuda) for _ in range(2))
    eager.captured = False
    with torch.no_grad():
        for group in (captured, eager):
            group.train_epoch(1)
            group.train_epoch(2)
    assert captured.captured and int(captured.steps) == int(eager.steps) == 8
    for one, other in zip(captured.tensors(), eager.tensors(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)
