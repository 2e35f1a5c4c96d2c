"""Rows against the best, algorithms and experiments against each other, from records."""

import csv
import io
import json

import pytest
from scipy import stats
from trials import record, rows, seeds, write

from credbench.report.best import BestTable, best_of
from credbench.report.comparison import Comparison, pair_algorithms, pair_experiments
from credbench.report.published import PublishedTable
from credbench.report.tables import Table, as_csv, as_latex, as_markdown

BACKPROP = [2.0, 2.2, 2.1, 1.9]
WORSE = [3.0, 3.3, 3.0, 2.95]
NEAR = [2.05, 2.2, 2.15, 2.0]


def verdicts(records, margin=0.5):
    table = BestTable(Table("t", rows(records)), margin)
    place = table.headings().index("vs best")
    return {
        row.setting["algorithm"]: cells[place]
        for row, cells in zip(table.table.rows, table.cells(), strict=True)
    }


def test_rows_are_compared_with_the_best():
    found = verdicts(
        [*seeds("dfa", WORSE), *seeds("backprop", BACKPROP), *seeds("fa", NEAR),
         *seeds("lra-e", [2.0, 2.1, 9.0, 3.0])]
    )  # fmt: skip
    half = stats.ttest_rel(WORSE, BACKPROP).confidence_interval(0.95).high - 1.0125
    assert found["dfa"] == f"+1.01 ± {half:.2f}, worse"
    assert found["backprop"] == "best"
    assert found["fa"].endswith(", equivalent") and found["lra-e"].endswith(", undecided")


def test_the_best_is_chosen_without_the_test_images():
    found = verdicts([*seeds("dfa", WORSE, 1.0), *seeds("backprop", BACKPROP, 2.0)])
    assert found["dfa"] == "best" and found["backprop"].endswith(", better")


def test_the_best_has_several_seeds_and_none_that_diverged_if_any_row_has():
    lucky = [record("dfa", 0, 1.0)]
    wild = [*seeds("fa", [1.1, 1.1]), record("fa", 2, 0, status="diverged")]
    steady = seeds("backprop", BACKPROP)
    assert best_of(rows([*lucky, *wild, *steady])).setting["algorithm"] == "backprop"
    assert best_of(rows([*lucky, *wild])).setting["algorithm"] == "dfa"
    assert best_of(rows([record("dfa", 0, 0, status="failed")])) is None


def test_only_rows_alike_are_compared():
    other = seeds("dfa", WORSE, network="mlp[hidden=64x2]", optimizer="sgd[lr=0.1]")
    alike = seeds("dfa", WORSE, optimizer="sgd[lr=0.1]", tuning="12 draws")
    assert verdicts([*seeds("backprop", BACKPROP), *other])["dfa"] == "—"
    assert "worse" in verdicts([*seeds("backprop", BACKPROP), *alike])["dfa"]
    missing = [record("dfa", 0, 0, status="failed")]
    assert verdicts([*seeds("backprop", BACKPROP), *missing])["dfa"] == "—"


def test_the_margin_is_an_option_and_the_correction_counts_rows():
    family = [*seeds("backprop", BACKPROP), *seeds("fa", NEAR)]
    assert verdicts(family, 0.01)["fa"].endswith("undecided")
    narrow = [2.3, 2.35, 2.6, 2.1]
    alone = verdicts([*seeds("backprop", BACKPROP), *seeds("fa", narrow)], 0.1)["fa"]
    more = [*seeds("dfa", [1.0, 4.0, 2.0, 3.0]), *seeds("lra-e", [4.0, 1.0, 2.0, 3.0])]
    among = verdicts([*seeds("backprop", BACKPROP, 1.0), *seeds("fa", narrow), *more], 0.1)["fa"]
    p = stats.ttest_rel(narrow, BACKPROP).pvalue
    assert p < 0.05 < 3 * p
    assert alone.endswith("worse") and among.endswith("undecided")


def test_unpaired_rows_are_marked_and_explained():
    apart = [record("dfa", 10 + k, error) for k, error in enumerate(WORSE)]
    table = BestTable(Table("t", rows([*seeds("backprop", BACKPROP), *apart])), 0.5)
    assert any("§, worse" in cell for cells in table.cells() for cell in cells)
    assert any(note.startswith("§ unpaired (Welch)") for note in table.footnotes())
    assert r"\S{}" in as_latex(table)


def test_the_column_goes_into_every_format_and_beside_published_numbers():
    made = Table("t", rows([*seeds("backprop", BACKPROP), *seeds("dfa", WORSE)]))
    table = BestTable(PublishedTable(made.title, made.rows), 0.5)
    headings = table.headings()
    assert headings[headings.index("vs best") + 1] == "published %"
    assert {len(cells) for cells in table.cells()} == {len(headings)}
    text = as_markdown(table)
    assert ", worse |" in text and "equivalent within 0.5 points" in text
    best, other = csv.DictReader(io.StringIO(as_csv([table])))
    assert (best["best_verdict"], other["best_verdict"], other["best"]) == ("", "worse", "backprop")
    p = stats.ttest_rel(WORSE, BACKPROP).pvalue
    assert float(other["best_p_difference"]) == pytest.approx(p)
    assert float(other["best_difference"]) == pytest.approx(1.0125)


def compared(first, second, labels=("dfa", "backprop"), algorithms=True):
    pair = pair_algorithms if algorithms else pair_experiments
    return Comparison(labels, algorithms, pair(rows(first), rows(second)), 0.5)


def test_a_comparison_says_it_plainly():
    (sentence,) = compared(seeds("dfa", WORSE), seeds("backprop", BACKPROP)).sentences()
    low, high = stats.ttest_rel(WORSE, BACKPROP).confidence_interval(0.95)
    assert sentence == (
        "dfa is 1.01 points worse than backprop on mnist "
        f"(95 % interval {low:.2f} to {high:.2f}, 4 seeds): worse."
    )
    (back,) = compared(seeds("dfa", BACKPROP), seeds("backprop", WORSE)).sentences()
    assert back == sentence.replace("worse", "better")


def test_intervals_across_zero_name_both_ways_and_what_is_lost_is_told():
    first = [*seeds("dfa", [2.0, 3.0]), record("dfa", 2, 0, status="diverged")]
    (sentence,) = compared(first, seeds("backprop", [3.0, 2.5])).sentences()
    low, high = stats.ttest_rel([2.0, 3.0], [3.0, 2.5]).confidence_interval(0.95)
    assert sentence == (
        f"dfa is 0.25 points better than backprop on mnist (95 % interval {high:.2f} worse to "
        f"{-low:.2f} better, 2 seeds; dfa: 1 diverged): undecided."
    )


def test_one_row_a_setting_and_corrected_for_their_number():
    first = [*seeds("dfa", WORSE), *seeds("dfa", [2.3, 2.7, 2.5, 2.4], dataset="digits"),
             *seeds("dfa", [1.0, 2.0], dataset="fashion-mnist")]  # fmt: skip
    second = [*seeds("backprop", BACKPROP), *seeds("backprop", BACKPROP, dataset="digits")]
    table = compared(first, second)
    assert [cells[0] for cells in table.cells()] == ["mnist", "digits"]
    ps = [stats.ttest_rel(WORSE, BACKPROP).pvalue,
          stats.ttest_rel([2.3, 2.7, 2.5, 2.4], BACKPROP).pvalue]  # fmt: skip
    found = [row["p_difference"] for row in table.dicts()]
    assert found == pytest.approx([2 * ps[0], max(2 * ps[0], ps[1])])
    assert "fashion-mnist" in "".join(n for n in table.footnotes() if n.startswith("Not compared"))


def test_of_several_settings_the_best_on_validation_stands_for_its_side():
    first = [*seeds("dfa", WORSE, 1.5), *seeds("dfa[sigma=0.5]", BACKPROP, 1.6)]
    table = compared(first, seeds("backprop", BACKPROP))
    assert table.dicts()[0]["first_test_mean"] == pytest.approx(sum(WORSE) / 4)
    assert "dfa on mnist: dfa, adam, the best of 2 on validation." in table.footnotes()


def test_experiments_pair_what_is_equal_but_for_what_they_differ_in():
    short = [*seeds("dfa", WORSE), *seeds("dfa[sigma=0.5]", WORSE), *seeds("backprop", WORSE)]
    long = [*seeds("dfa", BACKPROP, epochs=9), *seeds("backprop", BACKPROP, epochs=9),
            *seeds("dfa[sigma=0.5]", NEAR, epochs=9), *seeds("fa", NEAR, epochs=9)]  # fmt: skip
    table = compared(short, long, ("short", "long"), algorithms=False)
    assert [cells[1] for cells in table.cells()] == ["dfa", "dfa[sigma=0.5]", "backprop"]
    assert table.sentences()[0].startswith("dfa in short is 1.01 points worse than in long on mn")
    notes = table.footnotes()
    assert "short: epochs 2." in notes and "long: epochs 9." in notes
    assert any(n.startswith("Not compared, as short has nothing like it: fa") for n in notes)


def test_experiments_with_other_parameters_pair_by_algorithm():
    tuned = seeds("dfa[sigma=0.5]", NEAR, optimizer="adam[lr=0.01]", tuning="12 draws")
    (row,) = compared(seeds("dfa", WORSE), tuned, ("a", "b"), algorithms=False).dicts()
    assert (row["first_algorithm"], row["second_algorithm"]) == ("dfa", "dfa[sigma=0.5]")
    assert row["second_tuning"] == "12 draws" and row["verdict"] == "worse"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    results = tmp_path_factory.mktemp("comparison") / "results"
    write(results, "one", [*seeds("backprop", BACKPROP), *seeds("dfa", WORSE)])
    write(results, "two", [*seeds("rec-lra[gap=1]", NEAR), *seeds("rec-lra", WORSE)])
    write(results, "three", seeds("fa", NEAR, network="mlp[hidden=64]"))
    return results.parent


def test_compare_finds_records_of_every_experiment_or_of_one(folder, credbench):
    ran = credbench("compare", "rec-lra[gap=1]", "backprop", cwd=folder)
    assert "rec-lra[gap=1] is 0.05 points worse than backprop on mnist" in ran.stdout
    assert "): equivalent within 0.5 points." in ran.stdout and "Hardware: " in ran.stdout
    ran = credbench("compare", "dfa", "backprop", "--name", "one", "--format", "json", "--margin",
                    "3", cwd=folder)  # fmt: skip
    (row,) = json.loads(ran.stdout)[0]["rows"]
    assert (row["verdict"], row["difference_n"], row["margin"]) == ("equivalent", 4, 3.0)
    assert row["sentence"].endswith("equivalent within 3 points.")


def test_the_more_specific_side_gets_what_both_name(folder, credbench):
    ran = credbench("compare", "rec-lra", "rec-lra[gap=1]", "--format", "csv", cwd=folder)
    (row,) = csv.DictReader(io.StringIO(ran.stdout))
    assert (row["first_algorithm"], row["second_algorithm"]) == ("rec-lra", "rec-lra[gap=1]")


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("recc-lra", "dfa"), "did you mean 'rec-lra'?"),
        (("one", "dfa"), "give two experiments, or two algorithms and --name one"),
        (("dfa", "dfa"), "'dfa' against itself"),
        (("dfa", "dfa[]"), "are the same algorithm"),
        (("dfa,fa", "backprop"), "names 2 algorithms"),
        (("fa", "dfa"), "share no network: mlp[hidden=64] against mlp;"),
        (("lra-e", "dfa"), "there are no records of 'lra-e'"),
        (("dfa", "backprop", "--name", "four"), "unknown experiment"),
        (("dfa", "backprop", "--margin", "0"), "--margin 0: expected points"),
        (("dfa", "backprop", "--margin", "nan"), "--margin nan: expected points"),
        (("one", "three"), "share no algorithm: backprop, dfa against fa;"),
    ],
)
def test_requests_that_compare_nothing_are_told(folder, credbench, arguments, words):
    assert words in credbench("compare", *arguments, cwd=folder, code=2).stderr


def test_tables_compare_when_asked(folder, credbench):
    plain = credbench("table", "one", "--format", "md", cwd=folder).stdout
    assert "vs best" not in plain
    asked = credbench("table", "one", "--margin", "2", "--format", "md", cwd=folder).stdout
    assert "+1.01" in asked and ", equivalent |" in asked and "within 2 points" in asked
    ran = credbench("table", "--compare", "--trials", "--format", "csv", cwd=folder, code=2)
    assert "--trials with --compare" in ran.stderr


def test_a_run_compares_when_asked(tmp_path, credbench):
    ran = credbench("run", "-a", "backprop,dfa", "-s", "2", "-n", "mlp[hidden=8]", "-e", "1",
                    "--limit-train", "64", "--device", "cpu", "--no-timing", "--compare",
                    "--format", "json")  # fmt: skip
    table = json.loads(ran.stdout)[0]["rows"]
    assert {row["best_verdict"] for row in table} & {"better", "worse", "equivalent", "undecided"}
    assert sum(row["best_verdict"] is None for row in table) == 1
