"""Text that LaTeX sets as it stands, whatever names hold.

With pdflatex a character that has no form in the document's fonts is an error, so that none is
passed on: what plain LaTeX can set is spelled in commands that need no package, and the rest
stands as its code point.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import cache

_PLAIN = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"\$",
    "#": r"\#", "_": r"\_", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": "$<$", ">": "$>$", "|": "$|$", '"': "''",
    "±": r"$\pm$", "×": r"$\times$", "·": r"$\cdot$", "⋅": r"$\cdot$", "÷": r"$\div$",
    "−": "$-$", "≤": r"$\le$", "≥": r"$\ge$", "≈": r"$\approx$", "≠": r"$\ne$", "≡": r"$\equiv$",
    "≪": r"$\ll$", "≫": r"$\gg$", "∝": r"$\propto$", "∞": r"$\infty$", "∂": r"$\partial$",
    "∇": r"$\nabla$", "∈": r"$\in$", "∑": r"$\sum$", "∏": r"$\prod$", "∫": r"$\int$",
    "√": r"$\surd$", "∘": r"$\circ$", "⊙": r"$\odot$", "⊗": r"$\otimes$", "⊕": r"$\oplus$",
    "→": r"$\to$", "←": r"$\gets$", "↔": r"$\leftrightarrow$", "↑": r"$\uparrow$",
    "↓": r"$\downarrow$", "⇒": r"$\Rightarrow$", "⇐": r"$\Leftarrow$", "⇔": r"$\Leftrightarrow$",
    "ℓ": r"$\ell$", "′": "$'$", "″": "$''$", "°": r"$^\circ$", "‖": r"$\|$", "⁄": "/",
    "†": r"\dag{}", "‡": r"\ddag{}", "§": r"\S{}", "¶": r"\P{}", "©": r"\copyright{}",
    "–": "--", "—": "---", "‐": "-", "‑": "-", "…": r"\dots{}", "•": r"$\bullet$",
    "‘": "`", "’": "'", "“": "``", "”": "''", "„": '"', "«": r"$\ll$", "»": r"$\gg$",
    "ß": r"\ss{}", "ø": r"\o{}", "Ø": r"\O{}", "ł": r"\l{}", "Ł": r"\L{}", "æ": r"\ae{}",
    "Æ": r"\AE{}", "œ": r"\oe{}", "Œ": r"\OE{}", "ı": r"\i{}", "đ": "d", "Đ": "D", "ð": "d",
    "\N{NO-BREAK SPACE}": "~", "\N{ZERO WIDTH SPACE}": "",
}  # fmt: skip
_ACCENTS = {
    "\N{COMBINING GRAVE ACCENT}": "`", "\N{COMBINING ACUTE ACCENT}": "'",
    "\N{COMBINING CIRCUMFLEX ACCENT}": "^", "\N{COMBINING TILDE}": "~",
    "\N{COMBINING MACRON}": "=", "\N{COMBINING BREVE}": "u", "\N{COMBINING DOT ABOVE}": ".",
    "\N{COMBINING DIAERESIS}": '"', "\N{COMBINING RING ABOVE}": "r",
    "\N{COMBINING DOUBLE ACUTE ACCENT}": "H", "\N{COMBINING CARON}": "v",
    "\N{COMBINING DOT BELOW}": "d", "\N{COMBINING CEDILLA}": "c",
}  # fmt: skip
_GREEK = re.compile(r"GREEK (SMALL|CAPITAL) LETTER (\w+)")
_SPELLED = {"lamda": "lambda"}
_LATIN = {
    "alpha": "A", "beta": "B", "epsilon": "E", "zeta": "Z", "eta": "H", "iota": "I", "kappa": "K",
    "mu": "M", "nu": "N", "omicron": "O", "rho": "P", "tau": "T", "chi": "X",
}  # fmt: skip
"""The capitals that look like Latin ones, for which there are no commands."""
_LETTERS = {*_LATIN, "gamma", "delta", "theta", "lambda", "xi", "pi", "sigma", "upsilon", "phi",
            "psi", "omega"}  # fmt: skip


def escape(text: str) -> str:
    """Return a text as LaTeX that shows it in one paragraph, in any document."""
    composed = unicodedata.normalize("NFC", text)
    # Two hyphens in a row would become a dash.
    pieces = re.split(r"(?<=-)(?=-)", composed)
    return "{}".join("".join(map(_char, piece)) for piece in pieces)


def line(cells: Sequence[str], spelled: Callable[[str], str] | None = None) -> str:
    """Return a line of a tabular.

    What a line starts with must not look like an argument of the command that ends the line above.
    """
    text = " & ".join(map(spelled or escape, cells))
    return ("{}" if text.startswith(("[", "*")) else "") + text + r" \\"


def sentences(cells: Sequence[str]) -> str:
    """Return a line of a table whose cells are paragraphs."""
    return line(cells, parted)


def parted(text: str) -> str:
    """Return a text whose long words may go on in a new line, as names of settings do.

    Lines stay ragged, and the space of no width lets TeX hyphenate the first word too.
    """
    spelled = r"\allowbreak{}".join(map(escape, re.split(_PARTING, text)))
    return r"\rightskip=0pt plus 1fil\hspace{0pt}" + spelled


def pieces(text: str) -> list[str]:
    """Return what of such a text stays in one line."""
    return re.split(_PARTING + r"|\s+", text)


_PARTING = r"(?<=[-\[\],=/_(])(?=\S)"


@cache
def _char(char: str) -> str:
    if char in _PLAIN:
        return _PLAIN[char]
    if " " <= char <= "\N{TILDE}":
        return char
    if char.isspace():
        return " "
    return _greek(char) or _composed(char) or rf"\texttt{{U+{ord(char):04X}}}"


def _greek(char: str) -> str:
    """Return a Greek letter as mathematics, or nothing where it is none."""
    found = _GREEK.fullmatch(unicodedata.name(char, ""))
    name = found[2].lower() if found else ""
    name = _SPELLED.get(name, name)
    if found is None or name not in _LETTERS:
        return ""
    if found[1] == "SMALL":
        return "o" if name == "omicron" else rf"$\{name}$"
    return _LATIN.get(name) or rf"$\{name.capitalize()}$"


def _composed(char: str) -> str:
    """Return a character by what Unicode says that it is made of, or nothing where that is all."""
    kind, *codes = unicodedata.decomposition(char).split() or [""]
    if not kind.startswith("<"):
        codes = [kind, *codes] if kind else []
        kind = ""
    parts = [chr(int(code, 16)) for code in codes]
    if not parts:
        return ""
    if kind in ("<sub>", "<super>"):
        name = "subscript" if kind == "<sub>" else "superscript"
        return rf"\text{name}{{{''.join(map(_char, parts))}}}"
    if not kind and len(parts) == 2:
        base, mark = parts
        if mark in _ACCENTS and base.isalpha():
            return rf"\{_ACCENTS[mark]}{{{_char(base)}}}"
        return _char(base) if unicodedata.combining(mark) else ""
    return "".join(map(_char, parts))
