"""What `credbench table` does: the tables of experiments, made from their records."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from credbench.errors import RequestError
from credbench.gathering import find_stores
from credbench.logs import warn
from credbench.origins import origins_of
from credbench.printing import check_format, show
from credbench.registry import Registry
from credbench.store import Record, Store, frame

if TYPE_CHECKING:
    from credbench.report.tables import Printable, Table


def print_trials(results_dir: Path, name: str | None, format: str) -> None:
    """Print one row a trial, of one experiment or of all."""
    import pandas

    if format not in ("csv", "json"):
        raise RequestError(f"--trials with --format {format}: expected csv or json")
    parts = []
    for store in find_stores(results_dir, name):
        records = store.trials()
        part = frame(store.planned(records), records, store.timings(), store.refusals())
        part.insert(0, "experiment", store.name)
        parts.append(part)
        warn(store.problems)
    whole = pandas.concat(parts, ignore_index=True)
    as_text = whole.to_csv(index=False) if format == "csv" else whole.to_json(orient="records")
    print(as_text.rstrip("\n"))


def print_tables(
    registry: Registry,
    results_dir: Path,
    name: str | None,
    format: str,
    published: bool | None = None,
    margin: float | None = None,
) -> None:
    """Print the tables of one experiment, or of all, from their records.

    Published numbers stand beside them, or do not, as asked for; if not, where there are any.
    With a margin, in points, rows are compared with the best of those like them.
    """
    check_format(format)
    tables: list[Printable] = []
    for store in find_stores(results_dir, name):
        records = store.trials()
        made = make_table(store, store.planned(records), records, registry)
        tables.append(presented(made, margin, published))
        warn(store.problems)
    show(tables, format)


def make_table(
    store: Store,
    planned: Mapping[str, Mapping[str, Any]],
    records: Mapping[str, Record],
    registry: Registry,
) -> Table:
    """Return the table of an experiment, with what stands behind its numbers below."""
    from credbench.report.summary import summarise
    from credbench.report.tables import Table

    rows = summarise(frame(planned, records, store.timings(), store.refusals()), registry)
    return Table(store.name, rows, origins_of(store, planned, records, registry))


def presented(table: Table, margin: float | None, published: bool | None = None) -> Printable:
    """Return a table as it is shown, with published numbers and comparisons where asked for.

    Without a word on published numbers, they are there where there are any.
    """
    return _compared(_published(table, published), margin)


def _published(table: Table, asked: bool | None) -> Table:
    from credbench.report.published import PublishedTable, beside_published

    if asked:
        return PublishedTable(table.title, table.rows, table.notes)
    return beside_published(table) if asked is None else table


def _compared(table: Table, margin: float | None) -> Printable:
    if margin is None:
        return table
    from credbench.report.best import BestTable

    return BestTable(table, margin)
