"""Whether what is on record was made by the source as it is now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from credbench.experiment import COMPONENTS
from credbench.registry import Registry
from credbench.store import Record
from credbench.versions import source_of


def is_stale(record: Record, registry: Registry) -> bool:
    """Return whether a record was made by another version of its source."""
    return is_outdated(record["trial"], record["source"], registry)


def is_outdated(trial: Mapping[str, Any], source: str, registry: Registry) -> bool:
    """Return whether a trial, by its arguments, now has another source than this hash."""
    return source != present_source(trial, registry, unknown=source)


def present_source(trial: Mapping[str, Any], registry: Registry, unknown: str = "") -> str:
    """Return the hash of a trial's source, by its arguments, as it is now.

    `unknown` where one of its components is, such as of a plugin that is not given now.
    """
    if strangers(trial, registry):
        return unknown
    return source_of(registry.get(*each) for each in _components(trial))


def strangers(trial: Mapping[str, Any], registry: Registry) -> list[str]:
    """Return the names of a trial's components that are not known, so that none can tell."""
    return [name for kind, name in _components(trial) if not registry.has(kind, name)]


def _components(trial: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return kind and name of all that a trial is made of."""
    return [(kind, trial[key].partition("[")[0]) for key, kind in COMPONENTS.items()]
