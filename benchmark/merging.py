"""What `credbench merge` does: the records of several results folders come into one.

Merged are the trials, plans, environments and timings of every experiment, and the settings that
tuning found. Checkpoints, figures and what `credbench time` wrote stay where they are.

Of records of one trial that are not the same, a failed one gives way to one that is not; two
that failed are no conflict; any other two are. A timing is of the machine it was taken on, so
another machine's of the same setting is left out, without being a conflict.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from credbench import winners
from credbench.errors import CredbenchError, RequestError, unknown
from credbench.logs import warn
from credbench.printing import plain
from credbench.records import KINDS, NewerFormatError
from credbench.store import Record, Store, experiments, read_json, set_aside, write_json

PREFERENCES = ("first", "last")
Source = tuple[Path, Record]
"""A file and what it holds."""


@dataclass
class Merger:
    """Brings experiments into one results folder, and keeps count."""

    target: Path
    prefer: str | None
    """Which of two records that conflict is kept, `first` or `last`; None keeps the first."""
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    """By experiment, how many records were added, are duplicates, …"""
    conflicts: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """One sentence for each file that could not be read."""

    def merge(self, name: str, folders: Sequence[Path]) -> None:
        """Bring in one experiment; what is there already comes before that of the folders."""
        Store(self.target, name).check_writable()
        self.counts[name] = Counter()
        here = self.target / name
        for kind in KINDS:
            places = [folder / name / kind for folder in folders]
            for file in sorted({path.name for place in places for path in place.glob("*.json")}):
                self._merge_file(kind, here / kind / file, [place / file for place in places])
        self._merge_winners(here / winners.FILE, [f / name / winners.FILE for f in folders])

    def _merge_file(self, kind: str, here: Path, others: Iterable[Path]) -> None:
        there = self._readable(kind, [here])
        found = self._readable(kind, others)
        if not found or (here.exists() and not there and not self._made_room(here, kind)):
            return
        kept = (there or found)[0]
        for each in found if there else found[1:]:
            kept = self._choose(kind, here.parent.parent.name, kept, each)
        if there and kept[1] == there[0][1]:
            return
        write_json(here, kept[1])
        if kind == "trials":
            self.counts[here.parent.parent.name]["replaced" if there else "added"] += 1

    def _made_room(self, here: Path, kind: str) -> bool:
        """Set a file that is corrupt aside; return whether another may take its place."""
        try:
            read_json(here, kind)
        except NewerFormatError:
            return False
        except ValueError as error:
            if isinstance(error.__cause__, OSError):
                return False
            self.problems.append(f"{here} is set aside as {set_aside(here).name}")
        return not here.exists()

    def _readable(self, kind: str, paths: Iterable[Path]) -> list[Source]:
        found = []
        for path in paths:
            if not path.exists():
                continue
            try:
                content = read_json(path, kind)
                if kind == "trials" and content["id"] != path.stem:
                    raise ValueError(f"{path} is not named by its id, {content['id']}")
                found.append((path, content))
            except ValueError as error:
                self.problems.append(f"{error}: it is left out")
        return found

    def _choose(self, kind: str, name: str, kept: Source, other: Source) -> Source:
        """Return which of two records stays, and count what the other is."""
        counts = self.counts[name]
        if kept[1] == other[1]:
            counts["duplicates"] += kind == "trials"
            return kept
        chosen = other if self.prefer == "last" else kept
        if kind == "timings":
            counts["timings left out"] += 1
            return chosen
        if kind == "trials":
            failed = [source[1]["status"] == "failed" for source in (kept, other)]
            if any(failed):
                counts["failed left out"] += 1
                return other if failed[0] and not failed[1] else kept
        counts["conflicts"] += 1
        self._name(f"{kept[0]} and {other[0]} differ in {_unlike(kept[1], other[1])}", chosen[0])
        return chosen

    def _name(self, what: str, chosen: Path) -> None:
        self.conflicts.append(f"conflict: {what}: kept is {chosen}")

    def _merge_winners(self, here: Path, others: Iterable[Path]) -> None:
        """Unite what tuning found, setting by setting."""
        try:
            known = winners.read(here)
        except RequestError as error:
            self.problems.append(str(error))
            return
        kept = {key: (here, entry) for key, entry in known.items()}
        for path in others:
            try:
                found = winners.read(path)
            except RequestError as error:
                self.problems.append(str(error))
                continue
            for key, entry in found.items():
                kept[key] = self._choose_winner(kept.get(key, (path, entry)), (path, entry))
        new = [entry for key, (_, entry) in kept.items() if known.get(key) != entry]
        if new:
            winners.add(here, new)

    def _choose_winner(self, kept: Source, other: Source) -> Source:
        if kept[1] == other[1]:
            return kept
        chosen = other if self.prefer == "last" else kept
        self.counts[other[0].parent.name]["conflicts"] += 1
        setting = ", ".join(str(v) for v in other[1]["setting"].values() if v is not None)
        self._name(f"{kept[0]} and {other[0]} differ in the winner for {setting}", chosen[0])
        return chosen

    @property
    def exit_code(self) -> int:
        """1 where a conflict was left to the user, or a file could not be read; else 0."""
        return int(bool(self.problems or (self.conflicts and self.prefer is None)))


def _unlike(first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    keys = dict.fromkeys([*first, *second])
    return ", ".join(key for key in keys if first.get(key) != second.get(key))


def merge_folders(folders: Sequence[Path], target: Path, prefer: str | None, format: str) -> int:
    """Merge results folders into one and print what came of it; return the exit code.

    Raises `RequestError` for a folder that is none, before anything is written.
    """
    as_json = plain(format)
    if prefer is not None and prefer not in PREFERENCES:
        raise unknown("preference", prefer, PREFERENCES)
    found = {folder: _experiments(folder, target) for folder in dict.fromkeys(folders)}
    merger = Merger(target, prefer)
    try:
        for name in sorted({name for names in found.values() for name in names}):
            merger.merge(name, [folder for folder, names in found.items() if name in names])
    except OSError as error:
        raise CredbenchError(
            f"{error.filename} cannot be written ({error.strerror}): what was merged is whole, and "
            "the same command goes on from there"
        ) from error
    _tell(merger, as_json)
    return merger.exit_code


def _experiments(folder: Path, target: Path) -> list[str]:
    """Return the experiments to merge; raises `RequestError` for a folder without any."""
    if not folder.is_dir():
        raise RequestError(f"{folder} is not a folder: give the results folders to merge")
    if folder.resolve() == target.resolve():
        raise RequestError(f"{folder} is where records go: give another folder, or --results-dir")
    if (folder / "trials").is_dir():
        raise RequestError(
            f"{folder} is an experiment: give the results folder that holds it, {folder.parent}"
        )
    names = experiments(folder)
    if not names:
        raise RequestError(f"{folder} holds no experiments: give the results folders to merge")
    return names


_COUNTS = ("added", "replaced", "duplicates", "failed left out", "timings left out", "conflicts")


def _tell(merger: Merger, as_json: bool) -> None:
    warn([*merger.conflicts, *merger.problems])
    if merger.exit_code and merger.conflicts:
        warn(["give --prefer first or last to settle conflicts"])
    if as_json:
        rows = [
            {"experiment": name, **{key.replace(" ", "_"): counts[key] for key in _COUNTS}}
            for name, counts in merger.counts.items()
        ]
        print(json.dumps(rows, ensure_ascii=False, indent=2))
        return
    for name, counts in merger.counts.items():
        told = [f"{counts[key]} {key}" for key in _COUNTS if counts[key] or key == "added"]
        print(f"{name}: {', '.join(told)}")
    print(f"Merged into {merger.target}")
