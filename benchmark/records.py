"""What a stored file must hold to be read: its keys, and values of the right kind."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from credbench.experiment import ARGUMENTS

FORMAT = 1
STATUSES = ("done", "failed", "diverged")
_PARTS = ("train", "validation", "test")
_MEASURES = ("error", "precision", "recall", "f1")
_SOME = ("top5",)

Test = Callable[[Any], bool]


class NewerFormatError(ValueError):
    """A file was written by a later version, which alone may change it."""


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _number_or_none(value: Any) -> bool:
    return value is None or _number(value)


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _numbers(value: Any) -> bool:
    return isinstance(value, list) and all(map(_number, value))


def _some_numbers(value: Any) -> bool:
    return _numbers(value) and bool(value) and min(value) > 0


def _words(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_text, value))


def _scalar(value: Any) -> bool:
    return value is None or _text(value) or _number(value)


def _scalars(value: Any) -> bool:
    return isinstance(value, list) and all(map(_scalar, value))


def _mapping(value: Any) -> bool:
    return isinstance(value, dict)


def _arguments(value: Any) -> bool:
    if not isinstance(value, dict) or any(key not in value for key in ARGUMENTS):
        return False
    return all(_scalar(value[key]) for key in ARGUMENTS) and _text(value["algorithm"])


def _scores(value: Any) -> bool:
    """Scores of validation at least: what tuning runs is judged on no other images."""
    return isinstance(value, dict) and "validation" in value and all(
        isinstance(value[part], dict)
        and all(_number(value[part].get(m)) for m in _MEASURES)
        and all(_number(value[part][m]) for m in _SOME if m in value[part])
        for part in _PARTS
        if part in value
    )  # fmt: skip


def _curve(value: Any) -> bool:
    """Every measure is a number an epoch, or null where it was not finite."""
    return _mapping(value) and all(
        isinstance(each, list) and all(map(_number_or_none, each)) for each in value.values()
    )


def _embedding(value: Any) -> bool:
    """Points of the plane, each with its label, and how many were asked for."""
    return (
        _mapping(value)
        and _count(value.get("asked"))
        and isinstance(value.get("points"), list)
        and _numbers(value.get("labels"))
        and len(value["points"]) == len(value["labels"])
        and all(_numbers(point) and len(point) == 2 for point in value["points"])
    )


def _angles(value: Any) -> bool:
    """The steps sampled, and of each block or path a number or null for each of them."""
    if not _mapping(value) or not _count(value.get("every")) or not _numbers(value.get("steps")):
        return False
    series = [value.get(name) for name in ("update", "ratio", "feedback")]
    return all(map(_curve, series)) and all(
        len(each) == len(value["steps"]) for found in series for each in found.values()
    )


_SCHEMAS: dict[str, dict[str, Test]] = {
    "trials": {
        "id": _text, "trial": _arguments, "status": STATUSES.__contains__, "reason": _text,
        "source": _text, "surrogate": _text, "environment": _text, "load": _number_or_none,
        "group": _count,
    },
    "plans": {"trials": lambda v: _mapping(v) and all(map(_arguments, v.values()))},
    "timings": {
        "setting": _scalars, "device": _text, "source": _text, "environment": _text,
        "loads": _numbers, "epoch_seconds": _some_numbers,
    },
    "environments": {
        "command": _text, "device": _text, "accelerator": _scalar, "processor": _text,
        "cores": _count, "workers": _count, "threads": _count, "python": _text,
        "packages": lambda v: _mapping(v) and "torch" in v,
    },
}  # fmt: skip
_OPTIONAL: dict[str, dict[str, Test]] = {
    "trials": {"origin": _text, "embedding": _embedding, "angles": _angles},
    "timings": {"peak_bytes": _count},
}
"""Keys that a file of a kind may lack."""
_DONE: dict[str, Test] = {
    "scores": _scores,
    "curve": lambda v: _curve(v) and _some_numbers(v.get("seconds")),
    "phases": _words,
}
_DIVERGED: dict[str, Test] = {"curve": _curve}
KINDS = tuple(_SCHEMAS)
"""The kinds of files that a store holds."""


def check(kind: str, content: Any) -> None:
    """Raise `ValueError` for a file of a kind that could not be read as one.

    It is a `NewerFormatError` where a later version could.
    """
    if not isinstance(content, dict):
        raise ValueError("it is not an object where one is expected")
    if kind in ("trials", "timings") and content.get("format") != FORMAT:
        found = content.get("format")
        newer = isinstance(found, int) and found > FORMAT
        wrong = NewerFormatError if newer else ValueError
        raise wrong(f"format {found!r}, this version reads {FORMAT}")
    _check(content, _SCHEMAS[kind])
    optional = _OPTIONAL.get(kind, {})
    _check(content, {key: test for key, test in optional.items() if key in content})
    if kind == "trials" and content["status"] == "done":
        _check(content, _DONE)
    if kind == "trials" and content["status"] == "diverged":
        _check(content, _DIVERGED)


def _check(content: Mapping[str, Any], schema: Mapping[str, Test]) -> None:
    _check_keys(content, schema)
    for key, fits in schema.items():
        if not fits(content[key]):
            if isinstance(content[key], dict) and key in ("trial", "trials"):
                each = content[key].values() if key == "trials" else [content[key]]
                for arguments in each:
                    _check_keys(arguments if isinstance(arguments, dict) else {}, ARGUMENTS)
            raise ValueError(f"{key} is not what it should be")


def _check_keys(content: Mapping[str, Any], needed: Iterable[str]) -> None:
    lacking = [key for key in needed if key not in content]
    if lacking:
        raise ValueError(f"it lacks {', '.join(lacking)}")
