"""Rows as a terminal table, Markdown, LaTeX, CSV or JSON."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from credbench.report import latex
from credbench.report.statistics import Estimate
from credbench.report.summary import Row, measured, varying
from credbench.wording import count

if TYPE_CHECKING:
    from rich.table import Table as RichTable

HEADINGS = {
    "train": "train error %",
    "validation": "validation error %",
    "test": "test error %",
    "precision": "precision %",
    "recall": "recall %",
    "f1": "F1 %",
    "top5": "top-5 error %",
}
"""What each measure's column is called."""
_MOST_REASONS = 8
_SURROGATE, _UNTIMED, _PASSES = "†", "‡", "*"
PEAK = "Peak: weights, feedback, moments, and the most that a step holds beside them."


class Printable(Protocol):
    """What every format can show."""

    @property
    def title(self) -> str:
        """What stands above."""

    @property
    def caption(self) -> str:
        """The units, in a line."""

    @property
    def names(self) -> int:
        """How many columns, from the left, are words."""

    def headings(self) -> list[str]:
        """Return the names of the columns."""

    def cells(self) -> list[list[str]]:
        """Return the text of every cell."""

    def footnotes(self) -> list[str]:
        """Return what the marks mean, and the notes."""

    def dicts(self) -> list[dict[str, Any]]:
        """Return one flat dictionary a row, numbers as numbers, what is missing as None."""


@dataclass(frozen=True)
class Table:
    """Rows, and the lines that say what stands behind them."""

    title: str
    rows: Sequence[Row]
    notes: Sequence[str] = ()

    caption: ClassVar[str] = "errors, precision, recall and F1 in percent"

    @property
    def names(self) -> int:
        """How many columns, from the left, are words."""
        return len(varying(self.rows))

    def dicts(self) -> list[dict[str, Any]]:
        """Return one flat dictionary a row, numbers as numbers, what is missing as None."""
        return [_flat(row) for row in self.rows]

    def measures(self) -> list[str]:
        """Return the measures with columns."""
        return measured(self.rows)

    @cached_property
    def _weighed(self) -> bool:
        """Whether there is a column for memory."""
        return any(row.peak_bytes is not None for row in self.rows)

    def headings(self) -> list[str]:
        """Return the names of the columns."""
        axes = [axis.replace("_", " ") for axis in varying(self.rows)]
        measures = [HEADINGS[name] for name in self.measures()]
        return [*axes, *measures, "s/epoch", *(["peak MiB"] if self._weighed else []), "n"]

    def cells(self) -> list[list[str]]:
        """Return the text of every cell."""
        axes, names = varying(self.rows), self.measures()
        return [
            [*_names(row, axes), *_measures(row, names), _seconds(row),
             *([_peak(row)] if self._weighed else []), _n(row)]
            for row in self.rows
        ]  # fmt: skip

    def footnotes(self) -> list[str]:
        """Return what the marks mean, and the notes."""
        marks = [
            f"{_SURROGATE} φ′ replaced: {row.surrogate}." for row in self.rows if row.surrogate
        ]
        refused = [row for row in self.rows if row.refusal]
        marks += [f"Not applicable: {_cell(row)}: {row.refusal}." for row in refused]
        marks += _lost(self.rows)
        if any(row.passes > 1 for row in self.rows):
            marks.append(f"{_PASSES} one epoch is several passes over the data.")
        marks += [
            f"{_UNTIMED} not from a timing run: {_untimed(row)}."
            for row in self.rows
            if row.seconds is not None and not row.timed
        ]
        if self._weighed:
            marks.append(PEAK)
        shown = varying(self.rows)
        constant = {
            axis: value
            for axis, value in (self.rows[0].arguments.items() if self.rows else ())
            if axis not in shown and value not in ("none", "float32")
        }
        common = ", ".join(f"{axis.replace('_', ' ')} {value}" for axis, value in constant.items())
        timed = any(row.timed for row in self.rows)
        protocol = (
            "Mean ± 95 % interval (Student t) over n seeds; macro averages on test; epoch chosen "
            "on validation; "
            + ("median s/epoch of one replica alone" if timed else "median s/epoch")
            + ", evaluation excluded."
        )
        return [*dict.fromkeys(marks), *([f"All rows: {common}."] if common else []), protocol,
                *self.notes]  # fmt: skip


def _lost(rows: Sequence[Row]) -> list[str]:
    """Return why trials came to nothing, for those most tables have room for."""
    found = [(row, *each) for row in rows for each in row.reasons.items()]
    told = [
        f"{count(trials, 'trial')} of {_cell(row)} {reason}."
        for row, reason, trials in found[:_MOST_REASONS]
    ]
    more = sum(trials for _, _, trials in found[_MOST_REASONS:])
    return [
        *told,
        *([f"{count(more, 'more trial')} failed or diverged: see status."] if more else []),
    ]


def _untimed(row: Row) -> str:
    if row.processes > 1:
        return f"of the trials' own epochs, on {row.processes} processes"
    if row.streamed:
        return "of the trials' own epochs, reading images from disk included"
    together = f"; the time of a program of up to {row.group} of them" if row.group > 1 else ""
    return f"measured while other trials trained{together}"


def _cell(row: Row) -> str:
    return f"{row.setting['algorithm']} on {row.setting['network']}, {row.setting['activation']}"


def _names(row: Row, axes: Sequence[str]) -> list[str]:
    mark = _SURROGATE if row.surrogate else ""
    return [row.setting[axis] + (mark if axis == "algorithm" else "") for axis in axes]


def _measures(row: Row, names: Sequence[str]) -> list[str]:
    if row.refusal:
        return ["not applicable", *["—"] * (len(names) - 1)]
    if row.n == 0:
        return [" ".join(row.unfinished) or "missing", *["missing"] * (len(names) - 1)]
    return [show(row.estimates[name]) for name in names]


def show(found: Estimate | None) -> str:
    """Return `mean ± half width`, or what there is of it."""
    if found is None:
        return "missing"
    return f"{found.mean:.2f}" + ("" if found.half_width is None else f" ± {found.half_width:.2f}")


def _seconds(row: Row) -> str:
    if row.seconds is None:
        return "—" if row.refusal else "missing"
    marks = (_PASSES if row.passes > 1 else "") + ("" if row.timed else _UNTIMED)
    return f"{row.seconds.median:.3g}{marks}"


def _peak(row: Row) -> str:
    return "—" if row.peak_bytes is None else f"{row.peak_bytes / 2**20:,.1f}"


def _n(row: Row) -> str:
    if not row.unfinished or row.refusal:
        return str(row.n)
    left = ", ".join(f"{trials} {status}" for status, trials in row.unfinished.items())
    return f"{row.n} of {row.planned} ({left})"


def behind(
    headings: Sequence[str], values: Sequence[str], more: Mapping[str, Sequence[str]]
) -> list[str]:
    """Return a row's values with more put in behind those of some columns, given by heading."""
    pairs = zip(headings, values, strict=True)
    return [each for heading, value in pairs for each in (value, *more.get(heading, ()))]


def behind_test(headings: Sequence[str], values: Sequence[str], more: Sequence[str]) -> list[str]:
    """Return a row's values with more put in behind the test error."""
    return behind(headings, values, {HEADINGS["test"]: more})


_WIDE = 110


def as_rich(table: Printable, width: int) -> RichTable:
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
        prose = number in getattr(table, "prose", ())
        numeric = number >= table.names
        short = heading.replace("validation", "valid.").removesuffix(" %").replace(" ", "\n")
        made.add_column(
            Text(short), justify="right" if numeric else "left", no_wrap=not numeric and not prose
        )
    for cells in table.cells():
        fitted = (c.replace(" ± ", "\n± ") for c in cells) if width < _WIDE else cells
        made.add_row(*(Text(cell) for cell in fitted))
    made.caption = Text(table.caption)
    return made


def as_markdown(table: Printable) -> str:
    """Return a GitHub table with its title above and its notes below."""
    lines = [table.headings(), ["---"] * len(table.headings()), *table.cells()]
    body = ["| " + " | ".join(map(_markdown, line)) + " |" for line in lines]
    notes = [f"- {_markdown(note)}" for note in table.footnotes()]
    return "\n".join([f"**{table.title}**", "", *body, "", *notes])


def _markdown(text: str) -> str:
    """Return a text as Markdown that shows it; code in backquotes stands as it is.

    A `<` would start an element there, and a `|` ends a cell even within code.
    """
    parts = re.split(r"(`[^`]*`)", text.replace("|", "\\|"))
    return "".join(p if p.startswith("`") else re.sub(r"[*<]", r"\\\g<0>", p) for p in parts)


def as_latex(table: Printable) -> str:
    """Return a table for LaTeX; its document needs `\\usepackage{booktabs,graphicx,longtable}`.

    One that is wider than the text is made as small as it takes to fit, and one that is longer
    than a page becomes several, with its notes below the last. A table of sentences is a
    `longtable`, which goes on over pages.
    """
    if getattr(table, "prose", ()):
        return _latex_pages(table)
    cells, notes = table.cells(), table.footnotes()
    below = [*_SMALL, *(latex.escape(note) + r"\par" for note in notes)]
    if len(cells) + sum(1 + len(note) // _LETTERS for note in notes) <= _LINES:
        return _latex_float(table, cells, "", below)
    parts = [cells[k : k + _LINES] for k in range(0, len(cells), _LINES)] or [[]]
    floats = [
        _latex_float(table, part, f" ({k} of {len(parts)})" if len(parts) > 1 else "")
        for k, part in enumerate(parts, start=1)
    ]
    of = rf"{{\bfseries {latex.escape(table.title)}}}\par"
    return "\n".join([*floats, r"\begingroup", *_SMALL, of, *below[len(_SMALL) :], r"\endgroup"])


_SMALL = (r"\par\medskip\footnotesize\raggedright",)
_LINES, _LETTERS = 36, 80
"""How many lines a page has room for, and letters a line of a note, at the least."""


def _latex_float(
    table: Printable, cells: Sequence[Sequence[str]], part: str, below: Sequence[str] = ()
) -> str:
    """Return rows of a table as a float that is no wider than the text."""
    columns = "".join("l" if k < table.names else "r" for k in range(len(table.headings())))
    return "\n".join([
        r"\begin{table}", r"\centering", rf"\caption{{{latex.escape(table.title + part)}}}",
        rf"\sbox0{{\begin{{tabular}}{{{columns}}}", r"\toprule", latex.line(table.headings()),
        r"\midrule", *map(latex.line, cells), r"\bottomrule", r"\end{tabular}}",
        r"\ifdim\wd0>\linewidth \resizebox{\linewidth}{!}{\usebox0}\else \usebox0\fi",
        *below, r"\end{table}",
    ])  # fmt: skip


def _latex_pages(table: Printable) -> str:
    """Return a table of sentences that goes on over pages, with notes below it."""
    shares = _shares([table.headings(), *table.cells()])
    space = rf"-\tabcolsep*{2 * len(shares)}"
    columns = "".join(
        rf"p{{\dimexpr(\linewidth{space})*{share}/{sum(shares)}}}" for share in shares
    )
    heading = [r"\toprule", latex.sentences(table.headings()), r"\midrule"]
    return "\n".join([
        r"\begingroup\scriptsize\setlength{\tabcolsep}{2pt}", rf"\begin{{longtable}}{{{columns}}}",
        rf"\caption{{{latex.escape(table.title)}}}\\\\", *heading, r"\endfirsthead",
        *heading, r"\endhead", r"\bottomrule", r"\endfoot",
        *map(latex.sentences, table.cells()), r"\end{longtable}",
        *_SMALL, *(latex.parted(note) + r"\par" for note in table.footnotes()), r"\endgroup",
    ])  # fmt: skip


def _shares(lines: Sequence[Sequence[str]]) -> list[int]:
    """Return how many letters wide columns are: their longest piece, and more by what they hold."""
    columns = list(zip(*lines, strict=True))
    longest = [min(_WORD, max(len(p) for text in c for p in latex.pieces(text))) for c in columns]
    held = [sum(map(len, column)) for column in columns]
    left = max(0, _ACROSS - sum(longest))
    return [1 + word + left * each // sum(held) for word, each in zip(longest, held, strict=True)]


_ACROSS, _WORD = 90, 13
"""How many small letters a line has room for, and those of a word that is not hyphenated."""


def _flat(row: Row) -> dict[str, Any]:
    flat: dict[str, Any] = dict(row.setting)
    for name, found in row.estimates.items():
        flat[f"{name}_mean"] = found.mean if found else None
        flat[f"{name}_half_width"] = found.half_width if found else None
    return flat | {
        "seconds_per_epoch": row.seconds.median if row.seconds else None,
        "seconds_per_epoch_low": row.seconds.low if row.seconds else None,
        "seconds_per_epoch_high": row.seconds.high if row.seconds else None,
        "timed_alone": row.timed,
        "peak_bytes": row.peak_bytes,
        "group": row.group,
        "passes_per_epoch": row.passes,
        "n": row.n,
        "planned": row.planned,
        "surrogate": row.surrogate,
        "not_applicable": row.refusal,
        "reasons": "; ".join(row.reasons),
        **{status: row.unfinished.get(status, 0) for status in ("failed", "diverged", "missing")},
    }


def as_csv(tables: Sequence[Printable]) -> str:
    """Return comma-separated values of all tables, with a column for the title."""
    rows = [{"experiment": table.title, **row} for table in tables for row in table.dicts()]
    out = io.StringIO()
    writer = csv.DictWriter(out, rows[0] if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().rstrip("\n")


def as_json(tables: Sequence[Printable]) -> str:
    """Return a list of tables: title, rows, notes."""
    content = [{"experiment": t.title, "rows": t.dicts(), "notes": t.footnotes()} for t in tables]
    return json.dumps(content, ensure_ascii=False, indent=2)
