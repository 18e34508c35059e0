"""What the comparison needs of a chain: its adapter's codec on one side, its hub in its own VM on the other."""

import sys
import time
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from support.differential.messages import Bounds, Delivering, Message, Signable
from vagus.adapters.base import Delivery, Question
from vagus.protocol import Intent

__all__ = ["Asked", "Meter", "Recorded", "Side"]


class Asked(NamedTuple):
    """A request as the chain shows it: `id` is the hub's own, the intent what the adapter decoded.

    `requester` and `seq` are what they have to be.
    """

    requester: bytes
    seq: int
    id: bytes
    intent: Intent
    payload: bytes
    terms: bytes


class Recorded(NamedTuple):
    """A delivery as the adapter decoded the hub's record; `deliverer` and `time` as they have to be."""

    found: Delivery | None
    deliverer: bytes
    time: int


class Side(Protocol):
    """One chain."""

    name: str
    batch: int
    """Calls that are best handed over at once."""

    def packed(self, message: Message) -> bytes:
        """A message's bytes, cut out of a call that the adapter encoded."""
        ...

    def oracle(self, message: Message) -> bytes:
        """The same bytes, by someone else's encoder."""
        ...

    def hashes(self, messages: Sequence[tuple[bytes, Signable]]) -> list[bytes]:
        """What the hub's own views make of packed messages: an intent's id, a digest else."""
        ...

    def call(self, what: Question | Delivering) -> bytes:
        """A request or a delivery as the adapter encodes it."""
        ...

    def call_oracle(self, what: Question | Delivering) -> bytes:
        """The same bytes, by someone else's encoder."""
        ...

    def bounds(self) -> Bounds:
        """What the hub accepts."""
        ...

    def request(self, questions: Sequence[tuple[bytes, Question]]) -> list[Asked]:
        """Make these calls; 20 bytes say which account asks, where a test may choose."""
        ...

    def deliver(self, deliveries: Sequence[Delivering]) -> list[Recorded]:
        """Make these calls."""
        ...


class Meter:
    """Counts messages, and says every two seconds how far it is and how fast."""

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total = what, total
        self._done = 0
        self._start = self._said = time.monotonic()

    def add(self, count: int) -> None:
        """Count messages that agreed."""
        self._done += count
        if time.monotonic() - self._said >= 2:
            self._said = time.monotonic()
            self._say(f"{self._done:,} of {self._total:,}")

    def end(self) -> int:
        """Say the rate, and return how many agreed."""
        self._say(f"{self._done:,} agreed")
        return self._done

    def _say(self, text: str) -> None:
        rate = self._done / max(time.monotonic() - self._start, 1e-6)
        print(f"{self._what}: {text}, {rate:,.0f}/s", file=sys.stderr, flush=True)
