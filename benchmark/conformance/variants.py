"""A component at other values of its numeric parameters than those that it was given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TypeVar

from credbench.component import Component, Parameter
from credbench.errors import RequestError

C = TypeVar("C", bound=Component)


def variants(component: C) -> Iterator[tuple[str, C]]:
    """Yield the component with one number changed at a time, and a clause that says which.

    A number is tried at the ends of its search range, or at twice its default. The first is the
    component as it was given, with no clause.
    """
    yield "", component
    for name, known in component.parameters().items():
        if isinstance(known.default, bool) or not isinstance(known.default, (int, float)):
            continue
        for value in dict.fromkeys(_values(known)):
            if value != getattr(component, name):
                yield f"with {name}={known.format(value)}, ", replace(component, **{name: value})


def _values(known: Parameter) -> Iterator[object]:
    """Yield the values of a number to try; those out of its bounds are left out."""
    search = known.search
    if search is None:
        tried = [known.choices[0], known.choices[-1]] if known.choices else [_doubled(known)]
    else:
        tried = list(search.choices) or [search.low, search.high]
    for value in tried:
        whole = round(value) if isinstance(known.default, int) else value
        try:
            yield known.read(whole, known.name)
        except RequestError:
            continue


def _doubled(known: Parameter) -> float:
    return 2 * known.default if known.default else 1
