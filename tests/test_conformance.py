"""The checks of components: ours pass them, and each catches what it is for."""

import json
import math
import random
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from credbench import (
    Activation,
    Capabilities,
    Dataset,
    Images,
    Learner,
    Network,
    Search,
    Updates,
    parameter,
)
from credbench.activations import Tanh
from credbench.algorithms.backprop import Backprop
from credbench.algorithms.feedback_alignment import FeedbackAlignment
from credbench.architectures.mlp import Mlp
from credbench.blocks import Dense
from credbench.conformance.subject import make_subject
from credbench.conformance.suite import CHECKS, run_check, run_checks
from credbench.errors import RequestError
from credbench.loading import load
from credbench.testing import ActivationTests, DatasetTests, LearnerTests, NetworkTests
from helpers import ALGORITHMS, REGISTRY

VARIANTS = ("rec-lra[gap=1]", "target-prop[top=augmented]")


@pytest.fixture(scope="module")
def subjects():
    """Each learner's subject, made once for all its checks."""
    made = {}

    def subject(spec):
        if spec not in made:
            (learner,) = REGISTRY.axis("algorithm", spec)
            made[spec] = make_subject(REGISTRY, learner)
        return made[spec]

    return subject


@pytest.mark.parametrize("check", CHECKS["algorithm"])
@pytest.mark.parametrize("algorithm", (*ALGORITHMS, *VARIANTS))
def test_every_learner_passes_every_check(algorithm, check, subjects):
    found = run_check("algorithm", check, subjects(algorithm))
    if found.skipped:
        pytest.skip(found.skipped)
    assert found.state == "passed", found.said


@pytest.mark.parametrize("network", ("mlp", "mlp[norm=batch]", "res-mlp", "conv[filters=4c3s2]"))
def test_networks_pass_their_checks(network):
    (made,) = REGISTRY.axis("network", network)
    results = dict(run_checks("network", make_subject(REGISTRY, made)))
    assert {found.state for found in results.values()} <= {"passed", "skipped"}, results


class TestBackprop(LearnerTests):
    learner = Backprop


class TestMlp(NetworkTests):
    network = "mlp[hidden=8x2]"


@pytest.mark.parametrize("activation", REGISTRY.names("activation"))
def test_activations_pass_their_checks(activation):
    (made,) = REGISTRY.axis("activation", activation)
    results = dict(run_checks("activation", make_subject(REGISTRY, made)))
    assert {found.state for found in results.values()} == {"passed"}, results


@pytest.mark.parametrize("activation", REGISTRY.names("activation"))
def test_replicas_run_as_one_program_on_every_activation(activation):
    (learner,) = REGISTRY.axis("algorithm", "rec-lra")
    subject = make_subject(REGISTRY, learner, activation=activation)
    found = run_check("algorithm", "replicas equal the single run", subject)
    assert found.state == "passed", found.said


class TestTanh(ActivationTests):
    activation = "tanh"


class TestDigits(DatasetTests):
    dataset = "digits"


class Bad(Backprop):
    """Backprop with something wrong with it; where updates are changed, `spoil` does it."""

    name = "bad"

    def updates(self, step):
        made = super().updates(step)
        return self.spoil(step, made)

    def spoil(self, step, made):
        return made


def scaled(made, factor):
    params = {name: factor * each for name, each in made.params.items()}
    return Updates(params, made.feedback, made.state, made.logits)


class Undeclared(Backprop):
    name = "undeclared"
    capabilities = Capabilities()


class UndeclaredSlope(Undeclared):
    separate = True

    def updates(self, step):
        a = step.forward()
        top = step.output_error(a)
        below = top @ step.params[-1]["weight"] * step.net.slope(a, step.net.depth - 1)
        return step.updates(a, {step.net.depth: top, step.net.depth - 1: below})


class UndeclaredByAutograd(Undeclared):
    separate = True

    def updates(self, step):
        a = step.forward()
        leaves = {n: step.params[f.blocks[0] - 1][f.array] for n, f in step.net.leaves.items()}

        def loss(leaves):
            views = step.net.views({name: each[None] for name, each in leaves.items()})
            logits = step.net.forward(views, step.x).logits
            return -(step.targets * logits.log_softmax(-1)).sum(-1).mean()

        found = torch.func.grad(loss)(leaves)
        return Updates({name: each[None] for name, each in found.items()}, logits=a.logits)


class ReturnsNothing(Bad):
    def spoil(self, step, made):
        return None


class StrangeLeaf(Bad):
    def spoil(self, step, made):
        return Updates({"weight.9": made.logits}, logits=made.logits)


class Transposed(Bad):
    def spoil(self, step, made):
        return Updates({name: each.transpose(-1, -2) for name, each in made.params.items()})


class Double(Bad):
    def spoil(self, step, made):
        return Updates({name: each.double() for name, each in made.params.items()})


class NotFinite(Bad):
    def spoil(self, step, made):
        return scaled(made, float("inf"))


class DoubleFeedback(Bad):
    def init_feedback(self, net, generator):
        return {"B": torch.zeros(3, dtype=torch.float64)}


class ListOfUpdates(Bad):
    def spoil(self, step, made):
        return Updates(list(made.params.values()))


class BadErrors(Learner):
    """Backprop of the output layer alone, with something wrong with its errors."""

    name = "bad-errors"

    def updates(self, step):
        a = step.forward()
        return step.updates(a, self.spoil(step, step.output_error(a)))

    def spoil(self, step, top):
        return {step.net.depth: -top}


class DoubleErrors(BadErrors):
    def spoil(self, step, top):
        return {step.net.depth: top.double()}


class ErrorsOfTheWrongLayer(BadErrors):
    def spoil(self, step, top):
        return {1: top}


class ErrorsByName(BadErrors):
    def spoil(self, step, top):
        return {"output": top}


class ErrorsInAList(BadErrors):
    def spoil(self, step, top):
        return [top]


class ErrorsOfNumbers(BadErrors):
    def spoil(self, step, top):
        return {step.net.depth: 0.1}


class ForgetsTheOutput(Bad):
    def spoil(self, step, made):
        return Updates({k: -v for k, v in made.params.items() if k == "weight.1"})


class Empty(Bad):
    def spoil(self, step, made):
        return Updates()


class Raises(Bad):
    def spoil(self, step, made):
        raise KeyError("no such thing")


class InPlace(Bad):
    def spoil(self, step, made):
        step.params[0]["weight"].mul_(0.9)
        return made


class WritesIntoItsStep(Bad):
    def init_feedback(self, net, generator):
        return {"B": torch.zeros(3)}

    def spoil(self, step, made):
        step.feedback["B"] = step.feedback["B"] + 1
        return made


class Counts(Bad):
    """Takes smaller steps the more it has taken, and keeps the count to itself."""

    def spoil(self, step, made):
        count = self.__dict__.get("count", 0) + 1
        object.__setattr__(self, "count", count)
        return scaled(made, 1 / count)


class CountsInItsModule(Bad):
    """As `Counts`, where no copy of the learner forgets it."""

    steps = [0]  # noqa: RUF012 - this is what is wrong with it

    def spoil(self, step, made):
        self.steps[0] += 1
        return scaled(made, 1 + 0.1 * (self.steps[0] % 7))


class Sums(Bad):
    def spoil(self, step, made):
        return scaled(made, len(step.x))


class Branches(Bad):
    def spoil(self, step, made):
        if made.logits.abs().max() > 1e6:
            return Updates()
        return made


class Reads(Bad):
    def spoil(self, step, made):
        return scaled(made, 1 + 0 * made.logits.sum().item())


class MakesOnTheHost(Bad):
    def spoil(self, step, made):
        return Updates(made.params, logits=made.logits + torch.zeros(len(step.x), 1))


class Draws(Bad):
    def spoil(self, step, made):
        return scaled(made, 1 + torch.rand(()))


class PythonDraws(Bad):
    def spoil(self, step, made):
        return scaled(made, 1 + random.random())


@dataclass(frozen=True)
class SetsItself(Bad):
    count: int = parameter(0, help="steps")

    def spoil(self, step, made):
        self.count = self.count + 1
        return made


class GoesBackward(Bad):
    def spoil(self, step, made):
        made.logits.sum().backward()
        return made


class LooksAtShapes(Bad):
    """Right for one network, wrong for replicas: they see each other."""

    def spoil(self, step, made):
        batched = torch._C._functorch.is_batchedtensor(made.logits)
        return scaled(made, 2 if batched else 1)


class ClampsInPlace(Bad):
    def spoil(self, step, made):
        return Updates({k: (1 * v).clamp_(max=1) for k, v in made.params.items()})


class NeedsTwo(Bad):
    def spoil(self, step, made):
        deviation = step.x.std(0).mean()
        return scaled(made, deviation / deviation)


class Climbs(Bad):
    def spoil(self, step, made):
        return scaled(made, -1)


class OwnDraws(FeedbackAlignment):
    name = "own-draws"

    def init_feedback(self, net, generator):
        found = super().init_feedback(net, generator)
        return {name: torch.randn(each.shape) for name, each in found.items()}


@pytest.mark.parametrize(
    "learner, check, words",
    [
        (ReturnsNothing, "shapes and types", ("updates returned None", "return step.updates")),
        (StrangeLeaf, "shapes and types", ("params 'weight.9'", "expected leaves of the network")),
        (Transposed, "shapes and types", ("has the shape", "give it that of")),
        (Double, "shapes and types", ("torch.float64", "make it torch.float32")),
        (NotFinite, "shapes and types", ("is not finite",)),
        (DoubleFeedback, "shapes and types", ("init_feedback gives 'B'", "make it torch.float32")),
        (ListOfUpdates, "shapes and types", ("gives a list as params", "give a dict")),
        (DoubleErrors, "shapes and types", ("error of layer 4 is torch.float64", "return step.up")),
        (ErrorsOfTheWrongLayer, "shapes and types", ("error of layer 1", "activities, (16, 16)")),
        (ErrorsByName, "shapes and types", ("layer 'output'", "layers 1 to 4")),
        (ErrorsInAList, "shapes and types", ("given a list of errors", "give a dict")),
        (ErrorsOfNumbers, "shapes and types", ("layer 4 is a float",)),
        (Empty, "shapes and types", ("gives back nothing in any phase",)),
        (Raises, "shapes and types", ("KeyError", "test_conformance.py, line", "raise KeyError")),
        (InPlace, "arguments unchanged", ("step.params, 'weight.1'", "in place")),
        (WritesIntoItsStep, "arguments unchanged", ("writes into the mappings",)),
        (Undeclared, "derivative as declared", ("needs_derivative=True", "chain_errors")),
        (UndeclaredSlope, "derivative as declared", ("needs_derivative=True", "net.slope(a, step")),
        (UndeclaredByAutograd, "derivative as declared", ("step.net.forward(views, step.x)",)),
        (Counts, "nothing kept between steps", ("gave two results", "return what has to be kept")),
        (PythonDraws, "nothing kept between steps", ("gave two results", "with noise")),
        (
            SetsItself,
            "shapes and types",
            ("keep it in state (init_state, returned", "self.count ="),
        ),
        (
            GoesBackward,
            "shapes and types",
            ("net.chain_errors, or diff", "torch.func.grad", "autog"),
        ),
        (
            Draws,
            "nothing kept between steps",
            ("draws at random of its own", "noise(net, phase)", "rand(())"),
        ),
        (Sums, "mean over the batch", ("2 times as large", "make it a mean")),
        (Branches, "no reads to the host", ("test_conformance.py", "if made.logits.abs().max()")),
        (Reads, "no reads to the host", (".item()", "capturable=False")),
        (MakesOnTheHost, "no reads to the host", ("makes a tensor on the CPU", "torch.zeros")),
        (Draws, "replicas equal the single run", ("noise(net, phase)", "1 + torch.rand(())")),
        (Reads, "replicas equal the single run", ("logits.sum().item()", "vectorizable=False")),
        (Branches, "replicas equal the single run", ("branches on a value", "if made.logits")),
        (ClampsInPlace, "replicas equal the single run", ("no batched form", "clamp_")),
        (LooksAtShapes, "replicas equal the single run", ("not what a trial alone gets",)),
        (NeedsTwo, "batches of any size", ("batches of one image", "not finite")),
        (Counts, "checkpoint", ("training ends elsewhere", "keep what changes in state")),
        (Draws, "seeds reproduce", ("ask for random draws with noise",)),
        (CountsInItsModule, "seeds reproduce", ("two runs of one seed end elsewhere",)),
        (OwnDraws, "seeds reproduce", ("give every draw generator=generator",)),
        (Climbs, "loss falls", ("from 2.", "sign of a gradient")),
        (ForgetsTheOutput, "loss falls", ("never says how to change", "weight.4", "output_error")),
    ],
)
@pytest.mark.filterwarnings("ignore:std\\(\\). degrees of freedom")
def test_each_check_catches_what_it_is_for(learner, check, words):
    found = run_check("algorithm", check, make_subject(REGISTRY, learner()))
    assert found.state == "failed", found
    assert "::" not in found.said and ":;" not in found.said, found.said
    for word in words:
        assert word in found.said, found.said


def test_what_is_never_updated_is_told():
    found = run_check("algorithm", "shapes and types", make_subject(REGISTRY, ForgetsTheOutput()))
    assert found.state == "passed"
    assert "weight.4" in found.note and "weight.1" not in found.note


def test_what_a_learner_declares_is_not_held_against_it():
    @dataclass(frozen=True)
    class Declared(Reads):
        capabilities = Capabilities(
            needs_derivative=True, capturable=False, vectorizable=False, deterministic=False
        )

    results = dict(run_checks("algorithm", make_subject(REGISTRY, Declared())))
    skipped = {name for name, found in results.items() if found.state == "skipped"}
    assert skipped >= {"no reads to the host", "replicas equal the single run", "checkpoint"}
    assert not [found.said for found in results.values() if found.state == "failed"]


def test_a_need_that_is_declared_for_nothing_is_noted():
    class Cautious(BadErrors):
        capabilities = Capabilities(needs_derivative=True)

    found = run_check("algorithm", "derivative as declared", make_subject(REGISTRY, Cautious()))
    assert found.state == "passed" and "was not asked for" in found.note


def test_after_a_first_failure_the_rest_is_not_made():
    results = dict(run_checks("algorithm", make_subject(REGISTRY, ReturnsNothing())))
    assert [found.state for found in results.values()] == ["failed"] + ["skipped"] * 13


@pytest.mark.parametrize(
    "learner, failed, unmade",
    [(InPlace, 1, 12), (OwnDraws, 1, 1), (Draws, 1, 5), (Counts, 1, 5)],
)
def test_what_would_fail_for_the_same_reason_is_not_made(learner, failed, unmade):
    results = list(dict(run_checks("algorithm", make_subject(REGISTRY, learner()))).values())
    assert [found.state for found in results].count("failed") == failed
    assert [found.said.startswith("not made") for found in results].count(True) == unmade


class Bent(Activation):
    """Tanh with something wrong with it."""

    name = "bent"

    def __call__(self, h):
        return h.tanh()

    def derivative(self, h, z):
        return 1 - z * z


class Slope(Bent):
    def derivative(self, h, z):
        return 1 - z


class Softmax(Bent):
    def __call__(self, h):
        return h.softmax(-1)


class TanhInPlace(Bent):
    def __call__(self, h):
        return h.tanh_()


class Summed(Bent):
    def __call__(self, h):
        return h.sum()


class Widened(Bent):
    def derivative(self, h, z):
        return 1 - z.float() * z.float()


class BranchesOnH(Bent):
    def __call__(self, h):
        return h.tanh() if h.sum() > -1e9 else h


class OwnBackward(Bent):
    def backward(self, h, z, error):
        return error * z


class Cancels(Bent):
    def difference(self, h, z, t):
        return z - (h - t).tanh()


class OtherDifference(Bent):
    def difference(self, h, z, t):
        return t * (1 - z * z)


class Overflows(Bent):
    def derivative(self, h, z):
        grown = (2 * h).exp()
        return 4 * grown / (1 + grown).square()


@dataclass(frozen=True)
class Steep(Activation):
    """tanh(slope · h), of which the author has forgotten what is no matter at slope 1."""

    name = "steep"
    slope: float = parameter(1.0, help="slope at 0", above=0)

    def __call__(self, h):
        return (self.slope * h).tanh()

    def derivative(self, h, z):
        return 1 - z * z


@dataclass(frozen=True)
class Searched(Steep):
    slope: float = parameter(1.0, help="slope at 0", search=Search(0.5, 1.0))


@dataclass(frozen=True)
class ForgetsInDifference(Steep):
    def derivative(self, h, z):
        return self.slope * (1 - z * z)

    def difference(self, h, z, t):
        return Tanh().difference(h, h.tanh(), t)


@dataclass(frozen=True)
class Whole(Steep):
    slope: int = parameter(1, help="slope at 0", minimum=1, maximum=2)


@dataclass(frozen=True)
class Bounded(Steep):
    slope: float = parameter(1.0, help="slope at 0", maximum=1)


class Noisy(Bent):
    def __call__(self, h):
        return h.tanh() + 0.1 * torch.randn_like(h)


class Vanishes(Bent):
    def __call__(self, h):
        return 0 * h

    def derivative(self, h, z):
        return 0 * h


@pytest.mark.parametrize(
    "activation, check, words",
    [
        (Softmax, "values", ("φ(h) at one unit depends on others", "elementwise")),
        (TanhInPlace, "values", ("φ(h) changes what it is given",)),
        (Summed, "values", ("φ(h) gives () for h of (90, 4)", "a value for each")),
        (Widened, "values", ("derivative(h, z) of torch.bfloat16 is torch.float32",)),
        (BranchesOnH, "values", ("needs values where there are none", "branch with torch.where")),
        (Slope, "derivative", ("where φ rises by", "return φ′(h), given z")),
        (Slope, "derivative", ("at h = -0.01",)),
        (Steep, "derivative", ("with slope=2.0, derivative(h, z) is 0.99", "φ rises by 1.9")),
        (Searched, "derivative", ("with slope=0.5, derivative(h, z)",)),
        (Whole, "derivative", ("with slope=2, derivative(h, z)",)),
        (ForgetsInDifference, "difference", ("with slope=2.0, difference(h, z, t)",)),
        (Noisy, "values", ("draws at random: give a function of h alone (test_conf", "randn_like")),
        (Vanishes, "loss falls", ("neither vanish nor grow", "errors come back")),
        (OwnBackward, "derivative", ("is not error · derivative(h, z)",)),
        (OtherDifference, "difference", ("where φ(h) − φ(h − t) is", "or leave it out")),
        (Cancels, "difference", ("cancels: for t of about 1e-06", "double precision")),
        (Overflows, "extremes stay finite", ("derivative(h, z) is nan at h = 50",)),
    ],
)
def test_an_activation_that_is_not_what_it_says(activation, check, words):
    found = run_check("activation", check, make_subject(REGISTRY, activation()))
    assert found.state == "failed", found
    for word in words:
        assert word in found.said, found.said
    for word in ("noise(", "Capabilities", "step.", "optimizer"):
        assert word not in found.said, found.said


def test_a_parameter_is_not_tried_out_of_its_bounds():
    assert (
        run_check("activation", "derivative", make_subject(REGISTRY, Bounded())).state == "passed"
    )


def test_a_wrong_derivative_is_not_told_again_by_training():
    results = dict(run_checks("activation", make_subject(REGISTRY, Slope())))
    assert results["derivative"].state == "failed"
    assert results["loss falls"].said == "not made: it needs 'derivative'"


def test_a_difference_that_nobody_wrote_is_as_good():
    results = dict(run_checks("activation", make_subject(REGISTRY, Bent())))
    assert {found.state for found in results.values()} == {"passed"}, results


def test_a_failed_check_fails_a_test():
    class TestClimbs(LearnerTests):
        learner = Climbs

    TestClimbs().test_checkpoint()
    with pytest.raises(pytest.fail.Exception, match="sign of a gradient"):
        TestClimbs().test_loss_falls_on_digits()


@pytest.mark.parametrize(
    "tests, check, words",
    [
        (LearnerTests, "test_shapes_and_types", "which learner it tests: give it learner = 'name'"),
        (NetworkTests, "test_gradients", "which network it tests: give it network = 'name'"),
        (ActivationTests, "test_values", "which activation it tests: give it activation ="),
        (DatasetTests, "test_images_as_declared", "which dataset it tests: give it dataset ="),
    ],
)
def test_tests_of_nothing_fail_with_a_sentence(tests, check, words):
    class TestNothing(tests):
        pass

    with pytest.raises(pytest.fail.Exception, match=f"TestNothing does not say {words}"):
        getattr(TestNothing(), check)()


def test_tests_of_what_is_not_there_fail_with_the_nearest_name():
    class TestMisspelled(LearnerTests):
        learner = "bakprop"

    with pytest.raises(pytest.fail.Exception, match="did you mean 'backprop'"):
        TestMisspelled().test_shapes_and_types()


class Narrow(Mlp):
    name = "narrow"

    @property
    def widths(self):
        return (1,)


class Halved(Dense):
    """A dense block whose hand-written update is half of what it should be."""

    def gradients(self, blocks, params, activities, errors):
        found = super().gradients(blocks, params, activities, errors)
        return {name: each / 2 for name, each in found.items()}


class Wrong(Mlp):
    name = "wrong"

    def build(self, input_shape, classes, activation, *, separate=False):
        blocks = [Halved(64, 16), Dense(16, classes)]
        return Network(blocks, activation, separate=separate)


class Built(Mlp):
    """Three dense blocks, with something wrong with them."""

    name = "built"

    def build(self, input_shape, classes, activation, *, separate=False):
        widths = self.between(math.prod(input_shape), classes)
        kinds = self.kinds()
        blocks = [kind(*pair) for kind, pair in zip(kinds, pairwise(widths), strict=True)]
        return Network(blocks, activation, separate=self.separates(separate))

    @property
    def widths(self):
        return ()

    def between(self, pixels, classes):
        return (pixels, 16, 16, 16, classes)

    def kinds(self):
        return (Dense,) * 4

    def separates(self, asked):
        return asked


class TenClasses(Built):
    def between(self, pixels, classes):
        return (pixels, 16, 16, 16, 10)


class EightByEight(Built):
    def between(self, pixels, classes):
        return (64, 16, 16, 16, classes)


class AlwaysStacked(Built):
    def separates(self, asked):
        return False


class AlwaysSeparate(Built):
    def separates(self, asked):
        return True


class LooksClassesUp(Built):
    def between(self, pixels, classes):
        return (pixels, 16, 16, 16, {10: 10}[classes])


class Squares(Dense):
    """A dense block whose forward pass is not the one that its products are of."""

    def forward(self, arrays, below, earlier=None):
        return super().forward(arrays, below.square())


class WrongBelow(Dense):
    def adjoint(self, arrays, below, error, earlier=None, feedback=None):
        return 2 * (error @ arrays["weight"]), None


class NoBias(Dense):
    """A dense block that does not add its bias, and changes it all the same."""

    def forward(self, arrays, below, earlier=None):
        return below @ arrays["weight"].T


class DropsOut(Dense):
    def forward(self, arrays, below, earlier=None):
        return super().forward(arrays, torch.nn.functional.dropout(below))


class Remembers(Dense):
    def forward(self, arrays, below, earlier=None):
        self.below = below
        return super().forward(arrays, below)


class RemembersInAList(Dense):
    passes = [0]  # noqa: RUF012 - this is what is wrong with it

    def forward(self, arrays, below, earlier=None):
        self.passes[0] += 1
        return self.passes[0] * super().forward(arrays, below)


class Branching(Dense):
    def forward(self, arrays, below, earlier=None):
        h = super().forward(arrays, below)
        return h if h.sum() > -1e9 else 2 * h


class BranchingNet(Built):
    def kinds(self):
        return (Dense, Dense, Branching, Dense)


class NeedsTwoImages(Dense):
    def forward(self, arrays, below, earlier=None):
        return super().forward(arrays, below + 0 * below[1])


class NeedsTwoNet(Built):
    def kinds(self):
        return (Dense, NeedsTwoImages, Dense, Dense)


class DeclaresAnother(Built):
    """Its second block gives twice the units that it declares, and the third takes half."""

    def kinds(self):
        return (Dense, Widens, Narrows, Dense)


class Widens(Dense):
    def forward(self, arrays, below, earlier=None):
        return super().forward(arrays, below).repeat(1, 2)


class Narrows(Dense):
    def forward(self, arrays, below, earlier=None):
        return super().forward(arrays, below[:, ::2])


class NoNetwork(Built):
    def build(self, input_shape, classes, activation, *, separate=False):
        return [Dense(64, classes)]


class GreyAlone(Built):
    """Builds for any images, and fails on coloured ones."""

    def kinds(self):
        return (Grey, Dense, Dense, Dense)


class Grey(Dense):
    def forward(self, arrays, below, earlier=None):
        side = math.isqrt(below.shape[1])
        return super().forward(arrays, below.view(-1, side, side).flatten(1))


class UnreadBias(Built):
    def kinds(self):
        return (Dense, Dense, NoBias, Dense)


class SquaresBelow(Built):
    def kinds(self):
        return (Dense, Squares, Dense, Dense)


class CarriesTwice(Built):
    def kinds(self):
        return (Dense, Dense, Dense, WrongBelow)


class Dropout(Built):
    def kinds(self):
        return (Dense, Dense, DropsOut, Dense)


class Remembering(Built):
    def kinds(self):
        return (Dense, Remembers, Dense, Dense)


class RememberingInAList(Built):
    def kinds(self):
        return (Dense, RemembersInAList, Dense, Dense)


@pytest.mark.parametrize(
    "network, check, words",
    [
        (Narrow, "layers as declared", ("widths says (1,)", "make them agree")),
        (DeclaresAnother, "layers as declared", ("layer 2 has the shape (32,)", "declares (16,)")),
        (NoNetwork, "layers as declared", ("build returned a list", "mend its build")),
        (GreyAlone, "layers as declared", ("for images (3, 20, 20)", "it raised Runtime")),
        (TenClasses, "layers as declared", ("block 4, the last, gives (10,), ", "(3,)")),
        (LooksClassesUp, "layers as declared", ("and 3 classes: KeyError: 3", "`refuses`")),
        (EightByEight, "layers as declared", ("(3, 20, 20)", "block 1 takes (64,)")),
        (AlwaysStacked, "layers as declared", ("separate=True) gives", "separate=separate")),
        (AlwaysSeparate, "layers as declared", ("separate=False) gives", "separate=separate")),
        (Dropout, "forward is pure", ("forward draws at random", "functional.dropout(below)")),
        (Remembering, "forward is pure", ("block 2 (Remembers) keeps 'below'", "trace")),
        (RememberingInAList, "forward is pure", ("other logits for the same arrays",)),
        (Wrong, "gradients", ("'weight' and 'bias' of block 1 (Halved)", "block 2 (Dense)")),
        (SquaresBelow, "gradients", ("'weight' of block 2 (Squares)", "inherits neither")),
        (BranchingNet, "replicas equal the single run", ("branches on a value", "if h.sum()")),
        (NeedsTwoNet, "batches of any size", ("of one image fail", "take sizes from what it")),
        (UnreadBias, "gradients", ("the gradient of 'bias' of block 3 (NoBias)",)),
        (CarriesTwice, "gradients", ("of block 3 (Dense)", "`adjoint` of block 4 (WrongBelow)")),
    ],
)
def test_a_network_that_is_not_what_it_says(network, check, words):
    found = run_check("network", check, make_subject(REGISTRY, network()))
    assert found.complaints, found
    if check != "batches of any size":
        assert len(found.complaints) == 1, found
    for word in ("noise(", "Capabilities", "step.", "optimizer"):
        assert word not in found.said, found.said
    for word in words:
        assert word in found.said, found.said


def test_a_network_that_draws_is_told_so_alone():
    results = dict(run_checks("network", make_subject(REGISTRY, Dropout())))
    failed = {name for name, found in results.items() if found.state == "failed"}
    assert failed == {"forward is pure"}
    passed = dict(run_checks("network", make_subject(REGISTRY, Built())))
    assert {found.state for found in passed.values()} == {"passed"}, passed


class BadImages(Dataset):
    name = "bad-images"
    shape = (4, 4)
    labels = ("a", "b")
    examples = (60, 10)
    validation = 20

    def load(self, data_dir):
        x = torch.arange(70).view(-1, 1, 1).expand(70, 4, 4).to(torch.uint8)
        y = torch.arange(70) % 2
        return self.spoil(x, y)

    def spoil(self, x, y):
        return Images(x[:60], y[:60], x[60:], y[60:])


class Floats(BadImages):
    def spoil(self, x, y):
        return super().spoil(x / 255, y)


class FromOne(BadImages):
    def spoil(self, x, y):
        return super().spoil(x, y + 1)


class Arrays(BadImages):
    def spoil(self, x, y):
        return Images(x[:60].numpy(), y[:60], x[60:].numpy(), list(y[60:]))


class SeenBefore(BadImages):
    def spoil(self, x, y):
        return Images(x[:60], y[:60], x[50:60], y[50:60])


class FewPatterns(BadImages):
    """Images of which there are four, each of them many times."""

    def spoil(self, x, y):
        return super().spoil(x % 4, y)


class Fewer(BadImages):
    def spoil(self, x, y):
        return Images(x[:50], y[:50], x[60:], y[60:])


class Shuffled(BadImages):
    def spoil(self, x, y):
        order = torch.randperm(70)
        return super().spoil(x[order], y[order])


class Meaningless(BadImages):
    def spoil(self, x, y):
        return super().spoil(0 * x, y)


@pytest.mark.parametrize(
    "dataset, check, words",
    [
        (Floats, "images as declared", ("torch.float32", "give torch.uint8")),
        (Arrays, "images as declared", ("train_x is a numpy ndarray", "torch.from_numpy(…)")),
        (Arrays, "images as declared", ("test_y is a Python list", "torch.tensor(…)")),
        (SeenBefore, "images as declared", ("10 of the 10 test images are training",)),
        (FromOne, "images as declared", ("labels go from 1 to 2", "classes from 0")),
        (Fewer, "images as declared", ("(50, 4, 4)", "(60, 4, 4)")),
        (Shuffled, "the same every time", ("loading twice gives other images",)),
        (Meaningless, "can be learned", ("belongs to its image",)),
    ],
)
def test_a_dataset_that_is_not_what_it_says(dataset, check, words):
    found = run_check("dataset", check, make_subject(REGISTRY, dataset()))
    for word in words:
        assert word in found.said, found.said


@pytest.mark.parametrize("dataset", [Floats, FromOne, Fewer])
def test_a_run_is_refused_where_images_are_not_as_declared(dataset):
    with pytest.raises(RequestError, match="dataset 'bad-images': the training"):
        load(dataset(), Path())


def test_data_of_few_different_images_may_test_on_those():
    found = run_check("dataset", "images as declared", make_subject(REGISTRY, FewPatterns()))
    assert found.state == "passed", found


@dataclass(frozen=True)
class Elsewhere(Learner):
    """Defined on nothing."""

    name = "elsewhere"
    beta: float = parameter(0.5, help="β")

    def refuses(self, network, activation):
        return "it is defined on nothing"

    def updates(self, step):
        return Updates()


def test_what_cannot_be_checked_is_a_sentence():
    with pytest.raises(RequestError, match="defined on nothing; give --network or --activation"):
        make_subject(REGISTRY, Elsewhere())
    (rule,) = REGISTRY.axis("optimizer", "adam")
    with pytest.raises(RequestError, match="optimizer 'adam' cannot be checked"):
        make_subject(REGISTRY, rule)


def test_the_command_says_what_it_found_and_its_code_whether_all_is_well(credbench, tmp_path):
    ran = credbench("check", "backprop")
    assert "passed   loss falls: from" in ran.stdout and "0 failed" in ran.stdout
    plugin = tmp_path / "up.py"
    plugin.write_text(
        "from credbench.algorithms.backprop import Backprop\nfrom credbench import Updates\n"
        "class Up(Backprop):\n    name = 'up'\n    def updates(self, step):\n"
        "        made = super().updates(step)\n"
        "        return Updates({k: -v for k, v in made.params.items()}, logits=made.logits)\n"
    )
    ran = credbench("check", "up,digits", "--plugin", plugin, "--format", "json", code=1)
    up, digits = json.loads(ran.stdout)
    failed = [each["check"] for each in up["checks"] if each["state"] == "failed"]
    assert failed == ["loss falls"] and up["algorithm"] == "up"
    assert (digits["kind"], {each["state"] for each in digits["checks"]}) == ("dataset", {"passed"})
    assert "did you mean 'backprop'" in credbench("check", "bakprop", code=2).stderr
    ran = credbench("check", "target-prop", "-n", "res-mlp", code=2)
    assert "give --network" in ran.stderr and ran.stderr.count("\n") == 1
