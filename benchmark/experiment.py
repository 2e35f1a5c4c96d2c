"""An experiment is a named grid of trials; a trial is one training run, named by its arguments."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from credbench.activations import Activation
from credbench.architectures import Architecture
from credbench.building import built
from credbench.component import Component
from credbench.errors import RequestError, unknown
from credbench.images import Dataset
from credbench.initializers import Initializer
from credbench.learner import Learner
from credbench.networks import Network
from credbench.optimizers import Optimizer
from credbench.versions import source_file, source_of

if TYPE_CHECKING:
    from credbench.registry import Registry


@dataclass(frozen=True)
class Trial:
    """One algorithm × dataset × activation × network × hyper-parameters × seed."""

    algorithm: Learner
    dataset: Dataset
    activation: Activation
    network: Architecture
    optimizer: Optimizer
    init: Initializer
    batch_size: int
    epochs: int
    clip_norm: float | None
    limit_train: int | None
    seed: int
    tuning: str | None = None
    """What was spent on finding its hyper-parameters, where that is known."""
    dtype: str = "float32"
    """What products are computed in: float32 or bfloat16."""

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields alone: where a trial arrives it has the source that is there."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @cached_property
    def arguments(self) -> dict[str, Any]:
        """The canonical arguments: every parameter spelled out, in a fixed order."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            key: value.spec() if isinstance(value, Component) else value
            for key, value in given.items()
            if key in ARGUMENTS or value != _LATER[key]
        }

    @cached_property
    def id(self) -> str:
        """A hash of the canonical arguments; it names the record."""
        return hashlib.sha256(json.dumps(self.arguments).encode()).hexdigest()[:16]

    @cached_property
    def source(self) -> str:
        """A hash of the source of the algorithm, the dataset and what else is not the engine's."""
        return source_of(type(getattr(self, key)) for key in COMPONENTS)

    @cached_property
    def program(self) -> tuple[object, ...]:
        """What trials must share to train as replicas of one program: all but numbers."""
        return (
            *(_structure(part) for part in (self.algorithm, self.optimizer)),
            *(part.spec() for part in (self.activation, self.network)),
            self.dataset.form,
            *(self.batch_size, self.epochs, self.clip_norm, self.limit_train, self.dtype),
        )

    @property
    def net(self) -> Network:
        """The network that is trained, without parameters; `RequestError` if it is wrong."""
        dataset, separate = self.dataset, self.algorithm.separate
        shape, classes = dataset.shape, dataset.classes
        return built(self.network, shape, classes, self.activation, separate=separate)

    @cached_property
    def setting(self) -> tuple[object, ...]:
        """The arguments that the pace of training depends on: all but epochs and seed."""
        return setting_of(self.arguments)

    @property
    def label(self) -> str:
        """A short description for people."""
        parts = (self.algorithm, self.dataset, self.activation, self.network)
        return " ".join(part.spec(full=False) for part in parts) + f" seed {self.seed}"

    @property
    def refusal(self) -> str:
        """Why there is no such trial: of the network on the data, of the algorithm on it."""
        if self.network.convolutional and not self.algorithm.capabilities.convolution:
            return "it is defined on dense layers alone"
        return self.network.refuses(self.dataset.shape) or self.algorithm.refuses(
            self.network, self.activation
        )

    @property
    def vectorizable(self) -> bool:
        """Whether trials like this one can train as replicas of one program."""
        alone = self.network.convolutional or self.dataset.streamed
        return self.algorithm.capabilities.vectorizable and not alone

    @property
    def surrogate(self) -> str:
        """What stands in for φ′ where the learner needs it and φ has none; else empty."""
        needs = self.algorithm.capabilities.needs_derivative
        return self.activation.surrogate if needs else ""


def setting_of(arguments: Mapping[str, Any]) -> tuple[object, ...]:
    """Return what a trial's pace of training depends on, from its canonical arguments."""
    return tuple(v for k, v in arguments.items() if k not in ("epochs", "seed", "tuning"))


_LATER: dict[str, object] = {"tuning": None, "dtype": "float32"}
"""Arguments that came later, and what they are where they are left out: earlier ids hold."""
ARGUMENTS = tuple(key for key in Trial.__dataclass_fields__ if key not in _LATER)
"""The names of the arguments that every trial has."""


COMPONENTS = {
    "algorithm": "algorithm",
    "dataset": "dataset",
    "activation": "activation",
    "network": "network",
    "optimizer": "optimizer",
    "init": "initializer",
}
"""The arguments that are components, and of which kind."""


def _structure(part: Component) -> tuple[object, ...]:
    numeric = part.numeric()
    return (part.name, *((k, v) for k, v in part.values().items() if k not in numeric))


SETTINGS: dict[str, str] = {
    "algorithm": "all",
    "dataset": "digits",
    "activation": "tanh",
    "network": "mlp",
    "optimizer": "",
    "init": "gaussian",
    "batch-size": "32",
    "clip-norm": "none",
    "dtype": "float32",
    "epochs": "",
    "limit-train": "none",
    "seeds": "3",
    "name": "",
    "tuned": "no",
}
"""The keys of an experiment file, which are options of `credbench run`, and their defaults.

Where one is empty, the algorithm, the dataset or the datasets' names decide.
"""

DEFAULT_OPTIMIZER = "adam"
DTYPES = ("float32", "bfloat16")
"""What products can be computed in."""
_MOST_TRIALS = 1_000_000


@dataclass(frozen=True)
class Experiment:
    """A named grid of trials, in the order they run."""

    name: str
    settings: dict[str, str]
    cells: tuple[Trial, ...]

    @cached_property
    def trials(self) -> tuple[Trial, ...]:
        """The cells that can be run."""
        return tuple(cell for cell in self.cells if not cell.refusal)

    @cached_property
    def refused(self) -> tuple[Trial, ...]:
        """The cells on which an algorithm is not defined."""
        return tuple(cell for cell in self.cells if cell.refusal)

    @property
    def planned(self) -> dict[str, dict[str, Any]]:
        """The arguments of every cell, by id."""
        return {cell.id: cell.arguments for cell in self.cells}

    @property
    def refusals(self) -> dict[str, str]:
        """The reason why a cell is not applicable, by id."""
        return {trial.id: trial.refusal for trial in self.refused}


def make_experiment(
    registry: Registry, given: Mapping[str, str], data_dir: Path | None = None
) -> Experiment:
    """Return the experiment for the settings given; the others take their defaults.

    Datasets are looked at in `data_dir`; None is for what needs no data. Raises `RequestError`
    for the first setting that is wrong, and where no cell of the grid is one on which its
    algorithm is defined.
    """
    settings = {**SETTINGS, **given}
    if settings["tuned"] not in ("yes", "no"):
        raise RequestError(f"tuned {settings['tuned']!r}: expected yes or no")
    if settings["dtype"] not in DTYPES:
        raise unknown("dtype", settings["dtype"], DTYPES)
    cells = tuple(_trials(registry, settings, data_dir))
    experiment = Experiment(_name(settings, cells), settings, cells)
    if not experiment.trials:
        raise RequestError(f"not applicable: {_refusal(cells[0])}")
    return experiment


def _refusal(trial: Trial) -> str:
    names = (trial.network.spec(full=False), trial.activation.spec(full=False))
    return f"{trial.algorithm.name} on {', '.join(names)}: {trial.refusal}"


def _trials(
    registry: Registry, settings: Mapping[str, str], data_dir: Path | None
) -> Iterator[Trial]:
    limit = _number("limit-train", settings["limit-train"], int)
    axes: list[list[Any]] = [
        [_limited(d, limit) for d in datasets(registry, settings["dataset"], data_dir)],
        registry.axis("network", settings["network"]),
        registry.axis("activation", settings["activation"]),
        registry.axis("initializer", settings["init"]),
        _numbers("batch-size", settings["batch-size"], int),
        _numbers("clip-norm", settings["clip-norm"], float),
        registry.axis("algorithm", settings["algorithm"]),
    ]
    optimizers = registry.axis("optimizer", settings["optimizer"]) if settings["optimizer"] else []
    seeds = parse_seeds(settings["seeds"])
    epochs = _number("epochs", settings["epochs"], int) if settings["epochs"] else None
    _check_size([*axes, optimizers or [None], seeds])
    for dataset, batch in itertools.product(axes[0], axes[4]):
        _check_batch(dataset, batch, limit)
    for dataset, network, activation, init, batch, clip, algorithm in itertools.product(*axes):
        for optimizer in optimizers or [own_optimizer(registry, algorithm)]:
            for seed in seeds:
                yield Trial(
                    algorithm, dataset, activation, network, cast(Optimizer, optimizer), init,
                    batch, dataset.epochs if epochs is None else epochs, clip, limit, seed,
                    dtype=settings["dtype"],
                )  # fmt: skip


def _check_size(axes: list[list[Any]]) -> None:
    size = math.prod(map(len, axes))
    if size > _MOST_TRIALS:
        raise RequestError(
            f"this asks for {size:,} trials: expected at most {_MOST_TRIALS:,}; split the grid"
        )


def datasets(registry: Registry, text: str, data_dir: Path | None) -> list[Dataset]:
    """Return the datasets that a comma list stands for, as they lie in a folder."""
    return [cast(Dataset, each).located(data_dir) for each in registry.axis("dataset", text)]


def _limited(dataset: Dataset, limit: int | None) -> Dataset:
    """Return the dataset; raises `RequestError` where it has fewer training images."""
    if limit is not None and limit > dataset.trainable:
        raise RequestError(
            f"limit-train {limit}: {dataset.name} has {dataset.trainable} training images beside "
            f"{dataset.validation} for validation; give at most {dataset.trainable}"
        )
    return dataset


def _check_batch(dataset: Dataset, batch: int, limit: int | None) -> None:
    most = limit or dataset.trainable
    if batch > most:
        where = "" if limit is None else f" by limit-train {limit}"
        raise RequestError(
            f"batch-size {batch}: {dataset.name} has {most} training images{where}; give at most "
            f"{most}"
        )


def own_optimizer(
    registry: Registry, algorithm: Learner, usual: str = DEFAULT_OPTIMIZER
) -> Component:
    """Return the optimizer that an algorithm declares, or the usual one.

    Raises `RequestError`, naming the algorithm's file, for one that is not known.
    """
    declared = algorithm.default_optimizer
    try:
        return registry.axis("optimizer", declared or usual)[0]
    except RequestError as error:
        if not declared:
            raise
        raise RequestError(
            f"algorithm {algorithm.name!r} in {source_file(type(algorithm))} declares "
            f"default_optimizer {declared!r}: {error}"
        ) from error


def _numbers(key: str, text: str, kind: type[int] | type[float]) -> list[Any]:
    """Return the values of a comma list; `none` (where the default is) stands for None."""
    words = [word.strip() for word in text.split(",")]
    return list(dict.fromkeys(_number(key, word, kind) for word in words))


def _number(key: str, text: str, kind: type[int] | type[float]) -> Any:
    if text.lower() == "none" and SETTINGS[key] == "none":
        return None
    try:
        value = kind(text)
    except ValueError:
        value = kind(0)
    if not 0 < value < 2**53:
        what = "a whole number of at least 1" if kind is int else "a number above 0"
        none = ", or none" if SETTINGS[key] == "none" else ""
        raise RequestError(f"{key} {text!r}: expected {what}{none}")
    return value


_MOST_SEEDS = 100_000


def parse_seeds(text: str) -> list[int]:
    """Return the seeds: `5` is 0 to 4, `3,7` those two, `10-14` a range with both ends.

    Raises `RequestError` where the text is none of these.
    """
    wrong = RequestError(
        f"seeds {text!r}: expected a count (5), a list (3,7) or a range (10-14) of whole numbers"
    )
    words = [word.strip() for word in text.split(",") if word.strip()]
    try:
        ranges = [[int(end) for end in word.split("-")] for word in words]
    except ValueError:
        raise wrong from None
    if not words or any(len(ends) > 2 for ends in ranges):
        raise wrong
    if len(words) == 1 and "," not in text and len(ranges[0]) == 1:
        ranges = [[0, ranges[0][0] - 1]]
    if any(end >= 2**63 for ends in ranges for end in ends):
        raise wrong
    if any(ends[-1] - ends[0] >= _MOST_SEEDS for ends in ranges):
        raise RequestError(f"seeds {text!r}: expected at most {_MOST_SEEDS:,} seeds")
    seeds = [seed for ends in ranges for seed in range(ends[0], ends[-1] + 1)]
    if not seeds:
        raise wrong
    return list(dict.fromkeys(seeds))


def _name(settings: Mapping[str, str], trials: tuple[Trial, ...]) -> str:
    name = settings["name"] or "-".join(dict.fromkeys(t.dataset.name for t in trials))
    if not name.replace("-", "").replace("_", "").replace(".", "").isalnum() or name[0] in ".-":
        raise RequestError(
            f"name {name!r}: expected letters, digits, dots, dashes and underscores, with a "
            "letter or digit first"
        )
    if len(name) > 100:
        raise RequestError(f"name {name!r}: expected at most 100 characters")
    return name


def read_setting(key: str, value: object) -> str:
    """Return a YAML value as the text that the option of that name would be given.

    Raises `RequestError` for a value that no option takes, such as a mapping.
    """
    if isinstance(value, bool) or not isinstance(value, (str, int, float, list)):
        none = value is None
        if none:
            return "none"
        raise RequestError(f"{key}: {value!r}: expected a word, a number or a list of them")
    if isinstance(value, list):
        if key == "seeds" and len(value) == 1:
            return f"{read_setting(key, value[0])},"
        return ",".join(read_setting(key, item) for item in value)
    return str(value)
