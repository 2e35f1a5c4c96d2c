"""Published numbers beside measured ones, each with its source and how sure it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml

from credbench.report.summary import Row
from credbench.report.tables import Table, behind_test
from credbench.spec import parse_axis

_HEADINGS = ("published %", "difference")


@dataclass(frozen=True)
class Cell:
    """A published test error in percent."""

    test: float
    sure: str
    """`printed`, `inferred` or `second-hand`."""
    source: str


@cache
def _published() -> tuple[tuple[Mapping[str, Any], Cell], ...]:
    text = resources.files("credbench.paper").joinpath("published.yaml").read_text("utf-8")
    content = yaml.safe_load(text)
    sources = content["sources"]
    return tuple(
        (cell, Cell(cell["test"], cell["sure"], sources[cell["source"]]))
        for cell in content["cells"]
    )


def find(row: Row) -> Cell | None:
    """Return the published number that a row is to be compared with: the most specific one."""
    own = parse_axis(row.arguments["algorithm"])[0]
    given = dict(own.given)
    best: tuple[int, Cell] | None = None
    for wanted, cell in _published():
        asked = parse_axis(wanted["algorithm"])[0]
        fits = (
            asked.name == own.name
            and wanted["dataset"] == row.setting["dataset"]
            and wanted.get("activation") in (None, row.arguments["activation"].partition("[")[0])
            and all(given.get(key) == value for key, value in asked.given)
        )
        if fits and (best is None or len(asked.given) > best[0]):
            best = len(asked.given), cell
    return best[1] if best else None


@dataclass(frozen=True)
class PublishedTable(Table):
    """A table with what was published for each of its rows."""

    def headings(self) -> list[str]:
        """Return the names of the columns, the published error behind the measured one."""
        return behind_test(super().headings(), super().headings(), _HEADINGS)

    def cells(self) -> list[list[str]]:
        """Return the text of every cell."""
        headings = super().headings()
        return [
            behind_test(headings, cells, self._beside(row))
            for row, cells in zip(self.rows, super().cells(), strict=True)
        ]

    def _beside(self, row: Row) -> tuple[str, str]:
        cell, found = find(row), row.estimates["test"]
        if cell is None:
            return "—", "—"
        number = f"{cell.test:.2f} [{self._marks()[_note(cell)]}]"
        return number, "—" if found is None else f"{found.mean - cell.test:+.2f}"

    def _marks(self) -> dict[str, int]:
        notes = dict.fromkeys(_note(cell) for row in self.rows if (cell := find(row)))
        return {note: number for number, note in enumerate(notes, start=1)}

    def footnotes(self) -> list[str]:
        """Return where published numbers come from, and what stands behind ours."""
        own = [f"[{number}] {note}." for note, number in self._marks().items()]
        other = "Differences are also of network, epochs and preprocessing where those differ."
        return [*own, *([other] if own else []), *super().footnotes()]

    def dicts(self) -> list[dict[str, Any]]:
        """Return one flat dictionary a row."""
        return [
            flat | {
                "published_test": cell.test if (cell := find(row)) else None,
                "published_sure": cell.sure if cell else None,
                "published_source": cell.source if cell else None,
            }
            for row, flat in zip(self.rows, super().dicts(), strict=True)
        ]  # fmt: skip


def _note(cell: Cell) -> str:
    return f"{cell.source}; {cell.sure}"
