"""What members say of an intent before this node has come to it, kept within bounds."""

from __future__ import annotations

from collections import defaultdict, deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vagus.protocol.envelope import Envelope

__all__ = ["ROOM", "Early"]

ROOM = 1 << 20
"""Bytes kept of each member that wait for this node: who sends too much pushes out its own alone."""


class Early:
    """Envelopes by intent, the oldest of a member forgotten first."""

    def __init__(self) -> None:
        self._kept: defaultdict[bytes, list[tuple[Envelope, bytes]]] = defaultdict(list)
        self._order: defaultdict[bytes, deque[tuple[Envelope, bytes]]] = defaultdict(deque)
        self._size: defaultdict[bytes, int] = defaultdict(int)
        self.dropped = 0

    def put(self, envelope: Envelope, frame: bytes) -> None:
        """Keep an envelope, once, until its intent is taken."""
        kept = self._kept[envelope.intent]
        if any(frame == other for _, other in kept):
            return
        kept.append((envelope, frame))
        self._order[envelope.sender].append((envelope, frame))
        self._size[envelope.sender] += len(frame)
        while self._size[envelope.sender] > ROOM:
            self._forget(envelope.sender)

    def take(self, intent: bytes) -> list[tuple[Envelope, bytes]]:
        """Return what was said of an intent, in its order, and keep it no more."""
        return self._kept.pop(intent, [])

    def _forget(self, sender: bytes) -> None:
        envelope, frame = self._order[sender].popleft()
        self._size[sender] -= len(frame)
        kept = self._kept.get(envelope.intent, [])
        if any(other is frame for _, other in kept):
            self.dropped += 1
            self._kept[envelope.intent] = [each for each in kept if each[1] is not frame]
            if not self._kept[envelope.intent]:
                del self._kept[envelope.intent]
