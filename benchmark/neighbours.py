"""The files beside a plugin that it imports, which are part of what it computes."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path


def imported(source: str, folder: Path) -> Iterator[Path]:
    """Yield the files in a folder, or below it, that a module there imports; not credbench's."""
    for name, members in _imports(ast.parse(source)):
        whole, *_ = found = [name, *(f"{name}.{member}".strip(".") for member in members)]
        if whole.partition(".")[0] != "credbench":
            for each in found:
                yield from _files(folder, each)


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
