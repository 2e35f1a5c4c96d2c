"""What `credbench claims` does, once its options are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from credbench import environment
from credbench.errors import RequestError
from credbench.experiment import setting_of
from credbench.gathering import UNREADABLE, Loaded, left_out, records_of, rows_of, timing_records
from credbench.logs import warn
from credbench.printing import check_format, show
from credbench.registry import Registry
from credbench.spec import parse_axis
from credbench.staleness import is_outdated, is_stale
from credbench.store import Store, experiments, timed_alone

if TYPE_CHECKING:
    from credbench.report.claims.evidence import Evidence, Timed
    from credbench.report.claims.ledger import Claim
    from credbench.report.claims.tables import Findings, Verdicts


_USUAL = Path("results")


def print_claims(
    registry: Registry, results_dir: Path | None, ids: Sequence[str], format: str
) -> None:
    """Print the verdict on each claim asked for, or on all, and the numbers behind them.

    Without a folder of results given, the usual one's; where that is not there either, only what
    is counted is decided. Raises `RequestError` for a claim that there is none of, and for a
    folder given that is not there.
    """
    check_format(format)
    if results_dir is not None and not results_dir.is_dir():
        raise RequestError(
            f"--results-dir {results_dir} is not a folder: give one that 'credbench run' wrote to"
        )
    results_dir = results_dir or _USUAL
    if not results_dir.is_dir():
        warn([f"there is no folder {results_dir}/ here, so no records decide: give --results-dir"])
    found = [Loaded(Store(results_dir, name)) for name in experiments(results_dir)]
    problems: list[str] = []
    verdicts, numbers = verdict_tables(registry, found, results_dir, problems, ids)
    warn([*problems, *(problem for each in found for problem in each.store.problems)])
    rows_alike = format in ("csv", "json")
    show([numbers] if rows_alike else [verdicts, numbers], format)


def verdict_tables(
    registry: Registry,
    found: Sequence[Loaded],
    results_dir: Path,
    problems: list[str],
    ids: Sequence[str] = (),
) -> tuple[Verdicts, Findings]:
    """Return what experiments, and the timing beside them, say of the claims of these ids, or all.

    A sentence for each record of timing that cannot be read goes to `problems`.
    Raises `RequestError` for a claim that there is none of.
    """
    from credbench.report.claims.ledger import read_claims
    from credbench.report.claims.tables import Findings, Verdicts
    from credbench.report.claims.verdict import judge

    claims = read_claims(registry, ids)
    timings = [
        *_alone(found, results_dir, registry),
        *_in_turns(results_dir / "timing", registry, problems),
    ]
    evidence = _evidence(registry, found, timings, claims)
    verdicts = [judge(claim, evidence) for claim in claims]
    used = {id for each in verdicts for judged in each.deciding for id in judged.finding.ids}
    notes = [note for each in found for note in each.origins(used, registry)]
    return Verdicts(verdicts), Findings(verdicts, list(dict.fromkeys(notes)))


def _evidence(
    registry: Registry,
    found: Sequence[Loaded],
    timings: Sequence[Timed],
    claims: Sequence[Claim],
) -> Evidence:
    from credbench.report.claims.evidence import Evidence

    about = {
        spec.name
        for claim in claims
        for criterion in claim.criteria
        for spec in criterion.needs.asked.get("dataset", ())
    }
    rows = rows_of(found, registry, lambda t: parse_axis(t["dataset"])[0].name in about)
    records = records_of(found, registry)
    stale = frozenset(id for id, record in records.items() if is_stale(record, registry))
    return Evidence(rows, records, timings, registry, stale)


def _alone(found: Sequence[Loaded], results_dir: Path, registry: Registry) -> list[Timed]:
    """Return the timing runs that end a run, or a target whose trials others hold, in s/epoch."""
    timed = []
    settings = {setting_of(trial): trial for each in found for trial in each.planned.values()}
    others = (Store(results_dir, name) for name in timed_alone(results_dir))
    for store in [*(each.store for each in found), *others]:
        known = store.environments()
        for (*setting, device), record in store.timings().items():
            trial, where = settings.get(tuple(setting)), known.get(record["environment"])
            if trial is not None and where is not None:
                stale = is_outdated(trial, record["source"], registry)
                timed.append(_timed(trial, record["epoch_seconds"], where, device, "", stale))
    return timed


def _in_turns(folder: Path, registry: Registry, problems: list[str]) -> list[Timed]:
    """Return what `credbench time` measured of one replica, in seconds a step of every phase."""
    timed = []
    for path, record in timing_records(folder, problems):
        try:
            where = record["environment"]
            timed += [
                _timed(
                    row["trial"],
                    row["seconds"]["step"],
                    where,
                    where["device"],
                    str(path),
                    is_outdated(row["trial"], row["source"], registry),
                )
                for row in record["rows"]
                if row.get("replicas") == 1 and "step" in row.get("seconds", {})
            ]
        except UNREADABLE as error:
            problems.append(left_out(path, error))
    return timed


def _timed(
    trial: Mapping[str, Any],
    seconds: Sequence[float],
    where: Mapping[str, Any],
    device: Any,
    turn: str,
    stale: bool,
) -> Timed:
    from credbench.report.claims.evidence import Timed

    arguments = {axis: _text(value) for axis, value in trial.items() if axis not in _NOT_OF_PACE}
    arguments.setdefault("dtype", "float32")
    machine = environment.describe_machine(dict(where))
    return Timed(arguments, tuple(map(float, seconds)), str(device), machine, turn, stale)


_NOT_OF_PACE = ("epochs", "seed", "tuning")


def _text(value: Any) -> str:
    """Return an argument as rows spell it."""
    if value is None:
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
