"""What the router counts, for metrics: plain numbers that only grow."""

from collections import Counter
from dataclasses import dataclass, field

from vagus.compute.routing.served import End

__all__ = ["Tallies"]


@dataclass(slots=True)
class Tallies:
    """calls: by how they ended, `answered` or `failed`. moved: calls that more than one was asked for.

    hedges: second requests that were sent beside slow ones; won: how many of them answered first.
    tries, lost: by backend and model, how each try ended, and what tries without an answer may
    cost, in the unit of account.
    """

    calls: Counter[str] = field(default_factory=Counter)
    moved: int = 0
    hedges: int = 0
    won: int = 0
    tries: Counter[tuple[str, str, End]] = field(default_factory=Counter)
    lost: Counter[tuple[str, str]] = field(default_factory=Counter)
