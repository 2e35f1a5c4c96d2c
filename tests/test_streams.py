"""Streamed images: the same whoever reads them, in place of resident ones, whole or broken."""

import gc
import json
import math
import time
from dataclasses import dataclass, replace
from multiprocessing import active_children
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from credbench import checkpoints, streams
from credbench.angles import Angles
from credbench.checkpoints import Checkpoint
from credbench.errors import RequestError
from credbench.experiment import make_experiment
from credbench.group import Group
from credbench.images import Images, split
from credbench.loading import load
from credbench.memory import needs
from credbench.metrics import score
from credbench.streams import Loader, Stream, Tidings, Walk
from credbench.throughput import measure
from credbench.training import train
from helpers import REGISTRY

CPU = torch.device("cpu")
CLASSES = ("n01", "n02", "n03", "n04", "n05", "n06")
Imagenet = REGISTRY.get("dataset", "imagenet")


def write(folder, train=8, test=2):
    """Photographs of one colour a class, with noise, of several sizes."""
    source = np.random.RandomState(0)
    for label, name in enumerate(CLASSES):
        for part, count in (("train", train), ("val", test)):
            place = folder / "imagenet" / part / name
            place.mkdir(parents=True)
            for k in range(count):
                colour = [60 + 120 * (label >> bit & 1) for bit in range(3)]
                pixels = source.normal(0, 30, (30 + k, 40 - k, 3)) + colour
                image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
                image.save(place / f"{name}_{k}.JPEG", quality=95)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write(tmp_path_factory.mktemp("photographs"))


@pytest.fixture
def here(monkeypatch):
    """Read in this process."""
    monkeypatch.setattr(streams, "worker_count", lambda device: 0)


def trials(folder, **given):
    settings = {"dataset": "imagenet[size=16]", "network": "mlp[hidden=16x2]", "epochs": "3",
                "seeds": "1", "batch-size": "10", "algorithm": "backprop"}  # fmt: skip
    return list(make_experiment(REGISTRY, settings | given, folder).trials)


def stream_of(folder, workers=0, name="train", note=lambda line: None):
    dataset = Imagenet.create({"size": 16}).located(folder)
    part = getattr(load(dataset, folder), name)
    return Stream(part, 255.0, None, 10, Loader(dataset, CPU, workers), Tidings(note))


def epoch_of(stream, seed=0, epoch=1, passes=1):
    order = torch.randperm(len(stream), generator=torch.Generator().manual_seed(epoch)).tolist()
    stream.begin(Walk(seed, epoch, order, 10, passes))
    found = []
    for _ in range(passes):
        for start in range(0, len(order), 10):
            stream.advance()
            index = torch.tensor(order[start : start + 10])
            found.append(stream.inputs(index).clone())
    return torch.cat(found)


def test_images_do_not_depend_on_who_reads_them(folder):
    alone, helped = stream_of(folder), stream_of(folder, workers=2)
    helped.start()
    first = epoch_of(alone)
    assert torch.equal(first, epoch_of(helped))
    assert torch.equal(epoch_of(alone, epoch=2), epoch_of(helped, epoch=2))
    x = torch.cat(list(helped.runs([(0, 7), (7, len(helped))])))
    assert torch.equal(x, torch.cat(list(alone.runs([(0, len(alone))]))))
    assert torch.equal(first, epoch_of(helped))


def test_variation_is_a_function_of_seed_epoch_and_image(folder):
    stream = stream_of(folder)
    torch.manual_seed(3)
    first = epoch_of(stream)
    drawn = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(torch.rand(1), drawn)  # nothing was drawn from the global source
    assert not torch.equal(first, epoch_of(stream, seed=1))
    twice = epoch_of(stream, passes=2)
    assert torch.equal(twice[: len(first)], first) and torch.equal(twice[len(first) :], first)


def test_evaluation_sees_the_middle(folder):
    dataset = Imagenet.create({"size": 16}).located(folder)
    path = folder / "imagenet/val/n03/n03_1.JPEG"
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    width, height = image.size
    short = min(width, height)
    image = image.resize((18 * width // short, 18 * height // short), Image.Resampling.BILINEAR)
    left, top = round((image.width - 16) / 2), round((image.height - 16) / 2)
    middle = np.asarray(image.crop((left, top, left + 16, top + 16))).transpose(2, 0, 1)
    assert np.array_equal(dataset.read(path, None).numpy(), middle)


def test_flips_and_crops_vary(folder):
    """A picture with a dark left half is flipped about every second time."""
    dataset = Imagenet.create({"size": 16})
    path = folder / "half.png"
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:, 32:] = 255
    Image.fromarray(pixels).save(path)
    found = [dataset.read(path, seed).float() for seed in range(200)]
    path.unlink()
    both = [x for x in found if x[..., 0].mean() != x[..., -1].mean()]
    flipped = sum(bool(x[..., 0].mean() > x[..., -1].mean()) for x in both)
    assert 0.35 < flipped / len(both) < 0.65
    assert len({x.numpy().tobytes() for x in found}) > 20


@dataclass(frozen=True)
class Plain(Imagenet):
    """The middle of every image, in training, too."""

    name = "imagenet"

    def read(self, path, seed):
        return super().read(path, None)


@pytest.mark.parametrize("algorithm", ("backprop", "target-prop", "equilibrium-prop"))
def test_a_streamed_run_is_the_resident_one(algorithm, folder, here):
    """A step that reads the buffer does what one that gathers does: what is captured is sound."""
    (trial,) = trials(folder, algorithm=algorithm)
    dataset = Plain.create({"size": 16}).located(folder)
    trial = replace(trial, dataset=dataset)
    files = dataset.files(folder)

    def pixels(listing):
        return torch.stack([dataset.read(listing.folder / n, None) for n in listing.names])

    images = Images(
        pixels(files.train), torch.tensor(files.train.labels),
        pixels(files.test), torch.tensor(files.test.labels),
    )  # fmt: skip
    splits = load(dataset, folder)
    resident = replace(split(dataset, images), channels=splits.channels)
    (streamed,) = train([trial], {dataset: splits}, CPU)
    (gathered,) = train([trial], {dataset: resident}, CPU)
    assert streamed.scores == gathered.scores and streamed.confusion == gathered.confusion
    assert streamed.curve.validation_loss == gathered.curve.validation_loss
    assert streamed.curve.training_error == gathered.curve.training_error
    assert streamed.curve.training_loss == pytest.approx(gathered.curve.training_loss, rel=1e-5)


def test_a_streamed_run_may_be_watched(folder, here):
    """What looks at a batch finds it where the step then does, and takes nothing away."""
    (trial,) = trials(folder, algorithm="target-prop")
    splits, angles = load(trial.dataset, folder), Angles(3, REGISTRY.get("algorithm", "backprop")())
    (plain,) = train([trial], {trial.dataset: splits}, CPU)
    (watched,) = train([trial], {trial.dataset: splits}, CPU, angles=angles)
    assert watched.scores == plain.scores
    assert watched.curve.training_loss == plain.curve.training_loss
    assert all(map(math.isfinite, watched.angles["update"]["1"]))
    assert len(watched.angles["steps"]) > 3


def test_places_may_be_named_one_by_one(folder, here):
    """As a captured step names them."""
    (trial,) = trials(folder)
    splits = load(trial.dataset, folder)
    groups = [Group([trial], [splits], CPU) for _ in range(2)]
    with torch.no_grad():
        for group in groups:
            group.shuffle(1)
            group.data["train"].begin(Walk(0, 1, group.order.tolist(), 10, 1))
        for start in (0, 10):
            for group in groups:
                group.data["train"].advance()
            groups[0].program("train", 10)(start)
            groups[1].program("train", 10).run(torch.arange(start, start + 10))
    assert all(map(torch.equal, groups[0].tensors(), groups[1].tensors()))


def test_it_learns_colours(folder, here):
    (trial,) = trials(folder, epochs="40", optimizer="adam[lr=1e-2]", network="mlp[hidden=64x1]")
    (outcome,) = train([trial], {trial.dataset: load(trial.dataset, folder)}, CPU)
    assert outcome.scores["test"].error < 20
    assert outcome.scores["test"].top5 <= outcome.scores["test"].error


def damaged(tmp_path):
    """A folder with a file cut short and one that is no image at all."""
    folder = write(tmp_path)
    cut, text = (folder / "imagenet/train" / name for name in ("n02/n02_3.JPEG", "n05/n05_7.JPEG"))
    cut.write_bytes(cut.read_bytes()[:300])
    text.write_text("no image")
    return folder, {cut.name, text.name}


def test_for_a_broken_image_another_stands_in(tmp_path, here):
    folder, names = damaged(tmp_path)
    (trial,) = trials(folder)
    notes = []
    splits = load(trial.dataset, folder)
    (outcome,) = train([trial], {trial.dataset: splits}, CPU, note=notes.append)
    assert outcome.status == "done" and outcome.broken == 2
    assert len(notes) == 3 and "2 images" in notes[-1]
    assert {Path(line.partition(" is broken")[0]).name for line in notes[:-1]} == names
    assert all("stands in for it" in line for line in notes[:-1])
    (again,) = train([trial], {trial.dataset: splits}, CPU)
    assert (
        again.scores == outcome.scores and again.curve.training_loss == outcome.curve.training_loss
    )


def test_who_stands_in_brings_its_label(tmp_path):
    folder, _ = damaged(tmp_path)
    stream = stream_of(folder)
    part = load(Imagenet.create({"size": 16}).located(folder), folder).train
    whole = torch.cat(list(stream.runs([(0, len(stream))])))
    changed = 0
    for place in range(len(part)):
        at, there = part.path(place), (place + 1) % len(part)
        if at.endswith(("n02_3.JPEG", "n05_7.JPEG")):
            assert stream.labels[place] == part.y[there]
            assert torch.equal(whole[place], whole[there])
            changed += 1
        else:
            assert stream.labels[place] == part.y[place]
    assert changed in (1, 2)  # one of them may be held out
    for name in ("n02_3.JPEG", "n05_7.JPEG"):  # that it can be read again changes nothing
        (broken,) = (folder / "imagenet/train").glob(f"*/{name}")
        broken.write_bytes(next(p for p in broken.parent.iterdir() if p != broken).read_bytes())
    assert torch.equal(torch.cat(list(stream.runs([(0, len(stream))]))), whole)


def test_a_part_without_any_image_to_read_ends_the_run(tmp_path):
    folder = write(tmp_path, train=3)
    for path in (folder / "imagenet/val").rglob("*.JPEG"):
        path.write_text("no image")
    with pytest.raises(RequestError, match="none of the 12 images in"):
        list(stream_of(folder, name="test").runs([(0, 12)]))


class StoppedError(Exception):
    """Ends a run between two epochs."""


@pytest.mark.parametrize("algorithm", ("backprop", "target-prop"))
def test_a_stopped_run_goes_on_with_the_same_images(algorithm, folder, here, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "EVERY", 0.0)
    (trial,) = trials(folder, algorithm=algorithm)
    data = {trial.dataset: load(trial.dataset, folder)}
    left = iter((None,))

    def stop():
        if next(left, "stop"):
            raise StoppedError

    with pytest.raises(StoppedError):
        train([trial], data, CPU, stop, checkpoint=Checkpoint(tmp_path, [trial], "cpu"))
    (resumed,) = train([trial], data, CPU, checkpoint=Checkpoint(tmp_path, [trial], "cpu"))
    (whole,) = train([trial], data, CPU)
    assert resumed.resumed == [2] and resumed.scores == whole.scores
    assert resumed.curve.training_loss == whole.curve.training_loss


def test_the_split_is_fixed_and_a_tenth_of_a_small_folder_is_held_out(folder):
    dataset = Imagenet.create({"size": 16}).located(folder)
    assert (dataset.classes, dataset.examples, dataset.validation) == (6, (48, 12), 4)
    splits = load(dataset, folder)
    parts = [{part.path(k) for k in range(len(part))} for part in (splits.train, splits.validation)]
    assert list(map(len, parts)) == [44, 4] and not parts[0] & parts[1]
    assert len(load(dataset, folder, 20).train) == 20
    assert Imagenet().classes == 1000 and Imagenet().trainable == 1_271_167


def test_a_stream_holds_only_some_batches():
    settings = {"dataset": "imagenet", "algorithm": "backprop", "seeds": "1", "batch-size": "64"}
    (trial,) = make_experiment(REGISTRY, settings).trials
    assert needs(trial).data < 2**30


def test_top5_is_what_its_definition_says():
    source = np.random.RandomState(1)
    labels, logits = source.randint(0, 20, 300), source.normal(size=(300, 20))
    ranked = np.argsort(-logits, axis=1)[:, :5]
    missed = sum((logits[k] > logits[k, label]).sum() >= 5 for k, label in enumerate(labels))
    found = score(labels, ranked, 20)
    assert found.top5 == pytest.approx(100 * missed / 300)
    assert replace(found, top5=None) == score(labels, ranked[:, 0], 20)


RUN = ("run", "-d", "imagenet[size=16]", "-a", "backprop", "-n", "mlp[hidden=16x2]", "-e", "1",
       "-s", "2", "--data-dir")  # fmt: skip


def test_the_command_streams(credbench, tmp_path):
    folder, names = damaged(tmp_path)
    ran = credbench(*RUN, folder, "--format", "json")
    (row,) = json.loads(ran.stdout)[0]["rows"]
    assert row["n"] == 2 and row["top5_mean"] <= 100 and row["group"] == 1
    assert all(sum(name in line for line in ran.stderr.splitlines()) in (1, 2) for name in names)
    for path in (tmp_path / "results/imagenet/trials").iterdir():
        record = json.loads(path.read_text())
        assert record["broken"] == 2 and record["scores"]["test"]["top5"] >= 0
    assert "top-5 error %" in credbench("table", "imagenet", "--format", "md").stdout
    credbench("run", "-a", "backprop", "-e", "1", "-s", "1", "--no-timing")
    assert "top-5" not in credbench("table", "digits", "--format", "md").stdout


@pytest.mark.parametrize(
    "lacking, expected",
    (
        ("imagenet", "imagenet is not in"),
        ("imagenet/val", "no folder test or val"),
        ("imagenet/val/n01", "only in train"),
    ),
    ids=("nothing", "no val", "other classes"),
)  # fmt: skip
def test_a_folder_that_is_not_imagenet_is_one_clear_line(lacking, expected, credbench, tmp_path):
    folder = write(tmp_path, 2, 1)
    (folder / lacking).rename(folder / "elsewhere")
    ran = credbench(*RUN, folder, code=2)
    assert expected in ran.stderr and len(ran.stderr.splitlines()) == 1


def test_rates_are_images_over_seconds(folder, here, monkeypatch):
    """A loader that is made slow bounds both, and leaves training alone as it was."""
    (trial,) = trials(folder, algorithm="target-prop")
    splits = load(trial.dataset, folder)
    rates, workers = measure(trial, splits, CPU, repeats=2, seconds=0.1)
    assert workers == 0 and all(len(values) == 2 for values in rates.values())
    slow = streams._Reader.__getitem__

    def read(self, key):
        time.sleep(0.01)
        return slow(self, key)

    monkeypatch.setattr(streams._Reader, "__getitem__", read)
    late, _ = measure(trial, splits, CPU, repeats=1, seconds=0.1)
    assert max(late["loader"] + late["both"]) < 100
    assert late["training"][0] > 200 and min(rates["loader"]) > late["loader"][0]


def test_the_loader_is_timed_on_request(credbench, folder):
    asked = ("time", "--loader", "-d", "imagenet[size=16]", "-n", "mlp[hidden=8x1]", "-b", "8")
    given = (*asked, "-a", "backprop", "--repeats", "1", "--data-dir", folder, "--format", "json")
    (row,) = json.loads(credbench(*given).stdout)[0]["rows"]
    assert row["images"] == 60 and min(row[part] for part in ("loader", "training", "both")) > 0


@pytest.mark.parametrize(
    "given, expected",
    (
        (("--loader", "-d", "digits"), "none is loaded"),
        (("--loader", "--replicas", "2"), "one trial at a time"),
        (("--data-dir", "."), "without --loader"),
        (("--loader", "-d", "imagenet", "--data-dir", "nowhere"), "imagenet is not in"),
    ),
)
def test_what_the_loader_cannot_be_timed_on(given, expected, credbench):
    ran = credbench("time", *given, code=2)
    assert expected in ran.stderr and len(ran.stderr.splitlines()) == 1


def test_no_process_outlives_its_run(folder, monkeypatch):
    monkeypatch.setattr(streams, "worker_count", lambda device: 2)
    (trial,) = trials(folder, epochs="1")
    before, seen = set(active_children()), []
    gc.disable()
    try:
        data = {trial.dataset: load(trial.dataset, folder)}
        train([trial], data, CPU, lambda: seen.append(len(set(active_children()) - before)))
        assert seen == [2] and set(active_children()) == before
    finally:
        gc.enable()
