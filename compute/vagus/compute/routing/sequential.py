"""Telling a backend from the model that it sells, question by question.

Each answer passes or fails a check. An honest backend fails a few (engines differ, arithmetic is noisy),
another model fails many. What speaks for the other is summed, never below zero, as
each question's log-likelihood ratio: Page's cumulative sum of Wald's test. It may be looked at after
each question, and a swap after a long good time is told as soon as one at the beginning.

The alarm's bound is what 1 % of false alarms costs: with n questions and a share a of alarms it is
ln(n / a). The sum is never over the Shiryaev-Roberts statistic R, and R less the number of questions is
a martingale while the backend is honest, so that it passes n / a within n questions with a probability
of at most a (Doob). Sources: Page 1954, Continuous Inspection Schemes; Pollak 1987.
"""

import math
from typing import NamedTuple

__all__ = ["ALARMS", "KNOWN", "QUESTIONS", "RESCORED", "Check", "Sequential"]

# At most so many of all honest backends are told to be another within so many questions.
ALARMS, QUESTIONS = 0.01, 1000
BOUND = math.log(QUESTIONS / ALARMS)


class Check(NamedTuple):
    """A way to check: the share of an honest backend's answers that fail it, and of another's."""

    honest: float
    other: float

    def speaks(self, passed: bool) -> float:
        """Return the log-likelihood ratio of a result, positive where it speaks for another model."""
        if passed:
            return math.log((1 - self.other) / (1 - self.honest))
        return math.log(self.other / self.honest)


# docs/routing.md has what was measured of both.
RESCORED = Check(0.01, 0.2)
KNOWN = Check(0.2, 0.6)


class Sequential:
    """The test of one backend and model."""

    def __init__(self) -> None:
        self._sum = 0.0
        self.asked = 0
        self.passed_in_a_row = 0

    @property
    def suspicion(self) -> float:
        """How near the alarm is: 0 for not at all, 1 from the alarm on."""
        return min(1.0, self._sum / BOUND)

    def note(self, passed: bool, check: Check) -> bool:
        """Count a check; True from the alarm on, until `restart`."""
        self.asked += 1
        self.passed_in_a_row = self.passed_in_a_row + 1 if passed else 0
        if self._sum < BOUND:
            self._sum = max(0.0, self._sum + check.speaks(passed))
        return self._sum >= BOUND

    def restart(self) -> None:
        """Begin anew, as for a backend that was never asked."""
        self._sum, self.asked, self.passed_in_a_row = 0.0, 0, 0
