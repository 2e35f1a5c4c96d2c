"""Whether a step is a function of what it is given: nothing changed, nothing kept, a mean."""

from __future__ import annotations

import torch

from credbench.conformance.draws import undrawn
from credbench.conformance.probe import Probe, apart, parts, probes
from credbench.conformance.result import Result
from credbench.conformance.subject import Subject

_CLOSE = 1e-3


def arguments_unchanged(subject: Subject) -> Result:
    """Check that a step, and a prediction, leaves what it is given as it was."""
    return Result([said for probe in probes(subject) for said in _changed(probe)])


def _changed(probe: Probe) -> list[str]:
    given = dict(probe.named())
    versions = {name: (each._version, each.clone()) for name, each in given.items()}
    probe.learn()
    probe.predict()
    left = dict(probe.named())
    if left.keys() != given.keys() or any(left[name] is not each for name, each in given.items()):
        return ["updates writes into the mappings of its step: return new values in Updates"]
    return [
        f"updates changes {name} in place: compute the new value and return it in Updates"
        for name, each in given.items()
        if each._version != versions[name][0] or not torch.equal(each, versions[name][1])
    ]


def nothing_kept(subject: Subject) -> Result:
    """Check that the same step gives the same updates when it is taken again."""
    if not subject.trial.algorithm.capabilities.deterministic:
        return Result(skipped="declared with deterministic=False")
    complaints = []
    for probe in probes(subject):
        first, second = parts(probe.learn()), parts(probe.learn())
        same = first.keys() == second.keys()
        if not same or any(not torch.equal(first[k], second[k]) for k in first):
            undrawn(_DRAWN, probe.learn)
            complaints.append(
                f"the same step, taken twice in phase {probe.phase!r}, gave two results: return "
                "what has to be kept as state, and declare what is drawn at random with noise"
            )
    return Result(complaints)


_DRAWN = (
    "updates draws at random of its own: declare the draws with noise(net, phase), which come with "
    "the seed, and take them from step.noise"
)


def mean_of_the_batch(subject: Subject) -> Result:
    """Check that a batch with every example in it twice gets the updates of the batch."""
    complaints = []
    for probe in probes(subject):
        once, doubled = probe.learn(), probe.twice().learn()
        for part in ("params", "feedback"):
            for name, each in getattr(once, part).items():
                found = getattr(doubled, part)[name]
                if apart(found, each) > _CLOSE and each.abs().max() > _TINY:
                    ratio = float(found.norm() / each.norm())
                    complaints.append(
                        f"the update of {part} {name!r} is {ratio:.3g} times as large, or turned, "
                        "when every example is in the batch twice: make it a mean over the batch"
                    )
    return Result(complaints)


_TINY = 1e-7
