"""Words that hang on a number."""

from __future__ import annotations


def count(n: int, what: str) -> str:
    """Return a number with what it counts: `1 trial`, `2 trials`, `12,000 epochs`."""
    plural = "es" if what.endswith("s") else "s"
    return f"{n:,} {what}{plural if n != 1 else ''}"
