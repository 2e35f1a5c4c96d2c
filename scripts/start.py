#!/usr/bin/env python3
"""Set up credbench in this checkout and run `credbench run` with the arguments given."""

from __future__ import annotations

import subprocess
import sys

from _checkout import ensure_environment

if __name__ == "__main__":
    programs = ensure_environment()
    sys.exit(subprocess.run([programs / "credbench", "run", *sys.argv[1:]]).returncode)
