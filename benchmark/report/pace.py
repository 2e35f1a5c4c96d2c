"""The table of `credbench time`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from credbench import environment
from credbench.report.tables import PEAK
from credbench.spread import Spread, spread

_AXES = (
    "network", "batch_size", "replicas", "dataset", "activation", "optimizer", "clip_norm", "dtype",
)  # fmt: skip
_PASSES, _EAGER = "*", "†"


@dataclass(frozen=True)
class PaceTable:
    """Times per step of programs, from the record of a timing run."""

    record: Mapping[str, Any]
    reference: str
    title: str = "Time per step"
    notes: Sequence[str] = ()

    caption: ClassVar[str] = "microseconds a step, medians; step with quartiles"

    @property
    def names(self) -> int:
        """How many columns, from the left, are words."""
        return len(self._axes()) + 1

    def headings(self) -> list[str]:
        """Return the names of the columns."""
        axes = [axis.replace("_", " ") for axis in self._axes()]
        return [*axes, "algorithm", "forward µs", "credit µs", "optimiser µs", "step µs",
                f"× {self.reference}", "samples/s", "peak MiB"]  # fmt: skip

    def cells(self) -> list[list[str]]:
        """Return the text of every cell."""
        return [self._cells(row) for row in self.record["rows"]]

    def _cells(self, row: Mapping[str, Any]) -> list[str]:
        found = {part: spread(values) for part, values in row["seconds"].items()}
        step, ratio = found["step"], self.ratio(row)
        mark = (_PASSES if row["phases"] > 1 else "") + (_EAGER if self._eager(row) else "")
        return [
            *(_value(row, axis) for axis in self._axes()),
            row["algorithm"] + mark,
            *(_micro(found[part].median) for part in ("forward", "credit", "optimizer")),
            f"{_micro(step.median)} ({_micro(step.low)}–{_micro(step.high)})",
            f"{ratio.median:.2f} ({ratio.low:.2f}–{ratio.high:.2f})" if ratio else "—",
            f"{self._samples(row):,.0f}",
            f"{row['peak_bytes'] / 2**20:,.1f}",
        ]

    def _eager(self, row: Mapping[str, Any]) -> bool:
        return self.record["environment"]["device"] == "cuda" and not row["captured"]

    def ratio(self, row: Mapping[str, Any]) -> Spread | None:
        """Return the step's time over the reference's in the same repeat."""
        key = [_value(row, axis) for axis in _AXES]
        for other in self.record["rows"]:
            same = [_value(other, axis) for axis in _AXES] == key
            if other["algorithm"] == self.reference and same:
                pairs = zip(row["seconds"]["step"], other["seconds"]["step"], strict=True)
                return spread([mine / theirs for mine, theirs in pairs])
        return None

    @staticmethod
    def _samples(row: Mapping[str, Any]) -> float:
        step = spread(row["seconds"]["step"]).median
        return float(row["trial"]["batch_size"] * row["replicas"] / step)

    def _axes(self) -> list[str]:
        """Return the axes on which rows differ."""
        rows = self.record["rows"]
        return [axis for axis in _AXES if len({_value(row, axis) for row in rows}) > 1]

    def footnotes(self) -> list[str]:
        """Return what the marks mean and where the times were taken."""
        rows, where = self.record["rows"], self.record["environment"]
        same = {
            axis: _value(rows[0], axis)
            for axis in _AXES
            if axis not in self._axes() and _value(rows[0], axis) not in ("none", "float32")
        }
        loads = [load for row in rows for load in row["loads"]]
        return [
            *([f"{_PASSES} a step is a batch in each of several phases."]
              if any(row["phases"] > 1 for row in rows) else []),
            *(["≈ 0: a difference of programs that the repeats do not resolve."]
              if any("≈ 0" in cells for cells in self.cells()) else []),
            *([f"{_EAGER} not captured." ] if any(map(self._eager, rows)) else []),
            "All rows: " + ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in same.items()) + ".",
            f"Random images of the dataset's shape; medians (and quartiles) of "
            f"{self.record['repeats']} repeats taken in turns; credit "
            "and optimiser are differences of programs (forward, updates, whole step), ratios of "
            "repeats; warm-up and capture excluded.",
            f"Hardware: {environment.describe(where)}"
            + (f"; load average {min(loads):.1f} to {max(loads):.1f}." if loads else "."),
            PEAK,
            f"Building, warm-up and capture: {_longest(rows):.2g} s a program at most.",
            f"Command: {where['command']}",
            *self.notes,
        ]  # fmt: skip

    def dicts(self) -> list[dict[str, Any]]:
        """Return one flat dictionary a row; times in seconds."""
        return [self._flat(row) for row in self.record["rows"]]

    def _flat(self, row: Mapping[str, Any]) -> dict[str, Any]:
        flat = {axis: _raw(row, axis) for axis in _AXES} | {"algorithm": row["algorithm"]}
        for part, values in row["seconds"].items():
            found = spread(values)
            key = f"{part}_seconds"
            flat |= {key: found.median, f"{key}_low": found.low, f"{key}_high": found.high}
        ratio = self.ratio(row)
        return flat | {
            "ratio": ratio.median if ratio else None,
            "ratio_low": ratio.low if ratio else None,
            "ratio_high": ratio.high if ratio else None,
            "samples_per_second": self._samples(row),
            "layers": row["layers"],
            "phases": row["phases"],
            "captured": row["captured"],
            "compile_seconds": row["compile_seconds"],
            "held_bytes": row["held_bytes"],
            "peak_bytes": row["peak_bytes"],
        }


def _raw(row: Mapping[str, Any], axis: str) -> Any:
    return row[axis] if axis in row else row["trial"].get(axis)


def _value(row: Mapping[str, Any], axis: str) -> str:
    found = _raw(row, axis)
    plain = "float32" if axis == "dtype" else "none"
    return plain if found is None else str(found)


def _micro(seconds: float) -> str:
    return f"{seconds * 1e6:,.0f}" if seconds > 0 else "≈ 0"


def _longest(rows: Sequence[Mapping[str, Any]]) -> float:
    return max(float(row["compile_seconds"]) for row in rows)
