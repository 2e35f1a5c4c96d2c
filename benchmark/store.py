"""Records on disk: one JSON file a trial, written atomically, never appended to.

<results-dir>/<experiment>/trials/<trial id>.json
<results-dir>/<experiment>/plans/<hash>.json           what was asked for, trial by trial
<results-dir>/<experiment>/environments/<hash>.json    hardware, versions, command
<results-dir>/<experiment>/timings/<hash>.json         time and memory of each setting, alone
<results-dir>/<experiment>/checkpoints/                see `credbench.checkpoints`
<results-dir>/<experiment>/unwritten/<trial id>.json   see `Store.write_trials`
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from credbench.errors import CredbenchError, RequestError
from credbench.experiment import setting_of
from credbench.records import FORMAT, KINDS, NewerFormatError, check
from credbench.spread import spread

if TYPE_CHECKING:
    from pandas import DataFrame

    from credbench.experiment import Trial

Record = dict[str, Any]


class Store:
    """The folder of one experiment; many processes may write it at once."""

    def __init__(self, results_dir: Path, name: str, writes: bool = True) -> None:
        """Name the folder; nothing is created before the first write, or ever without `writes`.

        Of several processes that train one trial, one writes.
        """
        self.name = name
        self.writes = writes
        self.folder = results_dir / name
        self.mends = False
        """Whether files that are corrupt are set aside, under another name, as they are met."""
        self.newer: set[str] = set()
        """The ids of the records met that a later version wrote; they are not written over."""
        self.problems: list[str] = []
        """One sentence for each record that could not be read."""
        self._told: set[str] = set()

    def check_writable(self) -> None:
        """Create the folder; raises `RequestError` where records could not be written."""
        if not self.writes:
            return
        try:
            for kind in KINDS:
                (self.folder / kind).mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryFile(dir=self.folder / kind):
                    pass
        except OSError as error:
            raise RequestError(
                f"records cannot be written to {self.folder} ({error.strerror}): "
                "give --results-dir a folder that can be written"
            ) from error

    def untold(self) -> list[str]:
        """Return the problems that this has not returned before."""
        new = [each for each in dict.fromkeys(self.problems) if each not in self._told]
        self._told.update(new)
        return new

    def write_trial(self, record: Record) -> None:
        """Store a trial's record under its id, in place of any earlier one.

        As every other writing, it raises `CredbenchError` where the disk refuses.
        """
        self._write("trials", record["id"], {"format": FORMAT, **record})

    def write_trials(self, records: Sequence[Record]) -> None:
        """Store the records of trials that trained together: all of them, or by `recover`."""
        if len(records) > 1:
            whole = {"records": [{"format": FORMAT, **record} for record in records]}
            self._write(_HALVES, records[0]["id"], whole)
        for record in records:
            self.write_trial(record)
        if len(records) > 1 and self.writes:
            self._path(_HALVES, records[0]["id"]).unlink(missing_ok=True)

    def recover(self) -> None:
        """Store what a process that was killed meanwhile has left of `write_trials`."""
        for path in sorted((self.folder / _HALVES).glob("*.json")) if self.writes else ():
            try:
                records = json.loads(path.read_bytes())["records"]
                for record in records:
                    check("trials", record)
            except (OSError, ValueError, TypeError, LookupError, RecursionError) as error:
                self.problems.append(f"{path} cannot be read ({error}): it is left out")
                continue
            for record in records:
                self.write_trial(record)
            path.unlink(missing_ok=True)

    @property
    def checkpoints(self) -> Path:
        """The folder in which trials leave their state while they train."""
        return self.folder / "checkpoints"

    def write_plan(self, plan: Record) -> None:
        """Store what an experiment asks for; the same plan is stored once."""
        self._write("plans", _digest(plan), plan)

    def write_environment(self, environment: Record) -> str:
        """Store where and how trials ran; return the hash that records refer to it by."""
        self._write("environments", _digest(environment), environment)
        return _digest(environment)

    def write_timing(self, record: Record) -> None:
        """Store the pace of a setting on a device, in place of any earlier one."""
        key = {"setting": record["setting"], "device": record["device"]}
        self._write("timings", _digest(key), {"format": FORMAT, **record})

    def timings(self) -> dict[tuple[object, ...], Record]:
        """Return the timing of each setting and device: (*setting, device)."""
        return {(*r["setting"], r["device"]): r for r in self._read("timings")}

    def trials(self) -> dict[str, Record]:
        """Return the readable records by trial id."""
        return {r["id"]: r for r in self._read("trials")}

    def has(self, id: str) -> bool:
        """Return whether there is a record of a trial, without reading it."""
        return self._path("trials", id).exists()

    def trial(self, id: str) -> Record | None:
        """Return the record of one trial, or None where there is none that can be read."""
        path = self._path("trials", id)
        try:
            return read_json(path, "trials") if path.exists() else None
        except ValueError:
            return None

    def environments(self) -> dict[str, Record]:
        """Return the environments by hash."""
        return {_digest(e): e for e in self._read("environments")}

    def planned(self, records: Mapping[str, Record]) -> dict[str, dict[str, Any]]:
        """Return the arguments, by id, of every trial that was asked for or has a record."""
        asked = {k: v for plan in self._read("plans") for k, v in plan["trials"].items()}
        return asked | {k: r["trial"] for k, r in records.items() if k not in asked}

    def refusals(self) -> dict[str, str]:
        """Return why trials asked for are not applicable, by id."""
        return {k: v for plan in self._read("plans") for k, v in plan.get("refused", {}).items()}

    def _read(self, kind: str) -> list[Record]:
        found = []
        folder = self.folder / kind
        for path in sorted(folder.glob("*.json")) if folder.is_dir() else ():
            try:
                found.append(read_json(path, kind))
            except NewerFormatError as error:
                self.newer.add(path.stem)
                self.problems.append(f"{error}: it is left alone, as a later version wrote it")
            except ValueError as error:
                self.problems.append(f"{error}: {self._put_by(path, error)}")
        return found

    def _put_by(self, path: Path, error: ValueError) -> str:
        """Return what becomes of a file that cannot be read."""
        if self.mends and not isinstance(error.__cause__, OSError):
            with suppress(OSError):  # another process may have been faster
                return f"it is set aside as {set_aside(path).name}"
        return "it is left out"

    def _path(self, kind: str, name: str) -> Path:
        return self.folder / kind / f"{name}.json"

    def _write(self, kind: str, name: str, content: Mapping[str, Any]) -> None:
        if not self.writes or name in self.newer:
            return
        path = self._path(kind, name)
        try:
            write_json(path, content)
        except OSError as error:
            raise CredbenchError(
                f"{path} cannot be written ({error.strerror}): what had finished is saved; mend "
                "that, and the same command goes on"
            ) from error


_HALVES = "unwritten"
"""The folder of records that are about to be written together."""


def read_json(path: Path, kind: str) -> Record:
    """Return a stored file of a kind; raises `ValueError` that names one that cannot be read."""
    try:
        content: Record = json.loads(path.read_bytes())
        check(kind, content)
    except NewerFormatError as error:
        raise NewerFormatError(f"{path} cannot be read ({error})") from error
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read ({error})") from error
    return content


def set_aside(path: Path) -> Path:
    """Rename a file so that it is kept but not read; return its new name."""
    names = itertools.chain([".corrupt"], (f".corrupt-{k}" for k in itertools.count(2)))
    free = (path.with_name(path.name + name) for name in names)
    return path.rename(next(each for each in free if not each.exists()))


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a file in one step: whoever reads sees all of it or none."""
    text = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
    write_file(path, lambda file: file.write(text.encode()))


def write_file(path: Path, write: Callable[[BinaryIO], Any]) -> None:
    """Write a file in one step, by a function that is given it open."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def frame(
    planned: Mapping[str, Mapping[str, Any]],
    records: Mapping[str, Record],
    timings: Mapping[tuple[object, ...], Record],
    refusals: Mapping[str, str] | None = None,
) -> DataFrame:
    """Return a tidy table: one row for every planned trial, one column for every fact.

    Errors and macro averages are in percent. `epoch_seconds` is the median epoch's in training,
    and `alone_seconds`, with its quartiles, what one takes by the timing run of its setting;
    `peak_bytes` is what that run held at most. A trial without a record has status `missing`, or
    `not applicable` with the reason where its algorithm is not defined; what it lacks is NaN.
    """
    from pandas import DataFrame

    rows = []
    for id, arguments in planned.items():
        record = records.get(id)
        row = {"id": id, **arguments, **_facts(record), **dict.fromkeys(_PACE)}
        if refusals and id in refusals:
            row |= {"status": NOT_APPLICABLE, "reason": refusals[id]}
        if record is not None:
            timing = timings.get((*setting_of(arguments), record.get("device")))
            alone = record.get("processes", 1) == 1
            if alone and timing and timing["source"] == record.get("source"):
                row |= _pace(timing)
        rows.append(row)
    return DataFrame(rows)


NOT_APPLICABLE = "not applicable"
_PACE = ("alone_seconds", "alone_low", "alone_high", "peak_bytes")


def _pace(timing: Record) -> dict[str, float | None]:
    found = spread(timing["epoch_seconds"])
    values = (found.median, found.low, found.high, timing.get("peak_bytes"))
    return dict(zip(_PACE, values, strict=True))


def _facts(record: Record | None) -> dict[str, Any]:
    if record is None:
        return {"status": "missing", "reason": "", "surrogate": ""}
    facts = {key: record.get(key) for key in ("status", "reason", "surrogate", *_FACTS)}
    for part, scores in record.get("scores", {}).items():
        facts |= {f"{part}_{measure}": value for measure, value in scores.items()}
    seconds = record.get("curve", {}).get("seconds")
    facts["epoch_seconds"] = statistics.median(seconds) if seconds else None
    facts["processes"] = record.get("processes", 1)
    facts["streamed"] = bool(record.get("streamed"))
    facts["passes"] = len(record.get("phases", ()))
    return facts


_FACTS = (
    "epoch", "parameters", "feedback", "device", "group", "captured", "training_seconds",
    "compile_seconds", "seconds", "load", "environment", "source", "origin",
)  # fmt: skip


def checkpoint_file(folder: Path, trials: Sequence[Trial]) -> Path:
    """Return where trials that train together leave their state, in the folder of checkpoints."""
    return folder / f"{trials[0].id}-{len(trials)}.pt"


def _digest(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def experiments(results_dir: Path) -> list[str]:
    """Return the names of the experiments that a results folder holds, sorted."""
    if not results_dir.is_dir():
        return []
    return sorted(p.name for p in results_dir.iterdir() if (p / "trials").is_dir())


def timed_alone(results_dir: Path) -> list[str]:
    """Return the names of folders with timing runs of trials that other experiments hold."""
    if not results_dir.is_dir():
        return []
    timed = (path.parent for path in results_dir.glob("*/timings") if path.is_dir())
    return sorted(folder.name for folder in timed if not (folder / "trials").is_dir())
