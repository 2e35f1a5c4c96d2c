"""What `credbench plot` does: which records a figure is of, and where it goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from credbench.errors import RequestError, unknown
from credbench.gathering import find_stores
from credbench.logs import warn
from credbench.registry import Registry
from credbench.store import Record, Store

if TYPE_CHECKING:
    from credbench.report.summary import Speller

_MATRICES, _PLANE = "confusion", "tsne"


def plot(
    registry: Registry,
    results_dir: Path,
    name: str,
    measure: str,
    against: str,
    output: Path | None,
) -> list[Path]:
    """Draw a figure of an experiment; return the files written.

    Raises `RequestError` for an unknown measure, and where there is nothing to draw.
    """
    from credbench.report.angle_figures import MEASURES as WATCHED
    from credbench.report.clock import AGAINST
    from credbench.report.curves import MEASURES
    from credbench.report.summary import Speller

    known = [*MEASURES, _MATRICES, _PLANE, *WATCHED]
    if measure not in known:
        raise unknown("measure", measure, known)
    if against not in AGAINST:
        raise unknown("--against", against, AGAINST)
    if against != "epochs" and measure not in MEASURES:
        raise RequestError(f"--against {against} with {measure}: only curves have it; leave it out")
    (store,) = find_stores(results_dir, name)
    records = store.trials()
    in_order = [records[id] for id in store.planned(records) if id in records]
    warn(store.problems)
    folder = output or store.folder / "figures"
    stem = measure if against == "epochs" or measure not in MEASURES else f"{measure}-{against}"
    paths = [folder / f"{stem}.{kind}" for kind in ("png", "pdf")]
    draw = {_MATRICES: _confusions, _PLANE: _embeddings}.get(measure) or (
        _angles(measure) if measure in WATCHED else _curves(measure, against)
    )
    try:
        draw(in_order, paths, Speller(registry), store)
    except OSError as error:
        raise RequestError(
            f"figures cannot be written to {folder} ({error.strerror}): give another --output"
        ) from error
    return paths


_Draw = Callable[[Sequence[Record], Sequence[Path], "Speller", Store], None]


def _curves(measure: str, against: str) -> _Draw:
    from credbench.report.curves import plot_curves, with_curves

    def draw(records: Sequence[Record], paths: Sequence[Path], spell: Speller, of: Store) -> None:
        drawn = with_curves(records, measure)
        if not drawn:
            raise RequestError(f"{of.folder} has no curves to draw: run the experiment first")
        plot_curves(drawn, measure, paths, spell, against, timings=of.timings())

    return draw


def _angles(measure: str) -> _Draw:
    from credbench.report.angle_figures import holds, plot_angles

    def draw(records: Sequence[Record], paths: Sequence[Path], spell: Speller, of: Store) -> None:
        drawn = [record for record in records if holds(record, measure)]
        if not drawn:
            raise RequestError(
                f"no record in {of.folder} keeps {measure}s: run it with --angles 100 first"
            )
        plot_angles(drawn, measure, paths, spell)

    return draw


def _confusions(
    records: Sequence[Record], paths: Sequence[Path], spell: Speller, of: Store
) -> None:
    from credbench.report.confusions import confusions, plot_confusions

    found = confusions(records, spell)
    if not found:
        raise RequestError(
            f"{of.folder} has no confusion matrix of 20 classes or fewer: run the experiment first"
        )
    plot_confusions(found, paths)


def _embeddings(
    records: Sequence[Record], paths: Sequence[Path], spell: Speller, of: Store
) -> None:
    from credbench.report.embeddings import embedded, plot_embeddings

    found = embedded(records)
    if not found:
        raise RequestError(
            f"no record in {of.folder} keeps a last hidden layer: run it with --tsne 1000 first"
        )
    plot_embeddings(found, paths, spell)
