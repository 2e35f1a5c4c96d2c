"""Angles of updates with backprop's: what theory says they are, and that taking them is free."""

import json
import math
import time
from dataclasses import replace

import pytest
import torch
from matplotlib import pyplot as plt
from trials import record

from credbench import checkpoints
from credbench.angles import Angles, read_every
from credbench.checkpoints import Checkpoint
from credbench.errors import RequestError
from credbench.experiment import make_experiment
from credbench.group import Group
from credbench.images import split
from credbench.learner import Step
from credbench.observing import Observer, angle
from credbench.records import check
from credbench.report import angle_figures
from credbench.running import pending
from credbench.store import Store
from credbench.training import train
from helpers import ALGORITHMS, REGISTRY, autograd, slope

CPU = torch.device("cpu")
BACKPROP = REGISTRY.get("algorithm", "backprop")()
EXACT = 1e-3
"""Degrees: what float32 leaves of an angle of 0."""


def trials(seeds="1", **given):
    settings = {"network": "mlp[hidden=16x3]", "epochs": "2", "batch-size": "50", "seeds": seeds}
    return list(make_experiment(REGISTRY, settings | given).trials)


def group_of(members, splits, every=1):
    """A group and what watches it."""
    group = Group(members, [splits] * len(members), CPU)
    group.watch = Angles(every, BACKPROP).observer(group)
    return group, group.watch


def first_sample(group, watch, phase=None):
    group.shuffle(1)
    with torch.no_grad():
        watch(1, phase or group.learner.phases[-1], 0, group.trials[0].batch_size)
    kept = watch.kept[0]
    return {name: {of: v[0] for of, v in kept[name].items()} for name in kept if name not in
            ("every", "steps")}  # fmt: skip


def run(members, splits, every=None, **given):
    angles = None if every is None else Angles(every, BACKPROP)
    return train(members, {t.dataset: splits for t in members}, CPU, angles=angles, **given)


def give_weights_of_blocks(group):
    """Put forward weights in the place of all feedback that mirrors them, or their products."""
    views = group.net.views(group.params)
    for name, pairs in group.learner.mirrored(group.net).items():
        products = []
        for i, j in pairs:
            product = torch.eye(group.net.width(i))
            for k in range(i, j):
                product = views[k]["weight"] @ product
            products.append(product)
        group.feedback[name].copy_(torch.stack(products).view_as(group.feedback[name]))


@pytest.mark.parametrize("net", ("mlp[hidden=16x3]", "mlp[hidden=16x2,norm=batch]"))
def test_backprop_goes_backprops_way(net, few):
    (outcome,) = run(trials(algorithm="backprop", network=net), few, 2)
    assert outcome.angles["steps"] == [0, 2, 4, 6, 8]
    for values in outcome.angles["update"].values():
        assert values == [0.0] * 5
    for values in outcome.angles["ratio"].values():
        assert values == [1.0] * 5
    assert outcome.angles["feedback"] == {}


def test_feedback_alignment_with_the_weights_themselves_is_backprop(few):
    found = first_sample(*prepared("fa", few))
    assert found["feedback"] == {"2→1": 0.0, "3→2": 0.0, "4→3": 0.0}
    assert max(found["update"].values()) < EXACT
    assert list(found["ratio"].values()) == [1.0] * 4


def test_direct_feedback_is_backprop_on_a_linear_network_with_the_product_of_weights(few):
    found = first_sample(*prepared("dfa", few, activation="identity"))
    assert list(found["feedback"]) == ["4→1", "4→2", "4→3"]
    assert max(found["feedback"].values()) < EXACT and max(found["update"].values()) < EXACT
    assert list(found["ratio"].values()) == pytest.approx([1.0] * 4, rel=1e-3)
    bent = first_sample(*prepared("dfa", few, activation="tanh", init="gaussian[sigma=0.5]"))
    assert bent["feedback"]["4→1"] < EXACT < 1 < bent["update"]["1"] < 90


def prepared(algorithm, splits, **given):
    group, watch = group_of(trials(algorithm=algorithm, **given), splits)
    give_weights_of_blocks(group)
    return group, watch


def test_lra_tends_to_backprop_to_first_order_in_beta(few):
    """With E = W, e_l = β φ′ Wᵀ e_{l+1} + O(β²): block L − k has β^k of backprop's norm."""
    betas = (0.2, 0.1, 0.05, 0.025)
    found = [
        first_sample(*prepared(f"lra-e[beta={b}]", few, init="gaussian[sigma=0.3]")) for b in betas
    ]
    for k in (1, 2, 3):
        block = str(4 - k)
        assert 0.85 < slope(betas, [each["update"][block] for each in found]) < 1.15
        assert slope(betas, [each["ratio"][block] for each in found]) == pytest.approx(k, abs=0.05)
        assert found[-1]["ratio"][block] == pytest.approx(betas[-1] ** k, rel=0.05)


def test_random_feedback_starts_at_a_right_angle(few):
    """The cosine of random vectors of n numbers has standard deviation 1/√n."""
    group, watch = group_of(trials(algorithm="fa", network="mlp[hidden=128x3]"), few)
    found = first_sample(group, watch)
    for path, sizes in (("2→1", 128 * 128), ("3→2", 128 * 128), ("4→3", 10 * 128)):
        assert abs(math.cos(math.radians(found["feedback"][path]))) < 5 / sizes**0.5


def test_feedback_alignment_aligns(digits):
    """Lillicrap et al. 2016: W comes to agree with B, so updates turn towards backprop's."""
    (outcome,) = run(
        trials(
            algorithm="fa[sigma=0.2]", network="mlp[hidden=64x2]", optimizer="adam[lr=3e-3]",
            epochs="10",
        ),
        digits,
        10,
    )  # fmt: skip
    for block in ("1", "2"):
        angles = outcome.angles["update"][block]
        early, late = angles[0], sum(angles[-5:]) / 5
        assert 70 < early < 110 and late < early - 20
    for values in outcome.angles["feedback"].values():
        assert values[-1] < values[0] - 5


def test_a_product_of_weights_is_the_networks_slope(few):
    """The way from layer 1 to the output, by torch's own differentiation of a linear network."""
    group, watch = group_of(trials(algorithm="dfa", activation="identity"), few)
    stacks = {k: v.unsqueeze(0).transpose(0, 1) for k, v in group.params.items()}
    views = group.net.views(group.params)

    def from_first(z):
        for k in range(2, 5):
            z = group.net.blocks[k - 1].forward(views[k - 1], z)
        return z

    slopes = torch.func.jacrev(from_first)(torch.zeros(1, 16))[0, :, 0]
    found = watch._between(group.net.views(stacks), 1, 4)
    torch.testing.assert_close(found[0], slopes)


@pytest.mark.parametrize("algorithm", ("fa", "dfa", "rec-lra", "lra-diff", "lra-fdbk", "blockwise"))
def test_a_sample_is_what_can_be_had_by_other_means(algorithm, few):
    """The gradient by torch's own differentiation, and the angle by its cosine."""
    (trial,) = trials(algorithm=algorithm, init="gaussian[sigma=0.3]")
    group, watch = group_of([trial], few)
    found = first_sample(group, watch)
    index = group.order[:50]
    data, net = group.data["train"], group.net
    step = Step(
        net, net.views(group.params), group.feedback, group.state, data.inputs(index),
        data.targets(index), index, {}, "train",
    )  # fmt: skip
    own = net.views(trial.algorithm.with_values(group.hyper).updates(step).params)
    true = net.views(autograd(net, group.params, step))
    for k in range(1, 5):
        u, v = (torch.cat([x[k - 1]["weight"].flatten(), x[k - 1]["bias"]]) for x in (own, true))
        cosine = float(u @ v / (u.norm() * v.norm()))
        assert found["update"][str(k)] == pytest.approx(
            math.degrees(math.acos(min(1, cosine))), rel=2e-3, abs=0.1
        )
        assert found["ratio"][str(k)] == pytest.approx(float(u.norm() / v.norm()), rel=2e-3)


def test_angles_keep_their_digits():
    one = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 0.0]], dtype=torch.float64)
    other = torch.tensor([[3.0, 3e-9], [-2.0, 0.0], [0.0, 5.0], [1.0, 0.0]], dtype=torch.float64)
    small, opposite, right, none = angle(one, other).tolist()
    assert small == pytest.approx(math.degrees(1e-9)) and (opposite, right) == (180.0, 90.0)
    assert math.isnan(none)


def test_no_update_is_no_angle(few):
    """All weights at zero: below the output backprop's updates are zero, and no angle is."""
    (outcome,) = run(trials(algorithm="fa", init="gaussian[sigma=1e-30]", epochs="1"), few, 5)
    group, watch = group_of(trials(algorithm="fa"), few)
    for leaf in group.params.values():
        leaf.zero_()
    found = first_sample(group, watch)
    assert found["update"] == {"1": None, "2": None, "3": None, "4": 0.0}
    assert found["ratio"] == {"1": None, "2": None, "3": None, "4": 1.0}
    assert set(found["feedback"].values()) == {None}
    json.dumps(outcome.angles, allow_nan=False)


@pytest.mark.parametrize("seeds", ("1", "2"))
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_training_is_the_same_with_and_without(algorithm, seeds, few):
    """Noise, settled particles and the moments of a normalisation are drawn and kept as before."""
    net = "mlp[hidden=16x2]" if algorithm == "equilibrium-prop" else "mlp[hidden=16x3,norm=batch]"
    members = trials(seeds, algorithm=algorithm, network=net)
    if not members:
        members = trials(seeds, algorithm=algorithm)
    watched, watch = group_of(members, few, 2)
    plain = Group(members, [few] * len(members), CPU)
    with torch.no_grad():
        for epoch in (1, 2):
            seen, unseen = watched.train_epoch(epoch), plain.train_epoch(epoch)
            assert seen is None if unseen is None else torch.equal(seen, unseen)
    assert watch.kept[0]["steps"]
    for mine, theirs in zip(watched.tensors(), plain.tensors(), strict=True):
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize("phase", ("inverse", "forward"))
def test_updates_looked_at_are_those_of_the_step(phase, few):
    """What is drawn at random, too: by gradient descent the change is the update."""
    (trial,) = trials(algorithm="target-prop", optimizer="sgd[lr=1]")
    group, _ = group_of([trial], few)
    group.shuffle(1)
    program = group.program(phase, 50)
    with torch.no_grad():
        looked, again = program.updates_at(50), program.updates_at(50)
        before = {k: v.clone() for k, v in {**group.params, **group.feedback}.items()}
        program(50)
    made = {**looked.params, **looked.feedback}
    assert made and group.idle is False
    for name, update in made.items():
        assert torch.equal(update, {**again.params, **again.feedback}[name])
        rate = trial.algorithm.rate(name) if name in group.feedback else 1.0
        after = {**group.params, **group.feedback}[name]
        torch.testing.assert_close(after, before[name] - rate * update)


def test_a_phase_is_met_whatever_the_steps_between(few):
    """An epoch of target propagation has 5 steps of its inverses, then 5 of the network."""
    (outcome,) = run(trials(algorithm="target-prop", epochs="5"), few, 10)
    assert outcome.angles["steps"] == [5, 25, 45]
    (outcome,) = run(trials(algorithm="target-prop"), few, 3)
    assert outcome.angles["steps"] == [5, 8, 16, 19]
    assert all(len(values) == 4 for values in outcome.angles["ratio"].values())


@pytest.mark.parametrize("algorithm", ("dfa", "rec-lra[gap=1]", "target-prop"))
def test_replicas_are_watched_as_those_alone_are(algorithm, few):
    members = trials("3", algorithm=algorithm)
    for trial, together in zip(members, run(members, few, 2), strict=True):
        (alone,) = run([trial], few, 2)
        assert alone.angles["steps"] == together.angles["steps"]
        for name in ("update", "ratio", "feedback"):
            mine, theirs = alone.angles[name], together.angles[name]
            assert mine.keys() == theirs.keys()
            for of in mine:
                assert mine[of] == pytest.approx(theirs[of], rel=0.01, abs=0.1)


def test_only_what_has_the_layout_of_weights_is_compared(few):
    """On maps feedback of filters is; what leads past them is not, nor past a residual."""
    dataset = {"dataset": "synthetic[shape=3x16x16,images=60]", "batch-size": "20"}
    net = {"network": "resnet[depth=10,width=4]", "activation": "relu", "init": "he"}

    def paths(algorithm, **given):
        (trial,) = trials(algorithm=algorithm, **{**dataset, **given})
        images = split(trial.dataset, trial.dataset.load(None))
        group, watch = group_of([trial], images)
        return list(first_sample(group, watch)["feedback"]), group.net.depth

    found, depth = paths("fa", **net)
    assert found == [f"{k}→{k - 1}" for k in range(2, depth + 1)]
    assert paths("dfa", **net)[0] == []
    found, depth = paths("dfa", network="conv[filters=4c3s2,dense=16]")
    assert (found, depth) == (["3→2"], 3)
    assert paths("dfa", network="res-mlp[hidden=16x4]")[0][-1:] == ["5→4"]


def test_a_diverged_replica_is_watched_as_long_as_alone(few):
    members = trials("2", algorithm="backprop", optimizer="sgd[lr=0.1]", epochs="3")
    wild = replace(members[1], optimizer=REGISTRY.get("optimizer", "sgd")(lr=1e38))
    tame, diverged = run([members[0], wild], few, 1)
    assert (tame.status, diverged.status) == ("done", "diverged")
    assert tame.angles["steps"] == list(range(15))
    assert diverged.angles["steps"] == list(range(5 * len(diverged.curve.seconds)))
    assert None in diverged.angles["update"]["1"]
    json.dumps(diverged.angles, allow_nan=False)


def test_the_clock_stops_for_samples(few, monkeypatch):
    take = Observer._take
    monkeypatch.setattr(Observer, "_take", lambda *given: (time.sleep(0.2), take(*given)))
    began = time.perf_counter()
    (outcome,) = run(trials(algorithm="dfa"), few, 5)
    assert time.perf_counter() - began > 0.4
    assert len(outcome.angles["steps"]) == 2 and 0 < sum(outcome.curve.seconds) < 0.2


class StoppedError(Exception):
    """Ends a run between two epochs."""


def stop():
    raise StoppedError


@pytest.mark.parametrize("seeds", ("1", "2"))
def test_what_was_sampled_before_a_stop_is_kept(seeds, few, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "EVERY", 0.0)
    members = trials(seeds, algorithm="target-prop", epochs="3")
    whole = run(members, few, 2)
    with pytest.raises(StoppedError):
        run(
            members,
            few,
            2,
            on_epoch=stop,
            checkpoint=Checkpoint(tmp_path, members, "cpu", angles=2),
        )
    halves = run(members, few, 2, checkpoint=Checkpoint(tmp_path, members, "cpu", angles=2))
    for one, two in zip(whole, halves, strict=True):
        assert two.resumed == [1] and one.angles == two.angles


@pytest.mark.parametrize(
    "before, after, resumes", [(2, 3, False), (None, 2, False), (2, None, True)]
)
def test_what_was_begun_with_other_samples_starts_anew(
    before, after, resumes, few, tmp_path, monkeypatch
):
    monkeypatch.setattr(checkpoints, "EVERY", 0.0)
    members, lines = trials(algorithm="fa"), []
    with pytest.raises(StoppedError):
        checkpoint = Checkpoint(tmp_path, members, "cpu", angles=before)
        run(members, few, before, on_epoch=stop, checkpoint=checkpoint)
    checkpoint = Checkpoint(tmp_path, members, "cpu", lines.append, after)
    (outcome,) = run(members, few, after, checkpoint=checkpoint)
    assert bool(outcome.resumed) == resumes and ("another angles" in lines[0]) != resumes
    assert (outcome.angles or {}).get("every") == after


def test_a_number_of_steps_is_read():
    assert (read_every(None), read_every("none"), read_every("100")) == (None, None, 100)
    for text in ("0", "-1", "1.5", "often", ""):
        with pytest.raises(RequestError, match="expected a whole number of steps, 1 to 1,000"):
            read_every(text)


ANGLES = {
    "every": 10, "steps": [0, 10], "update": {"1": [90.0, None], "2": [0.0, 0.0]},
    "ratio": {"1": [2.0, 0.5], "2": [1.0, 1.0]}, "feedback": {"2→1": [89.0, 80.0]},
}  # fmt: skip


@pytest.mark.parametrize(
    "broken",
    [
        7,
        {**ANGLES, "every": 0},
        {**ANGLES, "steps": [0, None]},
        {**ANGLES, "ratio": {"1": [2.0]}},
        {**ANGLES, "update": [90.0]},
        {k: v for k, v in ANGLES.items() if k != "feedback"},
    ],
)
def test_a_record_with_broken_angles_is_named(broken):
    sound = record("fa", 0, 5.0)
    check("trials", {**sound, "angles": ANGLES})
    with pytest.raises(ValueError, match="angles is not what it should be"):
        check("trials", {**sound, "angles": broken})


def test_of_many_panels_some_evenly_between_are_drawn():
    assert angle_figures.evenly("abc", 9) == ["a", "b", "c"]
    found = angle_figures.evenly([str(k) for k in range(1, 34)], 9)
    assert found == ["1", "5", "9", "13", "17", "21", "25", "29", "33"]


def test_a_figure_shows_means_and_ranges(tmp_path, monkeypatch):
    """One panel a block, with the mean over seeds where a value is defined."""
    monkeypatch.setattr(plt, "close", lambda figure: None)
    other = {**ANGLES, "update": {"1": [80.0, 60.0], "2": [0.0, 0.0]}}
    records = [record("fa", 0, 5.0, angles=ANGLES), record("fa", 1, 5.0, angles=other)]
    assert all(angle_figures.holds(r, "feedback-angle") for r in records)
    assert not angle_figures.holds(record("fa", 0, 5.0), "update-angle")
    paths = [tmp_path / f"update-angle.{kind}" for kind in ("png", "pdf")]
    angle_figures.plot_angles(records, "update-angle", paths, lambda axis, spec: spec)
    first, second = plt.gcf().axes
    assert (first.get_title(), second.get_title()) == ("block 1", "block 2")
    (line,) = first.get_lines()
    assert line.get_xydata().tolist() == [[0, 85], [10, 60]]
    (band,) = first.collections
    assert band.get_datalim(first.transData).bounds == pytest.approx((0, 60, 10, 30))
    assert (first.get_ylim(), first.get_xlabel()) == ((-4, 120), "training step")
    assert all(path.stat().st_size > 1000 for path in paths)
    plt.clf()


RUN = ("run", "-a", "backprop,fa,rec-lra", "-n", "mlp[hidden=16x2]", "-e", "2", "-s", "2",
       "--no-timing")  # fmt: skip


def test_the_command_takes_and_draws_them(credbench, tmp_path):
    credbench(*RUN, "--workers", "1")
    missing = credbench("plot", "digits", "--measure", "norm-ratio", code=2)
    assert "keeps norm-ratios: run it with --angles 100 first" in missing.stderr
    plain = Store(tmp_path / "results", "digits").trials()
    assert not any("angles" in each for each in plain.values())
    assert "6 to run" in credbench(*RUN, "--angles", "20", "--dry-run").stdout
    credbench(*RUN, "--angles", "20", "--workers", "2", "--replicas", "1")
    store = Store(tmp_path / "results", "digits")
    records = store.trials()
    assert not store.problems and len(records) == 6
    for id, each in records.items():
        assert each["angles"]["every"] == 20 and len(each["angles"]["steps"]) > 2
        assert each["curve"]["validation_loss"] == pytest.approx(
            plain[id]["curve"]["validation_loss"], rel=1e-3
        )
    assert "0 to run" in credbench(*RUN, "--dry-run").stdout
    assert "6 to run" in credbench(*RUN, "--angles", "30", "--dry-run").stdout
    for measure in angle_figures.MEASURES:
        told = credbench("plot", "digits", "--measure", measure).stdout.split()
        assert len(told) == 2 and all((tmp_path / path).stat().st_size > 1000 for path in told)


def test_what_cannot_be_watched_is_one_clear_line(credbench, tmp_path):
    told = credbench(*RUN, "--angles", "0", code=2).stderr
    assert "angles '0': expected a whole number of steps" in told
    (tmp_path / "own.yaml").write_text("algorithm: fa\nangles: often\n")
    assert "angles 'often'" in credbench("run", "own.yaml", code=2).stderr
    among_two = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost"}
    told = credbench(*RUN, "-b", "20", "--angles", "5", code=2, **among_two).stderr
    assert "angles 5 on 2 processes" in told and "leave --angles out" in told


def test_a_failed_trial_is_not_run_again_for_angles(tmp_path):
    experiment = make_experiment(REGISTRY, {"algorithm": "fa", "seeds": "3"})
    store, states = Store(tmp_path, "digits"), ("failed", "done", "diverged")
    for trial, status in zip(experiment.trials, states, strict=True):
        made = record("fa", trial.seed, 5.0) | {"id": trial.id, "status": status}
        made["source"] = trial.source
        store.write_trial(made)
    assert pending(experiment, store) == []
    left = pending(experiment, store, angles=Angles(5, BACKPROP))
    assert [trial.seed for trial in left] == [1, 2]
