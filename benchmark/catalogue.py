"""`list` and `describe`: what components there are and what is known of each."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from credbench.architectures import Architecture
from credbench.component import Component, Parameter
from credbench.errors import RequestError, unknown
from credbench.experiment import Trial, make_experiment
from credbench.images import Dataset
from credbench.learner import Learner
from credbench.printing import plain
from credbench.registry import KINDS, PLURALS, Registry, last_line
from credbench.spec import parse_axis

_FACTS = ("paper", "source", "equation", "formula", "derivative_formula", "surrogate")
"""Class attributes worth showing where a component has them."""


def list_components(registry: Registry, kind: str | None, format: str) -> None:
    """Print the components of one kind (named in the plural), or of all."""
    kinds = [kind_of(kind)] if kind else list(KINDS)
    found = {
        PLURALS[k]: [_entry(registry.get(k, name)) for name in registry.names(k)] for k in kinds
    }
    if plain(format):
        print(json.dumps(found, ensure_ascii=False, indent=2))
        return
    width = max(len(entry["name"]) for entries in found.values() for entry in entries)
    for number, (plural, entries) in enumerate(found.items()):
        print(("\n" if number else "") + plural)
        for entry in entries:
            print(f"  {entry['name']:<{width}}  {entry['summary']}")


def kind_of(plural: str) -> str:
    """Return the kind that a plural (or singular) names."""
    names = {p: k for k, p in PLURALS.items()}
    if plural in KINDS:
        return plural
    if plural not in names:
        raise unknown("kind of component", plural, names)
    return names[plural]


def _entry(component: type[Component]) -> dict[str, Any]:
    return {"name": component.name, "summary": _summary(component)}


def _summary(component: type[Component]) -> str:
    return component.summary or getattr(component, "formula", "") or _first_line(component)


def _first_line(component: type[Component]) -> str:
    return (component.__doc__ or "").strip().partition("\n")[0].rstrip(".")


def describe_component(registry: Registry, name: str, format: str) -> None:
    """Print all that is known of the components with this name.

    Parameters may stand in brackets behind a network, whose parameters are then counted, and
    behind an algorithm, the costs of whose step are.
    """
    specs = parse_axis(name)
    if len(specs) > 1:
        raise RequestError(f"describe {name!r}: expected one name, without alternatives")
    spec, found = specs[0], []
    for component in registry.find(spec.name):
        made = component.create(dict(spec.given))
        if spec.given and not isinstance(made, Architecture | Learner | Dataset):
            raise RequestError(
                f"describe {name!r}: only the parameters of networks, algorithms and datasets "
                f"change what is shown; give {spec.name!r} alone"
            )
        if spec.given and isinstance(made, Dataset):
            made = made.located(None)
        counts = _counts(registry, made) if isinstance(made, Architecture) else {}
        costs = _costs(registry, made) if isinstance(made, Learner) else {}
        found.append(facts(component, made) | counts | costs)
    if plain(format):
        print(json.dumps(found if len(found) > 1 else found[0], ensure_ascii=False, indent=2))
        return
    print("\n\n".join(_text(each) for each in found))


def facts(component: type[Component], made: Component) -> dict[str, Any]:
    """Return what is known of a component as it was made, ready for JSON."""
    known = {k: getattr(component, k) for k in _FACTS if getattr(component, k, "")}
    if isinstance(made, Learner):
        known["capabilities"] = dataclasses.asdict(made.capabilities)
        known["phases"] = list(made.phases)
    if isinstance(made, Dataset):
        known |= _dataset(made)
    return {
        "name": component.name,
        "kind": component.kind,
        "summary": _summary(component),
        **known,
        "parameters": [_parameter(p) for p in component.parameters().values()],
    }


def _counts(registry: Registry, network: Architecture) -> dict[str, Any]:
    """Return a network's parameters on images of its usual form, and all learners' feedback."""
    shape, classes = network.usual
    sides = "x".join(map(str, shape))
    learners = "all," + ",".join(_SKIPS) if network.residual and network.convolutional else "all"
    settings = {
        "network": network.spec(),
        "dataset": f"synthetic[shape={sides},classes={classes}]",
        "seeds": "1",
        "algorithm": learners,
    }
    trials = make_experiment(registry, settings).trials
    net, counted = trials[0].net, f"{network.spec(full=False)} on {sides} inputs and {classes}"
    frozen = {"never trained": net.count_frozen()} if net.count_frozen() else {}
    return {
        "counted": f"{counted} classes",
        "trainable": net.count(),
        **frozen,
        **_ordinary(network, trials[0]),
        "feedback": {t.algorithm.spec(full=False): _feedback(t) for t in trials},
    }


def _feedback(trial: Trial) -> int | str:
    """Return how many synapses an algorithm draws beside a network, or why it cannot."""
    from credbench.memory import count_feedback

    try:
        return count_feedback(trial, trial.net)
    except Exception as error:  # of a plugin, too: the others' are still worth showing
        return f"none: {last_line(error)}"


_SKIPS = ("rec-lra[skips=groups]", "rec-lra[skips=groups,ends=channel]")
"""Wirings whose synapses differ by orders of magnitude on maps."""


def _ordinary(network: Architecture, trial: Trial) -> dict[str, Any]:
    """Return the parameters of the network that one stands in for."""
    other = network.ordinary
    if other is None:
        return {}
    net = dataclasses.replace(trial, network=other).net
    return {"beside": f"{other.spec(full=False)}, which has {net.count()} trainable"}


def _costs(registry: Registry, learner: Learner) -> dict[str, Any]:
    """Return what a step takes as a function of depth, on layers of 256 and MNIST's form."""
    from credbench.costs import by_depth

    settings = {"algorithm": learner.asked, "network": _COUNTED, "dataset": "mnist", "seeds": "1"}
    try:
        found = by_depth(make_experiment(registry, settings).trials[0])
    except Exception as error:  # of a plugin, too, whose other facts are still worth showing
        return {"step": f"not counted: {error}"}
    return {
        "step": "at L hidden layers of 256, batch 32, before the optimiser",
        "kernels": _line(found["kernels"], 1),
        "multiply-adds": _line(found["multiply_adds"], 1e6) + " million",
        "memory": _line(found["bytes"], 2**20) + " MiB",
    }


_COUNTED = "mlp[hidden=256x8]"


def _line(each: tuple[float, float], unit: float) -> str:
    """Return `a + b L`."""
    fixed, slope = (round(value / unit, 1) for value in each)
    return f"{fixed:g} {'-' if slope < 0 else '+'} {abs(slope):g} L"


def _dataset(dataset: Dataset) -> dict[str, Any]:
    train, test = dataset.examples
    held = dataset.validation
    counts = {"train": train - held, "validation": held, "test": test}
    augmentation = dataset.augmentation
    return {
        "shape": list(dataset.shape),
        "classes": list(dataset.labels) or dataset.classes or _AS_FOUND,
        "examples": counts if train else _AS_FOUND,
        "scaling": dataset.scaling,
        **({"augmentation": str(augmentation)} if augmentation else {}),
        "epochs": dataset.epochs,
    }


_AS_FOUND = "those in its folder"


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "default": parameter.format(parameter.default),
        "unit": parameter.unit,
        "help": parameter.help,
        "expected": parameter.kind,
        "source": parameter.source,
        "search": str(parameter.search or ""),
        "structural": parameter.structural or not isinstance(parameter.default, float),
    }


def _text(known: dict[str, Any]) -> str:
    lines = [f"{known['name']} ({known['kind']}): {known['summary']}"]
    for key, value in known.items():
        if key in ("name", "kind", "summary", "parameters"):
            continue
        lines.append(f"  {key.replace('_', ' ')}: {_value(value)}")
    if known["parameters"]:
        lines.append("  parameters:")
    for parameter in known["parameters"]:
        unit = f" {parameter['unit']}" if parameter["unit"] else ""
        lines.append(f"    {parameter['name']} = {parameter['default']}{unit}")
        lines.append(f"      {parameter['help']}")
        lines += [
            f"      {key}: {parameter[key]}"
            for key in ("expected", "search", "source")
            if parameter[key]
        ]
    return "\n".join(lines)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k.replace('_', ' ')} {_value(v)}" for k, v in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
