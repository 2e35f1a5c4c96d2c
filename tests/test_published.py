"""Published numbers beside ours, and curves drawn from records."""

import json
import time
from dataclasses import replace
from importlib import resources

import pytest
import yaml

from credbench.report.fitting import fits
from credbench.report.published import (
    PUBLISHED,
    SURE,
    PublishedTable,
    beside_published,
    cells,
    find,
)
from credbench.report.statistics import estimate
from credbench.report.summary import AXES, MEASURES, Row
from credbench.report.tables import Table
from credbench.spec import parse_axis
from credbench.tuning import Budget
from helpers import REGISTRY


def row(algorithm, dataset="mnist", activation="tanh", network="mlp[hidden=256x5]", **measured):
    made = REGISTRY.create("algorithm", parse_axis(algorithm)[0])
    arguments = dict.fromkeys(AXES, "") | {
        "algorithm": made.spec(), "dataset": dataset, "activation": activation, "network": network
    }  # fmt: skip
    estimates = dict.fromkeys(MEASURES) | {m: estimate([v]) for m, v in measured.items()}
    return Row(arguments, arguments, 1, estimates, None, False, 1, 1, 1, False, "", {}, "")


def published(*arguments, **given):
    """The published numbers of a row by measure."""
    return {measure: number.value for measure, number in find(row(*arguments, **given)).items()}


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
    assert published(algorithm, dataset, activation)["test"] == test


@pytest.mark.parametrize(
    "algorithm, dataset, activation",
    [("lra-diff", "mnist", "tanh"), ("backprop", "mnist", "sign"), ("dfa", "digits", "tanh"),
     ("target-prop[correction=none]", "mnist", "tanh"), ("rec-lra[rule=printed]", "mnist", "tanh"),
     ("target-prop[top=inverse,correction=none]", "mnist", "tanh"),
     ("lra-e[rule=fixed]", "mnist", "tanh")],
)  # fmt: skip
def test_nothing_is_put_beside_what_was_not_published(algorithm, dataset, activation):
    assert find(row(algorithm, dataset, activation)) == {}


RESIDUAL = ("resnet[depth=18]", "pnn-resnet[depth=18,level=0.1]")


@pytest.mark.parametrize(
    "algorithm, dataset, network, test",
    [
        *(("rec-lra", "cifar10[preprocess=zca]", network, 9.12) for network in RESIDUAL),
        *(("backprop", "cifar10", network, 8.85) for network in RESIDUAL),
        *(("rec-lra", "imagenet[size=64]", network, 30.48) for network in RESIDUAL),
        ("backprop", "cifar10", "conv[filters=5x64s2]", 31.87),
        ("backprop", "cifar10", "local", 32.41),
        ("backprop", "cifar10", "mlp[hidden=1024x3]", 41.32),
        ("dfa", "cifar10", "local", 44.41),
        ("dfa", "cifar10", "mlp[hidden=1024x3]", 47.80),
        ("equilibrium-prop", "mnist", "mlp[hidden=500]", 9.21),
        ("target-prop", "cifar10", "local", 39.47),
        ("backprop", "mnist", "local", 1.17),
    ],
)
def test_the_network_tells_published_numbers_apart(algorithm, dataset, network, test):
    assert published(algorithm, dataset, network=network)["test"] == test


@pytest.mark.parametrize("network", ["vgg", "res-mlp[hidden=256x5]", "conv"])
def test_other_networks_have_no_published_numbers(network):
    assert find(row("rec-lra", "cifar10", network=network)) == {}
    assert find(row("dfa", "mnist", network=network)) == {}


@pytest.mark.parametrize("hidden", ["256x3", "256x8", "512x5"])
def test_perceptrons_of_other_widths_have_no_published_numbers(hidden):
    for algorithm in ("backprop", "rec-lra", "lra-e", "target-prop", "fa", "dfa"):
        for dataset in ("mnist", "fashion-mnist", "cifar10"):
            assert find(row(algorithm, dataset, network=f"mlp[hidden={hidden}]")) == {}


def test_the_papers_own_cell_comes_before_what_it_was_taken_from():
    found = find(row("target-prop", "cifar10", network="local"))
    assert found["test"].value == 39.47 and found["test"].cell.sure == "inferred"
    assert "42.32 if dense" in found["test"].cell.note
    assert found["train"].value is None and found["train"].cell.table == 1
    other = find(row("target-prop[top=inverse]", "cifar10", network="local"))
    assert other["train"].cell.table is None and other["test"].value is not None


def test_what_is_assumed_of_a_published_number_is_said():
    assert "5x256 assumed" in find(row("rec-lra"))["test"].cell.source


def test_a_row_finds_all_that_was_published_of_it():
    assert published("backprop") == {"train": 0.0, "test": 1.48}
    assert published("rec-lra", "cifar10", network="pnn-resnet") == {
        "train": None, "test": 9.12, "precision": 89.20, "recall": 88.61, "f1": 89.96,
    }  # fmt: skip
    assert published("backprop", "imagenet", network="resnet") == {
        "test": 28.16, "top5": None, "precision": 70.12, "recall": 69.96, "f1": 70.04,
    }  # fmt: skip
    assert published("fa", "imagenet", network="local") == {"test": 93.08, "top5": 82.54}
    assert find(row("rec-lra", "cifar10", network="resnet"))["test"].cell.sure == "printed"


_TANH = ("Backprop", "TP", "E-Prop", "LRA-E", "FA", "DFA")
_REC = tuple(f"rec-LRA, {name}" for name in ("tanh", "lrelu", "elu", "sign"))
_OWN = ("Backprop (impl)", "rec-LRA")
_TABLES = {
    (1, "mnist"): ((*_TANH, *_REC), {"train", "test"}),
    (1, "fashion-mnist"): ((*_TANH, *_REC), {"train", "test"}),
    (1, "cifar10"): (("CNN, Backprop", "TP", "FA", "DFA", *_OWN), {"train", "test"}),
    (1, "imagenet"): (("TP", "FA", *_OWN), {"test", "top5"}),
    (2, "cifar10"): (("Backprop", "rec-LRA"), {"accuracy", "test", "precision", "recall", "f1"}),
    (3, "imagenet"): (("Backprop", "rec-LRA"), {"accuracy", "test", "precision", "recall", "f1"}),
}


def test_the_papers_tables_are_complete():
    listed = {}
    for cell in cells():
        if cell.table is not None:
            rows = listed.setdefault((cell.table, cell.dataset), {})
            rows.setdefault(cell.row, set()).update(cell.values)
    expected = {key: dict.fromkeys(rows, measures) for key, (rows, measures) in _TABLES.items()}
    assert listed == expected


def test_every_published_cell_names_what_exists_and_says_how_sure_it_is():
    for cell in cells():
        made = REGISTRY.create("algorithm", cell.asked)
        spelled = dict(parse_axis(made.spec())[0].given)
        assert all(spelled[key] == value for key, value in cell.asked.given)
        assert cell.dataset in REGISTRY.names("dataset")
        assert cell.networks
        for network in cell.networks:
            assert fits(REGISTRY.create("network", network).spec(), network)
        assert cell.activation in (None, *REGISTRY.names("activation"))
        assert cell.sure in SURE and cell.source and cell.values
        assert set(cell.values) <= {*PUBLISHED, "accuracy"}
        for value in cell.values.values():
            assert value is None if cell.sure == "illegible" else 0 <= value < 100


def test_f1_that_is_not_the_harmonic_mean_is_told():
    seen = []
    for number in (2, 3):
        for name in ("Backprop", "rec-LRA"):
            mine = [cell for cell in cells() if (cell.table, cell.row) == (number, name)]
            values = {measure: v for cell in mine for measure, v in cell.values.items()}
            notes = " ".join(cell.note for cell in mine)
            p, r = values["precision"], values["recall"]
            harmonic = 2 * p * r / (p + r)
            fits = abs(harmonic - values["f1"]) < 0.01
            seen.append(fits)
            assert f"{r:.2f} does not" in notes and r != values["accuracy"]
            assert fits or f"{harmonic:.2f}, not {values['f1']:.2f}" in notes
            assert ("do not fit together" in notes) is not fits
    assert seen == [False, False, True, True]


def test_columns_are_those_that_something_published_stands_in():
    mlp = row("rec-lra", test=2.0, train=0.5)
    resnet = row("rec-lra", "cifar10", network="resnet", test=10.0, f1=90.0)
    headings = PublishedTable("t", [mlp]).headings()
    assert headings[headings.index("train error %") :][:3] == [
        "train error %", "published train %", "train difference",
    ]  # fmt: skip
    assert "published F1 %" not in headings and "published top-5 %" not in headings
    table = PublishedTable("t", [mlp, resnet, row("dfa", "digits", test=3.0)])
    beside = dict(zip(table.headings(), zip(*table.cells(), strict=True), strict=True))
    assert beside["published %"] == ("1.82 [1]", "9.12 [3]", "—")
    assert beside["difference"] == ("+0.18", "+0.88", "—")
    assert beside["published train %"] == ("0.00 [1]", "illegible [2]", "—")
    assert beside["F1 difference"] == ("—", "+0.04", "—")
    assert beside["published precision %"] == ("—", "89.20 [4]", "—")
    assert beside["precision difference"] == ("—", "—", "—")


def test_a_published_number_of_what_was_not_measured_has_its_column():
    table = PublishedTable("t", [row("fa", "imagenet", network="local")])
    (cells,) = table.cells()
    beside = dict(zip(table.headings(), cells, strict=True))
    assert beside["train error %"] == beside["test error %"] == beside["top-5 error %"] == "missing"
    assert beside["published %"] == "93.08 [1]" and beside["published top-5 %"] == "82.54 [1]"
    (flat,) = table.dicts()
    assert flat["published_top5"] == 82.54 and flat["published_top5_sure"] == "inferred"
    assert flat["published_f1"] is None and "Bartunov" in flat["published_test_source"]


def test_only_numbers_count_as_known():
    plain, some = Table("t", [row("lra-diff")]), Table("t", [row("lra-diff"), row("dfa")])
    assert beside_published(plain) is plain
    assert isinstance(beside_published(some), PublishedTable)


def test_ten_thousand_rows_are_looked_up_in_a_moment():
    sample = [row(name, data, test=3.0, train=1.0) for name in ("rec-lra", "dfa", "lra-diff")
              for data in ("mnist", "fashion-mnist")]  # fmt: skip
    rows = []
    for k in range(10_000):
        one = sample[k % len(sample)]
        rows.append(replace(one, arguments=one.arguments | {"optimizer": f"adam[lr={k}]"}))
    began = time.process_time()
    table = PublishedTable("t", rows)
    shown = table.headings(), table.cells(), table.footnotes(), table.dicts()
    assert time.process_time() - began < 3
    assert len(shown[1]) == len(shown[3]) == 10_000
    assert sum(note.startswith("[") for note in shown[2]) == 3


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
    table = PublishedTable("t", [row("backprop")])
    (cells,) = table.cells()
    assert "1.48 [1]" in cells and cells[table.headings().index("difference")] == "—"
    assert table.footnotes()[0].startswith("[1] ")
