"""Which version of its source a trial is of: what changes it makes a record of it stale."""

from __future__ import annotations

import functools
import hashlib
import io
import sys
import tokenize
from collections.abc import Iterable
from pathlib import Path

from credbench.component import Component
from credbench.neighbours import imported


def source_file(component: type[Component]) -> Path:
    """Return the file that defines a component."""
    return Path(sys.modules[component.__module__].__file__ or component.__module__)


def remember(path: Path) -> None:
    """Read a file and those that it imports as they are imported: they may be edited meanwhile."""
    _with_neighbours(path)


def source_of(components: Iterable[type[Component]]) -> str:
    """Return a hash of the source of all that a trial is made of, the engine's own left out."""
    hashes = [source_hash(each) for each in components if not _is_engine(each)]
    return hashes[0] if len(hashes) == 1 else _joined(hashes)


def source_hash(component: type[Component]) -> str:
    """Return a hash of the files that define a component, what it inherits and what they import.

    Of imports, files beside them count. Comments and layout do not change the hash; the
    engine's own files are left out.
    """
    if component not in _hashes:
        _hashes[component] = _source_hash(component)
    return _hashes[component]


_hashes: dict[type[Component], str] = {}


def _source_hash(component: type[Component]) -> str:
    inherited = [c for c in component.__mro__ if issubclass(c, Component) and not _is_engine(c)]
    own = map(source_file, inherited or [component])
    files = dict.fromkeys(file for path in own for file in _with_neighbours(path))
    hashes = [_file_hash(file) for file in files]
    return hashes[0] if len(hashes) == 1 else _joined(hashes)


def _joined(hashes: Iterable[str]) -> str:
    return hashlib.sha256("".join(hashes).encode()).hexdigest()[:16]


def _is_engine(component: type[Component]) -> bool:
    package, _, inner = component.__module__.partition(".")
    return package == "credbench" and inner.partition(".")[0] not in ("algorithms", "datasets")


@functools.cache
def _with_neighbours(path: Path) -> tuple[Path, ...]:
    """Return a file and those beside it that it imports, and that these import, in that order."""
    found, left = dict[Path, None](), [path]
    while left:
        file = left.pop(0)
        if file not in found:
            found[file] = None
            left += imported(_content(file).decode("utf-8", "replace"), file.parent)
    return tuple(found)


@functools.cache
def _file_hash(path: Path) -> str:
    source = _content(path).decode("utf-8", "replace")
    return hashlib.sha256(_code_only(source).encode()).hexdigest()[:16]


@functools.cache
def _content(path: Path) -> bytes:
    return path.read_bytes()


_LAYOUT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENCODING}
_INDENTS = {tokenize.INDENT: "{", tokenize.DEDENT: "}"}


def _code_only(source: str) -> str:
    """Return the tokens of a file without comments, docstrings and white space."""
    kept: list[str] = []
    starts = True
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in _INDENTS:
            kept.append(_INDENTS[token.type])
        elif token.type == tokenize.NEWLINE:
            kept.append(";")
        elif token.type not in _LAYOUT and not (starts and token.type == tokenize.STRING):
            kept.append("".join(token.string.split()))
        if token.type not in (tokenize.COMMENT, tokenize.NL):
            starts = token.type in (*_INDENTS, tokenize.NEWLINE, tokenize.ENCODING)
    # Joined without spaces, an f-string reads the same whether it is one token (Python 3.11)
    # or several (3.12).
    return "".join(kept)
