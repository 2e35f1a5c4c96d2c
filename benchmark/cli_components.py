"""The commands about components themselves: `list`, `describe`, `time`, `new` and `check`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from credbench.errors import RequestError
from credbench.options import (
    Activations,
    Algorithms,
    BatchSizes,
    ClipNorms,
    DataDir,
    Device,
    Dtype,
    Format,
    PlainFormat,
    Plugins,
    ResultsDir,
    axis,
    make_registry,
)

if TYPE_CHECKING:
    from credbench.registry import Registry


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

    list_components(make_registry(plugin), kind, format)


def describe(
    name: Annotated[str, typer.Argument(help="An algorithm, dataset, activation, network, ….")],
    plugin: Plugins = None,
    format: PlainFormat = "table",
) -> None:
    """Show a component's paper, equation, hyper-parameters and capabilities."""
    from credbench.catalogue import describe_component

    describe_component(make_registry(plugin), name, format)


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
            make_registry(plugin), given, loader, data_dir, depths or replicas, repeats, device,
            folder, name, format,
        )  # fmt: skip
        return
    time_algorithms(
        make_registry(plugin),
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


def new_(
    kind: Annotated[str, typer.Argument(help="algorithm, dataset, network or activation.")],
    name: Annotated[str, typer.Argument(help="What it will be called, such as my-rule.")],
    output: Annotated[
        Path | None, typer.Option("--output", metavar="DIR", help="Where it goes [default: here].")
    ] = None,
    plugin: Plugins = None,
) -> None:
    """Write a component that runs as it stands, to be changed, and a test beside it."""
    from credbench.authoring import next_steps, write_component

    made = write_component(make_registry(plugin), kind, name, output or Path())
    for path in made:
        typer.echo(path)
    typer.echo("\nNext:")
    for line in next_steps(kind, name, made):
        typer.echo(f"  {line}")


def check_(
    name: Annotated[
        str,
        typer.Argument(help="Names of what is to be checked, a comma list; all algorithms: all."),
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
    raise typer.Exit(check(make_registry(plugin), name, network, activation, where, format))
