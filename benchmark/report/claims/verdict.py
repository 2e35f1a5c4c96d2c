"""What findings say of a claim."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from credbench.report.claims.criterion import Criterion
from credbench.report.claims.evidence import Evidence
from credbench.report.claims.finding import Finding
from credbench.report.claims.ledger import Claim
from credbench.report.statistics import LEVEL, holm

SUPPORTED, CONTRADICTED, UNDECIDED = "supported", "contradicted", "undecided"
NOT_DECIDING = "not deciding"
WORDS = (SUPPORTED, CONTRADICTED, UNDECIDED)


@dataclass(frozen=True)
class Judged:
    """A finding, and what it says."""

    finding: Finding
    word: str
    """One of `WORDS`, or `NOT_DECIDING`."""
    p_holds: float | None
    """Corrected for all findings of the claim that decide, as is the next."""
    p_fails: float | None


@dataclass(frozen=True)
class Answer:
    """What becomes of one criterion of a claim."""

    criterion: Criterion
    judged: tuple[Judged, ...]
    word: str
    missing: str
    """Why it is undecided; empty where it is not."""
    command: str
    """What would make what is missing, where that can be said."""


@dataclass(frozen=True)
class Verdict:
    """What becomes of a claim."""

    claim: Claim
    answers: tuple[Answer, ...]
    word: str

    @property
    def deciding(self) -> list[Judged]:
        """The findings that the verdict is made from."""
        return [each for a in self.answers for each in a.judged if each.finding.decides]


def judge(claim: Claim, evidence: Evidence) -> Verdict:
    """Return the verdict on a claim.

    Of every finding that decides two one-sided tests are made, of the claim's being false there
    and of its being true. Either kind is corrected by `holm` for the findings of the claim, so
    that of a claim that is false everywhere, anything is said to support it in at most 5 % of
    cases, and the same for what contradicts one that is true everywhere.
    """
    found = [criterion.findings(evidence) for criterion in claim.criteria]
    deciding = [finding for findings in found for finding in findings if finding.decides]
    holds = holm([finding.p_holds for finding in deciding])
    fails = holm([finding.p_fails for finding in deciding])
    corrected = iter(zip(holds, fails, strict=True))
    answers = []
    for criterion, findings in zip(claim.criteria, found, strict=True):
        judged = [
            _judged(f, *next(corrected)) if f.decides else Judged(f, NOT_DECIDING, None, None)
            for f in findings
        ]
        answers.append(_answer(criterion, judged, evidence))
    return Verdict(claim, tuple(answers), together(answer.word for answer in answers))


def together(words: Iterable[str]) -> str:
    """Return what parts say of the whole: one that fails is enough, and all have to hold."""
    found = set(words)
    if CONTRADICTED in found:
        return CONTRADICTED
    return SUPPORTED if found == {SUPPORTED} else UNDECIDED


def _judged(finding: Finding, holds: float | None, fails: float | None) -> Judged:
    alpha = 1 - LEVEL
    word = UNDECIDED
    if holds is not None and holds <= alpha:
        word = SUPPORTED
    elif fails is not None and fails <= alpha:
        word = CONTRADICTED
    return Judged(finding, word, holds, fails)


def _answer(criterion: Criterion, judged: Sequence[Judged], evidence: Evidence) -> Answer:
    deciding = [each for each in judged if each.finding.decides]
    word = together(each.word for each in deciding)
    missing = command = ""
    if not judged:
        missing, command = criterion.absent(evidence), criterion.command()
    elif not deciding:
        nearest = judged[0].finding
        missing = f"nearest: {', '.join(nearest.lacks)}"
        command = criterion.more(nearest) if nearest.silent else criterion.command()
    elif word == UNDECIDED:
        open_ones = [each for each in deciding if each.word == UNDECIDED]
        missing, command = _straddling(open_ones[0]), criterion.more(open_ones[0].finding)
    return Answer(criterion, tuple(judged), word, missing, command)


def _straddling(judged: Judged) -> str:
    """Return why a finding that could decide does not."""
    finding = judged.finding
    if finding.limit:
        return finding.limit
    alone = [p for p in (finding.p_holds, finding.p_fails) if p is not None]
    if min(alone, default=1.0) <= 1 - LEVEL:
        return f"n = {finding.n} leaves it open once corrected for the number of settings"
    return f"n = {finding.n} leaves limits on both sides of the bound"
