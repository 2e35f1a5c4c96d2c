"""How to run what is asked for: the text of options, on the command line or in a file, is read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from credbench.angles import Angles, read_every
from credbench.configuration import Configuration
from credbench.errors import RequestError
from credbench.registry import Registry
from credbench.spec import Spec

if TYPE_CHECKING:
    from credbench.learner import Learner
    from credbench.running import Options

DEFAULT_DATA = "~/.cache/credbench"
DEFAULT_RESULTS = "results"
_LONGEST = 1e9


def plan_options(
    asked: Configuration, plugins: tuple[Path, ...], retry_failed: bool, timing: bool
) -> Options:
    """Return how to run, as asked for; raises `RequestError` for what is not a way."""
    from credbench.running import Options

    return Options(
        data_dir=folder_of("data-dir", asked.run, DEFAULT_DATA),
        device=asked.run.get("device", "auto"),
        workers=read_count("workers", asked.run.get("workers")),
        replicas=read_count("replicas", asked.run.get("replicas")),
        plugins=plugins,
        retry_failed=retry_failed,
        timing=timing,
        embedded=_embedded(asked.run.get("tsne")),
        scalars=_scalars(asked.run.get("tensorboard", "no")),
        timeout=_seconds("trial-timeout", asked.run.get("trial-timeout")),
        scheduler=_scheduler(asked.run.get("scheduler", "none")),
    )


def plugins_of(asked: Configuration) -> tuple[Path, ...]:
    """Return the plugins that an experiment file asks for."""
    return tuple(Path(p) for p in asked.run.get("plugin", "").split(",") if p)


def angles_of(asked: Configuration, registry: Registry) -> Angles | None:
    """Return how angles with backprop's updates are taken, or None where none are asked for."""
    from credbench.stopwatch import REFERENCE

    every = read_every(asked.run.get("angles"))
    if every is None:
        return None
    return Angles(every, cast("Learner", registry.create("algorithm", Spec(REFERENCE))))


def folder_of(key: str, given: Mapping[str, str], default: str) -> Path:
    """Return the folder that an option names; raises `RequestError` where it names none."""
    text = given.get(key, default)
    try:
        if text.strip() and "\0" not in text:
            return Path(text).expanduser()
        why = "expected the path of a folder"
    except RuntimeError:  # ~somebody
        why = "there is no such user"
    raise RequestError(f"{key} {text!r}: {why}")


def read_count(key: str, text: str | None) -> int | None:
    """Return a number of workers, replicas or layers, or None for `auto`."""
    if text is None or text == "auto":
        return None
    if not text.isdecimal() or not 0 < int(text) <= 10_000:
        raise RequestError(f"{key} {text!r}: expected a whole number from 1 to 10,000, or auto")
    return int(text)


def _scheduler(text: str) -> str | None:
    if text == "none":
        return None
    from credbench import cluster

    cluster.check(text)
    return text


def _scalars(text: str) -> bool:
    if text not in ("yes", "no"):
        raise RequestError(f"tensorboard {text!r}: expected yes or no")
    if text == "yes":
        from credbench import scalars

        scalars.check()
    return text == "yes"


def _seconds(key: str, text: str | None) -> float | None:
    """Return a number of seconds, or None where there is no limit."""
    if text is None or text == "none":
        return None
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < _LONGEST:
        raise RequestError(f"{key} {text!r}: expected a number of seconds above 0, or none")
    return value


def _embedded(text: str | None) -> int:
    """Return of how many test images the last hidden layer is kept; 0 where none is asked for."""
    from credbench.embedding import FEWEST, MOST

    if text is None or text == "none":
        return 0
    if not text.isdecimal() or not FEWEST <= int(text) <= MOST:
        raise RequestError(
            f"tsne {text!r}: expected a whole number of test images from {FEWEST} to {MOST:,}"
        )
    return int(text)
