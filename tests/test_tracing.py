"""Errors name the line of a component's own that they come from."""

import json
import sys

import pytest

from credbench.algorithms.backprop import Backprop
from credbench.tracing import innermost, last_line, own_line, place, where

RUN = ("run", "-s", "1", "-e", "1", "-n", "mlp[hidden=4]", "--no-timing", "--device", "cpu",
       "--limit-train", "64")  # fmt: skip


def caught(call, *arguments):
    try:
        call(*arguments)
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def test_the_innermost_own_line_is_not_the_librarys():
    error = caught(json.loads, "{")
    line = caught.__code__.co_firstlineno + 2
    assert own_line(error) == (__file__, line)
    assert place(error) == f"test_tracing.py, line {line}"
    assert where(error) == f"test_tracing.py, line {line}: call(*arguments)"


def test_a_room_is_own_and_the_engine_is_not():
    assert place(caught(Backprop().updates, None)).startswith("backprop.py, line ")
    assert place(caught(Backprop.create, {"x": 1})).startswith("test_tracing.py, line ")


def test_without_a_line_of_its_own_an_error_names_the_one_that_raised_it():
    error = caught(json.loads, "{")
    while error.__traceback__.tb_next:
        error.__traceback__ = error.__traceback__.tb_next
    assert place(error) == "" and innermost(error).startswith("decoder.py, line ")


def test_what_an_installed_package_defines_components_in_is_own(tmp_path, monkeypatch):
    package = tmp_path / "site-packages" / "mine_of_test_tracing"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("def fail():\n    raise KeyError('x')\n")
    monkeypatch.syspath_prepend(package.parent)
    module = __import__(package.name)
    try:
        error = caught(module.fail)
        assert place(error).startswith("test_tracing.py")
        assert place(error, package.name) == "__init__.py, line 2"
        made = type("Mine", (Backprop,), {"__module__": package.name})
        assert place(error) == "__init__.py, line 2"
        assert made.__module__ == package.name
    finally:
        del sys.modules[package.name]


def test_a_syntax_error_has_a_line_of_its_own():
    error = caught(compile, "x = 1\ny = (\n", "mine.py", "exec")
    assert place(error) == "mine.py, line 2"
    assert last_line(error) == "SyntaxError: '(' was never closed"


@pytest.mark.parametrize(
    "body, place",
    [
        ("return step.net.forward(step.params, step.x[:, :3])", "line 5"),
        ("return step.x.view(-1, 7, 11, 13)", "line 5"),
    ],
)
def test_a_failed_trials_record_names_the_components_line(credbench, tmp_path, body, place):
    plugin = tmp_path / "mine.py"
    plugin.write_text(
        "from credbench import Learner\nclass Mine(Learner):\n    name = 'mine'\n"
        f"    def updates(self, step):\n        {body}\n"
    )
    ran = credbench(*RUN, "-a", "mine", "--plugin", plugin, code=1)
    assert f"(mine.py, {place})" in ran.stderr
