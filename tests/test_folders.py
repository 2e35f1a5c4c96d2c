"""Class folders: the same arrays as were written, cached, broken images told, bad ones refused."""

import numpy as np
import pytest
import torch
from pictures import draw, labels_of, write, write_both
from PIL import Image

from credbench import RequestError
from credbench.cache import Cache
from credbench.decoding import decoded
from credbench.experiment import make_experiment
from credbench.loading import load, prepare
from helpers import REGISTRY, make

SHAPES = {"cifar10": (3, 32, 32), "mnist": (28, 28), "fashion-mnist": (28, 28)}


def images_in(name, data_dir, **given):
    dataset = make("dataset", name, **given).located(data_dir)
    files = dataset.files(data_dir)
    return dataset, decoded(dataset, files, Cache(data_dir)).images


@pytest.mark.parametrize("name", SHAPES)
def test_class_folders_hold_what_was_written(name, tmp_path):
    names = labels_of(name)
    written = write_both(tmp_path / name, names, SHAPES[name])
    plain = make("dataset", name)
    dataset, images = images_in(name, tmp_path)
    for found, expected in zip(vars(images).values(), written, strict=True):
        assert np.array_equal(found, expected)
    assert (dataset.examples, dataset.validation) == ((40, 20), 8)
    assert dataset.origin == "class folders (PNG)" and plain.origin == ""
    assert dataset.spec() == plain.spec() and dataset == plain


def test_the_published_files_stay_where_there_are_no_class_folders(tmp_path):
    (tmp_path / "cifar10").mkdir()
    located = make("dataset", "cifar10").located(tmp_path)
    assert (located.examples, located.origin) == ((50_000, 10_000), "")


def test_classes_of_other_names_are_numbered_in_their_order(tmp_path):
    names = [f"class {letter}" for letter in "jabcdefghi"]
    write_both(tmp_path / "mnist", names, (28, 28), train=2, test=1)
    _, images = images_in("mnist", tmp_path)
    first = np.asarray(Image.open(tmp_path / "mnist/train/class a/0002.png"))
    assert np.array_equal(images.train_x[0], first)
    assert images.train_y.tolist() == sorted([*range(10), *range(10)])


def test_an_image_folder_resizes_and_crops_the_middle(tmp_path):
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, 15:45] = (200, 100, 50)
    for part, where in (("train", "a b"), ("val", "a b")):
        for name in where.split():
            (tmp_path / part / name).mkdir(parents=True)
            for number in range(10):
                Image.fromarray(wide).save(tmp_path / part / name / f"{number}.png")
    Image.new("L", (8, 30), 7).save(tmp_path / "train/b/grey.png")
    dataset, images = images_in("image-folder", tmp_path, path=tmp_path, size=10)
    assert dataset.shape == (3, 10, 10) and dataset.labels == ("a", "b")
    assert (dataset.examples, dataset.validation) == ((21, 20), 2)
    middle = torch.tensor([200, 100, 50], dtype=torch.uint8).view(3, 1, 1)
    assert torch.equal(images.train_x[0], middle.expand(3, 10, 10))
    assert (images.train_x[-1] == 7).all()


def write_tiny(root, classes):
    """The published layout of Tiny ImageNet."""
    x, y = draw((3, 64, 64), len(classes), 3)
    for number, (image, label) in enumerate(zip(x, y, strict=True)):
        place = root / "train" / classes[label] / "images"
        place.mkdir(parents=True, exist_ok=True)
        (place.parent / f"{classes[label]}_boxes.txt").write_text("not an image\n")
        Image.fromarray(image.transpose(1, 2, 0)).save(place / f"{number:03}.png")
    (root / "val/images").mkdir(parents=True)
    lines = []
    for number, label in enumerate(reversed(range(len(classes)))):
        Image.fromarray(x[number].transpose(1, 2, 0)).save(root / f"val/images/val_{number}.png")
        lines.append(f"val_{number}.png\t{classes[label]}\t0\t0\t63\t63\n")
    (root / "val/val_annotations.txt").write_text("".join(lines))
    (root / "wnids.txt").write_text("".join(f"{name}\n" for name in reversed(classes)))
    return x


def test_tiny_imagenet_is_read_as_it_was_published(tmp_path):
    classes = [f"n{number:08}" for number in range(200)]
    x = write_tiny(tmp_path / "tiny-imagenet-200", classes)
    dataset, images = images_in("tiny-imagenet", tmp_path)
    assert np.array_equal(images.train_x, x) and np.array_equal(images.test_x, x[:200])
    assert images.train_y.tolist() == [k // 3 for k in range(600)]
    assert images.test_y.tolist() == list(range(199, -1, -1))
    assert dataset.examples == (600, 200) and dataset.origin == ""
    table = tmp_path / "tiny-imagenet-200/val/val_annotations.txt"
    table.write_text("val_0.png\tn7\n")
    with pytest.raises(RequestError, match=r"val_annotations.txt cannot be read .*wnids.txt"):
        make("dataset", "tiny-imagenet").located(tmp_path)


def test_tiny_imagenet_says_where_it_is_to_be_had(tmp_path):
    with pytest.raises(RequestError, match=r"http://cs231n.stanford.edu/tiny-imagenet-200.zip"):
        prepare(make("dataset", "tiny-imagenet"), tmp_path)


@pytest.fixture
def digits(tmp_path):
    """MNIST as a few class folders, and how often an image was decoded."""
    write_both(tmp_path / "mnist", labels_of("mnist"), (28, 28), train=3, test=1)
    return tmp_path


@pytest.fixture
def decoding(monkeypatch):
    import credbench.images

    calls = []
    real = credbench.images.decode
    monkeypatch.setattr(
        credbench.images,
        "decode",
        lambda path, channels: calls.append(path) or real(path, channels),
    )
    return calls


def test_decoded_images_are_kept_until_a_file_changes(digits, decoding):
    _, first = images_in("mnist", digits)
    assert len(decoding) == 40
    _, again = images_in("mnist", digits)
    assert len(decoding) == 40
    for one, other in zip(vars(first).values(), vars(again).values(), strict=True):
        assert torch.equal(one, other)
    Image.new("L", (28, 28), 99).save(digits / "mnist/train/0/0000.png")
    _, changed = images_in("mnist", digits)
    assert len(decoding) == 80 and (changed.train_x[0] == 99).all()
    (digits / "mnist/test/9/0009.png").rename(digits / "mnist/test/9/a.png")
    images_in("mnist", digits)
    assert len(decoding) == 120
    (kept,) = (digits / ".credbench").iterdir()
    kept.write_bytes(kept.read_bytes()[:1000])
    _, mended = images_in("mnist", digits)
    assert len(decoding) == 160 and torch.equal(mended.train_x, changed.train_x)


def test_a_folder_that_cannot_be_written_is_told_once(digits, decoding):
    (digits / ".credbench").write_text("a file where the folder should be")
    lines = []
    prepare(make("dataset", "mnist").located(digits), digits, lines.append)
    (line,) = lines
    assert "cannot be written" in line and "not kept" in line
    assert len(load(make("dataset", "mnist").located(digits), digits).test) == 10


def test_broken_images_are_left_out_named_and_counted(digits):
    for number in range(6):
        (digits / f"mnist/train/{number}/x.png").write_bytes(b"no image")
    whole = (digits / "mnist/train/9/0029.png").read_bytes()
    (digits / "mnist/train/9/0029.png").write_bytes(whole[: len(whole) // 2])
    for _ in range(2):  # decoded, and from the cache
        lines = []
        prepare(make("dataset", "mnist").located(digits), digits, lines.append)
        assert len(lines) == 7 and all("is left out" in line for line in lines[:5])
        assert str(digits / "mnist/train/0/x.png") in lines[0]
        assert lines[5] == "and 2 more"
        assert lines[6] == "mnist: 7 of 46 images are broken and left out"
    _, images = images_in("mnist", digits)
    assert images.train_y.tolist() == sorted([*range(10)] * 3)[:-1]
    assert len(images.train_x) == 29 and (images.train_x[-1] > 0).any()


def test_a_part_of_broken_images_is_refused(digits):
    for path in (digits / "mnist/test").rglob("*.png"):
        path.write_bytes(b"no image")
    with pytest.raises(RequestError, match=r"no image in .*test can be read"):
        prepare(make("dataset", "mnist").located(digits), digits)


def fill(folder, train="cat dog", test="cat dog", size=32):
    for part, names in (("train", train), ("test", test)):
        (folder / part).mkdir(parents=True)
        for name in names.split():
            write(folder / part / name, [""], draw((3, size, size), 1, 2)[0], [0, 0])


CASES = {
    "no path": (lambda f: None, "does not exist"),
    "a file": (lambda f: f.write_text(""), "is no folder"),
    "no train": (lambda f: f.mkdir(), "has no folder train"),
    "no test": (lambda f: (fill(f), (f / "test").rename(f / "tset")), "no folder test or val"),
    "no classes": (lambda f: fill(f, train=""), "train has no class folders"),
    "one class": (lambda f: fill(f, "cat", "cat"), "one class folder"),
    "other classes": (
        lambda f: fill(f, "cat dog", "cat owl"), "differ (dog only in train; owl only in test)"
    ),
    "no images": (lambda f: (fill(f), (f / "train/emu").mkdir(), (f / "test/emu").mkdir()),
                  "train/emu holds no images"),
    "no image": (lambda f: (fill(f), (f / "train/cat/a.txt").write_text("")), "a.txt is no image"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_wrong_folders_are_refused_in_one_line(case, tmp_path):
    make_wrong, words = CASES[case]
    folder = tmp_path / "pets"
    make_wrong(folder)
    settings = {"dataset": f"image-folder[path={folder}]", "algorithm": "backprop"}
    with pytest.raises(RequestError) as refused:
        make_experiment(REGISTRY, settings)
    assert words in str(refused.value) and str(folder) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_command_line_says_it_in_one_line(credbench, tmp_path):
    run = ("run", "-a", "backprop", "-s", "1", "-e", "1", "-n", "mlp[hidden=8]", "--device", "cpu")
    fill(tmp_path / "pets", "cat dog", "cat owl")
    fill(tmp_path / "data/cifar10")
    cases = {
        "image-folder[path=nowhere]": ("nowhere does not exist", "train/<class>/"),
        "image-folder": ("no path", "image-folder[path=DIR]"),
        "image-folder[path=pets]": ("owl only in test",),
        "cifar10": ("2 class folders", "cifar10 has 10 classes"),
        "synthetic[shape=32]": ("shape=32", "28x28 or 3x32x32"),
        "cifar10[preprocess=none,zca_eps=1]": ("zca_eps", "no effect"),
    }
    for dataset, words in cases.items():
        ran = credbench(*run, "-d", dataset, "--data-dir", "data", code=2)
        (line,) = ran.stderr.splitlines()
        assert line.startswith("credbench: ") and all(word in line for word in words), line


def test_an_image_of_another_size_is_named_with_its_size(credbench, tmp_path):
    write_both(tmp_path / "data/cifar10", labels_of("cifar10"), (3, 32, 32), train=2, test=1)
    Image.new("RGB", (40, 50)).save(tmp_path / "data/cifar10/train/cat/big.png")
    ran = credbench("run", "-a", "backprop", "-s", "1", "-e", "1", "-d", "cifar10", "-b", "4",
                    "--data-dir", "data", code=2)  # fmt: skip
    (line,) = ran.stderr.splitlines()
    assert "big.png has 40x50 pixels" in line and "32x32" in line and "image-folder" in line


def test_a_run_on_class_folders_says_so_wherever_it_is_shown(credbench, tmp_path):
    write_both(tmp_path / "data/cifar10", labels_of("cifar10"), (3, 32, 32), train=6, test=2)
    (tmp_path / "data/cifar10/train/cat/bad.png").write_bytes(b"no image")
    run = ("run", "-a", "backprop", "-s", "1", "-e", "1", "-n", "mlp[hidden=8]", "--device", "cpu",
           "-d", "cifar10[preprocess=none]", "--data-dir", "data")  # fmt: skip
    plan = credbench(*run, "--dry-run", "--format", "json").stdout
    ran = credbench(*run)
    note = "cifar10: read from class folders (PNG), not the published files."
    assert note in ran.stdout and note in credbench("table", "--format", "md").stdout
    assert "bad.png is broken" in ran.stderr and "1 of 81 images are broken" in ran.stderr
    rows = credbench("table", "--trials", "--format", "csv").stdout
    assert "class folders (PNG)" in rows
    (record,) = (tmp_path / "results/cifar10/trials").glob("*.json")
    assert f'"{record.stem}"' in plan, "what lies on the disk has no part in the id"
    again = credbench(*run)
    assert "trials to run" not in again.stderr and note in again.stdout
    jpeg = record.read_text(encoding="utf-8").replace("class folders (PNG)", "class folders (JPEG)")
    record.write_text(jpeg, encoding="utf-8")
    assert "1 trial to run" in credbench(*run).stderr, "other data has no record yet"
