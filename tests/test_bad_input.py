"""Bad input: one line that says what was given, what was expected, and the nearest name."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ONE = ("run", "-a", "backprop", "-s", "1", "-n", "mlp[hidden=8]", "-e", "1", "--device", "cpu")

GRID = "|".join(str(n) for n in range(1, 2001))


def refused(ran, *words):
    assert ran.stdout == ""
    (line,) = ran.stderr.splitlines()
    assert line.startswith("credbench: ")
    for word in words:
        assert word in line, line


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("-a", "bakprop"), ("unknown algorithm 'bakprop'", "did you mean 'backprop'")),
        (("-d", "mnits"), ("unknown dataset 'mnits'", "did you mean 'mnist'")),
        (("-f", "tahn"), ("unknown activation 'tahn'", "did you mean 'tanh'")),
        (("-n", "mpl"), ("unknown network 'mpl'", "did you mean 'mlp'")),
        (("-o", "adm"), ("unknown optimizer 'adm'", "did you mean 'adam'")),
        (("--init", "golrot"), ("unknown initializer 'golrot'", "did you mean 'glorot'")),
        (
            ("-a", "rec-lra[bta=1]"),
            ("algorithm 'rec-lra' has no parameter 'bta': expected one of beta,", "mean 'beta'"),
        ),
        (("-a", "backprop[beta=1]"), ("'backprop' takes no parameters", "'beta'")),
        (("-d", "digits[size=2]"), ("'digits' takes no parameters",)),
        (("-a", "rec-lra[beta=high]"), ("beta=high", "a number above 0")),
        (("-a", "rec-lra[beta=-1]"), ("beta=-1", "a number above 0")),
        (("-a", "rec-lra[beta=nan]"), ("beta=nan", "a number above 0")),
        (("-a", "rec-lra[gap=1.5]"), ("gap=1.5", "a whole number of at least 1")),
        (("-a", "rec-lra[gap=0]"), ("gap=0", "a whole number of at least 1")),
        (("-a", "rec-lra[rule=hebb]"), ("rule=hebb", "one of transpose, discrepancy, fixed")),
        (("-a", "lra-e[rule=fixed,gamma=1]"), ("gamma", "no effect", "fixed")),
        (("-o", "sgd[nesterov=true]"), ("nesterov", "no effect", "momentum is 0")),
        (("-o", "sgd[nesterov=maybe]"), ("nesterov=maybe", "true or false")),
        (("-n", "mlp[hidden=big]"), ("hidden=big", "256x3")),
        (("-a", "rec-lra[beta=0.1"), ("unbalanced brackets",)),
        (("-a", "rec-lra[beta]"), ("expected key=value",)),
        (("-a", "rec-lra[beta=1,beta=2]"), ("parameter twice",)),
        (("-a", "rec-lra[beta=1]x"), ("goes on after its bracket",)),
        (("-a", "fa,,dfa"), ("empty entry",)),
        (("-s", "many"), ("seeds 'many'", "a count (5)")),
        (("-s", "0"), ("seeds '0'",)),
        (("-s", "1e3"), ("seeds '1e3'",)),
        (("-s", "999999999999"), ("at most 100,000 seeds",)),
        (("-s", "99999", "-f", "tanh,sign,relu"), ("trials: expected at most 1,000,000",)),
        (("-e", "0"), ("epochs '0'", "a whole number of at least 1")),
        (("-e", "ten"), ("epochs 'ten'",)),
        (("-b", "0"), ("batch-size '0'",)),
        (("-b", "1151"), ("batch-size 1151", "1150 training images", "give at most 1150")),
        (("-b", "101", "--limit-train", "100"), ("batch-size 101", "100 training", "limit-train")),
        (("--trial-timeout", "0"), ("trial-timeout '0'", "seconds above 0")),
        (("--clip-norm", "-1"), ("clip-norm '-1'", "a number above 0, or none")),
        (("--limit-train", "9999"), ("limit-train 9999", "at most 1150")),
        (("--device", "tpu"), ("device 'tpu'", "auto, cpu or cuda")),
        (("--workers", "0"), ("workers '0'",)),
        (("--name", "../escape"), ("name '../escape'",)),
        (("--format", "xml"), ("unknown format 'xml'",)),
        (("--epoch", "3"), ("--epoch", "--epochs")),
        (("--plugin", "nowhere.py"), ("nowhere.py", "no such file")),
        (("missing.yaml",), ("missing.yaml", "cannot be read")),
        (("-n", "mlp[hidden=4x0-5]"), ("hidden=4x0-5", "256x3")),
        (("--data-dir", "~nobody-of-this-name"), ("no such user",)),
        (("--results-dir", ""), ("results-dir ''", "path of a folder")),
        (("-a", f"lra-e[beta={GRID},gamma={GRID}]"), ("4,000,000 times", "at most 1,000,000")),
    ],
)
def test_options(credbench, arguments, words):
    refused(credbench("run", *arguments, code=2), *words)


@pytest.mark.parametrize(
    "content, words",
    [
        ("algorithm: [fa, dfa", ("line 1", "broken YAML")),
        ("algorthm: fa", ("'algorthm'", "did you mean 'algorithm'")),
        ("- fa\n- dfa", ("expected keys and values",)),
        ("", ("expected keys and values",)),
        ("epochs: {a: 1}", ("epochs", "dict", "a word, a number or a list")),
        ("epochs: true", ("epochs", "True")),
        ("epochs: [[1]]", ("epochs", "list")),
        ("seeds: -3", ("seeds '-3'",)),
        ("dataset: nist", ("unknown dataset 'nist'", "mnist")),
        ("a: &a [*a]", ("'a'",)),
        ("!!python/object/apply:os.system ['true']", ("broken YAML",)),
        ("[" * 5000, ("broken YAML",)),
        ("epochs: 1\nepochs: 2", ("'epochs' twice",)),
        ("batch-size: 1\nbatch_size: 2", ("'batch-size' twice",)),
        (f"epochs: 0x{'f' * 6000}", ("epochs", "below 2^63")),
    ],
)
def test_files(credbench, tmp_path, content, words):
    file = tmp_path / "my.yaml"
    file.write_text(content)
    refused(credbench("run", file, "--dry-run", code=2), *words)


def test_binary_files(credbench, tmp_path):
    file = tmp_path / "my.yaml"
    file.write_bytes(b"\xff\xfe\x00\x01")
    refused(credbench("run", file, code=2), "my.yaml", "broken YAML")


def rule(declaration, dataclass=False):
    """A plugin with one thing declared as it is given."""
    above = "from dataclasses import dataclass\n@dataclass(frozen=True)\n" if dataclass else ""
    return (
        f"from credbench.algorithms.backprop import Backprop\n{above}"
        f"class Mine(Backprop):\n    name = 'mine'\n    {declaration}\n"
    )


def bounded(facts):
    """A plugin with a hyper-parameter of such a default and bounds."""
    declared = rule(f"x: object = parameter({facts}, help='x')", True)
    return f"from credbench import parameter\n{declared}"


@pytest.mark.parametrize(
    "source, words",
    [
        ("x = 1", ("defines no component",)),
        (
            "from credbench import Learner\nclass Mine(Learner):\n    name = 'mine'\n",
            ("algorithm 'mine'", "lacks updates"),
        ),
        (
            "from credbench import parameter\n"
            "from credbench.algorithms.backprop import Backprop\n"
            "class Mine(Backprop):\n"
            "    name = 'mine'\n"
            "    x: float = parameter(1.0, help='x')\n",
            ("algorithm 'mine'", "@dataclass(frozen=True)"),
        ),
        (
            "from credbench.algorithms.backprop import Backprop\n"
            "class Mine(Backprop):\n    name = 'dfa'\n",
            ("two algorithms are named 'dfa'", "feedback_alignment.py", "plugin.py"),
        ),
        (rule("capabilities = None"), ("has capabilities None", "credbench.Capabilities")),
        (rule("kind = 'wizard'"), ("has the kind 'wizard'", "expected one of algorithm,")),
        (rule("name = 5"), ("class Mine", "has the name 5", "as in 'my-rule'")),
        (rule("name = 'a,b'"), ("has the name 'a,b'",)),
        (rule("name = 'all'"), ("'all' is taken",)),
        (rule("phases = 'train'"), ("has phases 'train'", "a tuple of words")),
        (rule("phases = ()"), ("has phases ()", "a tuple of words")),
        (rule("paper = 1909"), ("has paper 1909", "expected a string")),
        (rule("x: float", True), ("declares 'x' without a default", "parameter(default, help=…)")),
        (bounded("-1.0, above=0"), ("'x' with the default -1.0", "expected a number above 0")),
        (bounded("2, maximum=1"), ("'x' with the default 2", "a whole number of at most 1")),
        (bounded("'c', choices=('a', 'b')"), ("'x' with the default c", "one of a, b")),
        (
            rule("default_optimizer = 'sdg[lr=0.1]'"),
            (
                "plugin.py declares default_optimizer 'sdg[lr=0.1]': unknown optimizer 'sdg'",
                "did you mean 'sgd'",
            ),
        ),
        (rule("name: str = 'mine'", True), ("declares 'name' as a hyper-parameter", "ClassVar")),
        (
            "from credbench import Component\nclass Mine(Component):\n    name = 'mine'\n",
            ("has the kind 'component'", "derive it from credbench.Learner"),
        ),
    ],
)
def test_plugins(credbench, tmp_path, source, words):
    plugin = tmp_path / "plugin.py"
    plugin.write_text(source)
    refused(credbench("run", "--plugin", plugin, code=2), "plugin.py", *words)


def test_other_commands(credbench):
    refused(credbench("rnu", code=2), "'rnu'", "run")
    refused(credbench("list", "algoritms", code=2), "'algoritms'", "did you mean 'algorithms'")
    refused(credbench("describe", "rec-lr", code=2), "'rec-lr'", "did you mean 'rec-lra'")
    refused(credbench("table", code=2), "holds no experiments")
    refused(credbench("status", "nope", code=2), "'nope'")
    refused(credbench("list", "--format", "csv", code=2), "'csv'", "table or json")


def test_an_unwritable_results_folder(credbench, tmp_path):
    (tmp_path / "results").write_text("a file where the folder should be")
    refused(credbench(*ONE, code=2), "results", "cannot be written", "--results-dir")


def test_names_that_are_no_text(credbench):
    assert "Records: r\\udcff" in credbench(*ONE, "--results-dir", "r\udcff").stdout
    refused(credbench("run", "-a", "\udcff", code=2), "unknown algorithm")


OFFLINE = {"https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}


def test_no_network_and_no_data(credbench, tmp_path):
    ran = credbench(*ONE, "-d", "mnist", "--data-dir", "empty", code=2, **OFFLINE)
    line = ran.stderr.strip().splitlines()[-1]
    for words in ("mnist is not in empty/MNIST/raw", "train-images-idx3-ubyte", "--data-dir"):
        assert words in line


@pytest.mark.parametrize("harm", ("truncated", "corrupt", "missing"))
def test_damaged_data_files(credbench, tmp_path, data_dir, harm):
    folder = tmp_path / "data/MNIST/raw"
    shutil.copytree(data_dir / "MNIST/raw", folder)
    path = folder / "t10k-labels-idx1-ubyte"
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    if harm == "missing":
        path.unlink()
    else:
        path.write_bytes(content if harm == "corrupt" else content[:5000])
    ran = credbench(*ONE, "-d", "mnist", "--data-dir", "data", code=2, **OFFLINE)
    line = ran.stderr.strip().splitlines()[-1]
    expected = "mnist is not in" if harm == "missing" else "is truncated or corrupt"
    assert expected in line and "t10k-labels-idx1-ubyte" in line


def test_a_dataset_that_fails_to_prepare_is_named(credbench, tmp_path):
    plugin = tmp_path / "plugin.py"
    plugin.write_text(
        "from credbench.datasets.digits import Digits\n"
        "class Mine(Digits):\n    name = 'mine'\n"
        "    def prepare(self, data_dir):\n        raise KeyError('x')\n"
    )
    ran = credbench(*ONE, "-d", "mine", "--plugin", plugin, code=2)
    refused(ran, "dataset 'mine'", "KeyError")


def test_a_learner_that_changes_nothing_has_failed(credbench, tmp_path):
    plugin = tmp_path / "plugin.py"
    plugin.write_text(
        "from credbench import Learner, Updates\n"
        "class Idle(Learner):\n    name = 'idle'\n"
        "    def updates(self, step):\n        return Updates()\n"
    )
    ran = credbench("run", "-a", "idle", *ONE[3:], "--plugin", plugin, code=1)
    assert "the updates of every phase are empty" in ran.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_output_that_cannot_be_written_is_told(tmp_path):
    command = Path(sys.executable).with_name("credbench")
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run([command, "list"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert (ran.returncode, ran.stderr.count("\n")) == (1, 1) and "cannot be written" in ran.stderr
