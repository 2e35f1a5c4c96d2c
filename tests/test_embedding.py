"""The last hidden layer in the plane: what is kept of it, and that it is what it says."""

import json

import pytest
import torch

from credbench.embedding import embed, places
from credbench.experiment import make_experiment
from credbench.group import Group
from credbench.images import split
from credbench.records import check
from helpers import REGISTRY, generator


def test_images_are_spread_over_the_part():
    assert places(4, 12) == [0, 3, 6, 9]
    assert places(10, 7) == list(range(7))
    spread = places(1000, 10_000)
    assert len(set(spread)) == 1000 and spread[-1] == 9990


def test_what_lies_apart_stays_apart_and_is_the_same_each_time():
    centres = 20 * torch.randn(3, 16, generator=generator())
    labels = [k % 3 for k in range(60)]
    points = centres[labels] + torch.randn(60, 16, generator=generator(1))
    found = embed(points, labels)
    assert found["labels"] == labels and found == embed(points, labels)
    plane = torch.tensor(found["points"])
    nearest = (torch.cdist(plane, plane) + 1e9 * torch.eye(60)).argmin(1)
    assert all(labels[a] == labels[b] for a, b in enumerate(nearest.tolist()))


def test_what_is_not_finite_has_no_points():
    assert embed(torch.full((12, 3), float("nan")), [0] * 12) == {"points": [], "labels": []}


def test_what_is_all_the_same_has_no_points():
    assert embed(torch.full((12, 3), 0.7), [0] * 12) == {"points": [], "labels": []}
    assert embed(torch.zeros(12, 3), [0] * 12) == {"points": [], "labels": []}


@pytest.mark.parametrize("scale", [1e-30, 1, 1e30])
def test_scale_does_not_matter(scale):
    points = torch.randn(40, 5, generator=generator(3), dtype=torch.float64)
    found = embed(scale * points, [0] * 40)["points"]
    assert len({tuple(point) for point in found}) == 40


def test_one_unit_is_a_line():
    found = embed(torch.linspace(0, 1, 30).unsqueeze(1), [0] * 30)["points"]
    assert len(found) == 30


def group(algorithm, seeds, **given):
    settings = {"dataset": "digits", "algorithm": algorithm, "seeds": str(seeds), **given}
    trials = make_experiment(REGISTRY, settings).trials
    data = trials[0].dataset
    splits = split(data, data.load(None))
    return Group(trials, [splits] * seeds, torch.device("cpu"))


@pytest.mark.parametrize("network", ["mlp[hidden=20x2]", "mlp[hidden=20x2,norm=batch]"])
def test_the_top_is_the_activity_below_the_logits(network):
    made = group("backprop", 3, network=network)
    weights, shown = made.weights(), places(25, len(made.data["test"]))
    found = made.top("test", weights, shown)
    assert found.shape == (3, 25, 20)
    x = made.data["test"].run(0, len(made.data["test"]))[shown]
    for k in range(3):
        own = {name: leaf[k] for name, leaf in weights.params.items()}
        kept = {name: leaf[k] for name, leaf in weights.state.items()}
        views = made.net.settled(made.net.views(own), kept)
        assert torch.allclose(found[k], made.net.forward(views, x).z[2], atol=1e-6)


RUN = ("run", "-a", "backprop,dfa", "-e", "1", "-s", "2", "--no-timing", "--workers", "1")


def test_a_run_keeps_it_and_plot_draws_it(credbench, tmp_path):
    credbench(*RUN, "--name", "a")
    trials = tmp_path / "results" / "a" / "trials"
    before = {path.name: json.loads(path.read_text()) for path in trials.iterdir()}
    assert not any("embedding" in record for record in before.values())
    refused = credbench("plot", "a", "--measure", "tsne", code=2)
    assert "run it with --tsne 1000 first" in refused.stderr
    credbench(*RUN, "--name", "a", "--tsne", "40")
    for path in trials.iterdir():
        record = json.loads(path.read_text())
        assert record["curve"]["validation_error"] == before[path.name]["curve"]["validation_error"]
        assert record["embedding"]["asked"] == len(record["embedding"]["points"]) == 40
    drawn = credbench("plot", "a", "--measure", "tsne").stdout.split()
    assert [path.rsplit(".")[-1] for path in drawn] == ["png", "pdf"]
    assert all((tmp_path / path).stat().st_size > 5000 for path in drawn)
    credbench(*RUN, "--name", "a", "--angles", "20")  # neither takes the other's place
    assert all(
        {"embedding", "angles"} < json.loads(path.read_text()).keys() for path in trials.iterdir()
    )
    again = credbench(*RUN, "--name", "a", "--tsne", "40", "--dry-run").stdout
    assert "4 trials in results/a, 0 to run" in again
    other = credbench(*RUN, "--name", "a", "--tsne", "50", "--dry-run").stdout
    assert "4 to run" in other


def test_a_layer_that_says_nothing_costs_no_trial(credbench, tmp_path):
    credbench(*RUN, "--init", "zero", "--tsne", "40", "--name", "z")
    (first, *_) = (tmp_path / "results" / "z" / "trials").iterdir()
    assert json.loads(first.read_text())["embedding"]["points"] == []
    credbench(*RUN, "-n", "mlp[hidden=1]", "--tsne", "40", "--name", "one")


@pytest.mark.parametrize("given", ["0", "9", "x", "-5", "1e3", "10001"])
def test_wrong_numbers_of_images_are_named(credbench, given):
    ran = credbench(*RUN, "--tsne", given, code=2)
    assert ran.stderr.count("\n") == 1 and "from 10 to 10,000" in ran.stderr


@pytest.mark.parametrize(
    "broken",
    [{"points": []}, {"asked": 2, "points": [[1, 2]], "labels": [1, 2]}, 3,
     {"asked": 1, "points": [[1]], "labels": [1]}, {"asked": 0, "points": [], "labels": []}],
)  # fmt: skip
def test_records_that_hold_something_else_are_refused(broken):
    from trials import record

    with pytest.raises(ValueError, match="embedding"):
        check("trials", record("backprop", 0, 3.0) | {"embedding": broken})
