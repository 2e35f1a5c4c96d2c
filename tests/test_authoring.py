"""`credbench new`: what it writes runs as it stands, and its test passes."""

import re
import subprocess
import sys
from pathlib import Path

import pytest


def test_what_is_written_runs_together_and_its_tests_pass(credbench, tmp_path):
    given = []
    options = {"algorithm": "-a", "dataset": "-d", "network": "-n", "activation": "-f"}
    for kind, option in options.items():
        ran = credbench("new", kind, f"my-{kind}", "--output", "mine")
        plugin = f"mine/my_{kind}.py"
        assert ran.stdout.splitlines()[:2] == [plugin, f"mine/test_my_{kind}.py"]
        assert f"credbench check my-{kind} --plugin {plugin}" in ran.stdout
        source = (tmp_path / plugin).read_text(encoding="utf-8")
        assert "$" not in source and f"class My{kind.capitalize()}(" in source
        given += [option, f"my-{kind}", "--plugin", plugin]
    credbench("run", *given, "-s", "1", "-e", "1", "--no-timing", "--device", "cpu")
    tests = [sys.executable, "-m", "pytest", "-q", "-W", "error", "mine"]
    tested = subprocess.run(tests, cwd=tmp_path, capture_output=True, text=True)
    assert tested.returncode == 0 and re.search("2[0-9] passed", tested.stdout), tested.stdout


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("algorithm", "dfa"), ("'dfa' is taken, by another algorithm", "another name")),
        (("algorithm", "5-rules"), ("name '5-rules'", "as in 'my-rule'")),
        (("algorithm", "a b"), ("name 'a b'",)),
        (("algorithm", "class"), ("name 'class'",)),
        (("algorithm", "json"), ("json.py would hide the Python module",)),
        (("optimizer", "mine"), ("new 'optimizer'", "activation, algorithm, dataset, network")),
        (("algoritm", "mine"), ("new 'algoritm'", "did you mean 'algorithm'")),
        (("algorithm", "there"), ("there.py is there already",)),
        (("network", "mine", "--output", "there.py"), ("cannot be written to",)),
    ],
)
def test_what_cannot_be_written_is_a_sentence(arguments, words, credbench, tmp_path):
    (tmp_path / "there.py").write_text("mine\n")
    ran = credbench("new", *arguments, code=2)
    (line,) = ran.stderr.splitlines()
    for word in words:
        assert word in line, line
    assert [path.name for path in tmp_path.iterdir()] == ["there.py"]


def test_the_readmes_test_of_its_example_passes(tmp_path):
    readme = Path(__file__).parent.parent / "README.md"
    blocks = re.findall(r"```python\n(.*?)```", readme.read_text(encoding="utf-8"), re.S)
    example, test = (b for b in blocks if "class " in b)
    (tmp_path / "drtp.py").write_text(example, encoding="utf-8")
    (tmp_path / "test_drtp.py").write_text(test, encoding="utf-8")
    tests = [sys.executable, "-m", "pytest", "-q", "-W", "error", "test_drtp.py"]
    tested = subprocess.run(tests, cwd=tmp_path, capture_output=True, text=True)
    assert tested.returncode == 0 and " passed" in tested.stdout, tested.stdout
