"""What `credbench reproduce` does: runs what a table or figure lacks, and writes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from credbench import targets
from credbench.configuration import configure
from credbench.errors import CredbenchError, InterruptedRunError, RequestError
from credbench.executing import execute, time_alone
from credbench.experiment import Trial
from credbench.logs import warn
from credbench.planning import Found, Plan, make_plan
from credbench.printing import check_format, show
from credbench.registry import Registry
from credbench.run_options import DEFAULT_RESULTS, folder_of, plan_options
from credbench.status import outcome
from credbench.store import Record, Store, frame, write_file
from credbench.targets import Target, read_target
from credbench.wording import count

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

    That is 2 for a single target of which nothing is on record, its data not being to be had.

    Rows of a table are compared with the best of those like them, by a margin in points.
    """
    check_format(format)
    chosen = targets.names() if name == ALL else [name]
    asked = configure(None, options)
    registry = Registry(plugins)
    warn(registry.problems)
    how = plan_options(asked, tuple(plugins), retry_failed, timing=False)
    results = folder_of("results-dir", asked.run, DEFAULT_RESULTS)
    where = output or results / "reproduced" / scale
    codes: list[int] = []
    for target in [read_target(each, scale) for each in chosen]:
        try:
            if dry_run:
                codes.append(_describe(target, registry, how, results))
            else:
                codes.append(_reproduce(target, registry, how, results, where, format, margin))
        except (RequestError, InterruptedRunError):
            raise
        except CredbenchError as error:  # of this target; the others may be well
            warn([f"{target.label}: {error}"])
            codes.append(error.exit_code)
    if len(chosen) > 1:  # a table of which there is no data yet is no fault among others
        codes = [code for code in codes if code != RequestError.exit_code]
    return max(codes, default=0)


def _describe(target: Target, registry: Registry, how: Options, results: Path) -> int:
    """Print what a target would run."""
    if target.shows == "timing":
        print(f"{target.label}: {count(len(target.grids), 'grid')} to time")
        return 0
    plan = make_plan(target, registry, how, results, search=False)
    trials = plan.experiment.trials
    there = Found(results, target.label)
    found = there.records(trials, how.retry_failed, target.embed, plan.absent)
    for trial in trials:
        state = "done  " if trial.id in found else "absent" if trial.id in plan.absent else "to run"
        print(f"{trial.id}  {state}  {trial.label}")
    left = sum(trial.id not in found and trial.id not in plan.absent for trial in trials)
    tuning = f", {count(plan.untuned, 'setting')} to be tuned first" if plan.untuned else ""
    print(f"{target.label}: {count(len(trials), 'trial')}, {left} to run{tuning}")
    warn(f"{target.label}: {why}" for why in _lacking(plan, found))
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
    found = _run(target, plan, how, results)
    trials = plan.experiment.trials
    records = found.records(trials, embedded=target.embed, absent=plan.absent)
    title = title_of(target, trials, records.values())
    table = _table(plan, title, target.note, found, records, registry, margin)
    _write(where, target, table)
    figures = _figures(target, title, [records[t.id] for t in trials if t.id in records], registry,
                       found, where)  # fmt: skip
    show([table], format)
    if format == "table":
        print("\n".join(f"Written: {path}" for path in _files(where, target) + figures))
    warn([*found.problems(), *(f"{target.label}: {why}" for why in _lacking(plan, records))])
    unfinished = [record for record in records.values() if record["status"] != "done"]
    warn(map(outcome, unfinished))
    if not records and plan.absent:
        return RequestError.exit_code
    return 1 if unfinished else 0


def _lacking(plan: Plan, records: Mapping[str, Record]) -> list[str]:
    """Return why trials could not be run that have no record of any machine either."""
    return list(dict.fromkeys(why for id, why in plan.absent.items() if id not in records))


def _run(target: Target, plan: Plan, how: Options, results: Path) -> Found:
    """Run what has no record in any experiment; return all that there is then.

    What no experiment has timed is timed at the end, one replica at a time.
    """
    found = Found(results, target.label)
    trials = plan.runnable.trials
    known = found.records(trials, how.retry_failed, target.embed)
    left = replace(plan.experiment, cells=tuple(t for t in trials if t.id not in known))
    store = Store(results, target.label)
    if left.cells:
        elsewhere = found.elsewhere(known)  # the others train together as if none had before
        among = [trial for trial in trials if trial.id not in elsewhere]
        execute(left, store, replace(how, embedded=target.embed), among)
        found = Found(results, target.label)
    done = found.records(trials, embedded=target.embed)
    if how.here and time_alone(trials, done, found.timings(), store):
        found = Found(results, target.label)
    return found


def _table(
    plan: Plan,
    title: str,
    note: str,
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
    lacking = [f"Missing: {why}." for why in _lacking(plan, records)]
    notes = [note, *lacking, *found.notes(records, registry)]
    return BestTable(PublishedTable(title, summarise(data, registry), notes), margin)


def title_of(target: Target, cells: Sequence[Trial], records: Iterable[Record] = ()) -> str:
    """Return a target's title, which says what falls short of the paper."""
    origins = dict.fromkeys(f"images from {r['origin']}" for r in records if "origin" in r)
    if target.scale == targets.SCALES[-1]:
        return ", ".join([target.title, *origins])
    said = [
        _range({cell.limit_train for cell in cells}, "training image") or "all training images",
        _range({cell.epochs for cell in cells}, "epoch"),
        _range({len({cell.seed for cell in cells})}, "seed"),
        *(["smaller networks"] if target.reduced else []),
        "untuned" if target.search is None else "tuned",
        *origins,
    ]
    published = _range(set(target.published_epochs), "epoch")
    return (
        f"{target.title}, at {target.scale} scale ({', '.join(said)}; published: {published} on "
        "all images)"
    )


def _range(found: Iterable[int | None], what: str) -> str:
    """Return numbers of things as their range; nothing where there are none."""
    numbers = sorted({value for value in found if value is not None})
    if not numbers:
        return ""
    lowest, highest = numbers[0], count(numbers[-1], what)
    return highest if lowest == numbers[-1] else f"{lowest:,} to {highest}"


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
    title: str,
    records: Sequence[Record],
    registry: Registry,
    found: Found,
    where: Path,
) -> list[Path]:
    """Draw what a target shows beside its table; return the files."""
    from credbench.report.curves import plot_curves, with_curves
    from credbench.report.embeddings import embedded, plot_embeddings
    from credbench.report.summary import Speller

    spell, measure = Speller(registry), "validation-error"
    try:
        curved = with_curves(records, measure) if target.shows == "curves" else []
        if curved:
            paths = _pair(where, target.name), _pair(where, f"{target.name}-seconds")
            plot_curves(curved, measure, paths[0], spell, title=title)
            plot_curves(curved, measure, paths[1], spell, "seconds", title, found.timings())
            return [*paths[0], *paths[1]]
        if target.shows == "embedding" and embedded(records):
            drawn = _pair(where, target.name)
            plot_embeddings(embedded(records), drawn, spell, title)
            return drawn
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

    smaller = ["some networks smaller"] if target.reduced else []
    said = [*smaller, _range([target.repeats], "repeat")]
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
