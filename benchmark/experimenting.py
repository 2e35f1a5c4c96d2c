"""What `credbench run` does: plans an experiment, runs what is missing, prints the table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from credbench import together
from credbench.angles import Angles
from credbench.configuration import configure
from credbench.executing import execute
from credbench.experiment import Experiment, make_experiment
from credbench.launch import launched, one_voice
from credbench.logs import warn
from credbench.printing import check_format, show
from credbench.registry import Registry
from credbench.run_options import DEFAULT_RESULTS, angles_of, folder_of, plan_options, plugins_of
from credbench.status import outcome
from credbench.store import Store
from credbench.tabulating import make_table, presented
from credbench.wording import count


@one_voice()
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
    check_format(format)
    asked = configure(file, options)
    paths = tuple(plugins) or plugins_of(asked)
    registry = Registry(paths)
    warn(registry.problems)
    how = plan_options(asked, paths, retry_failed, timing)
    how = replace(how, angles=angles_of(asked, registry))
    experiment = make_experiment(registry, asked.settings, how.data_dir)
    results = folder_of("results-dir", asked.run, DEFAULT_RESULTS)
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


def _finish(
    experiment: Experiment, store: Store, registry: Registry, format: str, margin: float | None
) -> int:
    records = store.trials()
    made = make_table(store, experiment.planned, records, registry)
    show([presented(made, margin)], format)
    mine = [records[trial.id] for trial in experiment.trials if trial.id in records]
    unfinished = [record for record in mine if record["status"] != "done"]
    if format == "table":
        print(f"Records: {store.folder / 'trials'}")
    warn(map(outcome, unfinished))
    return 1 if unfinished or len(mine) < len(experiment.trials) else 0
