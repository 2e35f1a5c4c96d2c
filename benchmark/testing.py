"""Tests to inherit: everything `credbench check` looks at, as pytest tests.

Each fails with a sentence that says what to change. They need pytest.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from credbench.activations import Activation
    from credbench.architectures import Architecture
    from credbench.component import Component
    from credbench.conformance.subject import Subject
    from credbench.images import Dataset
    from credbench.learner import Learner


class _Tests:
    """How a check becomes a test."""

    plugin: ClassVar[str | Path | None] = None
    """The file that defines it, where it is not installed."""

    def _check(self, name: str) -> None:
        import pytest

        from credbench.conformance.suite import run_check
        from credbench.errors import RequestError

        try:
            kind, subject = self._subject()
        except RequestError as error:
            pytest.fail(str(error), pytrace=False)
        found = run_check(kind, name, subject)
        if found.complaints:
            pytest.fail("\n".join(found.complaints), pytrace=False)
        if found.skipped:
            pytest.skip(found.skipped)

    @classmethod
    @functools.cache
    def _subject(cls) -> tuple[str, Subject]:
        from credbench.conformance.subject import make_subject
        from credbench.registry import Registry

        kind, given, options = cls._asked()
        registry = Registry([] if cls.plugin is None else [Path(cls.plugin)])
        made = registry.axis(kind, given)[0] if isinstance(given, str) else given.create({})
        return kind, make_subject(registry, made, **options)

    @classmethod
    def _asked(cls) -> tuple[str, str | type[Component], dict[str, Any]]:
        """Return the kind, what is tested, and what it is tested on."""
        raise NotImplementedError

    @classmethod
    def _given(cls, attribute: str) -> str | type[Component]:
        """Return what is tested; raises `RequestError` where the class does not say it."""
        from credbench.errors import RequestError

        given: str | type[Component] | None = getattr(cls, attribute, None)
        if given is None:
            raise RequestError(
                f"{cls.__name__} does not say which {attribute} it tests: give it "
                f"{attribute} = 'name', or a class"
            )
        return given


class LearnerTests(_Tests):
    """Subclass it as `class TestMine(LearnerTests)` and say which learner is meant.

    They take a few seconds together.
    """

    learner: ClassVar[str | type[Learner]]
    """A name, with parameters if need be ('my-rule[beta=0.5]'), or a class."""
    network: ClassVar[str] = "mlp[hidden=16x3]"
    activation: ClassVar[str] = "tanh"

    def test_shapes_and_types(self) -> None:
        """What is drawn and given back has the names, shapes and types that it should."""
        self._check("shapes and types")

    def test_arguments_unchanged(self) -> None:
        """Nothing is changed in place."""
        self._check("arguments unchanged")

    def test_derivative_as_declared(self) -> None:
        """φ′ is used where that is declared."""
        self._check("derivative as declared")

    def test_nothing_kept_between_steps(self) -> None:
        """The same step gives the same updates."""
        self._check("nothing kept between steps")

    def test_mean_over_the_batch(self) -> None:
        """Updates have the batch-mean scale of a gradient."""
        self._check("mean over the batch")

    def test_no_reads_to_the_host(self) -> None:
        """No Python value is made of a tensor's."""
        self._check("no reads to the host")

    def test_replicas_equal_the_single_run(self) -> None:
        """Under vmap each replica gets what it would get alone."""
        self._check("replicas equal the single run")

    def test_captured_equals_eager(self) -> None:
        """On CUDA a replayed step does what an eager one does."""
        self._check("captured equals eager")

    def test_batches_of_any_size(self) -> None:
        """One image, a short last batch, and fewer images than a batch."""
        self._check("batches of any size")

    def test_checkpoint(self) -> None:
        """A run that was stopped goes on with the same bits."""
        self._check("checkpoint")

    def test_seeds_reproduce(self) -> None:
        """A seed decides all that is random."""
        self._check("seeds reproduce")

    def test_loss_falls_on_digits(self) -> None:
        """It learns."""
        self._check("loss falls")

    @classmethod
    def _asked(cls) -> tuple[str, str | type[Component], dict[str, Any]]:
        on = {"network": cls.network, "activation": cls.activation}
        return "algorithm", cls._given("learner"), on


class NetworkTests(_Tests):
    """Subclass it as `class TestMine(NetworkTests)` and say which network is meant."""

    network: ClassVar[str | type[Architecture]]
    """A name, with parameters if need be ('my-net[width=32]'), or a class."""
    activation: ClassVar[str] = "tanh"

    def test_layers_as_declared(self) -> None:
        """It is built, and its layers have the shapes that it declares."""
        self._check("layers as declared")

    def test_forward_is_pure(self) -> None:
        """A forward pass draws nothing, and no block keeps anything of it."""
        self._check("forward is pure")

    def test_gradients(self) -> None:
        """Its blocks carry errors as calculus has it."""
        self._check("gradients")

    def test_replicas_equal_the_single_run(self) -> None:
        """Under vmap each replica gets what it would get alone."""
        self._check("replicas equal the single run")

    def test_batches_of_any_size(self) -> None:
        """One image, a short last batch, and fewer images than a batch."""
        self._check("batches of any size")

    def test_loss_falls(self) -> None:
        """Backprop trains it."""
        self._check("loss falls")

    @classmethod
    def _asked(cls) -> tuple[str, str | type[Component], dict[str, Any]]:
        return "network", cls._given("network"), {"activation": cls.activation}


class ActivationTests(_Tests):
    """Subclass it as `class TestMine(ActivationTests)` and say which activation is meant."""

    activation: ClassVar[str | type[Activation]]
    """A name, with parameters if need be ('my-phi[slope=0.1]'), or a class."""

    def test_values(self) -> None:
        """It is elementwise, and changes nothing."""
        self._check("values")

    def test_derivative(self) -> None:
        """φ′ is that of φ, or a surrogate is declared."""
        self._check("derivative")

    def test_difference(self) -> None:
        """Differences are those of φ, also small ones."""
        self._check("difference")

    def test_extremes_stay_finite(self) -> None:
        """Nothing far out is infinite."""
        self._check("extremes stay finite")

    def test_loss_falls(self) -> None:
        """Backprop trains with it."""
        self._check("loss falls")

    @classmethod
    def _asked(cls) -> tuple[str, str | type[Component], dict[str, Any]]:
        return "activation", cls._given("activation"), {}


class DatasetTests(_Tests):
    """Subclass it as `class TestMine(DatasetTests)` and say which dataset is meant."""

    dataset: ClassVar[str | type[Dataset]]
    """A name, with parameters if need be ('my-data[size=64]'), or a class."""
    data_dir: ClassVar[str | Path] = "data"
    """Where its files lie."""

    def test_images_as_declared(self) -> None:
        """Numbers, shapes, types and labels are those that it declares."""
        self._check("images as declared")

    def test_the_same_every_time(self) -> None:
        """Loaded again, they are the same."""
        self._check("the same every time")

    def test_can_be_learned(self) -> None:
        """Backprop's loss on images held out falls."""
        self._check("can be learned")

    @classmethod
    def _asked(cls) -> tuple[str, str | type[Component], dict[str, Any]]:
        return "dataset", cls._given("dataset"), {"data_dir": Path(cls.data_dir)}
