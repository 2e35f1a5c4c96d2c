"""Verdicts as tables: one row a claim, and one row a number."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from credbench.report.claims.criterion import bare
from credbench.report.claims.pace import Pace
from credbench.report.claims.verdict import (
    CONTRADICTED,
    NOT_DECIDING,
    SUPPORTED,
    UNDECIDED,
    Answer,
    Judged,
    Verdict,
)

_MOST_SHOWN = 3
"""Numbers of a claim in its row, and of a test in those that do not decide."""


class _Sentences(ABC):
    """A table whose columns, but for the first, are sentences."""

    @abstractmethod
    def headings(self) -> list[str]:
        """Return the names of the columns."""

    @property
    def names(self) -> int:
        """How many columns, from the left, are words."""
        return len(self.headings())

    @property
    def prose(self) -> range:
        """The columns of sentences, which go on in a new line."""
        return range(1, len(self.headings()))


@dataclass(frozen=True)
class Verdicts(_Sentences):
    """A row a claim: the sentence, the verdict, what it rests on, and what is missing."""

    verdicts: Sequence[Verdict]
    notes: Sequence[str] = ()

    title: ClassVar[str] = "The paper's claims"
    caption: ClassVar[str] = "numbers with their one-sided 95 % limits"

    def headings(self) -> list[str]:
        """Return the names of the columns."""
        return ["claim", "it says", "published", "verdict", "measured", "at", "missing"]

    def cells(self) -> list[list[str]]:
        """Return the text of every cell."""
        return [
            [
                each.claim.id,
                each.claim.says,
                each.claim.published,
                each.word,
                _measured(each),
                "; ".join(scales(each)) or "—",
                "; ".join(_missing(each)) or "—",
            ]
            for each in self.verdicts
        ]

    def footnotes(self) -> list[str]:
        """Return how verdicts come about, what would decide the open ones, and the notes."""
        return [
            "Supported: every test holds, in every setting that decides; contradicted: one fails "
            "in one of them; by one-sided t tests at 5 % after Holm's correction for the settings "
            "of a claim; else undecided. A verdict is on the scale that it was reached at.",
            *(text for each in self.verdicts for text in _to_decide(each)),
            *self.notes,
        ]

    def dicts(self) -> list[dict[str, Any]]:
        """Return one flat dictionary a claim."""
        return [
            _facts(each) | {"measured": _measured(each), "missing": "; ".join(_missing(each))}
            for each in self.verdicts
        ]


def scales(verdict: Verdict) -> list[str]:
    """Return the scales that a verdict was reached at, each once."""
    return list(dict.fromkeys(each.finding.scale for _, each in _grounds(verdict)))


def _measured(verdict: Verdict) -> str:
    own = _grounds(verdict)
    shown = [f"{_where(a, each)}: {number(a, each)}" for a, each in own[:_MOST_SHOWN]]
    more = [f"and {len(own) - _MOST_SHOWN} more"] if len(own) > _MOST_SHOWN else []
    return "; ".join([*shown, *more]) or "—"


def _where(answer: Answer, judged: Judged) -> str:
    """Return the place of a finding, and of two algorithms compared the other one."""
    other = getattr(answer.criterion, "second", "")
    return judged.finding.place + (f", against {bare(other)}" if other else "")


def _grounds(verdict: Verdict) -> list[tuple[Answer, Judged]]:
    """Return the findings that made the verdict, or those that could have made one."""
    found = [(a, each) for a in verdict.answers for each in a.judged if each.finding.decides]
    return [(a, each) for a, each in found if each.word == verdict.word] or found


def number(answer: Answer, judged: Judged) -> str:
    """Return a finding's value, with its limits and unit."""
    finding, show = judged.finding, answer.criterion.show
    if finding.value is None:
        return "open on both sides"
    sign = f"{finding.sign} " if finding.sign else ""
    shown = [show(limit) for limit in finding.limits or () if limit is not None]
    inside = f" ({sign}{' to '.join(shown)})" if shown else ""
    return f"{sign}{show(finding.value)}{inside} {answer.criterion.unit}"


def _missing(verdict: Verdict) -> list[str]:
    if verdict.word != UNDECIDED:
        return []
    return list(dict.fromkeys(answer.missing for answer in verdict.answers if answer.missing))


def _to_decide(verdict: Verdict) -> list[str]:
    """Return the commands that would make what an open claim lacks."""
    if verdict.word != UNDECIDED:
        return []
    commands = dict.fromkeys(a.command for a in verdict.answers if a.command)
    target = verdict.claim.target
    devices = {a.criterion.device for a in verdict.answers if isinstance(a.criterion, Pace)}
    device = "".join(f" --device {device}" for device in devices)
    whole = [f"credbench reproduce {target} --scale paper{device}"] if target else []
    every = [*whole, *commands]
    return [f"{verdict.claim.id}, to decide it: {'; or '.join(every)}"] if every else []


@dataclass(frozen=True)
class Findings(_Sentences):
    """A row a number: what was tested, where, what came out, and at what scale."""

    verdicts: Sequence[Verdict]
    notes: Sequence[str] = ()

    title: ClassVar[str] = "The numbers behind them"
    caption: ClassVar[str] = "one-sided 95 % limits, not corrected"

    def headings(self) -> list[str]:
        """Return the names of the columns."""
        return ["claim", "test", "where", "finding", "number", "of", "at"]

    def cells(self) -> list[list[str]]:
        """Return the text of every cell."""
        return [cells for each in self.verdicts for a in each.answers for cells in _lines(each, a)]

    def footnotes(self) -> list[str]:
        """Return the notes."""
        return list(self.notes)

    def dicts(self) -> list[dict[str, Any]]:
        """Return one flat dictionary a finding, and one for a test without any."""
        return [
            _facts(each) | _test(a) | _numbers(judged)
            for each in self.verdicts
            for a in each.answers
            for judged in (*_heard(a), *([] if _heard(a) else [None]))
        ]


def _lines(verdict: Verdict, answer: Answer) -> list[list[str]]:
    """Return the rows of a test: what decides, and what comes nearest to deciding."""
    start = [verdict.claim.id, answer.criterion.says]
    heard = _heard(answer)
    deciding = [each for each in heard if each.finding.decides]
    others = [each for each in heard if not each.finding.decides]
    if not heard:
        return [[*start, "—", UNDECIDED, "—", answer.missing, "—"]]
    return [
        [
            *start,
            each.finding.place,
            _word(each),
            number(answer, each),
            each.finding.detail,
            each.finding.scale,
        ]
        for each in [*deciding, *others[:_MOST_SHOWN]]
    ]


def _heard(answer: Answer) -> list[Judged]:
    """Return the findings of a test whose numbers say something."""
    return [each for each in answer.judged if not each.finding.silent]


def _word(judged: Judged) -> str:
    if judged.word == NOT_DECIDING:
        return f"{NOT_DECIDING}: {', '.join(judged.finding.lacks)}"
    return judged.word


def _facts(verdict: Verdict) -> dict[str, Any]:
    claim = verdict.claim
    return {
        "claim": claim.id,
        "says": claim.says,
        "where": claim.where,
        "published": claim.published,
        "verdict": verdict.word,
        "scale": "; ".join(scales(verdict)),
    }


def _test(answer: Answer) -> dict[str, Any]:
    criterion = answer.criterion
    return {
        "test": criterion.says,
        "test_verdict": answer.word,
        "bound": criterion.bound,
        "side": "below" if criterion.below else "above",
        "unit": criterion.unit,
        "missing": answer.missing,
        "command": answer.command,
    }


def _numbers(judged: Judged | None) -> dict[str, Any]:
    if judged is None:
        return dict.fromkeys(_NUMBERS)
    finding = judged.finding
    low, high = finding.limits or (None, None)
    values = (
        finding.place, judged.word, finding.value, low, high, finding.n, judged.p_holds,
        judged.p_fails, finding.p_holds, finding.p_fails, finding.detail, finding.scale,
        ", ".join(finding.lacks), " against ".join(finding.algorithms), finding.limit,
        finding.sign,
    )  # fmt: skip
    return dict(zip(_NUMBERS, values, strict=True))


_NUMBERS = (
    "place", "finding", "value", "low", "high", "n", "p_holds", "p_fails", "p_holds_alone",
    "p_fails_alone", "of", "finding_scale", "lacks", "algorithms",
    "limit", "sign",
)  # fmt: skip

SYMBOLS = {SUPPORTED: "✓", CONTRADICTED: "✗", UNDECIDED: "?"}
"""What stands before a verdict on the page, so that it is not told by its word alone."""
