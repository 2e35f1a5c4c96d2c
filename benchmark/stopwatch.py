"""What `credbench time` does: which programs to time, the record, the table, the plot."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from credbench import environment
from credbench.architectures import Architecture
from credbench.commands import check_format, read_count, show, warn
from credbench.errors import RequestError
from credbench.experiment import Trial, make_experiment
from credbench.records import FORMAT
from credbench.registry import Registry, source_hash
from credbench.running import resolve_device
from credbench.store import write_json

if TYPE_CHECKING:
    from credbench.timing import Clocked

REFERENCE = "backprop"


@dataclass(frozen=True)
class _Block:
    """Programs that are timed in turns: they differ in the algorithm alone."""

    replicas: int
    groups: list[list[Trial]]


def time_algorithms(
    registry: Registry,
    asked: Mapping[str, str],
    depths: str,
    replicas: str,
    repeats: int,
    device: str,
    folder: Path,
    name: str | None,
    format: str,
) -> None:
    """Time every combination, store one record and, over depths, a plot; print the table."""
    check_format(format)
    if name is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", name):
        raise RequestError(f"name {name!r}: expected letters, digits, dots, dashes, underscores")
    settings = {"dataset": "mnist", "epochs": "1"} | _with_depths(registry, asked, depths)
    if "algorithm" in settings:
        settings["algorithm"] += f",{REFERENCE}"
    counts = [_whole("replicas", word) for word in replicas.split(",")]
    blocks = [b for n in dict.fromkeys(counts) for b in _blocks(registry, settings, n)]
    where = resolve_device(device)
    _check_room(blocks, where)
    record = _time(blocks, where, repeats)
    path = _write(record, folder, name, bool(depths))
    _show(record, format, path)


def _with_depths(registry: Registry, asked: Mapping[str, str], depths: str) -> dict[str, str]:
    """Return the settings with each network at every depth asked for."""
    settings = dict(asked)
    if not depths:
        return settings
    layers = [_whole("depths", word) for word in depths.split(",")]
    found = []
    for network in registry.axis("network", asked.get("network", "mlp")):
        assert isinstance(network, Architecture)
        found += [network.deepened(n).spec(full=False) for n in dict.fromkeys(layers)]
    return settings | {"network": ",".join(found)}


def _whole(key: str, text: str) -> int:
    found = read_count(key, text.strip())
    if found is None:
        raise RequestError(f"{key} {text!r}: expected whole numbers, such as 1,8")
    return found


def _blocks(registry: Registry, settings: Mapping[str, str], replicas: int) -> list[_Block]:
    """Return what is timed in turns, in the order of the table."""
    blocks: dict[tuple[object, ...], _Block] = {}
    experiment = make_experiment(registry, {**settings, "seeds": "1"})
    warn(f"not applicable: {trial.label}: {trial.refusal}" for trial in experiment.refused)
    for trial in experiment.trials:
        if trial.batch_size > trial.dataset.trainable:
            raise RequestError(
                f"batch size {trial.batch_size}: {trial.dataset.name} has "
                f"{trial.dataset.trainable} training images; give at most so many"
            )
        if replicas > 1 and not trial.algorithm.capabilities.vectorizable:
            warn([f"{trial.algorithm.name} cannot train as replicas: timed with one only"])
            continue
        group = [replace(trial, seed=seed) for seed in range(replicas)]
        blocks.setdefault(trial.setting[1:], _Block(replicas, [])).groups.append(group)
    return list(blocks.values())


def _check_room(blocks: Sequence[_Block], device: str) -> None:
    """Raise `RequestError` for a program that does not fit in memory."""
    from credbench.memory import fitting

    for block in blocks:
        for group in block.groups:
            most = fitting(group[0], device)
            if most is not None and most < block.replicas:
                raise RequestError(
                    f"{block.replicas} replicas of {group[0].label} do not fit in the memory of "
                    f"{device}: give at most {most}"
                )


def _time(blocks: Sequence[_Block], device: str, repeats: int) -> dict[str, Any]:
    import torch

    from credbench.processor import settle
    from credbench.progress import show_steps
    from credbench.timing import clock

    settle()
    rows: list[dict[str, Any]] = []
    with show_steps(len(blocks) * repeats, "timing") as advance:
        for block in blocks:
            found = clock(block.groups, torch.device(device), repeats, on_repeat=advance)
            rows += [_row(clocked) for clocked in found]
    return {
        "format": FORMAT,
        "environment": environment.capture(device, workers=1),
        "repeats": repeats,
        "rows": rows,
    }


def _row(clocked: Clocked) -> dict[str, Any]:
    trial = clocked.trial
    return {
        "trial": {k: v for k, v in trial.arguments.items() if k not in ("seed", "epochs")},
        "algorithm": trial.algorithm.spec(full=False),
        "network": trial.network.spec(full=False),
        "layers": trial.net.depth - 1,
        "source": source_hash(type(trial.algorithm)),
        "replicas": clocked.replicas,
        "phases": clocked.phases,
        "captured": clocked.captured,
        "compile_seconds": clocked.compile_seconds,
        "held_bytes": clocked.held_bytes,
        "peak_bytes": clocked.peak_bytes,
        "loads": clocked.loads,
        "seconds": clocked.parts(),
    }


def _write(record: dict[str, Any], folder: Path, name: str | None, plot: bool) -> Path:
    place = folder / slug(environment.describe_machine(record["environment"]))
    text = json.dumps([record["environment"], [row["trial"] for row in record["rows"]]])
    stem = name or hashlib.sha256(text.encode()).hexdigest()[:16]
    path = place / f"{stem}.json"
    try:
        write_json(path, record)
        if plot:
            from credbench.report.figures import plot_depth

            plot_depth(record, path.with_suffix(".png"))
    except OSError as error:
        raise RequestError(
            f"the record cannot be written to {place} ({error.strerror}): give --results-dir a "
            "folder that can be written"
        ) from error
    return path


def slug(machine: str) -> str:
    """Return the name of hardware as a folder."""
    return "-".join(re.findall(r"[a-z0-9.]+", machine.lower()))


def _show(record: dict[str, Any], format: str, path: Path) -> None:
    from credbench.report.pace import PaceTable

    show([PaceTable(record, REFERENCE)], format)
    if format == "table":
        print("\n".join(f"Record: {each}" for each in _written(path)))


def _written(path: Path) -> Iterator[Path]:
    yield path
    if path.with_suffix(".png").exists():
        yield path.with_suffix(".png")
