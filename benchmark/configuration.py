"""Experiment files: YAML whose keys are the option names of `credbench run`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from credbench.errors import RequestError, unknown
from credbench.experiment import SETTINGS

RUN_KEYS = (
    "device", "data-dir", "results-dir", "workers", "replicas", "plugin", "tsne", "angles",
    "trial-timeout", "tensorboard", "scheduler",
)  # fmt: skip
"""Options that say how to run; the others, in SETTINGS, say what."""
_LARGEST = 1_000_000
_FAR = 2**63


@dataclass(frozen=True)
class Configuration:
    """What an experiment file and the options given with it ask for, as text."""

    settings: dict[str, str]
    run: dict[str, str]


def configure(file: Path | None, options: Mapping[str, str]) -> Configuration:
    """Return the settings of a file with the command line's over them.

    Raises `RequestError` for a file that is missing, broken, or has an unknown key.
    """
    given = read_file(file) if file else {}
    given |= options
    return Configuration(
        {key: value for key, value in given.items() if key in SETTINGS},
        {key: value for key, value in given.items() if key in RUN_KEYS},
    )


def read_file(path: Path) -> dict[str, str]:
    """Return the settings of an experiment file; its name is that of the experiment."""
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise RequestError(f"{path}: expected keys and values, such as 'dataset: mnist'")
    settings: dict[str, str] = {"name": path.stem}
    for key, value in content.items():
        name = str(key).replace("_", "-")
        if name not in SETTINGS and name not in RUN_KEYS:
            raise unknown(f"key in {path}:", str(key), [*SETTINGS, *RUN_KEYS])
        settings[name] = _text(path, name, value)
    return settings


def read_yaml(path: Path) -> object:
    """Return what a YAML file holds, loaded safely.

    Raises `RequestError` for a file that is missing, too large, broken, or gives a key twice.
    """
    import yaml

    try:
        if path.stat().st_size > _LARGEST:
            raise RequestError(f"{path} is larger than {_LARGEST:,} bytes: expected a short file")
        text = path.read_text(encoding="utf-8")
        content, tree = yaml.safe_load(text), yaml.compose(text, yaml.SafeLoader)
        if isinstance(tree, yaml.MappingNode):
            _refuse_twins(path, [str(key.value).replace("_", "-") for key, _ in tree.value])
        return content
    except OSError as error:
        reason = error.strerror or error
        raise RequestError(f"{path} cannot be read ({reason}): expected a YAML file") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f", line {mark.line + 1}" if mark else ""
        raise RequestError(f"{path}{where}: broken YAML: {error.problem}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RequestError(f"{path}: broken YAML: {reason}") from error


def _refuse_twins(path: Path, keys: Sequence[str]) -> None:
    for key in keys:
        if keys.count(key) > 1:
            raise RequestError(f"{path} gives {key!r} twice: expected each key once")


def _text(path: Path, key: str, value: object) -> str:
    """Return a YAML value as the text that the option of that name would be given."""
    if isinstance(value, list):
        joined = ",".join(_word(path, key, item) for item in value)
        return joined + "," if key == "seeds" and len(value) == 1 else joined
    return _word(path, key, value)


def _word(path: Path, key: str, value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool) and key in ("tuned", "tensorboard"):
        return "yes" if value else "no"
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        shown = str(type(value).__name__ if isinstance(value, (dict, list)) else value)
        raise RequestError(f"{path}: {key}: {shown}: expected a word, a number or a list of them")
    if isinstance(value, int) and abs(value) >= _FAR:
        raise RequestError(f"{path}: {key}: expected a number below 2^63 in size")
    return str(value)
