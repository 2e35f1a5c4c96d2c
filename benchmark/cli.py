"""The command line; every command is thin, and imports what is heavy only where it needs it."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from credbench import __version__
from credbench.errors import CredbenchError, RequestError
from credbench.launch import follows, give_way, launched
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
    PlainFormat,
    Plugins,
    Quiet,
    RecordsDir,
    Replicas,
    ResultsDir,
    RetryFailed,
    Scheduler,
    TrialTimeout,
    Workers,
    axis,
)

if TYPE_CHECKING:
    from credbench.registry import Registry

app = typer.Typer(
    name="credbench",
    help="Compare credit-assignment algorithms on equal terms.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command()
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
        bool, typer.Option("--tensorboard", help="Write learning curves for TensorBoard too.")
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
        margin=_margin(margin, compare),
    )
    raise typer.Exit(code)


@app.command()
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


@app.command()
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
    from credbench.report.statistics import MARGIN
    from credbench.reproducing import reproduce as make

    points = _margin(margin, True) or MARGIN
    given = {"device": device, "data-dir": data_dir, "results-dir": results_dir,
             "workers": workers, "replicas": replicas, "trial-timeout": trial_timeout,
             "scheduler": scheduler}  # fmt: skip
    set_level(log_level, quiet)
    options = {key: value for key, value in given.items() if value is not None}
    code = make(target, scale, options, plugin or [], output, retry_failed, dry_run, format, points)
    raise typer.Exit(code)


@app.command("time")
def time_(
    algorithm: Algorithms = None,
    dataset: Annotated[
        str | None,
        axis("-d", "--dataset", help="Whose images' shape is used, at random [default: mnist]."),
    ] = None,
    activation: Activations = None,
    network: Annotated[
        str | None,
        axis("-n", "--network", help="Networks, 'mlp[hidden=256x8]' [default: mlp]."),
    ] = None,
    depths: Annotated[
        str | None,
        axis("--depths", help="Numbers of hidden layers, such as 2,4,8 [default: the network's]."),
    ] = None,
    optimizer: Annotated[
        str | None, axis("-o", "--optimizer", help="Optimisers [default: adam].")
    ] = None,
    batch_size: BatchSizes = None,
    clip_norm: ClipNorms = None,
    dtype: Dtype = None,
    replicas: Annotated[
        str | None,
        axis("--replicas", help="Trials in one program, such as 1,64 [default: 1]."),
    ] = None,
    repeats: Annotated[
        int, typer.Option(min=1, max=1000, help="How often each time is taken.")
    ] = 5,
    loader: Annotated[
        bool,
        typer.Option(
            "--loader", help="Images a second: read from --data-dir, trained on, and both."
        ),
    ] = False,
    data_dir: DataDir = None,
    device: Device = None,
    name: Annotated[
        str | None, axis("--name", metavar="NAME", help="The record's name [default: its hash].")
    ] = None,
    results_dir: ResultsDir = None,
    plugin: Plugins = None,
    format: Format = "table",
) -> None:
    """Time the step of each algorithm: forward, credit assignment, optimiser.

    No data is needed. Backprop is timed beside whatever is asked for. With --loader, what is
    measured is whether reading a streamed dataset keeps up with training on it.
    """
    from credbench.stopwatch import time_algorithms

    axes = {"algorithm": algorithm, "dataset": dataset, "activation": activation,
            "network": network, "optimizer": optimizer, "batch-size": batch_size,
            "clip-norm": clip_norm, "dtype": dtype}  # fmt: skip
    given = {key: value for key, value in axes.items() if value is not None}
    folder = (results_dir or Path("results")) / "timing"
    if loader or data_dir is not None:
        _time_loader(
            _registry(plugin), given, loader, data_dir, depths or replicas, repeats, device, folder,
            name, format,
        )  # fmt: skip
        return
    time_algorithms(
        _registry(plugin),
        given,
        depths=depths,
        replicas="1" if replicas is None else replicas,
        repeats=repeats,
        device=device or "auto",
        folder=folder,
        name=name,
        format=format,
    )


def _time_loader(
    registry: Registry,
    given: dict[str, str],
    loader: bool,
    data_dir: str | None,
    others: str | None,
    repeats: int,
    device: str | None,
    folder: Path,
    name: str | None,
    format: str,
) -> None:
    from credbench.run_options import DEFAULT_DATA, folder_of
    from credbench.throughput import time_loader

    if not loader:
        raise RequestError(
            "--data-dir without --loader: steps are timed on random images; give both"
        )
    if others is not None:
        raise RequestError("--loader with --depths or --replicas: one trial at a time is streamed")
    where = folder_of("data-dir", {"data-dir": data_dir} if data_dir else {}, DEFAULT_DATA)
    time_loader(registry, given, where, repeats, device or "auto", folder, name, format)


@app.command("list")
def list_(
    kind: Annotated[
        str | None,
        typer.Argument(
            help="algorithms, datasets, activations, networks, optimizers or initializers."
        ),
    ] = None,
    plugin: Plugins = None,
    format: PlainFormat = "table",
) -> None:
    """List what experiments can be made of."""
    from credbench.catalogue import list_components

    list_components(_registry(plugin), kind, format)


@app.command()
def describe(
    name: Annotated[str, typer.Argument(help="An algorithm, dataset, activation, network, ….")],
    plugin: Plugins = None,
    format: PlainFormat = "table",
) -> None:
    """Show a component's paper, equation, hyper-parameters and capabilities."""
    from credbench.catalogue import describe_component

    describe_component(_registry(plugin), name, format)


@app.command()
def table(
    name: Annotated[
        str | None, typer.Argument(help="An experiment [default: every one there is].")
    ] = None,
    results_dir: ResultsDir = None,
    plugin: Plugins = None,
    trials: Annotated[
        bool, typer.Option("--trials", help="One row a trial, as csv or json.")
    ] = False,
    published: Annotated[
        bool | None,
        typer.Option(
            "--published/--no-published",
            help="With the published numbers [default: where there are any].",
            show_default=False,
        ),
    ] = None,
    compare: Compare = False,
    margin: Margin = None,
    format: Format = "table",
) -> None:
    """Print the table of an experiment from its records."""
    from credbench.tabulating import print_tables, print_trials

    if trials and published:
        raise RequestError("--trials with --published: published numbers are of settings; give one")
    if trials and (compare or margin is not None):
        raise RequestError("--trials with --compare: rows are compared, not trials; give one")
    if trials:
        print_trials(results_dir or Path("results"), name, format)
    else:
        results = results_dir or Path("results")
        points = _margin(margin, compare)
        print_tables(_registry(plugin), results, name, format, published, points)


@app.command("compare")
def compare_(
    first: Annotated[
        str, typer.Argument(help="An algorithm, 'rec-lra[gap=1]', or an experiment.", metavar="A")
    ],
    second: Annotated[str, typer.Argument(help="Another of the same kind.", metavar="B")],
    name: Annotated[
        str | None,
        axis("--name", metavar="NAME", help="The experiment to look in [default: all of them]."),
    ] = None,
    margin: Margin = None,
    results_dir: ResultsDir = None,
    plugin: Plugins = None,
    format: Format = "table",
) -> None:
    """Compare two algorithms, or two experiments, where all else is equal.

    For every dataset, network, activation, …: the difference of test errors, paired by seed, its
    interval, and whether A is better, worse or equivalent. Where several settings stand for one
    side, the one with the lowest validation error does.
    """
    from credbench.comparing import compare
    from credbench.report.statistics import MARGIN

    points = _margin(margin, True) or MARGIN
    results = results_dir or Path("results")
    compare(_registry(plugin), results, first, second, name, points, format)


@app.command()
def merge(
    folders: Annotated[
        list[Path], typer.Argument(help="Results folders, of other machines.", metavar="DIR…")
    ],
    results_dir: ResultsDir = None,
    prefer: Annotated[
        str | None,
        typer.Option(
            "--prefer",
            metavar="WHICH",
            help="first or last: where records conflict, which of them to keep.",
            show_default=False,
        ),
    ] = None,
    format: PlainFormat = "table",
) -> None:
    """Copy the records of several folders into one, that of --results-dir.

    Where two records of a trial are not the same, that is a conflict: both files are named, and
    the first stays (that of --results-dir, then in the order given); the exit code is 1. A failed
    trial gives way to a finished one. Checkpoints and what 'credbench time' wrote stay behind.
    """
    from credbench.merging import merge_folders

    code = merge_folders(folders, results_dir or Path("results"), prefer, format)
    raise typer.Exit(code)


@app.command()
def plot(
    name: Annotated[str, typer.Argument(help="An experiment.")],
    measure: Annotated[
        str,
        typer.Option(
            "--measure",
            metavar="MEASURE",
            help="validation-error, training-error, validation-loss, training-loss, confusion, "
            "tsne (after 'run --tsne'), or update-angle, norm-ratio, feedback-angle (after "
            "'run --angles').",
        ),
    ] = "validation-error",
    against: Annotated[
        str, typer.Option("--against", metavar="WHAT", help="Curves: epochs or seconds.")
    ] = "epochs",
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="DIR", help="Where they go [default: with the records]."),
    ] = None,
    results_dir: ResultsDir = None,
    plugin: Plugins = None,
) -> None:
    """Draw an experiment's figures from its records, as PNG and PDF: learning curves and more."""
    from credbench.plotting import plot

    results = results_dir or Path("results")
    for path in plot(_registry(plugin), results, name, measure, against, output):
        typer.echo(path)


@app.command()
def report(
    name: Annotated[
        str | None, typer.Argument(help="An experiment [default: every one there is].")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="[default: <results-dir>/report.html]."),
    ] = None,
    results_dir: ResultsDir = None,
    plugin: Plugins = None,
) -> None:
    """Write one HTML page of all there is: tables, curves, confusions, timing, failures.

    It holds everything that it shows, so it can be mailed and opened without a network.
    """
    from credbench.reporting import write_report

    typer.echo(write_report(_registry(plugin), results_dir or Path("results"), name, output))


@app.command()
def claims(
    claim: Annotated[
        list[str] | None, typer.Argument(help="Claims [default: all].", metavar="[CLAIM]…")
    ] = None,
    results_dir: ResultsDir = None,
    plugin: Plugins = None,
    format: Format = "table",
) -> None:
    """Say of each of the paper's claims what the records say: supported, contradicted, undecided.

    A verdict states the scale it was reached at; an open claim, what would decide it.
    """
    from credbench.claiming import print_claims

    print_claims(_registry(plugin), results_dir, claim or [], format)


@app.command()
def status(
    name: Annotated[
        str | None, typer.Argument(help="An experiment [default: every one there is].")
    ] = None,
    results_dir: ResultsDir = None,
    plugin: Plugins = None,
    format: PlainFormat = "table",
) -> None:
    """Count the trials done, failed, diverged, missing and stale."""
    from credbench.status import print_status

    print_status(_registry(plugin), results_dir or Path("results"), name, format)


@app.command("new")
def new_(
    kind: Annotated[str, typer.Argument(help="algorithm, dataset or network.")],
    name: Annotated[str, typer.Argument(help="What it will be called, such as my-rule.")],
    output: Annotated[
        Path | None, typer.Option("--output", metavar="DIR", help="Where it goes [default: here].")
    ] = None,
    plugin: Plugins = None,
) -> None:
    """Write a component that runs as it stands, to be changed, and a test beside it."""
    from credbench.authoring import next_steps, write_component

    made = write_component(_registry(plugin), kind, name, output or Path())
    for path in made:
        typer.echo(path)
    typer.echo("\nNext:")
    for line in next_steps(kind, name, made):
        typer.echo(f"  {line}")


@app.command("check")
def check_(
    name: Annotated[
        str,
        typer.Argument(help="Algorithms, datasets or networks, a comma list; all algorithms: all."),
    ],
    plugin: Plugins = None,
    network: Annotated[
        str | None,
        axis("-n", "--network", metavar="NETWORK", help="[default: mlp[hidden=16x3]]."),
    ] = None,
    activation: Annotated[
        str | None,
        axis("-f", "--activation", metavar="ACTIVATION", help="[default: tanh]."),
    ] = None,
    data_dir: DataDir = None,
    format: PlainFormat = "table",
) -> None:
    """Check whether components keep to the contract; each failure says what to change.

    Of an algorithm: shapes and types, purity, replicas, captured steps, checkpoints, seeds, any
    batch, whether it learns digits; its time and its angles beside backprop. The same as pytest
    tests: credbench.testing.
    """
    from credbench.checking import check
    from credbench.run_options import DEFAULT_DATA, folder_of

    given = {"data-dir": data_dir} if data_dir else {}
    where = folder_of("data-dir", given, DEFAULT_DATA)
    raise typer.Exit(check(_registry(plugin), name, network, activation, where, format))


@app.callback(invoke_without_command=True)
def _start(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit()
    command, processes = context.invoked_subcommand, launched().size
    if processes > 1 and command not in (None, "run"):
        raise RequestError(
            f"{command} on {processes} processes: only 'credbench run' takes several; "
            "start it without torchrun"
        )


def _texts(given: Mapping[str, Any]) -> dict[str, str]:
    """Return the options of an experiment among those of a command, which are all text."""
    texts = {key.replace("_", "-"): value for key, value in given.items() if isinstance(value, str)}
    return {key: value for key, value in texts.items() if key not in ("format", "log-level")}


def _margin(given: float | None, compare: bool) -> float | None:
    """Return the margin of equivalence in points, or None where nothing is compared."""
    from credbench.report.statistics import MARGIN

    if given is None:
        return MARGIN if compare else None
    if not 0 < given <= 100:
        raise RequestError(f"--margin {given:g}: expected points of error above 0, at most 100")
    return given


def _registry(plugins: list[Path] | None) -> Registry:
    from credbench.registry import Registry

    registry = Registry(plugins or [])
    for problem in registry.problems:
        typer.echo(f"credbench: {problem}", err=True)
    return registry


_INTERRUPTED = 130


def main() -> None:
    """Run the command line; exits with 0 all fine, 1 some trial failed, 2 wrong request."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names of files may be no valid text
            stream.reconfigure(errors="backslashreplace")
    try:
        code = app(sys.argv[1:] or ["--help"], standalone_mode=False)
        sys.stdout.flush()
    except CredbenchError as error:
        _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        _fail("interrupted", _INTERRUPTED)
    except SystemExit as stop:
        if stop.code != _INTERRUPTED:
            raise
        code = _INTERRUPTED
    except OSError as error:
        if error.filename is not None:
            raise
        sys.stdout = None  # else its flush at exit would fail again
        _fail(f"the output cannot be written ({error.strerror})", 1)
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        _fail(" ".join(error.format_message().split()), 2)
    if code == _INTERRUPTED:  # typer's own answer to Ctrl-C has no words
        _fail("interrupted", _INTERRUPTED)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(sentence: str, code: int) -> None:
    if code == RequestError.exit_code:
        give_way()
    if code != _INTERRUPTED or not follows():
        typer.echo(f"credbench: {sentence}", err=True)
    sys.exit(code)
