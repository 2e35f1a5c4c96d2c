"""Tables as LaTeX: what pdflatex makes of them, whatever characters they hold."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from credbench.claiming import print_claims
from credbench.comparing import compare
from credbench.report import latex
from credbench.report.tables import as_latex
from credbench.reporting import _timing_table
from credbench.tabulating import print_tables
from helpers import REGISTRY

RESULTS = Path(__file__).parent.parent / "results"
WILD = r"a_b%c&d#e{f}~g^h\i$j<k>|l--m[x=1]"


class Words:
    """A table of given words."""

    def __init__(self, headings, cells, notes=(), title="t", names=1):
        self.title, self.caption, self.names = title, "", names
        self.headings, self.cells = lambda: headings, lambda: cells
        self.footnotes, self.dicts = lambda: list(notes), list


@pytest.fixture
def typeset(tmp_path):
    """Compile a document; return its log."""
    if shutil.which("pdflatex") is None:
        pytest.skip("no pdflatex to typeset with: install Debian's package texlive-latex-base")

    def run(*parts, preamble="", most_over=20):
        body = "\n\n\\clearpage\n".join(parts)
        text = "\n".join([
            r"\documentclass{article}", preamble, r"\usepackage{booktabs,graphicx,longtable}",
            r"\begin{document}", body, r"\end{document}",
        ])  # fmt: skip
        (tmp_path / "x.tex").write_text(text, "utf-8")
        ran = subprocess.run(
            ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "x.tex"],
            cwd=tmp_path, capture_output=True, text=True, errors="replace", timeout=120,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stdout[-2000:]
        assert "Missing character" not in ran.stdout and "Float too large" not in ran.stdout
        wide = re.findall(r"Overfull \\[hv]box \((\d+)", ran.stdout)
        assert all(int(points) <= most_over for points in wide), wide
        return ran.stdout

    return run


def test_the_projects_own_results_compile(typeset, capsys):
    names = sorted(path.parent.name for path in RESULTS.glob("*/trials"))
    assert names
    for name in names:
        for published, margin in ((False, None), (True, 0.5)):
            print_tables(REGISTRY, RESULTS, name, "latex", published, margin)
    for sides in (("rec-lra", "backprop", "tuned-5x256"), ("tuned-5x256", "untuned-5x256", None)):
        compare(REGISTRY, RESULTS, *sides, 0.5, "latex")
    for path in sorted(RESULTS.glob("timing/*/*.json")):
        record = json.loads(path.read_bytes())
        if "rows" in record:
            print(as_latex(_timing_table(record)))
    text = capsys.readouterr().out
    assert text.count(r"\begin{table}") > 2 * len(names)
    typeset(*(r"\begin{table}" + part for part in text.split(r"\begin{table}")[1:]))


def test_wild_names_compile_in_every_place(typeset):
    starts = ["[1] one", "*", "-- two", "&", ""]
    table = Words(
        [WILD, "± † ‡ § ≈ – — µs"],
        [[WILD, WILD], *([start, "−1.5 ± 2"] for start in starts)],
        [WILD, *starts[:4], "β γ σ φ Φ Ω, φ′, ℓ₂, x², →, é ü ł ñ ß Ž, 中文 🎉 \x00 \x7f", "a\n\nb"],
        title=f"{WILD} β → é 中 \n\n x",
    )
    typeset(as_latex(table), as_latex(Words(["only"], [])))


@pytest.mark.parametrize("preamble", ["", r"\usepackage[T1]{fontenc}"])
def test_no_character_breaks_a_document(typeset, preamble):
    codes = [*range(0x3100), *range(0xFB00, 0xFFFF), *range(0x1D400, 0x1D800), 0x1F389, 0xE000]
    shown = [latex.escape(f"x{chr(code)}y") for code in codes]
    typeset("\n\n".join(" ".join(shown[k : k + 50]) for k in range(0, len(shown), 50)),
            preamble=preamble, most_over=100)  # fmt: skip


@pytest.mark.parametrize(
    "text, expected",
    [
        ("--data-dir", "-{}-data-dir"),
        ("---", "-{}-{}-"),
        ("2–3 — 4", "2--3 --- 4"),
        ("βγσφ", r"$\beta$$\gamma$$\sigma$$\phi$"),
        ("Λ Β ς", r"$\Lambda$ B \texttt{U+03C2}"),
        ("ℓ₂ x²", r"$\ell$\textsubscript{2} x\textsuperscript{2}"),
        ("é ü Å ǰ", r"\'{e} \"{u} \r{A} \v{j}"),
        ("e\N{COMBINING ACUTE ACCENT}", r"\'{e}"),
        ("½ ﬁ", "1/2 fi"),
        ("a|b <c>", "a$|$b $<$c$>$"),
        ("中 🎉", r"\texttt{U+4E2D} \texttt{U+1F389}"),
        ("a\nb\tc", "a b c"),
        (r"\{x}", r"\textbackslash{}\{x\}"),
    ],
)
def test_characters_are_spelled_in_commands_of_plain_latex(text, expected):
    assert latex.escape(text) == expected


def test_the_claims_go_on_over_pages(typeset, capsys):
    print_claims(REGISTRY, RESULTS, (), "latex")
    text = capsys.readouterr().out
    assert text.count(r"\begin{longtable}") == 2 and r"\begin{table}" not in text
    assert int(re.search(r"\((\d+) pages", typeset(text))[1]) > 2


def test_a_table_longer_than_a_page_becomes_several(typeset):
    cells = [[f"row {k}", str(k)] for k in range(100)]
    notes = ["a sentence of some length " * 12] * 20
    for table in (Words(["a", "b"], cells), Words(["a", "b"], cells, notes),
                  Words(["a", "b"], cells[:20], notes)):  # fmt: skip
        text = as_latex(table)
        typeset(text)
        assert all(f"row {k} &" in text for k in range(len(table.cells())))
        assert text.count(r"\begin{table}") == (3 if len(table.cells()) == 100 else 1)


def test_long_words_of_sentences_are_parted(typeset):
    long = "conv[filters=32c3-64c3s2-128c3s2,dense=none]"
    table = Words(["claim", "it says"], [[long, "a " * 99], [WILD, "[1] one"]])
    table.prose = range(1, 2)
    assert "Overfull" not in typeset(as_latex(table))


def test_a_line_does_not_start_like_an_argument():
    assert latex.line(["[1]", "x"]) == r"{}[1] & x \\" and latex.line(["*"]).startswith("{}*")
    assert latex.line(["a", "[1]"]) == r"a & [1] \\"


def test_a_wide_table_fits_and_a_narrow_one_keeps_its_size(typeset):
    wide = Words([f"heading {k}" for k in range(25)], [["12.34 ± 5.67"] * 25])
    probe = r"\typeout{HERE \the\wd0 : \the\linewidth}\end{table}"
    log = typeset(as_latex(wide).replace(r"\end{table}", probe))
    width, line = (float(text.split("pt")[0]) for text in log.split("HERE ")[1].split(":"))
    assert width > 2 * line and "Overfull" not in log
    narrow = as_latex(Words(["a"], [["b"]]))
    log = typeset(narrow.replace(r"\resizebox", r"\typeout{RESIZED}\resizebox"))
    assert "RESIZED" not in log
