"""The commands that train: `run`, `tune` and `reproduce`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from credbench.logs import set_level
from credbench.options import (
    Activations,
    Algorithms,
    BatchSizes,
    ClipNorms,
    Compare,
    DataDir,
    Datasets,
    Device,
    DryRun,
    Dtype,
    Format,
    Initializers,
    LogLevel,
    Margin,
    Networks,
    Optimizers,
    Plugins,
    Quiet,
    RecordsDir,
    Replicas,
    RetryFailed,
    Scheduler,
    TrialTimeout,
    Workers,
    asked_margin,
    axis,
    read_margin,
)


def run(
    experiment: Annotated[
        Path | None, typer.Argument(help="A YAML file whose keys are the options below.")
    ] = None,
    algorithm: Algorithms = None,
    dataset: Datasets = None,
    activation: Activations = None,
    network: Networks = None,
    optimizer: Optimizers = None,
    init: Initializers = None,
    batch_size: BatchSizes = None,
    clip_norm: ClipNorms = None,
    dtype: Dtype = None,
    epochs: Annotated[
        str | None,
        axis("-e", "--epochs", metavar="N", help="Epochs [default: the dataset's own]."),
    ] = None,
    limit_train: Annotated[
        str | None,
        axis("--limit-train", metavar="N", help="Use only N training images [default: none]."),
    ] = None,
    seeds: Annotated[
        str | None,
        axis(
            "-s",
            "--seeds",
            metavar="SEEDS",
            help="5 is seeds 0 to 4; or 3,7; or 10-14 [default: 3].",
        ),
    ] = None,
    name: Annotated[
        str | None,
        axis("--name", metavar="NAME", help="The experiment's name [default: its datasets]."),
    ] = None,
    device: Device = None,
    data_dir: DataDir = None,
    results_dir: RecordsDir = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    replicas: Replicas = None,
    plugin: Plugins = None,
    retry_failed: RetryFailed = False,
    no_timing: Annotated[
        bool, typer.Option("--no-timing", help="Leave out timing runs of one replica at the end.")
    ] = False,
    angles: Annotated[
        str | None,
        axis(
            "--angles",
            metavar="K",
            help="Every K steps, angles of updates with backprop's [default: none].",
        ),
    ] = None,
    tuned: Annotated[
        bool, typer.Option("--tuned", help="Use the settings that 'credbench tune' found.")
    ] = False,
    tsne: Annotated[
        str | None,
        axis("--tsne", metavar="N", help="Keep the last hidden layer of N test images, in 2D."),
    ] = None,
    trial_timeout: TrialTimeout = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write curves for TensorBoard as trials train.")
    ] = False,
    dry_run: DryRun = False,
    compare: Compare = False,
    margin: Margin = None,
    quiet: Quiet = False,
    log_level: LogLevel = None,
    format: Format = "table",
) -> None:
    """Train every combination asked for, and print the table.

    Every axis takes a comma list, `all`, and parameters in brackets, with | for a grid:
    'rec-lra[beta=0.1|0.5,gap=1]'. What has a record already is not run again.
    """
    from credbench.experimenting import run_experiment

    options = _texts(locals())
    set_level(log_level, quiet)
    if tuned:
        options["tuned"] = "yes"
    if tensorboard:
        options["tensorboard"] = "yes"
    code = run_experiment(
        file=experiment,
        options=options,
        plugins=plugin or [],
        retry_failed=retry_failed,
        timing=not no_timing,
        dry_run=dry_run,
        format=format,
        margin=asked_margin(margin, compare),
    )
    raise typer.Exit(code)


def tune(
    algorithm: Algorithms = None,
    dataset: Datasets = None,
    activation: Activations = None,
    network: Networks = None,
    optimizer: Optimizers = None,
    init: Initializers = None,
    batch_size: BatchSizes = None,
    clip_norm: ClipNorms = None,
    dtype: Dtype = None,
    draws: Annotated[
        int, typer.Option(min=1, max=10_000, help="Settings tried for each algorithm.")
    ] = 12,
    passes: Annotated[
        int, typer.Option(min=1, max=10_000, help="Passes over the images for each draw.")
    ] = 3,
    images: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=10**9,
            metavar="N",
            help="Training images [default: 10,000, or all of the smallest set].",
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**62, help="The seed of every draw; run --tuned refuses it.")
    ] = 1_000_000,
    name: Annotated[
        str | None,
        axis("--name", metavar="NAME", help="The search's name [default: tune-<datasets>]."),
    ] = None,
    device: Device = None,
    data_dir: DataDir = None,
    results_dir: RecordsDir = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    replicas: Replicas = None,
    plugin: Plugins = None,
    trial_timeout: TrialTimeout = None,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    log_level: LogLevel = None,
    format: Format = "table",
) -> None:
    """Search hyper-parameters, with the same budget for every algorithm, on validation alone.

    Drawn are those of the algorithm and its optimiser that declare a range ('credbench
    describe') and are not given in brackets. What wins is written to
    <results-dir>/<name>/tuned.yaml, where 'credbench run --tuned' finds it.
    """
    from credbench.search import tune_experiment

    options = _texts(locals())
    set_level(log_level, quiet)
    code = tune_experiment(
        options, plugin or [], draws, passes, images, seed, dry_run=dry_run, format=format
    )
    raise typer.Exit(code)


def reproduce(
    target: Annotated[
        str,
        typer.Argument(
            help="table1-mnist, table1-fashion-mnist, table1-cifar10, table1-imagenet, table2, "
            "table3, figure4, figure5, timing, or all."
        ),
    ],
    scale: Annotated[
        str,
        typer.Option(
            "--scale",
            metavar="SCALE",
            help="quick (minutes), standard (30 epochs, tuned) or paper (as published).",
        ),
    ] = "quick",
    device: Device = None,
    data_dir: DataDir = None,
    results_dir: RecordsDir = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", metavar="DIR", help="[default: <results-dir>/reproduced/<scale>]."
        ),
    ] = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    replicas: Replicas = None,
    plugin: Plugins = None,
    retry_failed: RetryFailed = False,
    trial_timeout: TrialTimeout = None,
    dry_run: DryRun = False,
    margin: Margin = None,
    quiet: Quiet = False,
    log_level: LogLevel = None,
    format: Format = "table",
) -> None:
    """Make a table or figure of the paper anew: run what is missing, write it, print it.

    Trials that any experiment in --results-dir has made already are not run again. Measured
    numbers stand beside the published ones; below paper scale the title says so, and cells whose
    data is not to be had are missing.
    """
    from credbench.reproducing import reproduce as make

    points = read_margin(margin)
    given = {"device": device, "data-dir": data_dir, "results-dir": results_dir,
             "workers": workers, "replicas": replicas, "trial-timeout": trial_timeout,
             "scheduler": scheduler}  # fmt: skip
    set_level(log_level, quiet)
    options = {key: value for key, value in given.items() if value is not None}
    code = make(target, scale, options, plugin or [], output, retry_failed, dry_run, format, points)
    raise typer.Exit(code)


def _texts(given: Mapping[str, Any]) -> dict[str, str]:
    """Return the options of an experiment among those of a command, which are all text."""
    texts = {key.replace("_", "-"): value for key, value in given.items() if isinstance(value, str)}
    return {key: value for key, value in texts.items() if key not in ("format", "log-level")}
