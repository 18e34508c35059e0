"""A circuit breaker: who fails in a row is left alone for a while, then asked once to see.

closed      calls go through; `failures` in a row open it
open        none goes through until `blocked_until`
half-open   one goes through, the probe: if it is answered the breaker closes, else it opens for longer
"""

from math import inf

__all__ = ["Breaker"]

FAILURES = 3
# Seconds open: doubled each time in a row, up to the longest.
SHORTEST, LONGEST = 1.0, 60.0
# Seconds for who bars this node: a key, a credit or a model is not mended in between two calls.
BARRED = 60.0
# Answers after which the next opening is a short one again.
HEALED = 10
# What a Retry asks to wait where its backend has no opinion (`vagus.protocol.Retry`).
NO_OPINION = 1.0


class Breaker:
    """Of one backend and model. Times are of the router's clock, in seconds.

    blocked_until: when a call may go there again; infinite while a probe is under way. paused_until:
    how much of that is the backend's own wish, which holds even where there is nobody else to ask.
    """

    __slots__ = (
        "_answers",
        "_failures",
        "_opened",
        "_probing",
        "blocked_until",
        "open",
        "paused_until",
        "reason",
    )

    def __init__(self) -> None:
        self.open = False
        self.blocked_until = self.paused_until = 0.0
        self.reason = ""
        self._failures = 0
        self._answers = 0
        self._opened = 0
        self._probing = False

    @property
    def state(self) -> str:
        """`closed`, `open` or `half-open`, as when it was last asked."""
        if not self.open:
            return "closed"
        return "half-open" if self._probing else "open"

    def begin(self) -> bool:
        """Note that a call begins; say whether it is the probe of an open breaker."""
        if not self.open:
            return False
        self._probing = True
        self.blocked_until = inf
        return True

    def answered(self) -> None:
        """Note an answer."""
        self._failures = 0
        self._answers += 1
        if self._answers >= HEALED:
            self._opened = 0
        if self.open and self._probing:
            self.open = self._probing = False
            self.blocked_until, self.reason = 0.0, ""

    def failed(self, now: float, reason: str, after: float = 0.0) -> None:
        """Note a failure; `after` is how many seconds its backend asks to be left alone."""
        self._failures += 1
        self._answers = 0
        if self._probing or self._failures >= FAILURES:
            self._trip(now, min(LONGEST, SHORTEST * 2.0**self._opened), reason)
        if after > NO_OPINION:
            self._hold(now + after, reason)
            self.paused_until = now + after

    def barred(self, now: float, reason: str) -> None:
        """Note that the backend serves this node no more."""
        self._answers = 0
        self._trip(now, BARRED, reason)
        self.paused_until = now + BARRED

    def dropped(self, now: float) -> None:
        """Note that a call ended without telling anything, as a cancelled one does."""
        if self._probing:
            self._probing = False
            self.blocked_until = now

    def _trip(self, now: float, seconds: float, reason: str) -> None:
        if not self.open or self._probing:
            self._opened += 1
        self._hold(now + seconds, reason)

    def _hold(self, until: float, reason: str) -> None:
        # Calls that were under way when it opened end later: they never shorten it.
        before = self.blocked_until if self.open and not self._probing else 0.0
        self.open, self._probing = True, False
        self.blocked_until = max(before, until)
        self.reason = reason
