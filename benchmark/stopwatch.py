"""What `credbench time` does: which programs to time, the record, the table, the plot."""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from credbench import environment
from credbench.architectures import Architecture
from credbench.errors import InterruptedRunError, RequestError
from credbench.experiment import Trial, make_experiment
from credbench.logs import warn
from credbench.printing import check_format, show
from credbench.records import FORMAT
from credbench.registry import Registry
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
    depths: str | None,
    replicas: str,
    repeats: int,
    device: str,
    folder: Path,
    name: str | None,
    format: str,
) -> None:
    """Time every combination, store one record and, over depths, a plot; print the table."""
    check_format(format)
    check_name(name)
    settings = {"dataset": "mnist", "epochs": "1"} | _with_depths(registry, asked, depths)
    counts = [_whole("replicas", word, 10_000) for word in replicas.split(",")]
    cells = _cells(registry, settings)
    blocks = [b for n in dict.fromkeys(counts) for b in _blocks(cells, n)]
    where = resolve_device(device)
    record = _measured(blocks, where, repeats, folder)
    path = write_record(record, folder, name, depths is not None)
    _show(record, format, path)


def measure(
    registry: Registry,
    grids: Sequence[Mapping[str, str]],
    repeats: int,
    device: str,
    folder: Path,
    name: str,
) -> dict[str, Any]:
    """Return the record of a name, made anew where there is none of these grids and sources.

    Raises `RequestError` for what cannot be timed, and where the record cannot be written.
    """
    cells = [_cells(registry, {"epochs": "1", **settings}) for settings in grids]
    blocks = [block for each in cells for block in _blocks(each, 1)]
    where = resolve_device(device)
    here = environment.capture(where, workers=1)
    machine = environment.describe_machine(here)
    known = _same(folder / slug(machine) / f"{name}.json", blocks, repeats, here)
    if known is not None:
        return known
    record = _measured(blocks, where, repeats, folder)
    write_record(record, folder, name, plot=False)
    return record


def _measured(blocks: Sequence[_Block], device: str, repeats: int, folder: Path) -> dict[str, Any]:
    """Return the record of programs, once it is sure that they fit and it can be written."""
    _check_room(blocks, device)
    check_writable(folder)
    try:
        return _time(blocks, device, repeats)
    except KeyboardInterrupt:
        raise InterruptedRunError("interrupted: no record was made") from None


def _program(where: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what of an environment programs on one machine may run faster or slower by."""
    return where["threads"], where["python"], where["packages"]["torch"]


def _same(
    path: Path, blocks: Sequence[_Block], repeats: int, here: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return the record in a file if it is of these programs, of present sources and versions."""
    groups = [group[0] for block in blocks for group in block.groups]
    wanted = [(_timed(trial), trial.source) for trial in groups]
    try:
        record: dict[str, Any] = json.loads(path.read_bytes())
        found = [(row["trial"], row["source"]) for row in record["rows"]]
        same = found == wanted and record["repeats"] == repeats
        return record if same and _program(record["environment"]) == _program(here) else None
    except (OSError, ValueError, TypeError, LookupError):
        return None


def _timed(trial: Trial) -> dict[str, Any]:
    """Return the arguments that a timing is of."""
    return {k: v for k, v in trial.arguments.items() if k not in ("seed", "epochs")}


def check_name(name: str | None) -> None:
    """Raise `RequestError` for a name that a record's file cannot have."""
    if name is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", name):
        raise RequestError(
            f"name {name!r}: expected letters, digits, dots, dashes and underscores, at most 100"
        )


def _with_depths(
    registry: Registry, asked: Mapping[str, str], depths: str | None
) -> dict[str, str]:
    """Return the settings with each network at every depth asked for."""
    settings = dict(asked)
    if depths is None:
        return settings
    layers = [_whole("depths", word, 9_999) for word in depths.split(",")]
    found = []
    for network in registry.axis("network", asked.get("network", "mlp")):
        assert isinstance(network, Architecture)
        found += [network.deepened(n).spec(full=False) for n in dict.fromkeys(layers)]
    return settings | {"network": ",".join(found)}


def _whole(key: str, text: str, most: int) -> int:
    word = text.strip()
    if not word.isdecimal() or not 0 < int(word) <= most:
        raise RequestError(f"{key} {word!r}: expected whole numbers from 1 to {most:,}")
    return int(word)


def _cells(registry: Registry, settings: Mapping[str, str]) -> list[Trial]:
    """Return one trial of each setting that can be timed, those of the reference among them."""
    experiment = make_experiment(registry, {**settings, "seeds": "1"})
    beside = make_experiment(registry, {**settings, "seeds": "1", "algorithm": REFERENCE})
    warn(
        f"not applicable: {trial.algorithm.spec(full=False)} on "
        f"{trial.network.spec(full=False)}: {trial.refusal}"
        for trial in experiment.refused
    )
    return list({t.setting: t for t in (*experiment.trials, *beside.trials)}.values())


def _blocks(cells: Sequence[Trial], replicas: int) -> list[_Block]:
    """Return what is timed in turns, in the order of the table."""
    blocks: dict[tuple[object, ...], _Block] = {}
    for trial in cells:
        if replicas > 1 and not trial.vectorizable:
            named = f"{trial.algorithm.name} on {trial.network.name}"
            warn([f"{named} cannot train as replicas: {replicas} are not timed"])
            continue
        group = [replace(trial, seed=seed) for seed in range(replicas)]
        blocks.setdefault(trial.setting[1:], _Block(replicas, [])).groups.append(group)
    return list(blocks.values())


def _check_room(blocks: Sequence[_Block], device: str) -> None:
    """Raise `RequestError` for programs that do not fit in memory together."""
    from credbench.memory import available, fitting, needs

    for block in blocks:
        for group in block.groups:
            most = fitting(group[0], device)
            if most is not None and most < block.replicas:
                raise RequestError(
                    f"{block.replicas} replicas of {group[0].label} do not fit in the memory of "
                    f"{device}: give at most {most}"
                )
        free = available(device)
        whole = sum(needs(group[0]).together(block.replicas) for group in block.groups)
        if free is not None and whole > free:
            raise RequestError(
                f"the {len(block.groups)} algorithms on {block.groups[0][0].network.spec()} need "
                f"about {whole / 2**30:,.1f} GiB together, {free / 2**30:,.1f} GiB are free on "
                f"{device}: name fewer of them, or fewer replicas"
            )


def check_writable(folder: Path) -> None:
    """Create the folder; raises `RequestError` where a record could not be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _unwritable(folder, error) from error


def _unwritable(folder: Path, error: OSError) -> RequestError:
    return RequestError(
        f"the record cannot be written to {folder} ({error.strerror}): give --results-dir a "
        "folder that can be written"
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
        "trial": _timed(trial),
        "algorithm": trial.algorithm.spec(full=False),
        "network": trial.network.spec(full=False),
        "family": _family(trial),
        "layers": trial.net.depth - 1,
        "source": trial.source,
        "replicas": clocked.replicas,
        "phases": clocked.phases,
        "captured": clocked.captured,
        "compile_seconds": clocked.compile_seconds,
        "held_bytes": clocked.held_bytes,
        "peak_bytes": clocked.peak_bytes,
        "loads": clocked.loads,
        "seconds": clocked.parts(),
    }


def _family(trial: Trial) -> str:
    """Return what networks that differ in depth alone have in common."""
    name, values = trial.network.name, trial.network.values()
    widths = values.pop("hidden", None)
    if isinstance(widths, tuple) and len(set(widths)) == 1:
        values["width"] = widths[0]
    return f"{name}[{','.join(f'{k}={v}' for k, v in values.items())}]"


def write_record(record: dict[str, Any], folder: Path, name: str | None, plot: bool) -> Path:
    """Write a record below `folder`, under its hardware's name; return its path."""
    place = folder / slug(environment.describe_machine(record["environment"]))
    text = json.dumps([record["environment"], [row["trial"] for row in record["rows"]]])
    stem = name or hashlib.sha256(text.encode()).hexdigest()[:16]
    path = place / f"{stem}.json"
    try:
        write_json(path, record)
        path.with_suffix(".png").unlink(missing_ok=True)  # of an earlier record of this name
        if plot:
            from credbench.report.figures import plot_depth

            plot_depth(record, path.with_suffix(".png"))
    except OSError as error:
        raise _unwritable(place, error) from error
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
