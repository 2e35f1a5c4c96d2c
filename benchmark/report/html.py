"""The page of `credbench report`: one HTML file that needs nothing beside itself."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from string import Template
from typing import Any

from credbench.report.tables import Printable

_SCRIPTS = ("dom.js", "sheet.js", "scale.js", "chart.js", "curves.js", "matrix.js", "page.js")


def render(content: Mapping[str, Any]) -> str:
    """Return the page that shows `content`, whose form `page/page.js` reads.

    All of it travels as data, which the page's script writes as text alone. The page's policy lets
    no other script run, and nothing be fetched.
    """
    style = _part("page.css")
    script = "\n".join(map(_part, _SCRIPTS))
    return Template(_part("page.html")).substitute(
        style=style, style_hash=_hash(style), script=script, script_hash=_hash(script),
        data=_data(content),
    )  # fmt: skip


def _part(name: str) -> str:
    return resources.files("credbench.report").joinpath("page", name).read_text("utf-8")


def _hash(text: str) -> str:
    """Return what a content security policy knows an inline element by."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _data(content: Mapping[str, Any]) -> str:
    """Return JSON that cannot end the element it stands in, whatever names it holds."""
    return json.dumps(content, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def sheet(
    headings: Sequence[str],
    cells: Sequence[Sequence[str]],
    names: int,
    notes: Sequence[str] = (),
    links: Sequence[str] = (),
) -> dict[str, Any]:
    """Return a table for the page: the first `names` columns are words, the others numbers.

    `links` are addresses within the page that the cells of the first column lead to. A percent
    sign stays in the line of its number.
    """
    whole = [[_joined(cell) for cell in line] for line in cells]
    notes = list(map(_joined, notes))
    return {"headings": headings, "cells": whole, "names": names, "notes": notes, "links": links}


def _joined(text: str) -> str:
    return re.sub(r"(?<=[\d)]) %", "\N{NO-BREAK SPACE}%", text)


def as_sheet(table: Printable) -> dict[str, Any]:
    """Return a printable table for the page."""
    return sheet(table.headings(), table.cells(), table.names, table.footnotes())
