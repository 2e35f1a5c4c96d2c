"""Named, parametrised parts of a trial: algorithms, datasets, networks, activations and so on.

A component is a frozen dataclass. Its fields are its hyper-parameters, each declared with
`parameter`, so that the command line, `describe`, tuning and the records read one source.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from credbench.errors import RequestError, expected


@dataclass(frozen=True)
class Search:
    """The range that random search draws from: uniform, log-uniform, or among choices."""

    low: float = 0.0
    high: float = 1.0
    scale: str = "linear"
    choices: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        """Raise `ValueError` for a range that nothing can be drawn from."""
        lowest = 0.0 if self.scale == "log" else -math.inf
        ordered = lowest < self.low <= self.high < math.inf
        if not self.choices and (self.scale not in ("linear", "log") or not ordered):
            raise ValueError(f"a search from {self.low} to {self.high}, {self.scale}")

    def __str__(self) -> str:
        if self.choices:
            return " | ".join(format_value(c) for c in self.choices)
        return f"{self.low:g} to {self.high:g}, {self.scale}"


@dataclass(frozen=True)
class Parameter:
    """What is known of one hyper-parameter.

    `structural` parameters shape the program, so trials that differ in one cannot train as
    replicas of each other; the others (floats) reach the learner as 0-d tensors.
    """

    name: str
    default: Any
    help: str
    unit: str = ""
    source: str = ""
    search: Search | None = None
    minimum: float = -math.inf
    maximum: float = math.inf
    above: float = -math.inf
    choices: tuple[Any, ...] = ()
    structural: bool = False
    parse: Callable[[str], Any] | None = None
    show: Callable[[Any], str] | None = None

    @property
    def kind(self) -> str:
        """The type expected, as an error message names it."""
        if self.choices:
            return "one of " + ", ".join(format_value(c) for c in self.choices)
        names = {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}
        return names.get(type(self.default), self.help) + self._bounds()

    def _bounds(self) -> str:
        low = f" above {self.above:g}" if self.above > -math.inf else ""
        low = low or (f" of at least {self.minimum:g}" if self.minimum > -math.inf else "")
        joined = "and" if low else "of"
        high = f" {joined} at most {self.maximum:g}" if self.maximum < math.inf else ""
        return low + high

    def read(self, given: object, owner: str) -> Any:
        """Return the value that `given` (a word of the command line, a YAML value) stands for.

        Raises `RequestError` for a wrong type or a value out of range.
        """
        try:
            value = self._convert(given)
        except (ValueError, TypeError, OverflowError):
            value = None
        if value is None or not self.admits(value):
            raise RequestError(
                f"{owner}[{self.name}={given}]: expected {self.kind} for {self.name!r}"
            )
        return value

    def _convert(self, given: object) -> Any:
        if self.parse is not None:
            return self.parse(str(given))
        if isinstance(self.default, bool):
            return _boolean(given)
        if isinstance(self.default, float):
            return float(str(given))
        if isinstance(self.default, int):
            return int(str(given))
        return str(given)

    def admits(self, value: Any) -> bool:
        """Return whether a value is among the choices, or finite and within the bounds."""
        if self.choices:
            return value in self.choices
        if isinstance(value, (int, float)):
            if not math.isfinite(value):
                return False
            return self.minimum <= value <= self.maximum and value > self.above
        return True

    def format(self, value: Any) -> str:
        """Return the spelling of `value` that `read` takes back."""
        return self.show(value) if self.show else format_value(value)


def _boolean(given: object) -> bool:
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    return words[str(given).lower()] if str(given).lower() in words else _refuse()


def _refuse() -> bool:
    raise ValueError("neither true nor false")


def format_value(value: object) -> str:
    """Return the shortest spelling of a value that reads back as the same value."""
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, float) else str(value)


_PARAMETER = "credbench"


def parameter(default: Any, *, help: str, **facts: Any) -> Any:
    """Declare a hyper-parameter: its default, help, unit, source, bounds and search range.

    The keywords are the fields of `Parameter`. Example:
    `beta: float = parameter(0.1, help="step from activity to target", above=0)`.
    """
    declared = Parameter("", default, help, **facts)
    return dataclasses.field(default=default, metadata={_PARAMETER: declared})


@dataclass(frozen=True)
class Component:
    """A named part of a trial whose dataclass fields are its hyper-parameters."""

    kind: ClassVar[str] = "component"
    name: ClassVar[str] = ""
    summary: ClassVar[str] = ""
    complete: ClassVar[bool] = True
    """Whether it can be used with nothing given; `all` leaves out what cannot."""
    given: ClassVar[frozenset[str]] = frozenset()
    """The parameters that were asked for by name; the others are free to be tuned."""

    @classmethod
    @functools.cache
    def parameters(cls) -> dict[str, Parameter]:
        """Return the declared hyper-parameters by name."""
        return {f.name: _declared(f) for f in dataclasses.fields(cls)}

    @classmethod
    def create(cls, given: Mapping[str, object]) -> Self:
        """Return the component with the given parameters; the others keep their defaults.

        Raises `RequestError` for a parameter that is unknown, malformed, out of range, or
        without effect beside the others given.
        """
        known = cls.parameters()
        for key in given:
            if key not in known:
                raise _unknown_parameter(cls, key, known)
        values = {key: known[key].read(value, cls.name) for key, value in given.items()}
        made = cls(**values)
        for key, reason in made.unused().items():
            if key in given:
                raise RequestError(f"{cls.name}[{key}=…] has no effect: {reason}; leave it out")
        object.__setattr__(made, "given", frozenset(given))
        return made

    def unused(self) -> dict[str, str]:
        """Return the parameters that have no effect beside the others, each with the reason."""
        return {}

    def values(self) -> dict[str, Any]:
        """Return the parameters that have an effect, by name."""
        idle = self.unused()
        return {k: getattr(self, k) for k in self.parameters() if k not in idle}

    def spec(self, *, full: bool = True) -> str:
        """Return `name[key=value,…]` with every parameter, or only those off their defaults."""
        known = self.parameters()
        return self._spelled(
            {k: v for k, v in self.values().items() if full or v != known[k].default}
        )

    @property
    def asked(self) -> str:
        """The name with the parameters that were asked for."""
        return self._spelled({k: getattr(self, k) for k in self.parameters() if k in self.given})

    def _spelled(self, shown: Mapping[str, Any]) -> str:
        known = self.parameters()
        inner = ",".join(f"{k}={known[k].format(v)}" for k, v in shown.items())
        return f"{self.name}[{inner}]" if inner else self.name

    def numeric(self) -> dict[str, float]:
        """Return the parameters that may differ between replicas of one program."""
        known = self.parameters()
        return {
            k: getattr(self, k)
            for k, p in known.items()
            if isinstance(p.default, float) and not p.structural
        }

    def with_values(self, values: Mapping[str, Any]) -> Self:
        """Return a copy with some fields replaced (by tensors, too), unchecked."""
        made = copy.copy(self)
        for key, value in values.items():
            object.__setattr__(made, key, value)
        return made


def _declared(field: dataclasses.Field[Any]) -> Parameter:
    declared = field.metadata.get(_PARAMETER)
    if declared is None:
        declared = Parameter("", field.default, "")
    return dataclasses.replace(declared, name=field.name)


def _unknown_parameter(cls: type[Component], key: str, known: Mapping[str, object]) -> RequestError:
    if not known:
        return RequestError(f"{cls.kind} {cls.name!r} takes no parameters; {key!r} was given")
    return RequestError(f"{cls.kind} {cls.name!r} has no parameter {key!r}: {expected(key, known)}")
