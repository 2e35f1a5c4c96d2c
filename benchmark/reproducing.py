"""What `credbench reproduce` does: runs what a table or figure lacks, and writes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from credbench import targets
from credbench.commands import (
    DEFAULT_RESULTS,
    check_format,
    execute,
    folder,
    plan_options,
    show,
    trial_name,
    warn,
)
from credbench.configuration import configure
from credbench.errors import RequestError, unknown
from credbench.experiment import Trial
from credbench.planning import Found, Plan, make_plan
from credbench.registry import Registry
from credbench.store import Record, Store, frame, write_file
from credbench.targets import Target, read_target

if TYPE_CHECKING:
    from credbench.report.tables import Printable
    from credbench.running import Options

ALL = "all"
_ENDINGS = {"md": "md", "latex": "tex", "csv": "csv", "json": "json"}


def reproduce(
    name: str,
    scale: str,
    options: Mapping[str, str],
    plugins: Sequence[Path],
    output: Path | None,
    retry_failed: bool,
    dry_run: bool,
    format: str,
    margin: float,
) -> int:
    """Run what the targets of a name lack, write and print each; return the exit code.

    Rows of a table are compared with the best of those like them, by a margin in points.
    """
    check_format(format)
    if name != ALL and name not in targets.names():
        raise unknown("target", name, [*targets.names(), ALL])
    chosen = [read_target(each, scale) for each in (targets.names() if name == ALL else [name])]
    asked = configure(None, options)
    registry = Registry(plugins)
    warn(registry.problems)
    how = plan_options(asked, tuple(plugins), retry_failed, timing=False)
    results = folder("results-dir", asked.run, DEFAULT_RESULTS)
    where = output or results / "reproduced" / scale
    codes = [
        _describe(target, registry, how, results)
        if dry_run
        else _reproduce(target, registry, how, results, where, format, margin)
        for target in chosen
    ]
    return max(codes)


def _describe(target: Target, registry: Registry, how: Options, results: Path) -> int:
    """Print what a target would run."""
    if target.shows == "timing":
        print(f"{target.label}: {len(target.grids)} grids to time")
        return 0
    plan = make_plan(target, registry, how, results, search=False)
    trials = plan.experiment.trials
    found = Found(results, target.label).records(trials, how.retry_failed, target.embed)
    for trial in trials:
        state = "done  " if trial.id in found else "absent" if trial.id in plan.absent else "to run"
        print(f"{trial.id}  {state}  {trial.label}")
    left = sum(trial.id not in found and trial.id not in plan.absent for trial in trials)
    tuning = f", {plan.untuned} settings to be tuned first" if plan.untuned else ""
    print(f"{target.label}: {len(trials)} trials, {left} to run{tuning}")
    warn(f"{target.label}: {why}" for why in plan.absent.values())
    return 0


def _reproduce(
    target: Target,
    registry: Registry,
    how: Options,
    results: Path,
    where: Path,
    format: str,
    margin: float,
) -> int:
    if target.shows == "timing":
        return _time(target, registry, how, results, where, format)
    plan = make_plan(target, registry, how, results)
    warn(f"{target.label}: {why}" for why in plan.absent.values())
    found = _run(target, plan, how, results)
    trials = plan.experiment.trials
    records = found.records(trials, embedded=target.embed)
    table = _table(target, plan, found, records, registry, margin)
    _write(where, target, table)
    figures = _figures(target, trials, records, registry, where)
    show([table], format)
    if format == "table":
        print("\n".join(f"Written: {path}" for path in _files(where, target) + figures))
    warn(found.problems())
    unfinished = [record for record in records.values() if record["status"] != "done"]
    warn(f"{trial_name(record)} {record['status']}: {record['reason']}" for record in unfinished)
    return 1 if unfinished else 0


def _run(target: Target, plan: Plan, how: Options, results: Path) -> Found:
    """Run what has no record in any experiment; return all that there is then."""
    found = Found(results, target.label)
    trials = plan.runnable.trials
    known = found.records(trials, how.retry_failed, target.embed)
    left = replace(plan.experiment, cells=tuple(t for t in trials if t.id not in known))
    if not left.cells:
        return found
    # Of a few trials the time beside others says little; with all done, one each is taken alone.
    ways = replace(how, embedded=target.embed, timing=True)
    execute(left, Store(results, target.label), ways)
    return Found(results, target.label)


def _table(
    target: Target,
    plan: Plan,
    found: Found,
    records: Mapping[str, Record],
    registry: Registry,
    margin: float,
) -> Printable:
    from credbench.report.best import BestTable
    from credbench.report.published import PublishedTable
    from credbench.report.summary import summarise

    experiment = plan.experiment
    data = frame(experiment.planned, records, found.timings(), experiment.refusals)
    absent = dict.fromkeys(plan.absent.values())
    notes = [
        target.note,
        *(f"Missing: {why}." for why in absent),
        *found.notes(records, registry),
    ]
    rows = summarise(data, registry)
    return BestTable(PublishedTable(title_of(target, experiment.cells), rows, notes), margin)


def title_of(target: Target, cells: Sequence[Trial]) -> str:
    """Return a target's title, which says what falls short of the paper."""
    origins = {cell.dataset.origin for cell in cells if cell.dataset.origin}
    if target.scale == targets.SCALES[-1]:
        return ", ".join([target.title, *sorted(origins)])
    said = [
        _range({cell.limit_train for cell in cells}, "training images", "all training images"),
        _range({cell.epochs for cell in cells}, "epochs", ""),
        _count(len({cell.seed for cell in cells}), "seed"),
        *(["smaller networks"] if target.reduced else []),
        "untuned" if target.search is None else "tuned",
        *sorted(f"images from {origin}" for origin in origins),
    ]
    published = target.published_epochs
    less = f"; published: {published} epochs on all images" if published else ""
    return f"{target.title}, at {target.scale} scale ({', '.join(said)}{less})"


def _range(found: set[Any], what: str, none: str) -> str:
    numbers = sorted(value for value in found if value is not None)
    if not numbers:
        return none
    ends = dict.fromkeys((f"{numbers[0]:,}", f"{numbers[-1]:,}"))
    return f"{' to '.join(ends)} {what}"


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _files(where: Path, target: Target) -> list[Path]:
    return [where / f"{target.name}.{ending}" for ending in _ENDINGS.values()]


def _write(where: Path, target: Target, table: Printable) -> None:
    """Write a table in every format; raises `RequestError` where it cannot be."""
    from credbench.report import tables

    made = {
        "md": tables.as_markdown(table),
        "latex": tables.as_latex(table),
        "csv": tables.as_csv([table]),
        "json": tables.as_json([table]),
    }
    try:
        for format, ending in _ENDINGS.items():
            content = f"{made[format].rstrip()}\n"
            write_file(where / f"{target.name}.{ending}", partial(_put, content.encode()))
    except OSError as error:
        raise _unwritable(where, error) from error


def _put(content: bytes, file: BinaryIO) -> None:
    file.write(content)


def _figures(
    target: Target,
    trials: Sequence[Trial],
    records: Mapping[str, Record],
    registry: Registry,
    where: Path,
) -> list[Path]:
    """Draw what a target shows beside its table; return the files."""
    from credbench.report.curves import plot_curves, with_curves
    from credbench.report.embeddings import embedded, plot_embeddings
    from credbench.report.summary import Speller

    drawn = [records[trial.id] for trial in trials if trial.id in records]
    title, spell = title_of(target, trials), Speller(registry)
    measure = "validation-error"
    try:
        curved = with_curves(drawn, measure) if target.shows == "curves" else []
        if curved:
            made = {"epochs": _pair(where, target.name)}
            made["seconds"] = _pair(where, f"{target.name}-seconds")
            for against, paths in made.items():
                plot_curves(curved, measure, paths, spell, against, title)
            return [path for paths in made.values() for path in paths]
        if target.shows == "embedding" and embedded(drawn):
            paths = _pair(where, target.name)
            plot_embeddings(embedded(drawn), paths, spell, title)
            return paths
    except OSError as error:
        raise _unwritable(where, error) from error
    return []


def _pair(where: Path, stem: str) -> list[Path]:
    return [where / f"{stem}.{kind}" for kind in ("png", "pdf")]


def _unwritable(where: Path, error: OSError) -> RequestError:
    return RequestError(
        f"{where} cannot be written ({error.strerror}): give --output another folder"
    )


def _time(
    target: Target, registry: Registry, how: Options, results: Path, where: Path, format: str
) -> int:
    from credbench.report.pace import PaceTable
    from credbench.stopwatch import REFERENCE, measure

    said = [*(["some networks smaller"] if target.reduced else []), f"{target.repeats} repeats"]
    short = target.scale != targets.SCALES[-1]
    title = (
        f"{target.title}, at {target.scale} scale ({', '.join(said)})" if short else target.title
    )
    record = measure(
        registry, target.grids, target.repeats, how.device, results / "timing", target.label
    )
    table = PaceTable(record, REFERENCE, title, (target.note,))
    _write(where, target, table)
    show([table], format)
    if format == "table":
        print("\n".join(f"Written: {path}" for path in _files(where, target)))
    return 0
