"""How results are printed: tables, in every format there is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from credbench.errors import RequestError, unknown

if TYPE_CHECKING:
    from credbench.report.tables import Printable

_FORMATS = ("table", "md", "latex", "csv", "json")


def check_format(format: str) -> None:
    """Raise `RequestError` for a format that tables do not have."""
    if format not in _FORMATS:
        raise unknown("format", format, _FORMATS)


def plain(format: str) -> bool:
    """Return whether JSON is asked for; raises `RequestError` for an unknown format."""
    if format not in ("table", "json"):
        raise RequestError(f"--format {format!r}: expected table or json")
    return format == "json"


def show(tables: Sequence[Printable], format: str) -> None:
    """Print tables in a format."""
    from credbench.report import tables as render

    if format == "table":
        _show_rich(tables)
    elif format == "json":
        print(render.as_json(tables))
    elif format == "csv":
        print(render.as_csv(tables))
    else:
        one = render.as_markdown if format == "md" else render.as_latex
        print("\n\n".join(one(table) for table in tables))


def _show_rich(tables: Sequence[Printable]) -> None:
    from rich.console import Console

    from credbench.report.tables import as_rich

    console = Console()
    if not console.is_terminal:
        console = Console(width=220)
    for table in tables:
        console.print(as_rich(table, console.width))
        for note in table.footnotes():
            console.print(note, markup=False, highlight=False, soft_wrap=True)
