"""Published numbers beside ours, and curves drawn from records."""

import json
from importlib import resources

import pytest
import yaml

from credbench.report.published import _published, find
from credbench.report.summary import AXES, MEASURES, Row
from credbench.spec import parse_axis
from credbench.tuning import Budget
from helpers import REGISTRY


def row(algorithm, dataset="mnist", activation="tanh"):
    made = REGISTRY.create("algorithm", parse_axis(algorithm)[0])
    arguments = dict.fromkeys(AXES, "") | {
        "algorithm": made.spec(), "dataset": dataset, "activation": activation
    }  # fmt: skip
    estimates = dict.fromkeys(MEASURES)
    return Row(arguments, arguments, 1, estimates, None, False, 1, 1, 1, False, "", {}, "")


@pytest.mark.parametrize(
    "algorithm, dataset, activation, test",
    [
        ("backprop", "mnist", "tanh", 1.48),
        ("backprop", "fashion-mnist", "tanh", 12.98),
        ("rec-lra[gap=1,beta=0.3]", "mnist", "sign", 2.33),
        ("rec-lra", "fashion-mnist", "lrelu[slope=0.01]", 14.13),
        ("target-prop", "mnist", "tanh", 1.83),
        ("target-prop[schedule=parallel]", "mnist", "tanh", 2.86),
        ("target-prop[top=augmented,features=128]", "mnist", "tanh", 1.86),
        ("target-prop[top=inverse]", "mnist", "tanh", 2.28),
        ("target-prop", "fashion-mnist", "tanh", 19.66),
        ("equilibrium-prop", "mnist", "hard-sigmoid", 9.21),
    ],
)
def test_a_row_finds_the_cell_it_is_to_be_compared_with(algorithm, dataset, activation, test):
    assert find(row(algorithm, dataset, activation)).test == test


@pytest.mark.parametrize(
    "algorithm, dataset, activation",
    [("lra-diff", "mnist", "tanh"), ("backprop", "mnist", "sign"), ("dfa", "digits", "tanh"),
     ("target-prop[correction=none]", "mnist", "tanh"), ("rec-lra[rule=printed]", "mnist", "tanh"),
     ("target-prop[top=inverse,correction=none]", "mnist", "tanh"),
     ("lra-e[rule=fixed]", "mnist", "tanh")],
)  # fmt: skip
def test_nothing_is_put_beside_what_was_not_published(algorithm, dataset, activation):
    assert find(row(algorithm, dataset, activation)) is None


def test_every_published_cell_names_what_exists_and_says_how_sure_it_is():
    for wanted, cell in _published():
        (spec,) = parse_axis(wanted["algorithm"])
        REGISTRY.create("algorithm", spec)
        assert wanted["dataset"] in REGISTRY.names("dataset")
        assert wanted.get("activation", "tanh") in REGISTRY.names("activation")
        assert cell.sure.partition(",")[0] in ("printed", "inferred", "second-hand")
        assert cell.source
        assert 0 < cell.test < 100


def test_shipped_winners_are_of_settings_that_exist():
    paper = resources.files("credbench.paper")
    files = [f for f in paper.iterdir() if f.name.startswith("tuned")]
    assert files
    for file in files:
        for entry in yaml.safe_load(file.read_text("utf-8"))["winners"]:
            for kind in ("algorithm", "optimizer"):
                made = REGISTRY.create(kind, parse_axis(entry[kind])[0])
                assert made.spec(full=False) == entry[kind]
            learner = REGISTRY.create("algorithm", parse_axis(entry["algorithm"])[0])
            budget = Budget(draws=12, passes=3, images=10_000)
            assert (entry["seed"], entry["budget"]) == (budget.seed, budget.spent(learner))


def test_run_tuned_uses_the_shipped_winners(credbench):
    given = ("-a", "backprop,dfa,rec-lra", "-d", "mnist", "-n", "mlp[hidden=256x5]", "-s", "1")
    plan = credbench("run", "--tuned", *given, "--dry-run", "--format", "json").stdout
    cells = json.loads(plan)
    assert len(cells) == 3
    assert all(cell["tuning"] == "12 draws × 3 passes over 10,000 images" for cell in cells)
    untuned = json.loads(credbench("run", *given, "--dry-run", "--format", "json").stdout)
    assert all("tuning" not in cell for cell in untuned)
    assert [c["optimizer"] for c in cells] != [c["optimizer"] for c in untuned]


def test_curves_and_published_numbers_through_the_command_line(credbench, tmp_path):
    run = ("run", "-a", "backprop,lra-e[rule=printed]", "-n", "mlp[hidden=16]", "-o",
           "sgd[lr=0.1|1e20]", "-s", "2", "-e", "3", "--no-timing", "--format", "csv")  # fmt: skip
    credbench(*run, code=1)
    told = credbench("plot", "digits").stdout.split()
    assert told == [f"results/digits/figures/validation-error.{kind}" for kind in ("png", "pdf")]
    for path in told:
        content = (tmp_path / path).read_bytes()
        assert content.startswith((b"\x89PNG", b"%PDF")) and len(content) > 5000
    credbench("plot", "digits", "--measure", "training-loss", "--output", "elsewhere")
    assert (tmp_path / "elsewhere" / "training-loss.pdf").is_file()
    (table,) = json.loads(credbench("table", "--published", "--format", "json").stdout)
    assert all(each["published_test"] is None for each in table["rows"])
    assert "published" in credbench("table", "--published", "--format", "md").stdout


@pytest.mark.parametrize(
    "arguments, told",
    [(("plot", "nothing"), "nothing"), (("plot", "digits", "--measure", "beauty"), "beauty")],
)
def test_what_cannot_be_drawn_is_refused_in_a_line(credbench, arguments, told):
    credbench("run", "-a", "backprop", "-n", "mlp[hidden=8]", "-s", "1", "-e", "1", "--no-timing")
    ran = credbench(*arguments, code=2)
    assert told in ran.stderr and ran.stderr.count("\n") == 1


def test_a_line_looks_the_same_in_every_panel():
    from credbench.report.curves import looks_of

    lines = [("dfa[sigma=1.0]",), ("fa",), ("dfa",), *((f"dfa[sigma={k}]",) for k in range(2, 9))]
    looks = looks_of(lines, 0)
    assert looks["dfa",]["color"] == looks["dfa[sigma=1.0]",]["color"] != looks["fa",]["color"]
    pairs = [(looks[line]["linestyle"], looks[line]["marker"]) for line in lines if line != ("fa",)]
    assert len(set(pairs)) == len(pairs)


def test_curves_end_where_values_stop_being_finite():
    from credbench.report.curves import finite

    assert finite([3.0, 2.0, None, 1.0]) == [3.0, 2.0]
    assert finite([None]) == [] and finite([]) == []


def test_a_row_without_results_has_no_difference():
    from credbench.report.published import PublishedTable

    table = PublishedTable("t", [row("backprop")])
    (cells,) = table.cells()
    assert "1.48 [1]" in cells and cells[table.headings().index("difference")] == "—"
    assert table.footnotes()[0].startswith("[1] ")
