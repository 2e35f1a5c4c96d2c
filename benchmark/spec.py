"""The little language of the axes: `mlp[hidden=256x3],rec-lra[beta=0.1|0.5]`."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

from credbench.errors import RequestError

_MOST = 1_000_000


@dataclass(frozen=True)
class Spec:
    """One named component and the parameters given with it, as text."""

    name: str
    given: tuple[tuple[str, str], ...] = ()


def parse_axis(text: str) -> list[Spec]:
    """Return the specs that a comma list stands for, grids expanded in the order written.

    Raises `RequestError` where the text is malformed.
    """
    parts = [part.strip() for part in _split(text, ",")]
    if not text.strip() or "" in parts:
        raise RequestError(f"{text!r} has an empty entry: expected names separated by commas")
    return [spec for part in parts for spec in _expand(part)]


def _split(text: str, separator: str) -> list[str]:
    """Split at separators outside brackets."""
    parts, depth, start = [], 0, 0
    for i, char in enumerate(text):
        depth += (char == "[") - (char == "]")
        if depth not in (0, 1):
            raise _unbalanced(text)
        if char == separator and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    if depth:
        raise _unbalanced(text)
    return [*parts, text[start:]]


def _unbalanced(text: str) -> RequestError:
    return RequestError(f"{text!r} has unbalanced brackets: expected name[key=value,…]")


def _expand(part: str) -> Iterator[Spec]:
    name, bracket, rest = part.partition("[")
    if bracket and not rest.endswith("]"):
        raise RequestError(f"{part!r} goes on after its bracket: expected name[key=value,…]")
    pairs = [_pair(item, part) for item in rest[:-1].split(",")] if rest[:-1].strip() else []
    keys = [key for key, _ in pairs]
    if len(set(keys)) < len(keys):
        raise RequestError(f"{part!r} gives a parameter twice: expected each once, a|b for a grid")
    size = math.prod(len(alternatives) for _, alternatives in pairs)
    if size > _MOST:
        raise RequestError(f"{name!r} is given {size:,} times over: expected at most {_MOST:,}")
    for values in itertools.product(*(alternatives for _, alternatives in pairs)):
        yield Spec(name.strip(), tuple(zip(keys, values, strict=True)))


def _pair(item: str, part: str) -> tuple[str, list[str]]:
    key, equals, value = item.partition("=")
    alternatives = [v.strip() for v in value.split("|")]
    if not (equals and key.strip() and all(alternatives)):
        raise RequestError(f"{item.strip()!r} in {part!r}: expected key=value or key=a|b")
    return key.strip(), alternatives
