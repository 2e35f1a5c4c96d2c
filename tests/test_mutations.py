"""Experiment files and command lines, mutated by the hundred: success, or one line and code 2."""

import ast
import contextlib
import io
import sys

import pytest
import yaml
from conftest import ROOT
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from credbench.cli import main
from credbench.errors import RequestError
from credbench.experiment import SETTINGS, make_experiment
from credbench.store import Store
from helpers import REGISTRY

MANY = settings(
    max_examples=150, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
VALID = {
    "algorithm": ["backprop", "rec-lra[gap=1|2]"], "dataset": "digits", "activation": "tanh",
    "network": "mlp[hidden=8x2]", "optimizer": "adam[lr=1e-3]", "batch-size": 32, "epochs": 2,
    "seeds": 2, "clip-norm": 1.0, "name": "mine", "limit-train": 100, "init": "glorot",
}  # fmt: skip
ODD = [
    "", " ", "\0", "\n", "é", "中文", "🧠", "\u202e", "../../etc", "/", "a" * 5000, "[", "]",
    "mlp[", "mlp[hidden=8]]", "rec-lra[beta=]", "=", "|", ",", ",,", "none", "null", "nan", "inf",
    "-inf", "1e999", "0x10", "1_000", "-0", "--help", "-a", "~", "~nobody", "$HOME", "%s", "{}",
    "true", "all", "all,all", "mlp[hidden=1000000x1000000]", "mlp[hidden=8x" + "9" * 400 + "]",
    "9" * 400, "1-", "-1", "5-1", "1-2-3",
]  # fmt: skip
numbers = st.sampled_from(
    [-1, 0, 1, 3, 10**9, 2**53, 2**63, -(2**63), 10**400, 0.5, -0.0, 1e308, float("nan"),
     float("inf"), True, False, None]
)  # fmt: skip
texts = st.one_of(st.sampled_from(ODD), st.text(max_size=30))
scalars = st.one_of(numbers, texts)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


def outcome(arguments):
    """Run the command line here; return its exit code and what it said."""
    out, err = io.StringIO(), io.StringIO()
    before = sys.argv
    sys.argv = ["credbench", *arguments]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as ended:
        return ended.code or 0, out.getvalue(), err.getvalue()
    finally:
        sys.argv = before
    raise AssertionError("it did not exit")


def fine(arguments):
    """Assert that a request ends in success, or in one line that says why it is wrong."""
    code, out, err = outcome(arguments)
    assert code in (0, 2), (code, err)
    if code == 2:
        lines = err.splitlines()
        assert lines and lines[-1].startswith("credbench: "), err
        assert out == "" and err.count("\n") == 1, err
        assert len(err) < 12_000
    return code


def written(folder, content):
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return str(path)


@MANY
@given(key=st.sampled_from([*SETTINGS, "device", "workers", "tsne", "plugin"]), value=values)
def test_any_value_of_a_key(tmp_path, key, value):
    fine(["run", written(tmp_path, VALID | {key: value}), "--dry-run"])


@MANY
@given(more=st.dictionaries(st.one_of(texts, numbers), values, min_size=1, max_size=3))
def test_keys_that_nobody_knows(tmp_path, more):
    assume(not {str(key).replace("_", "-") for key in more} & {*SETTINGS, "device", "workers"})
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.dump(VALID | more, Dumper=yaml.SafeDumper), encoding="utf-8")
    assert fine(["run", str(path), "--dry-run"]) == 2


@MANY
@given(content=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_any_bytes_as_a_file(tmp_path, content):
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    code = fine(["run", str(path), "--dry-run"])
    # An empty mapping asks for every algorithm, at its defaults; nothing else is one by chance.
    assert code == 2 or yaml.safe_load(content) == {}


@MANY
@given(
    place=st.integers(0, 400),
    piece=st.one_of(st.text(max_size=4), st.sampled_from("{}[]:,*&!|>-#'\"\t")),
)
def test_files_with_a_slip_of_the_pen(tmp_path, place, piece):
    text = yaml.safe_dump(VALID)
    path = tmp_path / "mine.yaml"
    path.write_text(text[:place] + piece + text[place:], encoding="utf-8")
    fine(["run", str(path), "--dry-run"])


OPTIONS = ["-a", "-d", "-f", "-n", "-o", "-b", "-e", "-s", "--init", "--clip-norm", "--dtype",
           "--limit-train", "--name", "--workers", "--replicas", "--device", "--tsne", "--angles",
           "--margin", "--format", "--data-dir", "--results-dir"]  # fmt: skip


@MANY
@given(option=st.sampled_from(OPTIONS), value=texts)
def test_any_value_of_an_option(tmp_path, monkeypatch, option, value):
    monkeypatch.chdir(tmp_path)
    fine(["run", "-a", "backprop", "-s", "1", "--dry-run", option, value])


@MANY
@given(
    command=st.sampled_from(["run", "tune", "time", "table", "plot", "compare", "reproduce",
                             "claims", "status", "describe", "list", "merge", "wizard"]),
    words=st.lists(st.one_of(texts, st.sampled_from(OPTIONS)), max_size=3),
)  # fmt: skip
def test_any_words(tmp_path, monkeypatch, command, words):
    # What would train, measure or write is only planned here.
    planned = {"run": ["--dry-run"], "tune": ["--dry-run"], "reproduce": ["--dry-run"]}
    assume(command != "time" or "--format" in words or not words or "-s" in words)
    monkeypatch.chdir(tmp_path)
    arguments = [command, *words, *planned.get(command, [])]
    if command == "time":
        arguments += ["--repeats", "0"]
    code, _, err = outcome(arguments)
    assert code in (0, 2), (code, err)
    assert "Traceback" not in err


@MANY
@given(name=texts)
def test_no_name_leads_out_of_the_results_folder(tmp_path, name):
    try:
        experiment = make_experiment(REGISTRY, {"algorithm": "backprop", "name": name})
    except RequestError:
        return
    folder = Store(tmp_path, experiment.name).folder.resolve()
    assert folder.parent == tmp_path.resolve() and folder != tmp_path.resolve()


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "\n".join(
    f"{b}: &{b} [{','.join(f'*{a}' for _ in range(9))}]"
    for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    "text",
    [BOMB, "[" * 5000, "algorithm: " + "[" * 3000 + "]" * 3000, "algorithm: &a [*a]",
     "<<: {algorithm: backprop}", "algorithm: !!python/object/apply:os.system ['true']",
     "algorithm: !!binary gIGC", "seeds: !!set {1, 2}", "? [a, b]\n: 1", "---\na: 1\n---\nb: 2",
     "%YAML 9.9\n---\nepochs: 1", "epochs: 2026-01-01", "epochs: 1:30", "\ufeffepochs: [",
     "epochs: 'é\u0000'", "- epochs\n- 1"],
)  # fmt: skip
def test_files_that_are_up_to_something(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    fine(["run", str(path), "--dry-run"])


UNSAFE = {"yaml.load", "yaml.full_load", "yaml.unsafe_load", "eval", "exec"}


def calls(path):
    """Yield the dotted name and the keywords of every call in a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            named = {word.arg: ast.unparse(word.value) for word in node.keywords}
            yield ast.unparse(node.func), named


def test_nothing_is_unpickled_and_yaml_is_loaded_safely():
    files = [
        p for room in ("benchmark", "algorithms", "datasets") for p in (ROOT / room).rglob("*.py")
    ]
    assert len(files) > 80
    for path in files:
        imported = {
            alias.name
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, (ast.Import, ast.ImportFrom))
            for alias in node.names
        }
        # Trials travel to workers as Dask sends everything; no file is read that way.
        sent = {"pickle"} if path.name == "worker.py" else set()
        assert not imported & ({"pickle", "marshal", "shelve", "dill", "cloudpickle"} - sent), path
        for name, keywords in calls(path):
            if name == "torch.load":
                assert keywords.get("weights_only") == "True", path
            assert name not in {
                "yaml.load",
                "yaml.full_load",
                "yaml.unsafe_load",
                "eval",
                "exec",
            }, path
            if name in {"numpy.load", "np.load"}:
                assert keywords.get("allow_pickle", "False") == "False", path
