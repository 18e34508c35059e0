"""Which requests a worker has run: none is run twice, whoever repeats it, also after a restart.

A request names the worker's window, a random word that is another each half minute; this one and the one
before count. What names an older one is stale, so that only what came in these two is remembered, and
no clocks are compared.
"""

from __future__ import annotations

import secrets
from collections import Counter
from dataclasses import dataclass, field

__all__ = ["Windows"]

MAX_REMEMBERED = 1 << 17
"""Requests of one node in one window: some 4,000 a second."""


@dataclass(slots=True)
class _Window:
    digests: set[bytes] = field(default_factory=set)
    of_node: Counter[bytes] = field(default_factory=Counter)


class Windows:
    """The window of now and the one before. now: its word, 16 bytes in hex."""

    def __init__(self) -> None:
        self._kept: dict[str, _Window] = {}
        self.turn()

    def turn(self) -> None:
        """Begin another, and forget the one before the last."""
        self.now = secrets.token_hex(16)
        last = list(self._kept.items())[-1:]
        self._kept = dict([*last, (self.now, _Window())])

    def enter(self, word: str, node: bytes, digest: bytes) -> str:
        """Remember a node's request; return in words why it is not to be run, else nothing."""
        window = self._kept.get(word)
        if window is None:
            return "stale"
        if any(digest in each.digests for each in self._kept.values()):
            return "repeated"
        if window.of_node[node] >= MAX_REMEMBERED:
            return "too many to remember"
        window.digests.add(digest)
        window.of_node[node] += 1
        return ""
