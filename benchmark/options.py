"""The options that several commands share, by what they are called there, and how they are read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from credbench.errors import RequestError

if TYPE_CHECKING:
    from credbench.registry import Registry


def axis(*names: str, help: str, metavar: str = "LIST") -> Any:
    """Return an option whose default is that of the experiment, said in its help."""
    return typer.Option(*names, help=help, show_default=False, metavar=metavar)


Plugins = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugin", metavar="FILE", help="A Python file that defines more components; repeatable."
    ),
]
ResultsDir = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Where experiments keep records [default: results]."),
]
Format = Annotated[
    str, typer.Option("--format", metavar="FORMAT", help="table, md, latex, csv or json.")
]
PlainFormat = Annotated[str, typer.Option("--format", metavar="FORMAT", help="table or json.")]


Algorithms = Annotated[
    str | None,
    axis("-a", "--algorithm", help="Algorithms, a comma list [default: all]."),
]
Activations = Annotated[
    str | None,
    axis("-f", "--activation", help="Activations [default: tanh]."),
]
BatchSizes = Annotated[
    str | None,
    axis("-b", "--batch-size", help="Images a step [default: 32]."),
]
ClipNorms = Annotated[
    str | None,
    axis("--clip-norm", help="Re-project each update matrix to norm c [default: none]."),
]
Dtype = Annotated[
    str | None,
    axis("--dtype", metavar="TYPE", help="Of products: float32 or bfloat16 [default: float32]."),
]
Datasets = Annotated[str | None, axis("-d", "--dataset", help="Datasets [default: digits].")]
Networks = Annotated[
    str | None,
    axis("-n", "--network", help="Networks, such as 'mlp[hidden=256x3]' [default: mlp]."),
]
Optimizers = Annotated[
    str | None, axis("-o", "--optimizer", help="Optimisers, 'adam[lr=2e-4]' [default: adam].")
]
Initializers = Annotated[
    str | None,
    axis("--init", help="Initial weights [default: gaussian, σ = 0.05]."),
]
DataDir = Annotated[
    str | None,
    axis(
        "--data-dir", metavar="DIR", help="Where datasets lie or go [default: ~/.cache/credbench]."
    ),
]
RecordsDir = Annotated[
    str | None,
    axis("--results-dir", metavar="DIR", help="Where records go [default: results]."),
]
Workers = Annotated[
    str | None, axis("--workers", metavar="N", help="Processes on CPU [default: one a core].")
]
Scheduler = Annotated[
    str | None,
    axis(
        "--scheduler",
        metavar="ADDRESS",
        help="Train on a Dask cluster: an address, a scheduler file, or local [default: none].",
    ),
]
Replicas = Annotated[
    str | None,
    axis(
        "--replicas",
        metavar="N",
        help="Trials trained in one program [default: by device and network].",
    ),
]
Compare = Annotated[
    bool,
    typer.Option("--compare", help="With each row's paired difference from the best."),
]
Margin = Annotated[
    float | None,
    typer.Option(
        "--margin",
        metavar="POINTS",
        help="What is equivalent: differences below it [default: 0.5].",
        show_default=False,
    ),
]
RetryFailed = Annotated[
    bool, typer.Option("--retry-failed", help="Run failed and diverged trials again.")
]
TrialTimeout = Annotated[
    str | None,
    axis(
        "--trial-timeout",
        metavar="SECONDS",
        help="Give a trial up that takes longer [default: none].",
    ),
]
LogLevel = Annotated[
    str | None,
    typer.Option(
        "--log-level",
        metavar="LEVEL",
        help="What is said on stderr: debug, info, warning or error [default: info].",
        show_default=False,
    ),
]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="Say on stderr what is wrong, and no more."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="List the trials and stop.")]
Device = Annotated[
    str | None,
    axis("--device", metavar="DEVICE", help="auto, cpu or cuda [default: auto]."),
]


def make_registry(plugins: list[Path] | None) -> Registry:
    """Return the components there are, those of plugins too; say which could not be had."""
    from credbench.registry import Registry

    registry = Registry(plugins or [])
    for problem in registry.problems:
        typer.echo(f"credbench: {problem}", err=True)
    return registry


def asked_margin(given: float | None, compare: bool) -> float | None:
    """Return the margin of equivalence in points, or None where nothing is compared."""
    return read_margin(given) if compare or given is not None else None


def read_margin(given: float | None) -> float:
    """Return a margin of equivalence in points; raises `RequestError` for what cannot be one."""
    from credbench.report.statistics import MARGIN

    if given is None:
        return MARGIN
    if not 0 < given <= 100:
        raise RequestError(f"--margin {given:g}: expected points of error above 0, at most 100")
    return given
