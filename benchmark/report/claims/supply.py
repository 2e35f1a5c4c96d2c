"""The commands that would make what a claim lacks."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from credbench.report.claims.finding import Finding
from credbench.report.claims.needs import AXES, Needs
from credbench.spec import Spec, parse_axis

_FLAGS = {"dataset": "-d", "network": "-n", "activation": "-f", "init": "--init"}
_USUAL = {"batch_size": "32", "clip_norm": "none", "dtype": "float32", "init": "gaussian",
          "optimizer": "adam"}  # fmt: skip
_MORE_SEEDS = 5


def to_run(algorithms: Sequence[str], needs: Needs) -> str:
    """Return the run that makes records which decide: the first of whatever is needed."""
    flags = [*_flags(algorithms, needs), "-e", str(needs.epochs), "-s", str(needs.seeds)]
    return shlex.join(["credbench", "run", *flags])


def to_time(algorithms: Sequence[str], needs: Needs, *more: str) -> str:
    """Return the timing run that decides."""
    return shlex.join(["credbench", "time", *_flags(algorithms, needs), *more])


def _flags(algorithms: Sequence[str], needs: Needs) -> list[str]:
    flags = ["-a", ",".join(algorithms)]
    for axis in AXES:
        if axis in needs.asked:
            flags += [_FLAGS[axis], spell(needs.asked[axis][0])]
    return flags


def to_run_on(finding: Finding, epochs: int | None = None) -> str:
    """Return the run that adds seeds to those behind a finding, or trains them for longer."""
    setting = finding.setting
    tuned = setting["tuning"] != "none"
    algorithms = finding.algorithms
    if tuned:  # the values that tuning found come from its file
        algorithms = tuple(dict.fromkeys(parse_axis(each)[0].name for each in algorithms))
    flags = ["-a", ",".join(algorithms), *_others(setting, tuned)]
    if epochs:
        flags += ["-e", str(epochs), "-s", ",".join(map(str, sorted(finding.seeds)))]
    else:
        start = max(finding.seeds) + 1
        more = max(finding.n, _MORE_SEEDS - finding.n)
        flags += ["-e", setting["epochs"], "-s", f"{start}-{start + more - 1}"]
    return shlex.join(["credbench", "run", *flags])


def _others(setting: Mapping[str, str], tuned: bool) -> list[str]:
    flags = ["--tuned"] if tuned else []
    for axis in ("dataset", "network", "activation"):
        flags += [_FLAGS[axis], setting[axis]]
    for axis, usual in _USUAL.items():
        if setting[axis] != usual and not (tuned and axis == "optimizer"):
            flags += [f"--{axis.replace('_', '-')}", setting[axis]]
    return flags


def spell(spec: Spec) -> str:
    """Return a spec as it is written."""
    given = ",".join(f"{key}={value}" for key, value in spec.given)
    return f"{spec.name}[{given}]" if given else spec.name
