"""The ways in: a file given by path, one in a room, an installed package; and what goes wrong."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
RULE = (
    "from credbench.algorithms.backprop import Backprop\nclass Mine(Backprop):\n    name = {!r}\n"
)


def algorithms(ran):
    return {entry["name"] for entry in json.loads(ran.stdout)["algorithms"]}


LIST = ("list", "algorithms", "--format", "json")


@pytest.mark.parametrize(
    "source, words",
    [
        (
            "\nimport nothing_of_this_name",
            "ModuleNotFoundError: No module named 'nothing_of_this_name' (broken.py, line 2)",
        ),
        ("\n\nx = (", "SyntaxError: '(' was never closed (broken.py, line 3)"),
        ("import json\njson.loads('')", "Expecting value: line 1 column 1 (char 0) (broken.py, l"),
        ("raise SystemExit(3)", "SystemExit: 3 (broken.py, line 1)"),
        (
            "from .whole import x",
            "no known parent package (broken.py, line 1); a file given by its",
        ),
    ],
)
def test_a_plugin_that_fails_to_import_is_named_and_the_rest_goes_on(
    credbench, tmp_path, source, words
):
    (tmp_path / "broken.py").write_text(source)
    (tmp_path / "whole.py").write_text(RULE.format("whole"))
    ran = credbench(*LIST, "--plugin", "broken.py", "--plugin", "whole.py")
    assert {"whole", "backprop"} <= algorithms(ran)
    (line,) = ran.stderr.splitlines()
    assert "broken.py failed to import: " in line and words in line
    ran = credbench("run", "-a", "whole", "--dry-run", "--plugin", "broken.py", code=2)
    first, second = ran.stderr.splitlines()
    assert "broken.py" in first
    assert "unknown algorithm 'whole': it may be of what was left out, which is named" in second
    assert "backprop" not in second and "did you mean" not in second


def test_two_plugins_of_one_name_are_both_named(credbench, tmp_path):
    for name in ("one.py", "two.py"):
        (tmp_path / name).write_text(RULE.format("same"))
    ran = credbench("list", "--plugin", "one.py", "--plugin", "two.py", code=2)
    (line,) = ran.stderr.splitlines()
    assert "two algorithms are named 'same'" in line
    assert "one.py" in line and "two.py" in line


@pytest.fixture
def copy(tmp_path):
    """A copy of the package, and a way to run its command: files may be dropped into its rooms."""
    site = tmp_path / "site"
    skipped = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "benchmark", site / "credbench", ignore=skipped)
    for room in ("algorithms", "datasets"):
        shutil.copytree(ROOT / room, site / "credbench" / room, ignore=skipped)

    def run(*arguments, code=0):
        ran = subprocess.run(
            [sys.executable, "-c", "from credbench.cli import main; main()", *arguments],
            cwd=tmp_path, capture_output=True, text=True,
            env={**os.environ, "PYTHONPATH": str(site)},
        )  # fmt: skip
        assert ran.returncode == code, ran.stderr
        assert "Traceback" not in ran.stderr
        return ran

    return site / "credbench", run


def test_a_file_in_a_room_is_found_and_a_broken_one_stops_nothing(copy):
    package, run = copy
    rooms = package / "algorithms"
    (rooms / "mine.py").write_text(RULE.format("mine"))
    (rooms / "test_mine.py").write_text("raise RuntimeError('a test is no component')")
    assert "mine" in algorithms(run(*LIST))
    assert run(*LIST).stderr == ""
    assert "mine" in algorithms(run(*LIST, "--plugin", str(rooms / "mine.py")))  # one file, twice
    (rooms / "backprop.py").write_text("x = (")
    (package / "datasets" / "odd.py").write_text(
        "from credbench.datasets.digits import Digits\n"
        "class Odd(Digits):\n    name = 'odd'\n    source = 5\n"
    )
    ran = run(*LIST)
    assert {"dfa", "rec-lra"} <= algorithms(ran) and "backprop" not in algorithms(ran)
    lines = ran.stderr.splitlines()
    assert any(
        "backprop.py was left out: SyntaxError: '(' was never closed (backprop.py, line 1)" in line
        for line in lines
    )
    assert any("left out: dataset 'odd'" in line and "source 5" in line for line in lines)


def test_an_installed_package_joins_in(tmp_path, credbench):
    """As the README shows it; entry points that lead nowhere, or fail, are named."""
    pytest.importorskip("setuptools", minversion="77")
    source, site = tmp_path / "source", tmp_path / "site"
    source.mkdir()
    (source / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
        '[project]\nname = "my-rules"\nversion = "1"\n'
        '[project.entry-points."credbench.algorithms"]\n'
        'packaged = "my_rules.packaged"\nlost = "my_rules.lost"\n'
        'odd = "my_rules.odd"\nempty = "my_rules.constants"\n'
    )
    package = source / "my_rules"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "odd.py").write_text("from .constants import HALF\nimport json\njson.loads('')\n")
    (package / "constants.py").write_text("HALF = 0.5\n")
    (package / "packaged.py").write_text("from .constants import HALF\n" + RULE.format("packaged"))
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation",
               "--target", site, source]  # fmt: skip
    installed = subprocess.run(command, capture_output=True, text=True)
    assert installed.returncode == 0, installed.stderr
    ran = credbench(*LIST, PYTHONPATH=str(site))
    assert "packaged" in algorithms(ran)
    odd, lost, empty = sorted(ran.stderr.splitlines(), reverse=True)
    assert "my_rules.odd" in odd and "JSONDecodeError" in odd and "(odd.py, line 3)" in odd
    assert "my_rules.lost" in lost and "ModuleNotFoundError" in lost
    assert "my_rules.constants" in empty and "defines no component" in empty


def test_a_change_beside_a_plugin_is_one_of_its_own(credbench, tmp_path):
    (tmp_path / "constants.py").write_text("from deeper import HALF\n")
    (tmp_path / "deeper.py").write_text("HALF = 0.5\n")
    (tmp_path / "stranger.py").write_text("x = 1\n")
    (tmp_path / "mine.py").write_text("from constants import HALF\n" + RULE.format("mine"))

    def stale():
        ran = credbench("status", "--plugin", "mine.py", "--format", "json")
        return json.loads(ran.stdout)[0]["stale"]

    credbench("run", "-a", "mine", "-s", "1", "-e", "1", "-n", "mlp[hidden=4]", "--no-timing",
              "--plugin", "mine.py", "--device", "cpu")  # fmt: skip
    (tmp_path / "stranger.py").write_text("x = 2\n")
    (tmp_path / "deeper.py").write_text("HALF = 0.5  # a comment\n")
    assert stale() == 0
    (tmp_path / "deeper.py").write_text("HALF = 0.25\n")
    assert stale() == 1


@pytest.mark.parametrize(
    "kind, option", [("dataset", "-d"), ("network", "-n"), ("activation", "-f")]
)
def test_a_change_in_what_an_algorithm_trains_on_makes_records_stale(
    kind, option, credbench, tmp_path
):
    credbench("new", kind, "mine")
    plugin = tmp_path / "mine.py"
    given = ("-a", "backprop", option, "mine", "-s", "1", "-e", "1", "--no-timing",
             "--limit-train", "50", "--device", "cpu", "--plugin", plugin)  # fmt: skip

    def stale(*known):
        return json.loads(credbench("status", *known, "--format", "json").stdout)[0]["stale"]

    credbench("run", *given)
    source = plugin.read_text(encoding="utf-8")
    plugin.write_text(f"# a comment\n{source}", encoding="utf-8")
    assert stale("--plugin", plugin) == 0
    plugin.write_text(f"{source}    version = 2\n", encoding="utf-8")
    assert stale("--plugin", plugin) == 1
    assert stale() == 0
    assert "none can tell what is stale of it: 'mine'; give --plugin" in credbench("status").stdout
    assert "1 trial to run" in credbench("run", *given).stderr
    assert stale("--plugin", plugin) == 0


def test_a_packages_own_modules_are_neighbours_by_their_whole_names(tmp_path):
    from credbench.neighbours import imported

    package = tmp_path / "rules" / "inner"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").write_text("")
    (package.parent / "helper.py").write_text("")
    (package / "near.py").write_text("")
    (tmp_path / "torch.py").write_text("")  # beside the package, not of it
    source = "from rules.helper import a\nimport rules.inner.near\nfrom .near import b\nimport os"
    found = {path.relative_to(tmp_path).as_posix() for path in imported(source, package)}
    assert {"rules/helper.py", "rules/inner/near.py"} <= found
    assert found <= {"rules/helper.py", "rules/inner/near.py", "rules/__init__.py"}
