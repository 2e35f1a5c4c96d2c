"""The claims that are shipped, the command as a user calls it, and what committed records say."""

import csv
import io
import json
import re
import shlex
from pathlib import Path

import pytest
import typer
from trials import seeds, write

from credbench.cli import app
from credbench.experiment import make_experiment
from credbench.report.claims.ledger import KINDS, read_claims
from credbench.report.claims.tables import SYMBOLS
from credbench.report.claims.verdict import WORDS
from credbench.report.fitting import canonical, fits
from credbench.spec import parse_axis
from credbench.staleness import present_source
from credbench.store import timed_alone
from credbench.targets import read_target
from helpers import REGISTRY

RESULTS = Path(__file__).parent.parent / "results"
CLAIMS = read_claims(REGISTRY)
CRITERIA = [criterion for claim in CLAIMS for criterion in claim.criteria]
COMMITTED = {
    "fashion-mnist-beats-backprop": "contradicted",
    "sign-trains": "supported",
    "sign-as-published": "contradicted",
    "sigmoid-trains": "supported",
    "sigmoid-backprop-fails": "contradicted",
    "fewer-parameters-cifar10": "supported",
    "fewer-parameters-imagenet": "contradicted",
}
"""What results/ decides, or counting does; the rest may change with what is measured next."""


def test_claims_are_whole_and_told_apart():
    ids = [claim.id for claim in CLAIMS]
    assert len(set(ids)) == len(ids) and all(re.fullmatch(r"[a-z0-9-]+", id) for id in ids)
    for claim in CLAIMS:
        assert claim.says.endswith(".") and claim.where and claim.published and claim.criteria
    assert {type(criterion) for criterion in CRITERIA} == set(KINDS.values())
    assert set(SYMBOLS) == set(WORDS) and set(COMMITTED) <= set(ids)


def test_everything_that_claims_name_exists():
    names = ("algorithm", "first", "second")
    for criterion in CRITERIA:
        for algorithm in (getattr(criterion, name, None) for name in names):
            if algorithm is not None:
                REGISTRY.create("algorithm", parse_axis(algorithm)[0])
        for axis, specs in criterion.needs.asked.items():
            kind = "initializer" if axis == "init" else axis
            for spec in specs:
                REGISTRY.create(kind, spec)


def options_of(command):
    """What a command's own parser makes of it."""
    program, name, *arguments = shlex.split(command)
    assert program == "credbench"
    commands = typer.main.get_command(app).commands
    found = commands[name].make_context(name, arguments).params
    return {k.replace("_", "-"): v for k, v in found.items() if isinstance(v, str)}


@pytest.mark.parametrize("command", sorted({c.command() for c in CRITERIA} - {""}))
def test_commands_that_would_decide_can_be_run(command):
    given = options_of(command)
    keys = ("algorithm", "dataset", "network", "activation", "init", "epochs", "seeds")
    experiment = make_experiment(REGISTRY, {k: given[k] for k in keys if given.get(k)})
    assert experiment.trials and not experiment.refused


def decides(criterion, trial):
    needs, arguments = criterion.needs, {k: str(v) for k, v in trial.arguments.items()}
    if not needs.about(arguments) or needs.strays(arguments, arguments):
        return False
    return trial.epochs >= needs.epochs and trial.limit_train is None


@pytest.mark.parametrize("claim", [c for c in CLAIMS if c.target], ids=lambda claim: claim.id)
def test_targets_make_what_decides(claim):
    target = read_target(claim.target, "paper")
    assert options_of(f"credbench reproduce {target.name} --scale paper")["scale"] == "paper"
    for criterion in claim.criteria:
        seen = {criterion.first: set(), criterion.second: set()}
        for trial in (t for grid in target.grids for t in make_experiment(REGISTRY, grid).trials):
            timed = criterion.needs.strays(
                *[{k: str(v) for k, v in trial.arguments.items()}] * 2, ("dataset", "network")
            )
            fit = not timed if target.shows == "timing" else decides(criterion, trial)
            for name in seen if fit else ():
                asked = canonical("algorithm", parse_axis(name)[0], REGISTRY)
                if fits(trial.algorithm.spec(), asked):
                    seen[name].add(trial.seed)
        least = 1 if target.shows == "timing" else criterion.needs.seeds
        assert all(len(found) >= least for found in seen.values())
        assert target.shows != "timing" or target.repeats >= criterion.needs.seeds


@pytest.fixture(scope="module")
def committed(tmp_path_factory):
    import subprocess
    import sys

    program = Path(sys.executable).with_name("credbench")
    ran = subprocess.run(
        [program, "claims", "--results-dir", RESULTS, "--format", "json"],
        capture_output=True, text=True, check=True, cwd=tmp_path_factory.mktemp("empty"),
    )  # fmt: skip
    (table,) = json.loads(ran.stdout)
    return table


def test_committed_records_say_what_their_readmes_report(committed):
    words = {row["claim"]: row["verdict"] for row in committed["rows"]}
    assert set(words) == {claim.id for claim in CLAIMS}
    assert {id: words[id] for id in COMMITTED} == COMMITTED
    assert all(row["missing"] for row in committed["rows"] if row["test_verdict"] == "undecided")


def test_numbers_behind_committed_verdicts_are_those_of_the_readmes(committed):
    rows = [row for row in committed["rows"] if row["claim"] == "fashion-mnist-beats-backprop"]
    deciding = [row for row in rows if not row["lacks"]]
    (row,) = (r for r in deciding if r["place"] == "fashion-mnist, mlp[hidden=256x5], tanh")
    assert row["of"] == "11.45 against 10.69" and f"{row['value']:.2f}" == "0.76"
    assert row["finding_scale"] == "30 epochs, all 58,000 images, n = 3, tuned"
    short = [row for row in committed["rows"] if row["claim"] == "cifar10-near-backprop"]
    assert any("8 epochs, 10,000 images" in row["lacks"] for row in short)
    assert all("class folders (JPEG)" in row["finding_scale"] for row in short)
    assert any(note.startswith("Command: credbench run") for note in committed["notes"])


def test_without_records_what_is_counted_is_decided_and_the_rest_says_what_is_missing(credbench):
    (table,) = json.loads(credbench("claims", "--format", "json").stdout)
    for row in table["rows"]:
        counted = row["unit"] == "parameters"
        assert (row["verdict"] == "undecided") is not counted
        assert counted or (row["value"] is None and row["missing"] and row["command"])
    numbers = {row["claim"]: row["of"] for row in table["rows"] if row["unit"] == "parameters"}
    ours, theirs = numbers["fewer-parameters-cifar10"].split(" against ")
    assert (ours, theirs) == ("8,745,130 (and 1,372,160 fixed)", "11,173,962")
    assert numbers["fewer-parameters-imagenet"].startswith("24,407,272 ")


def current(record):
    """The record as its source's present version would have made it."""
    return record | {"source": present_source(record["trial"], REGISTRY)}


def test_records_of_a_user_decide_unless_they_are_stale(credbench, tmp_path):
    asked = "fashion-mnist-beats-backprop"
    given = {"dataset": "fashion-mnist", "network": "mlp[hidden=256x5]", "epochs": 30}
    ours, theirs = [10.0, 10.1, 10.2], [11.0, 11.3, 11.2]
    records = [*seeds("rec-lra", ours, **given), *seeds("backprop", theirs, **given)]
    write(tmp_path / "results", "mine", records)
    (table,) = json.loads(credbench("claims", asked, "--format", "json").stdout)
    (row,) = table["rows"]
    assert row["verdict"] == "undecided" and row["value"] < -1
    assert row["lacks"].startswith("stale: made by another version")
    write(tmp_path / "results", "now", list(map(current, records)))
    shown = credbench("claims", asked, "--format", "md").stdout
    assert "| supported |" in shown and "-1.07 (" in shown
    assert "30 epochs, all 58,000 images, n = 3, untuned" in shown
    write(tmp_path / "results", "short", seeds("fa", theirs, **given | {"epochs": 2}))
    (table,) = json.loads(
        credbench("claims", "fashion-mnist-beats-plausible", "--format", "json").stdout
    )
    assert {row["verdict"] for row in table["rows"]} == {"undecided"}


def test_a_folder_of_results_that_is_not_there_is_told(credbench, tmp_path):
    ran = credbench("claims", "--results-dir", "resluts", code=2)
    assert "--results-dir resluts is not a folder" in ran.stderr
    assert not ran.stdout and ran.stderr.count("\n") == 1
    usual = credbench("claims", "fewer-parameters-cifar10")
    assert "supported" in usual.stdout and "no folder results/" in usual.stderr
    (tmp_path / "results").mkdir()
    assert not credbench("claims", "fewer-parameters-cifar10").stderr


def test_the_target_of_a_claim_about_a_device_is_made_on_it(credbench):
    shown = credbench("claims", "faster-epochs", "--format", "md").stdout
    assert "credbench reproduce timing --scale paper --device cuda" in shown
    (claim,) = read_claims(REGISTRY, ["faster-epochs"])
    options_of(f"credbench reproduce {claim.target} --scale paper --device cuda")


def test_every_format_has_every_claim(credbench):
    asked = ("fewer-parameters-cifar10", "sign-trains")
    shown = {f: credbench("claims", *asked, "--format", f).stdout for f in ("md", "latex", "csv")}
    rows = list(csv.DictReader(io.StringIO(shown["csv"])))
    assert [row["claim"] for row in rows] == [asked[0], asked[1], asked[1]]
    assert "| fewer-parameters-cifar10 | " in shown["md"] and " | supported | " in shown["md"]
    assert shown["md"].count("\n| ---") == 2
    assert shown["latex"].count(r"\begin{longtable}{p{") == 2


def test_an_unknown_claim_is_answered_with_the_nearest(credbench):
    ran = credbench("claims", "sign-train", code=2)
    assert "unknown claim 'sign-train'" in ran.stderr
    assert "did you mean 'sign-trains'?" in ran.stderr
    assert "unknown format" in credbench("claims", "--format", "mdd", code=2).stderr


def test_timing_records_that_cannot_be_read_are_named(credbench, tmp_path):
    folder = tmp_path / "results/timing/machine"
    folder.mkdir(parents=True)
    (folder / "broken.json").write_text('{"rows": [{}]}')
    (folder / "torn.json").write_text("{")
    ran = credbench("claims", "faster-epochs")
    assert ran.stderr.count("cannot be read") == 2 and "no timing run" in ran.stdout


def test_timing_of_trials_that_others_hold_counts(committed):
    """results/figure4-standard has timed what results/deep-8x256 holds."""
    held = {path.parent.name for path in RESULTS.glob("*/trials")}
    assert set(timed_alone(RESULTS)) & held == set() and "figure4-standard" in timed_alone(RESULTS)
    seconds = [row for row in committed["rows"] if row["claim"] == "fewer-seconds"]
    places = {row["place"] for row in seconds if "timed on" in row["finding_scale"]}
    assert "mnist, mlp[hidden=256x8], tanh" in places


def test_a_folder_that_is_not_there_has_timed_nothing(tmp_path):
    assert timed_alone(tmp_path / "none") == []
