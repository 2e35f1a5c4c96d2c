"""Preprocessing: what it does to the training part, that nothing else shapes it, how it is kept."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from pictures import labels_of, write_both

from credbench.cache import Cache
from credbench.images import Images, split
from credbench.loading import load, prepare
from credbench.residents import reside
from credbench.timing import random_data
from credbench.whitening import channels, fit_whitening, normalize_contrast
from helpers import REGISTRY, make


def blurred(n, shape=(3, 6, 6), seed=0):
    """Images (n, *shape) uint8 whose pixels go together, as those of photographs do."""
    source = torch.Generator().manual_seed(seed)
    mixing = torch.randn((shape[0] * shape[1] * shape[2],) * 2, generator=source) * 4
    x = torch.randn((n, mixing.shape[0]), generator=source) @ mixing + 128
    return x.clamp(0, 255).to(torch.uint8).view(n, *shape)


def test_contrast_is_the_same_in_every_image():
    x = blurred(20)
    x[3] = 77
    rows = normalize_contrast(x, 55.0)
    assert torch.allclose(rows.mean(1), torch.zeros(20), atol=1e-4)
    expected = torch.full((20,), 55.0)
    expected[3] = 0
    assert torch.allclose(rows.norm(dim=1), expected, atol=1e-3)
    twice = normalize_contrast((x.float() / 2).to(torch.float32), 55.0)
    assert torch.allclose(twice, rows, atol=1e-3)


def test_the_training_part_is_white():
    """Its covariance has the eigenvalues v / (v + eps), and its mean is 0."""
    x, eps = blurred(5000), 1e-3
    white = fit_whitening(x, 55.0, eps)(x).flatten(1).double()
    rows = normalize_contrast(x, 55.0).double()
    before = torch.linalg.eigvalsh(torch.cov(rows.T, correction=0))
    after = torch.linalg.eigvalsh(torch.cov(white.T, correction=0))
    # Means taken off, one direction of every image is flat: it has no variance to whiten.
    assert before[0].abs() < 1e-4 < 1e-2 < before[1]
    assert torch.allclose(after[1:], (before / (before + eps))[1:], atol=2e-3)
    assert white.mean(0).abs().max() < 1e-3 and after[1] > 0.9
    assert torch.allclose(fit_whitening(x, 55.0, eps).matrix.T, fit_whitening(x, 55.0, eps).matrix)


def test_whitening_is_that_of_the_definition():
    x, eps = blurred(300), 0.1
    rows = normalize_contrast(x, 55.0).double().numpy()
    centred = rows - rows.mean(0)
    values, axes = np.linalg.eigh(centred.T @ centred / len(rows) + eps * np.eye(rows.shape[1]))
    expected = centred @ (axes / np.sqrt(values)) @ axes.T
    found = fit_whitening(x, 55.0, eps)(x)
    assert found.shape == x.shape and found.dtype == torch.float32
    assert np.allclose(found.flatten(1), expected, atol=1e-3)


def test_channels_have_mean_0_and_deviation_1():
    x = blurred(400)
    found = channels(x, 255.0)
    scaled = x.double() / 255
    assert torch.allclose(found.mean.flatten(), scaled.mean((0, 2, 3)).float())
    assert torch.allclose(found.deviation.flatten(), scaled.std((0, 2, 3), correction=0).float())


@pytest.fixture
def quick(monkeypatch):
    """Smaller images: whitening 3x32x32 takes seconds."""
    monkeypatch.setattr(REGISTRY.get("dataset", "cifar10"), "shape", (3, 8, 8))


def small_pictures(folder):
    write_both(folder / "cifar10", labels_of("cifar10"), (3, 8, 8), train=5, test=2)
    return folder


@pytest.mark.parametrize("preprocess", ("zca", "standardize"))
def test_only_the_training_part_shapes_preprocessing(preprocess, quick, tmp_path):
    dataset = make("dataset", "cifar10", preprocess=preprocess)
    x, y = blurred(200, (3, 8, 8)), torch.arange(200) % 10
    object.__setattr__(dataset, "validation", 40)
    one = split(dataset, Images(x, y, x[:20], y[:20]))
    other = replace(
        one,
        validation=one.validation.changed(lambda x: 255 - x),
        test=one.test.changed(torch.zeros_like),
    )
    fits = [dataset.fit(s.train.x, Cache(tmp_path / str(k))) for k, s in enumerate((one, other))]
    made, changed = (fit(one) for fit in fits)
    for name in ("train", "validation", "test"):
        assert torch.equal(getattr(made, name).x, getattr(changed, name).x)
    longer = torch.cat([one.train.x, one.validation.x])
    leaking = dataset.fit(longer, Cache(tmp_path / "2"))(one)
    inputs = [reside([s], 10)["test"].run(0, 20) for s in (made, leaking)]
    assert not torch.allclose(*inputs, atol=1e-3), "the test tells a leak"


@pytest.mark.parametrize("preprocess", ("zca", "standardize", "none"))
def test_fewer_training_images_are_preprocessed_alike(preprocess, quick, tmp_path):
    small_pictures(tmp_path)
    dataset = make("dataset", "cifar10", preprocess=preprocess).located(tmp_path)
    whole, few = (load(dataset, tmp_path, limit) for limit in (None, 7))
    assert (len(whole.train), len(few.train), len(few.validation)) == (40, 7, 10)
    for part, n in (("train", 7), ("test", 20)):
        inputs = [reside([s], 10)[part].run(0, n) for s in (whole, few)]
        assert inputs[0].dtype == torch.float32 and torch.allclose(*inputs, atol=1e-5)


def test_inputs_are_standardised_on_the_way_to_the_network(quick, tmp_path):
    small_pictures(tmp_path)
    dataset = make("dataset", "cifar10", preprocess="standardize").located(tmp_path)
    splits = load(dataset, tmp_path)
    assert splits.train.x.dtype == torch.uint8
    x = reside([splits], 10)["train"].run(0, 40)
    assert torch.allclose(x.mean((0, 2, 3)), torch.zeros(3), atol=1e-5)
    assert torch.allclose(x.std((0, 2, 3), correction=0), torch.ones(3), atol=1e-4)
    both = reside([splits, replace(splits, train=splits.train.changed(lambda x: 255 - x))], 10)
    index = torch.arange(6).view(2, 3)
    assert torch.allclose(both["train"].inputs(index)[0], x[:3])


def test_whitening_is_computed_once(quick, tmp_path, monkeypatch):
    import credbench.whitening

    small_pictures(tmp_path)
    fits = []
    real = credbench.whitening.fit_whitening
    monkeypatch.setattr(
        credbench.whitening, "fit_whitening", lambda *given: fits.append(1) or real(*given)
    )
    dataset = make("dataset", "cifar10").located(tmp_path)
    lines = []
    prepare(dataset, tmp_path, lines.append)
    first, again = load(dataset, tmp_path), load(dataset, tmp_path, 5)
    assert len(fits) == 1 and torch.equal(first.test.x, again.test.x)
    assert lines == ["computing the whitening of cifar10 from 40 training images, once"]
    prepare(dataset, tmp_path, lines.append)
    assert len(lines) == 1
    load(make("dataset", "cifar10", zca_eps=0.2).located(tmp_path), tmp_path)
    assert len(fits) == 2
    (tmp_path / "cifar10/train/cat/0015.png").unlink()
    load(make("dataset", "cifar10").located(tmp_path), tmp_path)
    assert len(fits) == 3, "other images, another whitening"
    assert len(list((tmp_path / ".credbench").iterdir())) == 3


@pytest.mark.parametrize("preprocess, size", [("zca", 4), ("none", 1), ("standardize", 1)])
def test_timing_and_memory_know_what_a_pixel_takes(preprocess, size):
    from credbench.experiment import make_experiment
    from credbench.memory import needs

    settings = {"dataset": f"cifar10[preprocess={preprocess}]", "seeds": "1", "limit-train": "50"}
    trial = make_experiment(REGISTRY, settings | {"algorithm": "backprop"}).trials[0]
    assert needs(trial).data == 60_000 * 3072 * size
    splits = random_data({trial.dataset: trial}, torch.device("cpu"))[trial.dataset]
    assert splits.train.x.shape == (50, 3, 32, 32) and splits.train.x.element_size() == size
    assert (splits.channels is not None) == (preprocess == "standardize")
    x = reside([splits], 10)["train"].run(0, 4)
    assert x.dtype == torch.float32 and x.isfinite().all()


def test_programs_of_other_preprocessing_do_not_mix():
    from credbench.experiment import make_experiment

    axis = "cifar10[preprocess=zca|none|standardize,augment=none|flip-crop],cifar10[zca_eps=1]"
    settings = {"dataset": axis, "seeds": "2", "algorithm": "backprop"}
    trials = make_experiment(REGISTRY, settings).trials
    assert len({t.program for t in trials}) == 7 and len(trials) == 14


def test_describe_says_what_is_done_and_needs_no_data(capsys):
    from credbench.catalogue import describe_component

    for spec, words in {
        "cifar10": ("norm 55", "ZCA whitening with ε = 0.1", "train 45000, validation 5000"),
        "cifar100[preprocess=standardize,augment=flip-crop]": (
            "standardised by channel", "random crops after padding by 4", "worm",
        ),
        "tiny-imagenet[augment=flip-crop]": ("padding by 8", "classes: 200", "train 95000"),
        "cifar10[preprocess=none]": ("scaling: pixels divided by 255\n",),
        "image-folder": ("those in its folder",),
        "synthetic[shape=28x28,classes=5]": ("shape: 28, 28", "classes: 5"),
    }.items():  # fmt: skip
        describe_component(REGISTRY, spec, "table")
        text = capsys.readouterr().out
        assert all(word in text for word in words), text
