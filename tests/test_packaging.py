"""What is shipped: every package, nothing but the package, and a help to those who stray."""

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = {"benchmark": "credbench", "algorithms": "credbench/algorithms",
         "datasets": "credbench/datasets", "results/paper": "credbench/paper"}  # fmt: skip


def sources():
    """Where each Python file of the rooms belongs in the package."""
    found = set()
    for room, package in ROOMS.items():
        files = (ROOT / room).rglob("*.py")
        found |= {f"{package}/{f.relative_to(ROOT / room).as_posix()}" for f in files}
    return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    pytest.importorskip("setuptools", minversion="77")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation",
               "--wheel-dir", folder, ROOT]  # fmt: skip
    ran = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert ran.returncode == 0, ran.stderr
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_every_source_and_no_stranger(wheel):
    names = {n for n in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in n}
    assert {n for n in names if n.endswith(".py")} == sources()
    paper = ROOT / "results/paper"
    data = {f"credbench/paper/{f.relative_to(paper)}" for f in paper.rglob("*.yaml")}
    page = {f"credbench/report/page/{f.name}" for f in (ROOT / "benchmark/report/page").iterdir()}
    templates = ROOT / "benchmark/templates"
    new = {f"credbench/templates/{f.name}" for f in templates.iterdir()}
    assert len(data) >= 11 and len(page) >= 2 and len(new) == 8
    assert names - sources() == {"credbench/py.typed", *data, *page, *new}


def test_the_wheel_works_outside_the_checkout(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = (
        "import credbench; from credbench.cli import main; import sys\n"
        "print(credbench.__file__, file=sys.stderr)\n"
        "sys.argv = ['credbench', 'run', '-s', '1', '-e', '1', '-n', 'mlp[hidden=8]']; main()"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site"), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.startswith(str(tmp_path)) and "rec-lra" in ran.stdout
    code = code.replace("'run', '-s', '1', '-e', '1', '-n', 'mlp[hidden=8]'", "'report'")
    subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, check=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site"), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert '"name":"digits"' in (tmp_path / "results/report.html").read_text()


def test_packages_are_listed_by_name():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = {Path(s).parent.as_posix().replace("/", ".") for s in sources()}
    assert set(listed) == found


@pytest.mark.parametrize("room", ("algorithms", "datasets"))
def test_rooms_refuse_to_load_under_their_bare_names(room):
    code = f"import {room}"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 1 and f"import credbench.{room}" in ran.stderr.splitlines()[-1]


def test_no_learner_is_named_outside_its_own_file():
    """But for what times are compared with, and the colours of figures."""
    from helpers import REGISTRY

    named = {"stopwatch.py", "figures.py"}
    files = [p for p in (ROOT / "benchmark").rglob("*.py") if p.name not in named]
    engine = "\n".join(p.read_text() for p in files)
    for name in REGISTRY.names("algorithm"):
        assert f'"{name}"' not in engine and f"'{name}'" not in engine


def test_the_committed_tree_names_no_folder_of_a_machine():
    ran = subprocess.run(
        ["git", "grep", "-nIE", r"/(home|root|work|Users)/", "--", ".", ":!tests"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    if ran.returncode not in (0, 1):
        pytest.skip("not a git checkout")
    assert ran.stdout == ""
