"""What `credbench new` does: writes a component that runs as it stands, and a test beside it."""

from __future__ import annotations

import importlib.util
import keyword
import shlex
from importlib.resources import files
from pathlib import Path
from string import Template

from credbench.declarations import is_name
from credbench.errors import RequestError, expected
from credbench.registry import PLURALS, Registry

KINDS = ("algorithm", "dataset", "network", "activation")
_OPTIONS = {"algorithm": "-a", "dataset": "-d", "network": "-n", "activation": "-f"}


def write_component(registry: Registry, kind: str, name: str, folder: Path) -> list[Path]:
    """Write `folder/name.py` and `folder/test_name.py`; return the two.

    Raises `RequestError` for a kind without a template, a name that is taken or that no module
    can have, and a file that is there already or cannot be written.
    """
    kind = _kind(kind)
    module = _module(name)
    if name in registry.names(kind):
        raise RequestError(f"the name {name!r} is taken, by another {kind}: give it another name")
    words = module.split("_")
    class_name = "".join(word[:1].upper() + word[1:] for word in words)
    values = {
        "name": name,
        "module": module,
        "class_name": class_name,
        "title": " ".join(words).capitalize(),
    }
    made = [folder / f"{module}.py", folder / f"test_{module}.py"]
    texts = [_filled(template, values) for template in (kind, f"test_{kind}")]
    for path in made:
        if path.exists():
            raise RequestError(f"{path} is there already: give another name, or --output a folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in zip(made, texts, strict=True):
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RequestError(
            f"{folder} cannot be written to ({error.strerror}): give --output another folder"
        ) from error
    return made


def next_steps(kind: str, name: str, made: list[Path]) -> list[str]:
    """Return the commands that try out what was written."""
    plugin, test = (shlex.quote(str(path)) for path in made)
    return [
        f"credbench check {name} --plugin {plugin}",
        f"credbench run {_OPTIONS[_kind(kind)]} {name} --plugin {plugin}",
        f"python -m pytest {test}",
    ]


def _kind(text: str) -> str:
    """Return the kind that a word, which may be its plural, names; those with a template alone."""
    kinds = {PLURALS[kind]: kind for kind in KINDS} | {kind: kind for kind in KINDS}
    if text not in kinds:
        raise RequestError(f"new {text!r}: {expected(text, KINDS)}")
    return kinds[text]


def _module(name: str) -> str:
    """Return a component's name as that of a module."""
    module = name.replace("-", "_").replace(".", "_")
    if not is_name(name) or not module.isidentifier() or keyword.iskeyword(module):
        raise RequestError(
            f"name {name!r}: expected letters, digits and dashes, a letter first, as in 'my-rule'"
        )
    if importlib.util.find_spec(module) is not None:
        raise RequestError(
            f"name {name!r}: {module}.py would hide the Python module of that name; give another"
        )
    return module


def _filled(template: str, values: dict[str, str]) -> str:
    source = files("credbench").joinpath("templates", f"{template}.py.txt")
    return Template(source.read_text(encoding="utf-8")).substitute(values)
