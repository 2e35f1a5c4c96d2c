"""What the scripts share: the checkout's own environment, made once and reused."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".venv"
_OLDEST = (3, 11)


def ensure_environment(extra: str = "") -> Path:
    """Return the folder of the environment's programs, installing what is missing.

    An extra once installed stays; nothing is done where pyproject.toml and the Python that
    runs this are those of the last time.
    """
    if sys.version_info < _OLDEST:
        wanted = ".".join(map(str, _OLDEST))
        sys.exit(f"credbench needs Python {wanted} or newer, this is {sys.version}")
    programs = ENVIRONMENT / ("Scripts" if os.name == "nt" else "bin")
    stamp = ENVIRONMENT / f"installed{'-' + extra if extra else ''}"
    stamped = hashlib.sha256((ROOT / "pyproject.toml").read_bytes() + sys.version.encode())
    if stamp.is_file() and stamp.read_text() == stamped.hexdigest():
        return programs
    _create(programs)
    target = f"{ROOT}[{extra}]" if extra else str(ROOT)
    print(f"Installing credbench into {ENVIRONMENT} (torch is large; once only) …", flush=True)
    installed = subprocess.run(
        [programs / "python", "-m", "pip", "install", "--quiet", "--editable", target]
    )
    if installed.returncode:
        sys.exit("credbench could not be installed: see pip's message above")
    stamp.write_text(stamped.hexdigest())
    return programs


def _create(programs: Path) -> None:
    if (programs / "python").exists() or (programs / "python.exe").exists():
        return
    try:
        venv.create(ENVIRONMENT, with_pip=True)
    except subprocess.CalledProcessError:
        sys.exit(
            "this Python cannot make environments with pip: install its venv package "
            "(Debian and Ubuntu: python3-venv) and run this again"
        )


def link_sources() -> Path:
    """Return a folder in which the rooms lie as the package's folders, for type checkers."""
    links = ROOT / ".typing" / "credbench"
    links.mkdir(parents=True, exist_ok=True)
    rooms = {"algorithms": "algorithms", "datasets": "datasets", "paper": "results/paper"}
    wanted = {p.name: p for p in (ROOT / "benchmark").iterdir() if p.name != "__pycache__"}
    wanted |= {name: ROOT / room for name, room in rooms.items()}
    for old in links.iterdir():
        if old.name not in wanted:
            old.unlink()
    for name, source in wanted.items():
        if not (links / name).exists():
            (links / name).symlink_to(os.path.relpath(source, links))
    return links
