"""What `credbench report` does: read every record once, and write the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from credbench import __version__, environment
from credbench.claiming import verdict_tables
from credbench.errors import RequestError
from credbench.gathering import UNREADABLE, Loaded, find_stores, left_out, timing_records
from credbench.logs import warn
from credbench.registry import Registry
from credbench.report import sheets
from credbench.report.claims.tables import SYMBOLS
from credbench.report.html import as_sheet, render
from credbench.report.lines import panels
from credbench.report.matrices import matrices
from credbench.report.pace import PaceTable
from credbench.report.published import beside_published
from credbench.report.rates import RatesTable
from credbench.report.summary import Speller
from credbench.report.tables import Printable
from credbench.status import STATES, tally
from credbench.stopwatch import REFERENCE
from credbench.store import Record, Store, write_file
from credbench.tabulating import make_table


def write_report(
    registry: Registry, results_dir: Path, name: str | None, output: Path | None
) -> Path:
    """Write the page of one experiment, or of all and the timing beside them; return its path.

    Raises `RequestError` where there are no experiments, and where it cannot be written.
    """
    found = [Loaded(store) for store in find_stores(results_dir, name)]
    problems: list[str] = []
    sections = [_section(each, registry, problems) for each in found]
    timing = [] if name else _timing(results_dir / "timing", problems)
    content = {
        "version": __version__,
        "folder": str(results_dir),
        "summary": sheets.summary(sections, STATES),
        "experiments": sections,
        "claims": {} if name else _claims(registry, found, results_dir),
        "timing": timing,
        "problems": problems,
    }
    path = output or results_dir / "report.html"
    page = render(content)
    try:
        write_file(path, lambda file: file.write(page.encode()))
    except OSError as error:
        raise RequestError(
            f"the report cannot be written to {path} ({error.strerror}): give another --output"
        ) from error
    warn(problems)
    return path


def _claims(registry: Registry, found: Sequence[Loaded], results_dir: Path) -> dict[str, Any]:
    """Return the verdicts on the paper's claims and the numbers behind them, as tables."""
    said_with_timing: list[str] = []
    verdicts, numbers = verdict_tables(registry, found, results_dir, said_with_timing)
    table = as_sheet(verdicts)
    place = table["headings"].index("verdict")
    for cells in table["cells"]:
        cells[place] = f"{SYMBOLS[cells[place]]} {cells[place]}"
    return {"verdicts": table, "numbers": as_sheet(numbers)}


def _section(each: Loaded, registry: Registry, problems: list[str]) -> dict[str, Any]:
    store, records, planned = each.store, each.records, each.planned
    table = make_table(store, planned, records, registry)
    in_order = [records[id] for id in planned if id in records]
    spell = Speller(registry)
    where = _environments(store, in_order)
    counts = tally(store, records, registry)
    problems += dict.fromkeys(store.problems)
    return {
        "name": store.name,
        "counts": {key: counts[key] for key in ("trials", *STATES)},
        "settings": len(table.rows),
        "seeds": _range([row.n for row in table.rows if not row.refusal]),
        "hardware": "; ".join(dict.fromkeys(each["hardware"] for each in where)),
        "commands": list(dict.fromkeys(each["command"] for each in where)),
        "environments": where,
        "table": as_sheet(beside_published(replace(table, notes=_without_commands(table.notes)))),
        "panels": panels(in_order, spell),
        "matrices": matrices(in_order, spell),
        "seconds": sheets.epoch_times(table.rows),
        "unfinished": sheets.unfinished(in_order, spell),
        "trials": sheets.trials(in_order, spell),
    }


def _without_commands(notes: Sequence[str]) -> list[str]:
    """Return a table's notes but for the commands, which the page shows above it."""
    return [note for note in notes if not note.startswith("Command: ")]


def _range(counts: Sequence[int]) -> str:
    low, high = min(counts, default=0), max(counts, default=0)
    return f"{low}" if low == high else f"{low} to {high}"


def _environments(store: Store, records: Sequence[Record]) -> list[dict[str, Any]]:
    """Return what trials ran on, and by which command, with how many of them."""
    known = store.environments()
    used: dict[str, int] = {}
    for record in records:
        used[record["environment"]] = used.get(record["environment"], 0) + 1
    return [
        {
            "command": known[key]["command"],
            "hardware": environment.describe_machine(known[key]),
            "facts": [["trials", str(count)], *_facts(known[key])],
        }
        for key, count in used.items()
        if key in known
    ]


def _facts(where: Mapping[str, Any]) -> list[list[str]]:
    """Return an environment as names and values, one level deep."""
    flat: dict[str, Any] = {}
    for key, value in where.items():
        if isinstance(value, dict):
            flat |= {str(inner): of for inner, of in value.items()}
        elif key != "command":
            flat[key.replace("_", " ")] = value
    return [[key, str(value)] for key, value in flat.items() if value is not None]


def _timing(folder: Path, problems: list[str]) -> list[dict[str, Any]]:
    """Return the tables of the records that `credbench time` left in a folder."""
    found = []
    for path, record in timing_records(folder, problems):
        try:
            table = _timing_table(record)
            found.append({"name": f"{table.title}: {path.stem}", "table": as_sheet(table)})
        except UNREADABLE as error:
            problems.append(left_out(path, error))
    return found


def _timing_table(record: Mapping[str, Any]) -> Printable:
    streamed = "images_per_second" in record["rows"][0]
    return RatesTable(record) if streamed else PaceTable(record, REFERENCE)
