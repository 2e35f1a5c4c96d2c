"""The files beside a plugin that it imports, which are part of what it computes."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path


def imported(source: str, folder: Path) -> Iterator[Path]:
    """Yield the files in a folder, or in the package it is of, that a module there imports.

    credbench's own are left out.
    """
    places = dict.fromkeys((folder, _root(folder)))
    for name, members in _imports(ast.parse(source)):
        whole, *_ = found = [name, *(f"{name}.{member}".strip(".") for member in members)]
        if whole.partition(".")[0] != "credbench":
            for each in found:
                for place in places:
                    yield from _files(place, each)


def _root(folder: Path) -> Path:
    """Return the folder that holds the package which a folder is of; itself where it is of none."""
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    return folder


def _imports(tree: ast.Module) -> Iterator[tuple[str, list[str]]]:
    """Yield the modules that are imported, each with the names taken from it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level <= 1:
            yield node.module or "", [alias.name for alias in node.names]


def _files(folder: Path, name: str) -> Iterator[Path]:
    place = folder.joinpath(*name.split(".")) if name else folder
    for path in (place.with_name(f"{place.name}.py"), place / "__init__.py"):
        if name and path.is_file():
            yield path
