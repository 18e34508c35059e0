"""What a committee's work is measured by: how long it agrees and signs, in how many rounds, against whom."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter

__all__ = ["Spread", "Tally"]

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
_ROUNDS = (1.0, 2.0, 3.0, 4.0, 6.0, 10.0, 20.0)


class Spread:
    """How many values were at most each of these edges, the last count being of those above all."""

    def __init__(self, edges: tuple[float, ...]) -> None:
        self.edges = edges
        self.counts = [0] * (len(edges) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.edges, value)] += 1
        self.sum += value


class Tally:
    """Since this process began. `agreement` and `signing` are in seconds."""

    def __init__(self) -> None:
        self.agreement = Spread(_SECONDS)
        self.signing = Spread(_SECONDS)
        self.rounds = Spread(_ROUNDS)
        self.disagreements: Counter[str] = Counter(proposal=0, message=0)
        """By what: a member found a `proposal` wrong, or signed another `message` than this node."""
