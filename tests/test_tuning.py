"""Tuning: the same budget for all, validation alone, seeds of its own, winners that are used."""

import json
from dataclasses import replace

import pytest
import yaml

from credbench.component import Search
from credbench.experiment import make_experiment
from credbench.tuning import Budget, candidates, pick, plan, search_space, winner
from helpers import REGISTRY

BUDGET = Budget(draws=8, passes=3, images=500)


def cell(**settings):
    return make_experiment(REGISTRY, {"seeds": "1", **settings}).trials[0]


def drawn(trials, key):
    return [getattr(trial.algorithm, key) for trial in trials]


@pytest.mark.parametrize("algorithm", REGISTRY.names("algorithm"))
def test_every_learner_gets_the_same_draws_of_its_declared_ranges(algorithm):
    base = cell(algorithm=algorithm)
    trials = candidates(base, BUDGET)
    assert len(trials) == BUDGET.draws
    assert trials[0].algorithm == base.algorithm and trials[0].optimizer == base.optimizer
    assert {t.seed for t in trials} == {BUDGET.seed} and base.seed != BUDGET.seed
    assert {t.limit_train for t in trials} == {500}
    passes = trials[0].epochs * len(base.algorithm.phases)
    assert BUDGET.passes <= passes < BUDGET.passes + len(base.algorithm.phases)
    rates = [t.optimizer.lr for t in trials[1:]]
    assert len(set(rates)) == 7 and all(1e-5 <= rate <= 1e-2 for rate in rates)
    for name, parameter in search_space(base.algorithm).items():
        for trial in trials[1:]:
            value = getattr(trial.algorithm, name)
            search = parameter.search
            if search.choices:
                assert value in search.choices or value == parameter.default
            else:
                assert search.low <= value <= search.high


def test_draws_fall_into_every_stratum():
    """A Latin hypercube: one draw in each of as many equal parts of the range."""
    from math import log10

    rates = [t.optimizer.lr for t in candidates(cell(algorithm="dfa"), replace(BUDGET, draws=13))]
    parts = sorted(int((log10(rate) + 5) / 3 * 12) for rate in rates[1:])
    assert sum(a == b for a, b in enumerate(parts)) >= 10  # rounding to two digits may move one


def test_draws_are_the_same_each_time_and_differ_between_settings():
    first, again = (candidates(cell(algorithm="dfa"), BUDGET) for _ in range(2))
    assert [t.id for t in first] == [t.id for t in again]
    other = candidates(cell(algorithm="dfa", activation="sign"), BUDGET)
    assert drawn(first, "sigma") != drawn(other, "sigma")


def test_what_is_given_stays_as_given():
    trials = candidates(
        cell(algorithm="rec-lra[gap=1,beta=0.1]", optimizer="adam[lr=1e-3]"), BUDGET
    )
    assert set(drawn(trials, "gap")) == {1} and set(drawn(trials, "beta")) == {0.1}
    assert len(set(drawn(trials, "gamma"))) > 4
    assert {t.optimizer.lr for t in trials} == {1e-3}


def test_a_learner_with_nothing_to_draw_is_tried_once():
    base = cell(algorithm="backprop", optimizer="adam[lr=1e-3]")
    assert len(candidates(base, BUDGET)) == 1


@pytest.mark.parametrize(
    "search, values",
    [(Search(0.01, 1.0, "log"), (0.01, 0.1, 1.0)), (Search(0.0, 4.0), (0.0, 2.0, 4.0)),
     (Search(choices=(1, 2, 4)), (1, 2, 4))],
)  # fmt: skip
def test_ranges_are_covered_from_end_to_end(search, values):
    assert tuple(pick(search, u) for u in (0.0, 0.5, 1.0)) == pytest.approx(values)


def test_the_winner_is_the_lowest_on_validation_and_failures_lose():
    base = cell(algorithm="dfa")
    trials = candidates(base, replace(BUDGET, draws=4))
    errors = (9.0, 5.0, None, 5.0)
    records = {
        trial.id: {"status": "failed"}
        if error is None
        else {"status": "done", "scores": {"validation": {"error": error}}}
        for trial, error in zip(trials, errors, strict=True)
    }
    best = winner(base, trials, records)
    assert best.trial == trials[1] and (best.error, best.default, best.finished) == (5, 9, 3)
    assert winner(base, trials, {}) is None


def test_cells_that_are_not_applicable_cost_nothing():
    experiment = make_experiment(
        REGISTRY, {"seeds": "1", "algorithm": "dfa,target-prop", "network": "res-mlp"}
    )
    spent, by_cell = plan(experiment, BUDGET)
    assert len(by_cell) == 1 and len(spent.trials) == BUDGET.draws
    assert [c.algorithm.name for c in spent.refused] == ["target-prop"]


TUNE = ("tune", "-a", "backprop,dfa", "-n", "mlp[hidden=16]", "--draws", "3", "--passes", "2",
        "--images", "300")  # fmt: skip


def test_tune_then_run_tuned(credbench, tmp_path):
    told = json.loads(credbench(*TUNE, "--format", "json").stdout)
    rows = {row["asked"]: row for row in told[0]["rows"]}
    assert rows.keys() == {"backprop", "dfa"} and all(r["draws"] == 3 for r in rows.values())
    assert all(row["validation_error"] <= row["untuned_error"] for row in rows.values())
    records = [json.loads(p.read_text()) for p in (tmp_path / "results").rglob("trials/*.json")]
    assert len(records) == 6
    assert all(set(r["scores"]) == {"validation"} and not r["confusion"] for r in records)
    assert all(r["trial"]["seed"] == 1_000_000 for r in records)
    winners = yaml.safe_load((tmp_path / "results/tune-digits/tuned.yaml").read_text())["winners"]
    assert {w["setting"]["algorithm"]: w["optimizer"] for w in winners} == {
        name: row["optimizer"] for name, row in rows.items()
    }
    run = ("run", "--tuned", "-n", "mlp[hidden=16]", "-e", "2", "-s", "2", "--no-timing")
    ran = json.loads(credbench(*run, "-a", "dfa", "--format", "json").stdout)[0]
    (row,) = ran["rows"]
    assert row["algorithm"] == rows["dfa"]["algorithm"] and row["n"] == 2
    assert row["tuning"] == "3 draws × 2 passes over 300 images"
    assert "3 draws × 2 passes over 300 images" in credbench("table", "digits").stdout
    assert "missing" in credbench("table", "tune-digits").stdout


def test_tuning_more_keeps_what_was_there(credbench, tmp_path):
    credbench(*TUNE)
    credbench(*TUNE, "-a", "fa")
    winners = yaml.safe_load((tmp_path / "results/tune-digits/tuned.yaml").read_text())["winners"]
    assert [w["setting"]["algorithm"] for w in winners] == ["backprop", "dfa", "fa"]
    again = credbench(*TUNE)
    assert "to run" not in again.stderr


def test_tuned_settings_can_be_asked_for_in_a_file(credbench, tmp_path):
    credbench(*TUNE)
    (tmp_path / "mine.yaml").write_text(
        "algorithm: dfa\nnetwork: mlp[hidden=16]\ntuned: true\nseeds: 1\nepochs: 1\n"
    )
    plan = json.loads(credbench("run", "mine.yaml", "--dry-run", "--format", "json").stdout)
    assert plan[0]["tuning"].startswith("3 draws")


@pytest.mark.parametrize(
    "arguments, told",
    [
        (("run", "--tuned", "-a", "fa", "-n", "mlp[hidden=16]"), "no tuned settings are known"),
        (
            ("run", "--tuned", "-a", "dfa", "-n", "mlp[hidden=16]", "-s", "1000000,"),
            "give other",
        ),
        (("tune", "--images", "99999"), "give at most 1150"),
        (("tune", "--draws", "0"), "draws"),
        (("tune", "-a", "target-prop", "-n", "res-mlp"), "not applicable"),
        (("run", "--tuned", "--results-dir", "broken"), "expected a list of winners"),
    ],
)
def test_what_cannot_be_tuned_is_refused_in_a_line(credbench, tmp_path, arguments, told):
    (tmp_path / "broken" / "x").mkdir(parents=True)
    (tmp_path / "broken" / "x" / "tuned.yaml").write_text("- 1\n")
    if "dfa" in arguments:
        credbench(*TUNE)
    ran = credbench(*arguments, code=2)
    assert told in ran.stderr and ran.stderr.count("\n") == 1


GOOD = {
    "setting": {
        "algorithm": "dfa", "dataset": "digits", "activation": "tanh", "network": "mlp",
        "optimizer": "adam", "init": "gaussian", "batch-size": 32, "clip-norm": None,
    },
    "algorithm": "dfa[sigma=0.1]", "optimizer": "adam", "budget": "b", "seed": 9,
}  # fmt: skip


@pytest.mark.parametrize(
    "change, told",
    [
        ({"algorithm": "backprop"}, "no setting of algorithm 'dfa'"),
        ({"algorithm": "dfa,fa"}, "no setting of algorithm 'dfa'"),
        ({"algorithm": "dfa[sigmma=1]"}, "sigmma"),
        ({"optimizer": "adam[lr=1e-3|1e-2]"}, "no setting of optimizer 'adam'"),
        ({"algorithm": 5}, "has no valid algorithm"),
        ({"algorithm": ["dfa"]}, "has no valid algorithm"),
        ({"seed": "9"}, "has no valid seed"),
        ({"budget": None}, "has no valid budget"),
        ({"setting": 3}, "has no setting"),
        ({"setting": {"algorithm": "dfa"}}, "lacks dataset"),
        ({"setting": {**GOOD["setting"], 3: {4: 5}}}, None),
    ],
)
def test_winners_that_are_none_are_refused_by_file(credbench, tmp_path, change, told):
    path = tmp_path / "results" / "x" / "tuned.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(yaml.safe_dump({"winners": [GOOD | change]}))
    ran = credbench("run", "--tuned", "-a", "dfa", "--dry-run", code=2 if told else 0)
    if told:
        assert told in ran.stderr and "tuned.yaml" in ran.stderr and ran.stderr.count("\n") == 1


def test_winners_that_cannot_be_written_stop_a_search_before_it_starts(credbench, tmp_path):
    path = tmp_path / "results" / "tune-digits" / "tuned.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("nonsense")
    assert "list of winners" in credbench(*TUNE, code=2).stderr
    assert not list(path.parent.glob("trials/*.json"))


def test_passes_beyond_whole_epochs_are_said():
    alternating, parallel = (
        cell(algorithm=f"target-prop[schedule={s}]").algorithm for s in ("alternating", "parallel")
    )
    assert BUDGET.spent(alternating) == "8 draws × 4 passes over 500 images"
    assert BUDGET.spent(parallel) == str(BUDGET) == "8 draws × 3 passes over 500 images"


PLUGIN = """
from dataclasses import dataclass
from credbench import Learner, Search, parameter

@dataclass(frozen=True)
class Odd(Learner):
    name = "odd"
    times: int = parameter(2, help="whole", search=Search(1, 10))
    def refuses(self, network, activation):
        return "odd only" if self.times % 2 == 0 and self.times > 2 else ""
    def updates(self, step):
        a = step.forward()
        return step.updates(a, {step.net.depth: step.output_error(a)})
"""


def test_whole_numbers_are_drawn_whole_and_refused_draws_are_not_run(credbench, tmp_path):
    (tmp_path / "odd.py").write_text(PLUGIN)
    given = ("tune", "-a", "odd", "--plugin", "odd.py", "--draws", "9", "--images", "100")
    plan = json.loads(credbench(*given, "--dry-run", "--format", "json").stdout)
    times = [int(cell["algorithm"].split("=")[1].rstrip("]")) for cell in plan]
    assert len(set(times)) > 2 and all(n == 2 or n % 2 for n in times)


@pytest.mark.parametrize("given", [{"low": 2.0}, {"low": 0.0, "scale": "log"}, {"scale": "cubic"}])
def test_ranges_that_are_none_are_refused_where_they_are_declared(given):
    with pytest.raises(ValueError, match="a search from"):
        Search(**given)


def test_a_search_that_comes_to_nothing_is_said(credbench):
    ran = credbench(
        "tune", "-a", "backprop", "-f", "identity", "-n", "mlp[hidden=16]", "-o",
        "sgd[lr=1e30]", "--images", "200", "--draws", "2", code=1,
    )  # fmt: skip
    assert "no draw came to a result" in ran.stderr
