"""Run by torchrun: one step's updates from every process's share of a batch, and from all of it.

Each process prints, as JSON, how far the two are apart in each case, relative to the larger.
"""

import json
import sys

import torch

from credbench import processes
from credbench.launch import launched
from credbench.learner import Step
from helpers import draw_params, make, make_step


def whole_step(algorithm, network, batch):
    kind, shape, arguments = network
    net = make("network", kind, **arguments).build(shape, 4, make("activation", "tanh"))
    learner = make("algorithm", algorithm)
    return learner, [
        make_step(net, learner, draw_params(net), batch=batch, phase=phase)
        for phase in learner.phases
    ]


def share_of(step, share):
    def own(tensor):
        return tensor[share.start : share.stop]

    return Step(
        step.net, step.params, step.feedback, step.state, own(step.x), own(step.targets),
        own(step.index), {k: own(v) for k, v in step.noise.items()}, step.phase,
    )  # fmt: skip


def made(learner, step):
    updates = learner.updates(step)
    moved = processes.mean_all({**updates.params, **updates.feedback})
    return {**moved, **updates.state}


def apart(a, b):
    assert a.keys() == b.keys() and a
    return max(float((a[k] - b[k]).abs().max() / (b[k].abs().max() + 1e-12)) for k in a)


def main(cases):
    steps = [whole_step(*case) for case in cases]
    expected = [[made(learner, step) for step in each] for learner, each in steps]
    found = []
    with processes.joined(launched(), "cpu"):
        for (learner, each), wholes in zip(steps, expected, strict=True):
            worst = 0.0
            for step, whole in zip(each, wholes, strict=True):
                with processes.sharing(processes.share_of(len(step.x))) as share:
                    worst = max(worst, apart(made(learner, share_of(step, share)), whole))
            found.append(worst)
    sys.stdout.write(json.dumps(found) + "\n")  # in one piece: they share it


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(json.loads(sys.argv[1]))
