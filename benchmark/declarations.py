"""What a class has to declare to be a component; what is amiss is said in one sentence."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import Field
from pathlib import Path
from typing import Any

from credbench.component import Component
from credbench.errors import RequestError
from credbench.learner import Capabilities, Learner

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_RESERVED = "all"
_WORDS = ("summary", "paper", "source", "equation", "default_optimizer")
_FACTS = ("kind", "name", *_WORDS, "capabilities", "phases", "separate", "complete", "given")
"""Class attributes that are no hyper-parameters."""


def check_declared(component: type[Component], file: Path, kinds: tuple[str, ...]) -> None:
    """Raise `RequestError` for a class that could not be used as a component of these kinds."""
    _check_name(component, file)
    where = f"{component.kind} {component.name!r} in {file}"
    if component.kind not in kinds:
        raise RequestError(
            f"{component.name!r} in {file} has the kind {component.kind!r}: expected one of "
            f"{', '.join(kinds)}; derive it from credbench.Learner, Dataset or Architecture, which "
            "have theirs"
        )
    missing = ", ".join(sorted(getattr(component, "__abstractmethods__", ())))
    if missing:
        raise RequestError(f"{where} lacks {missing}: define it")
    if any(isinstance(value, Field) for value in vars(component).values()):
        raise RequestError(f"{where} declares parameters: put @dataclass(frozen=True) above it")
    _check_fields(component, where)
    for key in _WORDS:
        _check_type(component, key, str, "a string", where)
    if issubclass(component, Learner):
        _check_type(component, "capabilities", Capabilities, "credbench.Capabilities(…)", where)
        _check_phases(component, where)


def is_name(text: object) -> bool:
    """Return whether a component may have this name, which the axes' language can spell."""
    return isinstance(text, str) and bool(_NAME.fullmatch(text)) and text != _RESERVED


def _check_name(component: type[Component], file: Path) -> None:
    if not is_name(component.name):
        raise RequestError(
            f"class {component.__qualname__} in {file} has the name {component.name!r}: expected "
            "letters, digits, dots, dashes and underscores, as in 'my-rule'; 'all' is taken"
        )


def _check_fields(component: type[Component], where: str) -> None:
    for field in dataclasses.fields(component):
        if field.name in _FACTS:
            raise RequestError(
                f"{where} declares {field.name!r} as a hyper-parameter: leave its annotation out, "
                "or make it a ClassVar"
            )
        if field.default is dataclasses.MISSING:
            raise RequestError(
                f"{where} declares {field.name!r} without a default: write {field.name} = "
                "parameter(default, help=…)"
            )
    for each in component.parameters().values():
        if not each.admits(each.default):
            raise RequestError(
                f"{where} declares {each.name!r} with the default {each.format(each.default)}: "
                f"expected {each.kind}; mend the default, or the bounds"
            )


def _check_type(
    component: type[Component], key: str, kind: type[Any], what: str, where: str
) -> None:
    value = getattr(component, key, "")
    if key in _declared(component) and not isinstance(value, (kind, property)):
        raise RequestError(f"{where} has {key} {value!r}: expected {what}")


def _check_phases(component: type[Learner], where: str) -> None:
    phases: object = component.phases
    words = isinstance(phases, tuple) and all(isinstance(each, str) and each for each in phases)
    if not isinstance(phases, property) and not (phases and words):
        raise RequestError(
            f"{where} has phases {phases!r}: expected a tuple of words, as in ('train',)"
        )


def _declared(component: type[Component]) -> set[str]:
    return {key for each in component.__mro__ for key in vars(each)}
