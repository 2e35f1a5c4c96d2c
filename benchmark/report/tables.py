"""Rows as a terminal table, Markdown, LaTeX, CSV or JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from credbench.report.statistics import Estimate
from credbench.report.summary import MEASURES, Row, varying

if TYPE_CHECKING:
    from rich.table import Table as RichTable

FORMATS = ("table", "md", "latex", "csv", "json")
_HEADINGS = {
    "train": "train error %",
    "validation": "validation error %",
    "test": "test error %",
    "precision": "precision %",
    "recall": "recall %",
    "f1": "F1 %",
}
_SURROGATE, _SHARED, _PASSES = "†", "‡", "*"


@dataclass(frozen=True)
class Table:
    """Rows, and the lines that say what stands behind them."""

    title: str
    rows: Sequence[Row]
    notes: Sequence[str] = ()

    def headings(self) -> list[str]:
        """Return the names of the columns."""
        axes = [axis.replace("_", " ") for axis in varying(self.rows)]
        return [*axes, *_HEADINGS.values(), "s/epoch", "n"]

    def cells(self) -> list[list[str]]:
        """Return the text of every cell."""
        axes = varying(self.rows)
        return [[*_names(row, axes), *_measures(row), _seconds(row), _n(row)] for row in self.rows]

    def footnotes(self) -> list[str]:
        """Return what the marks mean, and the notes."""
        marks = [
            f"{_SURROGATE} φ′ replaced: {row.surrogate}." for row in self.rows if row.surrogate
        ]
        if any(row.passes > 1 for row in self.rows):
            marks.append(f"{_PASSES} one epoch is several passes over the data.")
        if any(row.shared for row in self.rows):
            marks.append(f"{_SHARED} the time of a program that trained several trials at once.")
        constant = {
            axis: value
            for axis, value in (self.rows[0].arguments.items() if self.rows else ())
            if axis not in varying(self.rows) and value != "none"
        }
        common = ", ".join(f"{axis.replace('_', ' ')} {value}" for axis, value in constant.items())
        protocol = (
            "Mean ± 95 % interval (Student t) over n seeds; macro averages on test; epoch chosen "
            "on validation; median s/epoch, evaluation excluded."
        )
        return [*dict.fromkeys(marks), *([f"All rows: {common}."] if common else []), protocol,
                *self.notes]  # fmt: skip


def _names(row: Row, axes: Sequence[str]) -> list[str]:
    mark = _SURROGATE if row.surrogate else ""
    return [row.setting[axis] + (mark if axis == "algorithm" else "") for axis in axes]


def _measures(row: Row) -> list[str]:
    if row.n == 0:
        return [" ".join(row.unfinished), *["missing"] * (len(MEASURES) - 1)]
    return [show(row.estimates[name]) for name in MEASURES]


def show(found: Estimate | None) -> str:
    """Return `mean ± half width`, or what there is of it."""
    if found is None:
        return "missing"
    return f"{found.mean:.2f}" + ("" if found.half_width is None else f" ± {found.half_width:.2f}")


def _seconds(row: Row) -> str:
    if row.seconds is None:
        return "missing"
    marks = (_PASSES if row.passes > 1 else "") + (_SHARED if row.shared else "")
    return f"{row.seconds:.3g}{marks}"


def _n(row: Row) -> str:
    if not row.unfinished:
        return str(row.n)
    left = ", ".join(f"{count} {status}" for status, count in row.unfinished.items())
    return f"{row.n} of {row.planned} ({left})"


_WIDE = 110


def as_rich(table: Table, width: int) -> RichTable:
    """Return a table for a terminal; on a narrow one intervals stand below their means."""
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    made = RichTable(
        title=Text(table.title),
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
        title_style="bold",
        caption_style="dim",
    )
    for number, heading in enumerate(table.headings()):
        numeric = number >= len(varying(table.rows))
        short = heading.replace("validation", "valid.").removesuffix(" %").replace(" ", "\n")
        made.add_column(Text(short), justify="right" if numeric else "left", no_wrap=not numeric)
    for cells in table.cells():
        fitted = (c.replace(" ± ", "\n± ") for c in cells) if width < _WIDE else cells
        made.add_row(*(Text(cell) for cell in fitted))
    made.caption = Text("errors, precision, recall and F1 in percent")
    return made


def as_markdown(table: Table) -> str:
    """Return a GitHub table with its title above and its notes below."""
    lines = [table.headings(), ["---"] * len(table.headings()), *table.cells()]
    body = ["| " + " | ".join(map(_markdown, line)) + " |" for line in lines]
    notes = [f"- {_markdown(note)}" for note in table.footnotes()]
    return "\n".join([f"**{table.title}**", "", *body, "", *notes])


def _markdown(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*")


_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"\$",
    "#": r"\#", "_": r"\_", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "±": r"$\pm$", "†": r"\dag{}", "‡": r"\ddag{}", "φ": r"$\phi$", "′": r"$'$", "≤": r"$\le$",
    "σ": r"$\sigma$", "−": "--",
}  # fmt: skip


def _latex(text: str) -> str:
    return "".join(_LATEX.get(char, char) for char in text)


def as_latex(table: Table) -> str:
    """Return a booktabs table; its document needs `\\usepackage{booktabs}`."""
    columns = "l" * len(varying(table.rows)) + "r" * (len(_HEADINGS) + 2)
    lines = [" & ".join(map(_latex, cells)) + r" \\" for cells in table.cells()]
    return "\n".join([
        r"\begin{table}", r"\centering", rf"\caption{{{_latex(table.title)}}}",
        rf"\begin{{tabular}}{{{columns}}}", r"\toprule",
        " & ".join(map(_latex, table.headings())) + r" \\", r"\midrule", *lines, r"\bottomrule",
        r"\end{tabular}", *(rf"\par\footnotesize {_latex(n)}" for n in table.footnotes()),
        r"\end{table}",
    ])  # fmt: skip


def as_dicts(table: Table) -> list[dict[str, Any]]:
    """Return one flat dictionary a row, numbers as numbers, what is missing as None."""
    return [_flat(row) for row in table.rows]


def _flat(row: Row) -> dict[str, Any]:
    flat: dict[str, Any] = dict(row.setting)
    for name, found in row.estimates.items():
        flat[f"{name}_mean"] = found.mean if found else None
        flat[f"{name}_half_width"] = found.half_width if found else None
    return flat | {
        "seconds_per_epoch": row.seconds,
        "passes_per_epoch": row.passes,
        "shared_time": row.shared,
        "n": row.n,
        "planned": row.planned,
        "surrogate": row.surrogate,
        **{status: row.unfinished.get(status, 0) for status in ("failed", "diverged", "missing")},
    }


def as_csv(tables: Sequence[Table]) -> str:
    """Return comma-separated values of all tables, with a column for the title."""
    rows = [{"experiment": table.title, **row} for table in tables for row in as_dicts(table)]
    out = io.StringIO()
    writer = csv.DictWriter(out, rows[0] if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().rstrip("\n")


def as_json(tables: Sequence[Table]) -> str:
    """Return a list of tables: title, rows, notes."""
    content = [{"experiment": t.title, "rows": as_dicts(t), "notes": t.footnotes()} for t in tables]
    return json.dumps(content, ensure_ascii=False, indent=2)
