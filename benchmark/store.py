"""Records on disk: one JSON file a trial, written atomically, never appended to.

<results-dir>/<experiment>/trials/<trial id>.json
<results-dir>/<experiment>/plans/<hash>.json           what was asked for, trial by trial
<results-dir>/<experiment>/environments/<hash>.json    hardware, versions, command
<results-dir>/<experiment>/timings/<hash>.json         time and memory of each setting, alone
<results-dir>/<experiment>/checkpoints/                see `credbench.checkpoints`
"""

from __future__ import annotations

import hashlib
import json
import os
import statistics
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from credbench.errors import RequestError
from credbench.experiment import setting_of
from credbench.records import FORMAT, KINDS, check
from credbench.spread import spread

if TYPE_CHECKING:
    from pandas import DataFrame

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
        self.problems: list[str] = []
        """One sentence for each record that could not be read."""

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

    def write_trial(self, record: Record) -> None:
        """Store a trial's record under its id, in place of any earlier one."""
        self._write("trials", record["id"], {"format": FORMAT, **record})

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

    def trial(self, id: str) -> Record | None:
        """Return the record of one trial, or None where there is none that can be read."""
        path = self.folder / "trials" / f"{id}.json"
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
            except ValueError as error:
                self.problems.append(f"{error}: it is left out")
        return found

    def _write(self, kind: str, name: str, content: Mapping[str, Any]) -> None:
        if self.writes:
            write_json(self.folder / kind / f"{name}.json", content)


def read_json(path: Path, kind: str) -> Record:
    """Return a stored file of a kind; raises `ValueError` that names one that cannot be read."""
    try:
        content: Record = json.loads(path.read_bytes())
        check(kind, content)
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read ({error})") from error
    return content


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


def _digest(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def experiments(results_dir: Path) -> list[str]:
    """Return the names of the experiments that a results folder holds, sorted."""
    if not results_dir.is_dir():
        return []
    return sorted(p.name for p in results_dir.iterdir() if (p / "trials").is_dir())
