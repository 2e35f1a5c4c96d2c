"""Datasets: what they declare is what they hold; downloads come from a server on this machine."""

import functools
import gzip
import hashlib
import http.server
import pickle
import threading

import numpy as np
import pytest
import torch
from pictures import draw

from credbench import RequestError
from credbench.images import split
from helpers import REGISTRY, make


@pytest.mark.parametrize("name", ("digits", "mnist", "fashion-mnist", "synthetic"))
def test_datasets_hold_what_they_declare(name, request):
    dataset = REGISTRY.get("dataset", name)()
    folder = request.getfixturevalue("data_dir") if "mnist" in name else None
    dataset.prepare(folder)
    images = dataset.load(folder)
    assert (len(images.train_y), len(images.test_y)) == dataset.examples
    assert images.train_x.shape[1:] == images.test_x.shape[1:] == dataset.shape
    assert images.train_x.dtype == torch.uint8 and images.train_y.dtype == torch.int64
    assert int(images.train_x.max()) == dataset.peak
    assert images.train_y.unique().tolist() == list(range(dataset.classes))
    splits = split(dataset, images)
    assert (len(splits.train), len(splits.validation)) == (dataset.trainable, dataset.validation)


@pytest.fixture
def server(tmp_path, data_dir):
    """A mirror of MNIST's archives, and what torchvision expects of them."""
    folder, resources = tmp_path / "mirror", []
    folder.mkdir()
    for path in sorted((data_dir / "MNIST/raw").glob("*-ubyte")):
        content = gzip.compress(path.read_bytes(), 1)
        (folder / f"{path.name}.gz").write_bytes(content)
        resources.append((f"{path.name}.gz", hashlib.md5(content).hexdigest()))
    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}/", resources
        running.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def test_data_is_downloaded_on_first_use_with_a_progress_bar(server, tmp_path, monkeypatch, capfd):
    import torchvision

    mirror, resources = server
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [mirror])
    monkeypatch.setattr(torchvision.datasets.MNIST, "resources", resources)
    dataset = REGISTRY.get("dataset", "mnist")()
    dataset.prepare(tmp_path / "data")
    shown = capfd.readouterr()
    assert "100" in shown.err and shown.out == ""
    assert len(dataset.load(tmp_path / "data").train_y) == 60_000
    dataset.prepare(tmp_path / "data")
    assert capfd.readouterr().err == ""


@pytest.fixture(params=("cifar10", "cifar100"))
def cifar(request, tmp_path, monkeypatch):
    """A dataset, a folder with a few images in its published form, and these images."""
    import torchvision

    dataset = make("dataset", request.param)
    known = getattr(torchvision.datasets, dataset.torchvision_class)
    folder = tmp_path / dataset.folder
    folder.mkdir()

    def publish(name, content):
        (folder / name).write_bytes(pickle.dumps(content))
        return [name, hashlib.md5((folder / name).read_bytes()).hexdigest()]

    x, y = draw((3, 32, 32), 2, 3)
    key = "labels" if request.param == "cifar10" else "fine_labels"
    parts = {"train": slice(0, 4), "test": slice(4, 6)}
    lists = {
        part: [publish(part, {"data": x[where].reshape(-1, 3072), key: y[where].tolist()})]
        for part, where in parts.items()
    }
    name, md5 = publish("meta", {known.meta["key"]: list(dataset.labels)})
    monkeypatch.setattr(known, "train_list", lists["train"])
    monkeypatch.setattr(known, "test_list", lists["test"])
    monkeypatch.setattr(known, "meta", {**known.meta, "filename": name, "md5": md5})
    monkeypatch.setattr(known, "url", "http://127.0.0.1:9/nothing.tar.gz")
    return dataset, tmp_path, x, y


def test_cifar_is_read_as_published(cifar, capfd):
    dataset, data_dir, x, y = cifar
    dataset.prepare(data_dir)
    images = dataset.load(data_dir)
    assert np.array_equal(torch.cat([images.train_x, images.test_x]), x)
    assert torch.cat([images.train_y, images.test_y]).tolist() == y.tolist()
    assert images.train_x.is_contiguous() and images.train_y.dtype == torch.int64
    assert dataset.located(data_dir).examples == (50_000, 10_000)
    assert capfd.readouterr() == ("", "")


def test_cifar_is_checked_and_what_is_missing_is_said(cifar):
    dataset, data_dir, *_ = cifar
    folder = data_dir / dataset.folder
    (folder / "train").write_bytes(b"truncated")
    with pytest.raises(RequestError, match=r"train is truncated or corrupt \(md5 .*delete it"):
        dataset.prepare(data_dir)
    (folder / "train").unlink()
    with pytest.raises(RequestError) as refused:
        dataset.prepare(data_dir)
    for words in ("could not be downloaded", "train, test, meta", "/train/<class>/", "--data-dir"):
        assert words in str(refused.value)
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 800


def test_classes_are_those_of_cifar():
    labels = make("dataset", "cifar100").labels
    assert len(set(labels)) == 100 and list(labels) == sorted(labels)
    assert len(make("dataset", "cifar10").labels) == 10


def test_synthetic_images_can_be_learned():
    from sklearn.linear_model import LogisticRegression

    dataset = make("dataset", "synthetic", shape="3x8x8", classes="4", images="200")
    images, again = dataset.load(None), dataset.load(None)
    assert torch.equal(images.train_x, again.train_x) and dataset.examples == (200, 50)
    flat = [x.flatten(1).numpy() / 255 for x in (images.train_x, images.test_x)]
    fit = LogisticRegression(max_iter=500).fit(flat[0], images.train_y)
    assert fit.score(flat[1], images.test_y) > 0.9
    assert not torch.equal(images.train_x[0], images.train_x[4])


def test_all_datasets_are_those_that_need_nothing_given():
    names = [dataset.name for dataset in REGISTRY.axis("dataset", "all")]
    assert "image-folder" not in names and "cifar10" in names
