"""Whether what a trial was made with is what somebody asks for."""

from __future__ import annotations

from credbench.errors import RequestError
from credbench.registry import Registry
from credbench.spec import Spec, parse_axis


def fits(argument: str, asked: Spec) -> bool:
    """Return whether a component, spelled out as in records, has the name and values asked for."""
    own = parse_axis(argument)[0]
    given = dict(own.given)
    return own.name == asked.name and all(given.get(key) == value for key, value in asked.given)


def canonical(kind: str, spec: Spec, registry: Registry) -> Spec:
    """Return the spec with values spelled as records spell them, where its component is known.

    Raises `RequestError` for parameters that a known component does not take.
    """
    try:
        component = registry.get(kind, spec.name)
    except RequestError:  # of a plugin that is not given now
        return spec
    full = dict(parse_axis(component.create(dict(spec.given)).spec())[0].given)
    return Spec(spec.name, tuple((key, full[key]) for key, _ in sorted(spec.given)))
