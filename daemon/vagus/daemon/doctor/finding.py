"""A finding is one line: a verdict, what was looked at, what was found, and what to do about it.

None holds a secret or a URL's path.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Finding", "Verdict", "fail", "ok", "warn", "worst"]


class Verdict(enum.StrEnum):
    """What a finding means: `fail` is what a node does not run with, or not as it should."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of a report; `advice` says what to do, and is empty where nothing is to be done."""

    name: str
    verdict: Verdict
    finding: str
    advice: str = ""

    def show(self) -> dict[str, str]:
        """Return it as JSON shows it."""
        return {
            "name": self.name,
            "verdict": str(self.verdict),
            "finding": self.finding,
            "advice": self.advice,
        }


def worst(findings: Iterable[Finding]) -> Verdict:
    """Return the verdict of a whole report."""
    found = {each.verdict for each in findings}
    return next((each for each in (Verdict.FAIL, Verdict.WARN) if each in found), Verdict.OK)


def ok(name: str, finding: str) -> Finding:
    """Return a finding that asks for nothing."""
    return Finding(name, Verdict.OK, finding)


def warn(name: str, finding: str, advice: str) -> Finding:
    """Return a finding that somebody should look at."""
    return Finding(name, Verdict.WARN, finding, advice)


def fail(name: str, finding: str, advice: str) -> Finding:
    """Return a finding that keeps a node from its work."""
    return Finding(name, Verdict.FAIL, finding, advice)
