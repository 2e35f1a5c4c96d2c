"""The checks in their order, by the kind of what is checked, and how they are made."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator

import torch

from credbench.conformance.advice import advice
from credbench.conformance.curves import (
    derivative,
    difference,
    extremes_stay_finite,
    values,
)
from credbench.conformance.gradients import gradients_of_blocks
from credbench.conformance.host import no_host_reads
from credbench.conformance.images import can_be_learned, images_as_declared, same_every_time
from credbench.conformance.layers import forward_is_pure, layers_as_declared
from credbench.conformance.measures import angles_with_backprop, loss_falls, time_per_step
from credbench.conformance.needs import derivative_declared
from credbench.conformance.probe import ComplaintError
from credbench.conformance.programs import captured_equals_eager, replicas_equal_single
from credbench.conformance.purity import arguments_unchanged, mean_of_the_batch, nothing_kept
from credbench.conformance.result import Result, raised
from credbench.conformance.runs import any_batch, checkpoint_survives, seeds_reproduce
from credbench.conformance.shapes import shapes_and_types
from credbench.conformance.subject import Subject
from credbench.tracing import where

Check = Callable[[Subject], Result]

LEARNER: dict[str, Check] = {
    "shapes and types": shapes_and_types,
    "arguments unchanged": arguments_unchanged,
    "derivative as declared": derivative_declared,
    "nothing kept between steps": nothing_kept,
    "mean over the batch": mean_of_the_batch,
    "no reads to the host": no_host_reads,
    "replicas equal the single run": replicas_equal_single,
    "captured equals eager": captured_equals_eager,
    "batches of any size": any_batch,
    "seeds reproduce": seeds_reproduce,
    "checkpoint": checkpoint_survives,
    "loss falls": loss_falls,
    "angles with backprop": angles_with_backprop,
    "time per step": time_per_step,
}
"""By what each is called."""

NETWORK: dict[str, Check] = {
    "layers as declared": layers_as_declared,
    "forward is pure": forward_is_pure,
    "gradients": gradients_of_blocks,
    "replicas equal the single run": replicas_equal_single,
    "batches of any size": any_batch,
    "loss falls": loss_falls,
}
"""Made with backprop."""

DATASET: dict[str, Check] = {
    "images as declared": images_as_declared,
    "the same every time": same_every_time,
    "can be learned": can_be_learned,
}

ACTIVATION: dict[str, Check] = {
    "values": values,
    "derivative": derivative,
    "difference": difference,
    "extremes stay finite": extremes_stay_finite,
    "loss falls": loss_falls,
}

CHECKS = {
    "algorithm": LEARNER,
    "network": NETWORK,
    "dataset": DATASET,
    "activation": ACTIVATION,
}


def run_check(kind: str, name: str, subject: Subject) -> Result:
    """Make one check; an error that is raised on the way is a complaint."""
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.filterwarnings("error", "There is a performance drop")  # from vmap
            return CHECKS[kind][name](subject)
    except ComplaintError as complaint:
        return Result([f"{complaint} ({where(complaint)})"])
    except Exception as error:
        return Result([f"it raised {raised(error)}: {advice(kind, error)}"])


_FIRST = ("shapes and types", "arguments unchanged", "layers as declared", "forward is pure",
          "images as declared", "values")  # fmt: skip
"""What fails here makes other checks fail, with sentences that mislead: they are not made."""
_KEPT = "nothing kept between steps"
_AFTER = {
    "mean over the batch": (_KEPT,),
    "replicas equal the single run": (_KEPT,),
    "captured equals eager": (_KEPT, "no reads to the host"),
    "seeds reproduce": (_KEPT,),
    "checkpoint": (_KEPT, "seeds reproduce"),
    "loss falls": ("derivative", "gradients"),
}
"""What each would only fail for again."""


def run_checks(kind: str, subject: Subject) -> Iterator[tuple[str, Result]]:
    """Yield each check's name and what it came to, in order."""
    failed: list[str] = []
    for name in CHECKS[kind]:
        before = [other for other in failed if other in _FIRST or other in _AFTER.get(name, ())]
        if before:
            yield name, Result(skipped=f"not made: it needs {before[0]!r}")
            continue
        found = run_check(kind, name, subject)
        if found.state == "failed":
            failed.append(name)
        yield name, found
