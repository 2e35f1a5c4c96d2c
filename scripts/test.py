#!/usr/bin/env python3
"""Set up credbench in this checkout, check style and types, and run the tests.

Arguments are handed to pytest; with any, only the tests run.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from _checkout import ROOT, ensure_environment, link_sources


def main(arguments: list[str]) -> int:
    """Return the number of steps that failed."""
    programs = ensure_environment("test")
    link_sources()
    checks: list[list[str | Path]] = [
        [programs / "ruff", "check", "."],
        [programs / "ruff", "format", "--check", "."],
        [programs / "mypy", "-p", "credbench"],
    ]
    shared = _SHARED if all(each.startswith("-") for each in arguments) else ()
    tests: list[str | Path] = [programs / "python", "-m", "pytest", *shared, *arguments]
    steps = [tests] if arguments else [*checks, tests]
    return sum(_failed(step) for step in steps)


_SHARED = ("--numprocesses=auto", "--maxprocesses=8", "--dist=loadfile")
"""Where no test is named, they are shared out to a process for each core."""


def _failed(step: list[str | Path]) -> bool:
    shown = " ".join(Path(word).name if isinstance(word, Path) else word for word in step)
    print(f"\n$ {shown}", flush=True)
    return bool(subprocess.run(step, cwd=ROOT).returncode)


if __name__ == "__main__":
    sys.exit(1 if main(sys.argv[1:]) else 0)
