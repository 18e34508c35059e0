"""Trust in what a backend serves: who is found to serve something else is shut out.

It is kept in memory: a node that starts trusts everyone, until a check says otherwise. A quarantine
ends by the canaries' word or by an operator's; one by a committee's votes also ends by itself, since
whoever chooses the questions may choose those on which honest engines differ.
"""

from collections.abc import Callable
from math import inf

__all__ = ["Trust"]

# How often in a row a committee outvotes an answer until it is no accident: engines differ in two or
# three of a hundred tokens, and an accident as rare as that comes thrice in a row once in 37,000 times.
OUTVOTED = 3
# Seconds that a quarantine by votes lasts.
BY_VOTES = 3600.0


class Trust:
    """Of one backend and model."""

    __slots__ = ("_clock", "_reason", "_row", "_until")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._reason = ""
        self._until = inf
        self._row = 0

    @property
    def reason(self) -> str:
        """Why it is quarantined; empty where it is not."""
        if self._reason and self._clock() >= self._until:
            self.release()
        return self._reason

    @property
    def passing(self) -> bool:
        """Whether it is quarantined, and only for a while."""
        return self.reason != "" and self._until < inf

    def compared(self, ok: bool) -> str:
        """Note what a committee made of an answer; return why to quarantine, empty for no reason."""
        self._row = 0 if ok else self._row + 1
        return f"outvoted {self._row} times in a row" if self._row >= OUTVOTED else ""

    def quarantine(self, reason: str) -> None:
        """Shut it out until it is released."""
        self._reason, self._until = reason, inf

    def outvoted(self, reason: str) -> None:
        """Shut it out for an hour, where it is not shut out yet."""
        if not self.reason:
            self._reason, self._until = reason, self._clock() + BY_VOTES

    def release(self) -> bool:
        """Let it in again; say whether it was out."""
        was = self._reason != ""
        self._reason, self._until, self._row = "", inf, 0
        return was
