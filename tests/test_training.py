"""The engine: groups equal single runs, seeds reproduce, streams stay apart, learners learn."""

from dataclasses import dataclass, replace

import pytest
import torch

from credbench.experiment import make_experiment
from credbench.group import Group
from credbench.images import Images, Part, split
from credbench.program import Program
from credbench.randomness import permutation
from credbench.training import train
from helpers import ALGORITHMS, REGISTRY

CPU = torch.device("cpu")


def trials(**given):
    settings = {"network": "mlp[hidden=16x3]", "epochs": "2", "seeds": "1", "batch-size": "50"}
    return list(make_experiment(REGISTRY, settings | given).trials)


def run(members, splits):
    return train(members, {trial.dataset: splits for trial in members}, CPU)


def group_of(members, splits):
    return Group(members, [splits] * len(members), CPU)


def final(group, epochs):
    with torch.no_grad():
        for epoch in range(1, epochs + 1):
            group.train_epoch(epoch)
    return {**group.params, **group.feedback}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_group_of_seeds_is_the_trials_trained_alone(algorithm, few):
    """220 examples in steps of 50 end in a short batch; clipping and noise are in it, too."""
    members = trials(algorithm=algorithm, seeds="3", **{"clip-norm": "0.3"})
    together = final(group_of(members, few), 2)
    for r, trial in enumerate(members):
        alone = final(group_of([trial], few), 2)
        assert alone.keys() == together.keys()
        for name, value in alone.items():
            torch.testing.assert_close(together[name][r], value, rtol=1e-3, atol=1e-5)


def test_a_group_may_differ_in_numbers(few):
    members = trials(
        algorithm="rec-lra[beta=0.1|0.5,gamma=1|0.3]",
        optimizer="adam[lr=1e-3|3e-3]",
        init="gaussian[sigma=0.05],glorot",
    )
    assert len({trial.program for trial in members}) == 1 and len(members) == 16
    outcomes = run(members, few)
    for trial, outcome in list(zip(members, outcomes, strict=True))[::5]:
        (alone,) = run([trial], few)
        assert alone.curve.validation_loss == pytest.approx(outcome.curve.validation_loss, rel=1e-3)


@dataclass(frozen=True)
class Mirrored(REGISTRY.get("dataset", "digits")):
    """Digits upside down: other images of the same form."""

    name = "mirrored"

    def load(self, data_dir):
        images = super().load(data_dir)
        return Images(images.train_x.flip(1), images.train_y, images.test_x.flip(1), images.test_y)


@pytest.mark.parametrize("algorithm", ("backprop", "target-prop"))
def test_datasets_of_one_form_train_together(algorithm, few):
    (first,) = trials(algorithm=algorithm)
    members = [
        replace(first, dataset=d, seed=s) for s in (0, 1) for d in (first.dataset, Mirrored())
    ]
    assert len({trial.program for trial in members}) == 1
    other = split(Mirrored(), Mirrored().load(None))
    cut = replace(other, train=Part(other.train.x[:220], other.train.y[:220]))
    data = {first.dataset: few, Mirrored(): cut}
    together = train(members, data, CPU)
    for trial, outcome in zip(members, together, strict=True):
        (alone,) = train([trial], data, CPU)
        assert alone.curve.training_loss == pytest.approx(outcome.curve.training_loss, rel=1e-3)
        assert alone.curve.validation_loss == pytest.approx(outcome.curve.validation_loss, rel=1e-3)
        assert alone.scores["test"].error == pytest.approx(outcome.scores["test"].error, abs=0.6)
    assert together[0].curve.training_loss != together[1].curve.training_loss


def test_datasets_of_other_forms_do_not(few):
    (first,) = trials(algorithm="backprop")
    assert replace(first, limit_train=100).program != first.program
    assert REGISTRY.get("dataset", "mnist")().form != first.dataset.form
    assert (
        REGISTRY.get("dataset", "mnist")().form == REGISTRY.get("dataset", "fashion-mnist")().form
    )


@pytest.mark.parametrize("seeds", ("1", "2"))
@pytest.mark.parametrize("algorithm", ("rec-lra", "target-prop"))
def test_examples_may_be_named_one_by_one(algorithm, seeds, few):
    """A captured step finds its examples by a tensor of places, an eager one by a slice."""
    members = trials(algorithm=algorithm, seeds=seeds)
    sliced, placed = group_of(members, few), group_of(members, few)
    with torch.no_grad():
        for group in (sliced, placed):
            group.shuffle(1)
        for phase in sliced.learner.phases:
            for start in (0, 50, 100):
                Program(sliced, phase, 50)(start)
                Program(placed, phase, 50).run(torch.arange(start, start + 50))
    for one, other in zip(sliced.tensors(), placed.tensors(), strict=True):
        assert torch.equal(one, other)
    assert torch.equal(sliced.seen[..., :150, :], placed.seen[..., :150, :])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device at hand")
@pytest.mark.parametrize("seeds", ("1", "3"))
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_captured_steps_are_the_eager_ones(algorithm, seeds, few):
    members, cuda = trials(algorithm=algorithm, seeds=seeds), torch.device("cuda")
    captured, eager = (Group(members, [few.to(cuda)] * len(members), cuda) for _ in range(2))
    eager.captured = False
    mine, theirs = final(captured, 2), final(eager, 2)
    assert captured.captured
    for name, value in theirs.items():
        torch.testing.assert_close(mine[name], value, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_step_changes_tensors_where_they_lie(algorithm, few):
    """A captured step is replayed on the same memory."""
    (trial,) = trials(algorithm=algorithm, optimizer="sgd[lr=0.01,momentum=0.9]")
    group = group_of([trial], few)
    places = [tensor.data_ptr() for tensor in group.tensors()]
    final(group, 1)
    assert [tensor.data_ptr() for tensor in group.tensors()] == places


def test_a_program_goes_as_far_as_its_stage(few):
    (trial,) = trials(algorithm="rec-lra")
    group = group_of([trial], few)
    before = [tensor.clone() for tensor in group.tensors()]
    with torch.no_grad():
        for stage in ("forward", "updates"):
            Program(group, "train", 50, stage)(0)
            assert all(map(torch.equal, group.tensors(), before))
        Program(group, "train", 50, "step")(0)
    assert not torch.equal(group.params["weight.1"], before[0])


def test_structural_parameters_split_groups():
    structures = trials(algorithm="rec-lra[gap=1|2],lra-e,rec-lra[rule=fixed]")
    assert len({trial.program for trial in structures}) == 4


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_same_seed_gives_the_same_bits(algorithm, few):
    (trial,) = trials(algorithm=algorithm)
    first, second = (final(group_of([trial], few), 1) for _ in range(2))
    for name in first:
        assert torch.equal(first[name], second[name])
    other = final(group_of([replace(trial, seed=1)], few), 1)
    assert not torch.equal(first["weight.1"], other["weight.1"])


def test_learners_start_from_the_same_weights_and_see_the_same_order(few):
    groups = [group_of([trial], few) for trial in trials(algorithm="all")]
    assert len(groups) == len(ALGORITHMS)
    for group in groups[1:]:
        for name, leaf in groups[0].params.items():
            assert torch.equal(leaf, group.params[name])
    for group in groups:
        group.shuffle(3)
        assert torch.equal(groups[0].order, group.order)


def test_orders_are_permutations_that_change_with_epoch_and_seed():
    assert sorted(permutation(0, 1, 50).tolist()) == list(range(50))
    assert not torch.equal(permutation(0, 1, 50), permutation(0, 2, 50))
    assert not torch.equal(permutation(0, 1, 50), permutation(1, 1, 50))


def updates_of(group, phase):
    group.shuffle(1)
    return Program(group, phase, 50).updates_at(0)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_arguments_stay_as_they_were_and_every_layer_moves(algorithm, few):
    (trial,) = trials(algorithm=algorithm)
    group = group_of([trial], few)
    before = group.weights().copy()
    moved = set()
    with torch.no_grad():
        for phase in group.learner.phases:
            updates = updates_of(group, phase)
            given = {**updates.params, **updates.feedback}
            moved |= {k for k, v in given.items() if v.abs().max() > 0}
    assert set(group.params) <= moved
    for tree, kept in zip(group.weights().trees(), before.trees(), strict=True):
        assert all(torch.equal(tree[k], kept[k]) for k in kept)


def test_alternating_phases_leave_the_other_half_alone(few):
    (trial,) = trials(algorithm="target-prop")
    group = group_of([trial], few)
    params, feedback = dict(group.params), dict(group.feedback)
    inverse, forward = updates_of(group, "inverse"), updates_of(group, "forward")
    assert inverse.params == {} and inverse.feedback.keys() == feedback.keys()
    assert forward.feedback == {} and forward.params.keys() == params.keys()


def linear_classifier(digits):
    from sklearn.linear_model import LogisticRegression

    def flat(part):
        return part.x.flatten(1).numpy() / digits.peak, part.y.numpy()

    model = LogisticRegression(max_iter=2000).fit(*flat(digits.train))
    return 100 * (1 - model.score(*flat(digits.test)))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_learner_beats_a_linear_classifier(algorithm, digits):
    settles = algorithm == "equilibrium-prop"  # to tanh's attractors unless feedback is weak
    (trial,) = trials(
        algorithm=algorithm,
        activation="hard-sigmoid" if settles else "tanh",
        network="mlp[hidden=256x2]",
        epochs="30",
        optimizer="adam[lr=1e-3]",
        **{"batch-size": "32"},
    )
    (outcome,) = run([trial], digits)
    assert outcome.scores["test"].error < linear_classifier(digits)


@pytest.mark.parametrize("algorithm", sorted({*ALGORITHMS} - {"equilibrium-prop", "lra-fdbk"}))
def test_sign_networks_train(algorithm, digits):
    """Through a surrogate where φ′ is needed; by targets where it is not."""
    (trial,) = trials(
        algorithm=algorithm,
        activation="sign",
        epochs="20",
        network="mlp[hidden=128x2]",
        optimizer="adam[lr=1e-3]",
    )
    (outcome,) = run([trial], digits)
    assert outcome.scores["test"].error < 25
    needs = trial.algorithm.capabilities.needs_derivative
    assert bool(trial.surrogate) == needs


def test_the_reported_epoch_is_the_first_best_on_validation(digits):
    (trial,) = trials(epochs="12", algorithm="backprop", optimizer="adam[lr=0.01]")
    (outcome,) = run([trial], digits)
    errors = outcome.curve.validation_error
    assert outcome.epoch == errors.index(min(errors)) + 1
    assert outcome.scores["validation"].error == pytest.approx(min(errors))
    assert sum(map(sum, outcome.confusion)) == len(digits.test)


def test_divergence_ends_a_trial_and_leaves_its_group_alone(few):
    calm, wild = trials(algorithm="backprop", activation="identity", optimizer="sgd[lr=0.1|1e20]",
                        epochs="4")  # fmt: skip
    outcomes = run([calm, wild], few)
    assert [o.status for o in outcomes] == ["done", "diverged"]
    assert outcomes[1].epoch == 1 and not outcomes[1].scores
    (alone,) = run([wild], few)
    assert (alone.status, alone.epoch, len(alone.curve.seconds)) == ("diverged", 1, 1)


def test_splits_are_fixed_disjoint_and_sized(digits):
    dataset = REGISTRY.get("dataset", "digits")()
    again = split(dataset, dataset.load(None))
    assert torch.equal(again.validation.x, digits.validation.x)
    assert (len(digits.train), len(digits.validation), len(digits.test)) == (1150, 287, 360)
    limited = split(dataset, dataset.load(None), 100)
    assert torch.equal(limited.train.x, digits.train.x[:100])
    numbered = torch.arange(1437).view(-1, 1, 1)
    counted = split(dataset, Images(numbered, numbered.view(-1), numbered, numbered.view(-1)))
    assert not set(counted.train.y.tolist()) & set(counted.validation.y.tolist())


@pytest.mark.parametrize("size", ("1", "1150"))
def test_batches_of_one_and_beyond_the_data(size, few):
    (trial,) = trials(epochs="1", algorithm="rec-lra", **{"batch-size": size})
    (outcome,) = run([trial], few)
    assert outcome.status == "done"
