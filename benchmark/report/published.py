"""Published numbers beside measured ones, each with its source and how sure it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from typing import Any, ClassVar

import yaml

from credbench.report.fitting import fits
from credbench.report.summary import MEASURES, Row
from credbench.report.tables import HEADINGS, Table, behind
from credbench.spec import Spec, parse_axis

SURE = ("printed", "inferred", "second-hand", "illegible")
"""How a published number may be known, the surest first; what is illegible has no value."""
PUBLISHED = ("train", "test", "top5", "precision", "recall", "f1")
"""What is published of a row, by the names of `summary.MEASURES`."""
_FILES = ("table1.yaml", "table2.yaml", "table3.yaml", "bartunov.yaml")
_ABSENT = "—"


@dataclass(frozen=True)
class Cell:
    """What a row of a published table says of one dataset."""

    table: int | None
    """The number of the paper's table; None for what others published."""
    row: str
    """The row's name there."""
    dataset: str
    asked: Spec
    """The algorithm it is compared with, and the parameters that have to be the same."""
    networks: tuple[Spec, ...]
    """The network's family has to be one of these, with the same values of what is named."""
    activation: str | None
    """The activation it is of; None where any will do."""
    values: Mapping[str, float | None]
    """By the names of `PUBLISHED` and `accuracy`, in percent; None where it is illegible."""
    sure: str
    """One of `SURE`."""
    source: str
    note: str

    @cached_property
    def text(self) -> str:
        """Where its numbers are from, how sure they are, and what else is to be said."""
        return "; ".join(filter(None, (self.source, self.sure, self.note)))

    def fits(self, row: Row) -> bool:
        """Return whether a row of its dataset and algorithm is to be compared with it."""
        given = _parameters(row.arguments["algorithm"])
        return (
            any(fits(row.arguments["network"], network) for network in self.networks)
            and self.activation in (None, row.arguments["activation"].partition("[")[0])
            and all(given.get(key) == value for key, value in self.asked.given)
        )


@dataclass(frozen=True)
class Number:
    """A published number in percent, None where it is illegible, and the cell that it is from."""

    value: float | None
    cell: Cell


@cache
def cells() -> tuple[Cell, ...]:
    """Return all that was published, table by table in the order of its files."""
    folder = resources.files("credbench.paper")
    return tuple(
        _cell(entry, content["table"], content["sources"])
        for name in _FILES
        for content in [yaml.safe_load(folder.joinpath(name).read_text("utf-8"))]
        for entry in content["cells"]
    )


def _cell(entry: Mapping[str, Any], table: int | None, sources: Mapping[str, str]) -> Cell:
    networks = [entry["network"]] if isinstance(entry["network"], str) else entry["network"]
    values = {key: entry[key] for key in (*PUBLISHED, "accuracy") if key in entry}
    if "accuracy" in values:
        values["test"] = round(100 - values["accuracy"], 2)
    return Cell(
        table, entry["row"], entry["dataset"], parse_axis(entry["algorithm"])[0],
        tuple(parse_axis(text)[0] for text in networks), entry.get("activation"),
        values, entry["sure"], sources[entry["source"]], entry.get("note", ""),
    )  # fmt: skip


@cache
def _index() -> dict[tuple[str, str], list[Cell]]:
    """Return the cells of each dataset and algorithm, those to be preferred first.

    These are the paper's own, of them the most specific, of them the surest.
    """
    found: dict[tuple[str, str], list[Cell]] = {}
    for cell in sorted(cells(), key=_rank):
        found.setdefault((cell.dataset, cell.asked.name), []).append(cell)
    return found


def _rank(cell: Cell) -> tuple[bool, int, int]:
    return cell.table is None, -len(cell.asked.given), SURE.index(cell.sure)


@cache
def _parsed(algorithm: str) -> Spec:
    return parse_axis(algorithm)[0]


@cache
def _parameters(algorithm: str) -> dict[str, str]:
    return dict(_parsed(algorithm).given)


def find(row: Row) -> dict[str, Number]:
    """Return the published numbers that a row is to be compared with, by measure.

    A measure is there with a value of None where it is illegible, and absent where nothing fits.
    The paper's own cell comes first, even where it is illegible and what it was taken from is not.
    """
    key = row.arguments["dataset"].partition("[")[0], _parsed(row.arguments["algorithm"]).name
    fitting = [cell for cell in _index().get(key, ()) if cell.fits(row)]
    found: dict[str, Number] = {}
    for cell in sorted(fitting, key=lambda cell: (cell.table is None, cell.sure == "illegible")):
        for measure, value in cell.values.items():
            if measure in PUBLISHED:
                found.setdefault(measure, Number(value, cell))
    return found


@dataclass(frozen=True)
class PublishedTable(Table):
    """A table with what was published for each of its rows.

    Test errors always have a column for it; other measures where a row has a published number.
    """

    _LAST: ClassVar[str] = (
        "Differences are measured less published, and also of network, epochs and preprocessing "
        "where those differ."
    )

    @cached_property
    def _found(self) -> list[dict[str, Number]]:
        return [find(row) for row in self.rows]

    @cached_property
    def _compared(self) -> list[str]:
        """The measures with columns of published numbers."""
        there = {m for row in self._found for m, number in row.items() if number.value is not None}
        return [measure for measure in PUBLISHED if measure in there or measure == "test"]

    @cached_property
    def _marks(self) -> dict[str, int]:
        """The number of each note."""
        notes = dict.fromkeys(
            row[measure].cell.text for row in self._found for measure in self._compared
            if measure in row
        )  # fmt: skip
        return {note: number for number, note in enumerate(notes, start=1)}

    def measures(self) -> list[str]:
        """Return the measures with columns: those measured, and those published."""
        shown = {*super().measures(), *self._compared}
        return [measure for measure in MEASURES if measure in shown]

    def headings(self) -> list[str]:
        """Return the names of the columns, what was published behind what was measured."""
        own = super().headings()
        return behind(own, own, {HEADINGS[measure]: _named(measure) for measure in self._compared})

    def cells(self) -> list[list[str]]:
        """Return the text of every cell."""
        own = super().headings()
        return [
            behind(own, cells, {HEADINGS[m]: self._beside(row, found, m) for m in self._compared})
            for row, found, cells in zip(self.rows, self._found, super().cells(), strict=True)
        ]

    def _beside(self, row: Row, found: Mapping[str, Number], measure: str) -> Sequence[str]:
        number, measured = found.get(measure), row.estimates[measure]
        if number is None:
            return _ABSENT, _ABSENT
        mark = f"[{self._marks[number.cell.text]}]"
        if number.value is None:
            return f"illegible {mark}", _ABSENT
        difference = f"{measured.mean - number.value:+.2f}" if measured else _ABSENT
        return f"{number.value:.2f} {mark}", difference

    def footnotes(self) -> list[str]:
        """Return where published numbers come from, and what stands behind ours."""
        own = [f"[{number}] {note}." for note, number in self._marks.items()]
        return [*own, *([self._LAST] if own else []), *super().footnotes()]

    def dicts(self) -> list[dict[str, Any]]:
        """Return one flat dictionary a row, with every measure that is ever published."""
        return [
            flat | {key: value for m in PUBLISHED for key, value in _flat(m, found.get(m)).items()}
            for found, flat in zip(self._found, super().dicts(), strict=True)
        ]


def beside_published(table: Table) -> Table:
    """Return a table with what was published for its rows, as it stands where nothing was."""
    found = (number for row in table.rows for number in find(row).values())
    if all(number.value is None for number in found):
        return table
    return PublishedTable(table.title, table.rows, table.notes)


def _named(measure: str) -> tuple[str, str]:
    """Return the headings of a measure's published numbers and of the differences from them."""
    if measure == "test":
        return "published %", "difference"
    name = HEADINGS[measure].removesuffix(" error %").removesuffix(" %")
    return f"published {name} %", f"{name} difference"


def _flat(measure: str, number: Number | None) -> dict[str, Any]:
    key = f"published_{measure}"
    cell = number.cell if number else None
    return {
        key: number.value if number else None,
        f"{key}_sure": cell.sure if cell else None,
        f"{key}_source": cell.source if cell else None,
        f"{key}_note": cell.note if cell else None,
    }
