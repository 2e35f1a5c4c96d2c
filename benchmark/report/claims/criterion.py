"""What every kind of test has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from credbench.report.claims.evidence import Evidence
from credbench.report.claims.finding import Finding
from credbench.report.claims.needs import Needs
from credbench.spec import parse_axis


@dataclass(frozen=True, kw_only=True)
class Criterion(ABC):
    """A part of a claim that numbers decide; all parts have to hold."""

    needs: Needs
    bound: float = 0.0
    below: bool = True
    """Whether the number is claimed to be below the bound; else above it."""

    @property
    @abstractmethod
    def unit(self) -> str:
        """What its numbers are in."""

    @property
    @abstractmethod
    def says(self) -> str:
        """What is claimed to hold, in words."""

    @abstractmethod
    def findings(self, evidence: Evidence) -> list[Finding]:
        """Return what there is, what decides and what does not; nearest to deciding first."""

    @abstractmethod
    def absent(self, evidence: Evidence) -> str:
        """Return what is missing where there are no findings at all."""

    @abstractmethod
    def command(self) -> str:
        """Return the command that would make what decides; empty where there is none."""

    @abstractmethod
    def more(self, finding: Finding) -> str:
        """Return the command that would narrow the limits of a finding; empty likewise."""

    def show(self, value: float) -> str:
        """Return a value with as many digits as matter."""
        return f"{value:.2f}"

    @property
    def _side(self) -> str:
        return "below" if self.below else "above"


def bare(algorithm: str) -> str:
    """Return an algorithm's name without its parameters."""
    return parse_axis(algorithm)[0].name


def nearest_first(findings: list[Finding]) -> list[Finding]:
    """Return findings in the order of how little they lack to decide."""
    return sorted(findings, key=lambda each: (len(each.lacks), -each.n))
