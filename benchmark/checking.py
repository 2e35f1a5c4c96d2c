"""What `credbench check` does: every check of a component, one line each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from credbench.component import Component
from credbench.printing import plain
from credbench.registry import Registry
from credbench.spec import Spec, parse_axis

if TYPE_CHECKING:
    from credbench.conformance.result import Result
    from credbench.conformance.subject import Subject


def check(
    registry: Registry,
    named: str,
    network: str | None,
    activation: str | None,
    data_dir: Path,
    format: str,
) -> int:
    """Check the components of a comma list and print what was found; return the exit code.

    Raises `RequestError` for a name that is not known, for what cannot be checked, and for a
    network or an activation on which an algorithm is not defined.
    """
    as_json = plain(format)
    given = [each for spec in parse_axis(named) for each in _named(registry, spec)]

    from credbench.conformance.subject import ACTIVATION, NETWORK, make_subject
    from credbench.processor import settle

    settle()
    on = (network or NETWORK, activation or ACTIVATION)
    subjects = [(each, make_subject(registry, each, *on, data_dir)) for each in given]
    reports = [_report(each, subject, silent=as_json) for each, subject in subjects]
    if as_json:
        print(json.dumps(reports, ensure_ascii=False, indent=2))
    failed = any(each["state"] == "failed" for report in reports for each in report["checks"])
    return 1 if failed else 0


def _named(registry: Registry, spec: Spec) -> list[Component]:
    """Return what a name stands for; `all` is every algorithm."""
    if spec == Spec("all"):
        return registry.axis("algorithm", "all")
    return [found.create(dict(spec.given)) for found in registry.find(spec.name)]


def _report(given: Component, subject: Subject, silent: bool) -> dict[str, Any]:
    from credbench.conformance.suite import run_checks

    trial = subject.trial
    about = {
        axis: getattr(trial, axis).spec(full=False)
        for axis in ("algorithm", "network", "activation", "dataset")
    }
    if not silent:
        others = (text for axis, text in about.items() if axis != given.kind)
        print(f"{given.kind} {about[given.kind]} ({', '.join(others)})")
    checks = []
    for called, found in run_checks(given.kind, subject):
        checks.append({"check": called, "state": found.state, "said": found.said})
        if not silent:
            print(_line(called, found), flush=True)
    if not silent:
        print(_counted([each["state"] for each in checks]))
    return {"kind": given.kind, **about, "checks": checks}


def _line(called: str, found: Result) -> str:
    state = found.state.upper() if found.complaints else found.state
    if len(found.complaints) < 2:
        return f"  {state:<7}  {called}" + (f": {found.said}" if found.said else "")
    return "\n".join([f"  {state:<7}  {called}:", *(f"    - {each}" for each in found.complaints)])


def _counted(states: list[str]) -> str:
    counts = ", ".join(f"{states.count(each)} {each}" for each in ("passed", "failed", "skipped"))
    return f"  {counts}"
