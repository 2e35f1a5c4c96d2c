"""What the scripts that measure share: turns, spreads, and the record with its environment."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

try:
    from credbench import environment
    from credbench.processor import settle
    from credbench.records import FORMAT
    from credbench.spread import Spread, spread
    from credbench.stopwatch import slug
    from credbench.store import write_json
except ImportError:
    sys.exit("credbench is not installed for this Python: run .venv/bin/python, or pip install .")

__all__ = ["in_turns", "ratio", "record", "settle", "show", "spread"]


def in_turns(timers: Mapping[str, Callable[[], float]], repeats: int) -> dict[str, list[float]]:
    """Return the seconds of each timer, repeat by repeat; what the machine does meets all."""
    found: dict[str, list[float]] = {name: [] for name in timers}
    for _ in range(repeats):
        for name, timer in timers.items():
            found[name].append(timer())
    return found


def ratio(mine: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Return the spread of the ratios of repeats."""
    return spread([a / b for a, b in zip(mine, theirs, strict=True)])


def show(name: str, found: Spread, bar: str = "") -> None:
    """Print a measure, its quartiles and the bar it is held against."""
    held = f"   bar: {bar}" if bar else ""
    print(
        f"{name:<58} {found.median:8.3f}  ({found.low:.3f} to {found.high:.3f}){held}", flush=True
    )


def record(folder: Path, name: str, device: str, content: Mapping[str, Any]) -> None:
    """Write what was measured below `folder`, under the hardware's name."""
    captured = environment.capture(device, workers=1)
    captured["command"] = " ".join(["python", *sys.argv])
    machine = slug(environment.describe_machine(captured))
    path = folder / machine / f"{name}.json"
    load = environment.load()
    write_json(path, {"format": FORMAT, "environment": captured, "load": load, **content})
    print(f"Record: {path}")
