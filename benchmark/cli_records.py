"""The commands about records: `table`, `compare`, `merge`, `plot`, `report`, `claims`, `status`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from credbench.errors import RequestError
from credbench.options import (
    Compare,
    Format,
    Margin,
    PlainFormat,
    Plugins,
    ResultsDir,
    asked_margin,
    axis,
    make_registry,
    read_margin,
)


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
        points = asked_margin(margin, compare)
        print_tables(make_registry(plugin), results, name, format, published, points)


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

    points = read_margin(margin)
    results = results_dir or Path("results")
    compare(make_registry(plugin), results, first, second, name, points, format)


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
    for path in plot(make_registry(plugin), results, name, measure, against, output):
        typer.echo(path)


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

    typer.echo(write_report(make_registry(plugin), results_dir or Path("results"), name, output))


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

    print_claims(make_registry(plugin), results_dir, claim or [], format)


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

    print_status(make_registry(plugin), results_dir or Path("results"), name, format)
