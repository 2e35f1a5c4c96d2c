"""Datasets: what they declare is what they hold; downloads come from a server on this machine."""

import functools
import gzip
import hashlib
import http.server
import threading

import pytest
import torch

from credbench.images import split
from helpers import REGISTRY


@pytest.mark.parametrize("name", REGISTRY.names("dataset"))
def test_datasets_hold_what_they_declare(name, request):
    dataset = REGISTRY.get("dataset", name)()
    folder = None if name == "digits" else request.getfixturevalue("data_dir")
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
