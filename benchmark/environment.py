"""What a number depends on beside its trial: hardware, versions, git state, command."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from credbench.launch import launched
from credbench.wording import count

_PACKAGES = ("credbench", "torch", "torchvision", "numpy", "scipy", "scikit-learn", "pandas")


def cores() -> int:
    """Return the physical cores this process may use, container limits respected."""
    import joblib

    return int(joblib.cpu_count(only_physical_cores=True))


def threads() -> int:
    """Return the threads a CPU trial computes with: OMP_NUM_THREADS where set, else one.

    Small networks gain little from more, and results then do not depend on the machine's
    number of cores; more threads than cores lose a factor of 3 to 25.
    """
    given = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(int(given), os.cpu_count() or 1)) if given.isdecimal() else 1


def command() -> str:
    """Return the command line that this process was started by."""
    given = f"{launched().command}{shlex.join(['credbench', *sys.argv[1:]])}"
    return given.encode("utf-8", "backslashreplace").decode()


def capture(device: str, workers: int) -> dict[str, Any]:
    """Return the environment of a run on a device (`cpu` or `cuda`)."""
    return {
        "command": command(),
        "device": device,
        "accelerator": _accelerator() if device == "cuda" else None,
        "processor": _processor(),
        "cores": cores(),
        "memory_gib": _memory_gib(),
        "workers": workers,
        "processes": launched().size,
        "threads": threads(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "git": _git_state(),
    }


def describe(environment: dict[str, Any]) -> str:
    """Return an environment in one line, for the foot of a table."""
    share, together = "", environment.get("processes", 1)
    if environment["device"] == "cpu" or together > 1:
        share = f", {count(max(environment['workers'], together), 'process')}"
    if environment["device"] == "cpu":
        share += f" of {count(environment['threads'], 'thread')}"
    if together > 1:
        share += " on one trial at a time"
    versions = f"torch {environment['packages']['torch']}, Python {environment['python']}"
    return f"{describe_machine(environment)}{share}; {versions}"


def describe_machine(environment: dict[str, Any]) -> str:
    """Return the hardware that computed."""
    if environment["device"] == "cpu":
        return f"{count(environment['cores'], 'core')} of {environment['processor']}"
    return f"{environment['accelerator']}"


def load() -> float | None:
    """Return the machine's load over the last minute, where it is known."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def _accelerator() -> str:
    import torch

    return torch.cuda.get_device_name()


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (ValueError, OSError, AttributeError):
        return None


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git_state() -> dict[str, Any] | None:
    """Return commit and cleanliness of the checkout that the code runs from, if it is one."""
    here = Path(__file__).parent
    if not (here.parent / ".git").exists():
        return None
    commit = _git(here, "rev-parse", "HEAD")
    changes = _git(here, "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "clean": changes == ""} if commit else None


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        ran = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return ran.stdout.strip() if ran.returncode == 0 else None
