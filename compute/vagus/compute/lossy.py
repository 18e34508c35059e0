"""A queue that never makes its producer wait: what does not fit pushes out the oldest.

For what is sent again anyway. Who floods it loses what is its own: the oldest of whoever has the
most in it goes first, and each is served in turn.
"""

import asyncio
from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ["LossyQueue"]

T = TypeVar("T")

# Producers told apart. Names that strangers make up cost no more: beyond these, all share one line.
MAX_LINES = 64
_SHARED = object()


class LossyQueue(Generic[T]):
    """At most `max_items` that come to at most `max_bytes` as their producers count them."""

    def __init__(self, max_items: int, max_bytes: int) -> None:
        self._max_items = max_items
        self._max_bytes = max_bytes
        # In the order in which they are served; a line without items is not kept.
        self._lines: dict[Hashable, deque[tuple[T, int]]] = {}
        self._bytes: dict[Hashable, int] = {}
        self._items = 0
        self._total = 0
        self._filled = asyncio.Event()

    def __len__(self) -> int:
        return self._items

    def put(self, item: T, size: int, producer: Hashable = None) -> int:
        """Take an item of `size` bytes; return how many were dropped for it, itself perhaps."""
        if size > self._max_bytes:
            return 1
        if producer not in self._lines and len(self._lines) >= MAX_LINES:
            producer = _SHARED
        self._lines.setdefault(producer, deque()).append((item, size))
        self._bytes[producer] = self._bytes.get(producer, 0) + size
        self._items += 1
        self._total += size
        dropped = 0
        while self._items > self._max_items or self._total > self._max_bytes:
            self._take(self._longest())
            dropped += 1
        self._filled.set()
        return dropped

    async def filled(self) -> None:
        """Wait until there is an item."""
        while not self._items:
            self._filled.clear()
            await self._filled.wait()

    async def get(self) -> T:
        """Wait for an item, and take the oldest of the producer whose turn it is."""
        await self.filled()
        return self.pop()

    def pop(self) -> T:
        """Take as `get` does; IndexError where there is nothing."""
        if not self._items:
            raise IndexError("the queue is empty")
        producer = next(iter(self._lines))
        item = self._take(producer)
        if producer in self._lines:  # to the end of those who wait
            self._lines[producer] = self._lines.pop(producer)
        return item

    def _longest(self) -> Hashable:
        """Return who fills most of what is full: by bytes, and by number where sizes are small."""
        return max(
            self._lines,
            key=lambda each: (
                self._bytes[each] / self._max_bytes + len(self._lines[each]) / self._max_items
            ),
        )

    def _take(self, producer: Hashable) -> T:
        line = self._lines[producer]
        item, size = line.popleft()
        self._items -= 1
        self._total -= size
        self._bytes[producer] -= size
        if not line:
            del self._lines[producer], self._bytes[producer]
        return item
