"""What the commands `run`, `table` and `status` do, once their options are read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from credbench import together
from credbench.angles import Angles, read_every
from credbench.catalogue import plain
from credbench.configuration import Configuration, configure
from credbench.errors import RequestError, unknown
from credbench.experiment import COMPONENTS, Experiment, Trial, make_experiment, setting_of
from credbench.launch import launched, one_voice
from credbench.logs import log
from credbench.records import STATUSES
from credbench.registry import Registry
from credbench.spec import Spec, parse_axis
from credbench.store import NOT_APPLICABLE, Record, Store, experiments, frame
from credbench.versions import source_of
from credbench.wording import count

if TYPE_CHECKING:
    from credbench.learner import Learner
    from credbench.report.tables import Printable, Table
    from credbench.running import Events, Options

_FORMATS = ("table", "md", "latex", "csv", "json")
DEFAULT_DATA = "~/.cache/credbench"
DEFAULT_RESULTS = "results"
_LONGEST = 1e9


def run_experiment(
    file: Path | None,
    options: Mapping[str, str],
    plugins: Sequence[Path],
    retry_failed: bool,
    timing: bool,
    dry_run: bool,
    format: str,
    margin: float | None = None,
) -> int:
    """Plan, run what is missing, print the table; return the exit code."""
    with one_voice():
        return _run_experiment(
            file, options, plugins, retry_failed, timing, dry_run, format, margin
        )


def _run_experiment(
    file: Path | None,
    options: Mapping[str, str],
    plugins: Sequence[Path],
    retry_failed: bool,
    timing: bool,
    dry_run: bool,
    format: str,
    margin: float | None,
) -> int:
    check_format(format)
    asked = configure(file, options)
    paths = tuple(plugins) or _plugins(asked)
    registry = Registry(paths)
    warn(registry.problems)
    how = plan_options(asked, paths, retry_failed, timing)
    how = replace(how, angles=_angles(asked, registry))
    experiment = make_experiment(registry, asked.settings, how.data_dir)
    results = folder("results-dir", asked.run, DEFAULT_RESULTS)
    if experiment.settings["tuned"] == "yes":
        from credbench import winners

        experiment = winners.apply(experiment, registry, results)
    world = launched()
    if world.size > 1:
        how = together.settle(experiment.trials, how, world)
    store = Store(results, experiment.name, writes=world.leads)
    if dry_run:
        print_plan(experiment, store, format, retry_failed, how.embedded, how.angles)
        return 0
    with together.joined(how):
        execute(experiment, store, how)
        return together.told(lambda: _finish(experiment, store, registry, format, margin))


def check_format(format: str) -> None:
    """Raise `RequestError` for a format that tables do not have."""
    if format not in _FORMATS:
        raise unknown("format", format, _FORMATS)


def warn(problems: Iterable[str]) -> None:
    """Print one line for each problem that does not stop the command."""
    for problem in dict.fromkeys(problems):
        log.warning(problem)


def _plugins(asked: Configuration) -> tuple[Path, ...]:
    return tuple(Path(p) for p in asked.run.get("plugin", "").split(",") if p)


def plan_options(
    asked: Configuration, plugins: tuple[Path, ...], retry_failed: bool, timing: bool
) -> Options:
    """Return how to run, as asked for; raises `RequestError` for what is not a way."""
    from credbench.running import Options

    return Options(
        data_dir=folder("data-dir", asked.run, DEFAULT_DATA),
        device=asked.run.get("device", "auto"),
        workers=read_count("workers", asked.run.get("workers")),
        replicas=read_count("replicas", asked.run.get("replicas")),
        plugins=plugins,
        retry_failed=retry_failed,
        timing=timing,
        embedded=_embedded(asked.run.get("tsne")),
        scalars=_scalars(asked.run.get("tensorboard", "no")),
        timeout=_seconds("trial-timeout", asked.run.get("trial-timeout")),
        scheduler=_scheduler(asked.run.get("scheduler", "none")),
    )


def _scheduler(text: str) -> str | None:
    if text == "none":
        return None
    from credbench import cluster

    cluster.check(text)
    return text


def _scalars(text: str) -> bool:
    if text not in ("yes", "no"):
        raise RequestError(f"tensorboard {text!r}: expected yes or no")
    if text == "yes":
        from credbench import scalars

        scalars.check()
    return text == "yes"


def _seconds(key: str, text: str | None) -> float | None:
    """Return a number of seconds, or None where there is no limit."""
    if text is None or text == "none":
        return None
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < _LONGEST:
        raise RequestError(f"{key} {text!r}: expected a number of seconds above 0, or none")
    return value


def _embedded(text: str | None) -> int:
    """Return of how many test images the last hidden layer is kept; 0 where none is asked for."""
    from credbench.embedding import FEWEST, MOST

    if text is None or text == "none":
        return 0
    if not text.isdecimal() or not FEWEST <= int(text) <= MOST:
        raise RequestError(
            f"tsne {text!r}: expected a whole number of test images from {FEWEST} to {MOST:,}"
        )
    return int(text)


def _angles(asked: Configuration, registry: Registry) -> Angles | None:
    from credbench.stopwatch import REFERENCE

    every = read_every(asked.run.get("angles"))
    if every is None:
        return None
    return Angles(every, cast("Learner", registry.create("algorithm", Spec(REFERENCE))))


def folder(key: str, given: Mapping[str, str], default: str) -> Path:
    """Return the folder that an option names; raises `RequestError` where it names none."""
    text = given.get(key, default)
    try:
        if text.strip() and "\0" not in text:
            return Path(text).expanduser()
        why = "expected the path of a folder"
    except RuntimeError:  # ~somebody
        why = "there is no such user"
    raise RequestError(f"{key} {text!r}: {why}")


def read_count(key: str, text: str | None) -> int | None:
    """Return a number of workers, replicas or layers, or None for `auto`."""
    if text is None or text == "auto":
        return None
    if not text.isdecimal() or not 0 < int(text) <= 10_000:
        raise RequestError(f"{key} {text!r}: expected a whole number from 1 to 10,000, or auto")
    return int(text)


def print_plan(
    experiment: Experiment,
    store: Store,
    format: str,
    retry_failed: bool,
    embedded: int = 0,
    angles: Angles | None = None,
) -> None:
    """Print the trials and which of them are to run."""
    from credbench.running import pending

    waiting = pending(experiment, store, retry_failed, embedded, angles)
    left = {trial.id for trial in waiting}
    warn(store.problems)
    if format == "json":
        why = experiment.refusals
        plan = [
            {"id": id, "pending": id in left, "not_applicable": why.get(id, ""), **arguments}
            for id, arguments in experiment.planned.items()
        ]
        print(json.dumps(plan, ensure_ascii=False, indent=2))
        return
    for trial in experiment.trials:
        print(f"{trial.id}  {'to run' if trial.id in left else 'done  '}  {trial.label}")
    for trial in experiment.refused:
        print(f"{trial.id}  n/a     {trial.label}: {trial.refusal}")
    trials = count(len(experiment.trials), "trial")
    print(f"{trials} in {store.folder}, {len(left)} to run")


def execute(experiment: Experiment, store: Store, how: Options) -> None:
    """Run what is missing, with progress on stderr.

    Raises `InterruptedRunError`, which says what is saved, where Ctrl-C ends it.
    """
    from rich.console import Console

    from credbench.interrupting import interruptible
    from credbench.progress import show_progress
    from credbench.running import run

    def saved() -> str:
        done = sum(store.has(trial.id) for trial in experiment.trials)
        return (
            f"interrupted: {done} of {count(len(experiment.trials), 'trial')} are saved in "
            f"{store.folder}; the same command goes on from there"
        )

    with interruptible(saved), show_progress(Console(stderr=True)) as events:
        if how.scalars:
            events = replace(events, finished=partial(_finished, store, events))
        run(experiment, store, how, events)
    warn(store.untold())


def _finished(store: Store, events: Events, record: Record) -> None:
    from credbench.scalars import write_scalars

    if store.writes:
        write_scalars(store.folder, record)
    events.finished(record)


def time_alone(
    trials: Sequence[Trial],
    records: Mapping[str, Record],
    timings: Mapping[tuple[object, ...], Record],
    store: Store,
) -> int:
    """Time the settings that have records but no timing, with progress; return their number."""
    from rich.console import Console

    from credbench.interrupting import interruptible
    from credbench.progress import show_progress
    from credbench.running import time_untimed

    def saved() -> str:
        return "interrupted: all trials are saved; the same command goes on from there"

    with interruptible(saved), show_progress(Console(stderr=True)) as events:
        timed = time_untimed(trials, records, timings, store, events)
    warn(store.untold())
    return timed


def _finish(
    experiment: Experiment, store: Store, registry: Registry, format: str, margin: float | None
) -> int:
    records = store.trials()
    made = make_table(store, experiment.planned, records, registry)
    show([_compared(_published(made), margin)], format)
    mine = [records[trial.id] for trial in experiment.trials if trial.id in records]
    unfinished = [record for record in mine if record["status"] != "done"]
    if format == "table":
        print(f"Records: {store.folder / 'trials'}")
    warn(f"{trial_name(record)} {record['status']}: {record['reason']}" for record in unfinished)
    return 1 if unfinished or len(mine) < len(experiment.trials) else 0


def trial_name(record: Record) -> str:
    """Return a trial's components and seed, in a line."""
    trial = record["trial"]
    keys = ("algorithm", "dataset", "activation", "network")
    return " ".join(trial[key] for key in keys) + f" seed {trial['seed']}"


def print_trials(results_dir: Path, name: str | None, format: str) -> None:
    """Print one row a trial, of one experiment or of all."""
    import pandas

    if format not in ("csv", "json"):
        raise RequestError(f"--trials with --format {format}: expected csv or json")
    parts = []
    for store in find_stores(results_dir, name):
        records = store.trials()
        part = frame(store.planned(records), records, store.timings(), store.refusals())
        part.insert(0, "experiment", store.name)
        parts.append(part)
        warn(store.problems)
    whole = pandas.concat(parts, ignore_index=True)
    as_text = whole.to_csv(index=False) if format == "csv" else whole.to_json(orient="records")
    print(as_text.rstrip("\n"))


def print_tables(
    registry: Registry,
    results_dir: Path,
    name: str | None,
    format: str,
    published: bool | None = None,
    margin: float | None = None,
) -> None:
    """Print the tables of one experiment, or of all, from their records.

    Published numbers stand beside them, or do not, as asked for; if not, where there are any.
    With a margin, in points, rows are compared with the best of those like them.
    """
    check_format(format)
    tables: list[Printable] = []
    for store in find_stores(results_dir, name):
        records = store.trials()
        made = make_table(store, store.planned(records), records, registry)
        tables.append(_compared(_published(made, published), margin))
        warn(store.problems)
    show(tables, format)


def _published(table: Table, asked: bool | None = None) -> Table:
    from credbench.report.published import PublishedTable, beside_published

    if asked:
        return PublishedTable(table.title, table.rows, table.notes)
    return beside_published(table) if asked is None else table


def _compared(table: Table, margin: float | None) -> Printable:
    if margin is None:
        return table
    from credbench.report.best import BestTable

    return BestTable(table, margin)


def find_stores(results_dir: Path, name: str | None) -> list[Store]:
    """Return the stores of one experiment, or of all; raises `RequestError` where there is none."""
    known = experiments(results_dir)
    if name is not None and name not in known:
        raise unknown(f"experiment in {results_dir}:", name, known)
    if not known:
        raise RequestError(
            f"{results_dir} holds no experiments: start one with 'credbench run', or give "
            "--results-dir"
        )
    return [Store(results_dir, each) for each in ([name] if name else known)]


def make_table(
    store: Store,
    planned: Mapping[str, Mapping[str, Any]],
    records: Mapping[str, Record],
    registry: Registry,
) -> Table:
    """Return the table of an experiment, with what stands behind its numbers below."""
    from credbench.report.summary import summarise
    from credbench.report.tables import Table

    rows = summarise(frame(planned, records, store.timings(), store.refusals()), registry)
    return Table(store.name, rows, origins_of(store, planned, records, registry))


def origins_of(
    store: Store,
    planned: Mapping[str, Mapping[str, Any]],
    records: Mapping[str, Record],
    registry: Registry,
) -> list[str]:
    """Return what trials were read from, ran on and were asked for by, in sentences."""
    from credbench import environment

    timings = store.timings()
    used = {records[id]["environment"] for id in planned if id in records}
    found = [e for key, e in store.environments().items() if key in used]
    hardware = dict.fromkeys(f"Hardware: {environment.describe(e)}." for e in found)
    commands = dict.fromkeys(f"Command: {e['command']}" for e in found)
    if len(found) < len(used):
        hardware["Hardware of some trials: not on record, its file is missing or changed."] = None
    stale = sum(is_stale(records[id], registry) for id in planned if id in records)
    if stale:
        counted = f"{stale} trial is" if stale == 1 else f"{stale} trials are"
        commands[f"{counted} stale: made by another version of their source."] = None
    settings = {setting_of(planned[id]) for id in planned if id in records}
    loads = _loads([t for key, t in timings.items() if key[:-1] in settings], store)
    origins = origin_notes([records[id] for id in planned if id in records])
    return [*origins, *hardware, *loads, *commands]


def origin_notes(records: Iterable[Record]) -> list[str]:
    """Return what datasets were read from, where that was not the published files."""
    found = {(_dataset(record), record["origin"]): None for record in records if "origin" in record}
    return [f"{name}: read from {origin}, not the published files." for name, origin in found]


def _dataset(record: Record) -> str:
    return parse_axis(record["trial"]["dataset"])[0].name


def _loads(timings: Iterable[Record], store: Store) -> list[str]:
    """Return where timing ran and what the machine's load was, without which it says little."""
    from credbench import environment

    known = store.environments()
    found: dict[str, list[float]] = {}
    for timing in timings:
        where = known.get(timing["environment"])
        place = environment.describe_machine(where) if where else "a machine not on record"
        found.setdefault(place, []).extend(timing["loads"])
    return [
        f"Timing runs: one replica alone on {place}"
        + (f", load average {min(loads):.1f} to {max(loads):.1f}." if loads else ".")
        for place, loads in found.items()
    ]


def show(tables: Sequence[Printable], format: str) -> None:
    """Print tables in a format."""
    from credbench.report import tables as render

    if format == "table":
        _show_rich(tables)
    elif format == "json":
        print(render.as_json(tables))
    elif format == "csv":
        print(render.as_csv(tables))
    else:
        one = render.as_markdown if format == "md" else render.as_latex
        print("\n\n".join(one(table) for table in tables))


def _show_rich(tables: Sequence[Printable]) -> None:
    from rich.console import Console

    from credbench.report.tables import as_rich

    console = Console()
    if not console.is_terminal:
        console = Console(width=220)
    for table in tables:
        console.print(as_rich(table, console.width))
        for note in table.footnotes():
            console.print(note, markup=False, highlight=False, soft_wrap=True)


def print_status(registry: Registry, results_dir: Path, name: str | None, format: str) -> None:
    """Print how many trials of each experiment are done, failed, diverged, missing, stale."""
    as_json = plain(format)
    rows = []
    for store in find_stores(results_dir, name):
        rows.append({"experiment": store.name, **tally(store, store.trials(), registry)})
        warn(store.problems)
    if as_json:
        print(json.dumps(rows, ensure_ascii=False, indent=2))
        return
    for row in rows:
        counts = ", ".join(f"{row[key]} {key}" for key in STATES)
        print(f"{row['experiment']}: {count(row['trials'], 'trial')}, {counts}")
        for line in row["unfinished"]:
            print(f"  {line}")


STATES = (*STATUSES, "missing", "stale", NOT_APPLICABLE)
"""What a planned trial can be."""


def tally(store: Store, records: Mapping[str, Record], registry: Registry) -> dict[str, Any]:
    """Return how many trials are in each state, and a line for each that failed or diverged."""
    planned, refusals = store.planned(records), store.refusals()
    counts = dict.fromkeys(STATES, 0)
    unfinished = []
    for id in planned:
        record = records.get(id)
        state = NOT_APPLICABLE if id in refusals else _state(record, registry)
        counts[state] += 1
        if record is not None and state in ("failed", "diverged"):
            unfinished.append(f"{trial_name(record)} {state}: {record['reason']}")
    return {"trials": len(planned), **counts, "unfinished": unfinished}


def _state(record: Record | None, registry: Registry) -> str:
    if record is None:
        return "missing"
    return "stale" if is_stale(record, registry) else str(record["status"])


def is_stale(record: Record, registry: Registry) -> bool:
    """Return whether a record was made by another version of its source."""
    return is_outdated(record["trial"], record["source"], registry)


def is_outdated(trial: Mapping[str, Any], source: str, registry: Registry) -> bool:
    """Return whether a trial, by its arguments, now has another source than this hash."""
    return source != present_source(trial, registry, unknown=source)


def present_source(trial: Mapping[str, Any], registry: Registry, unknown: str = "") -> str:
    """Return the hash of a trial's source, by its arguments, as it is now.

    `unknown` where one of its components is, such as of a plugin that is not given now.
    """
    named = [(kind, trial[key].partition("[")[0]) for key, kind in COMPONENTS.items()]
    if not all(registry.has(*each) for each in named):
        return unknown
    return source_of(registry.get(*each) for each in named)
