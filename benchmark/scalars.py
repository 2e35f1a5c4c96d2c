"""Learning curves for TensorBoard, beside the records that they are read from.

<results-dir>/<experiment>/tensorboard/<algorithm>-<dataset>-seed<seed>-<trial id>/
"""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

from credbench.errors import RequestError
from credbench.store import Record

FOLDER = "tensorboard"


def check() -> None:
    """Raise `RequestError` where the package that writes them is missing."""
    if importlib.util.find_spec("tensorboard") is None:
        raise RequestError(
            "--tensorboard: the package tensorboard is not installed; install it with "
            "pip install 'credbench[tensorboard]', or leave --tensorboard out"
        )


def write_scalars(folder: Path, record: Record) -> None:
    """Write what a trial logged, one scalar an epoch and measure, in place of earlier ones.

    A trial that failed has logged nothing, and what was not finite is left out.
    """
    from torch.utils.tensorboard import SummaryWriter

    place = folder / FOLDER / _name(record)
    shutil.rmtree(place, ignore_errors=True)
    if "curve" not in record:
        return
    with SummaryWriter(str(place)) as writer:
        for measure, values in record["curve"].items():
            for epoch, value in enumerate(values, start=1):
                if value is not None:
                    writer.add_scalar(measure, value, epoch)


def _name(record: Record) -> str:
    trial = record["trial"]
    algorithm, dataset = (trial[key].partition("[")[0] for key in ("algorithm", "dataset"))
    return f"{algorithm}-{dataset}-seed{trial['seed']}-{record['id']}"
