"""The journal's new lines, as they come, for whoever listens.

One task reads for all listeners, and only while there are any; otherwise a commit does no more than
set an event. What a listener has missed for longer than the feed remembers is read from the journal.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import TYPE_CHECKING

from vagus.adapters.background import background
from vagus.protocol import Retry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from types import TracebackType
    from typing import Self

    from vagus.daemon.journal.base import Entry, Journal

__all__ = ["Feed"]

# Lines read at once, and lines kept for listeners that lag behind.
BATCH = 512
KEPT = 4 * BATCH
# Seconds between two reads: a person sees no difference, and the journal has other readers.
PAUSE = 0.1


class Feed:
    """Follows a journal inside its `async with`; `after` gives its lines from any key on."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._committed = asyncio.Event()
        self._grown = asyncio.Condition()
        self._opening = asyncio.Lock()
        self._lines: deque[Entry] = deque(maxlen=KEPT)
        # The lines kept are all those behind `_from`, up to `_newest`.
        self._from = self._newest = 0
        self.listeners = 0

    async def __aenter__(self) -> Self:
        """Begin to follow."""
        self._journal.on_commit(lambda _: self._committed.set())
        self._life = contextlib.AsyncExitStack()
        await self._life.enter_async_context(background(feed=self._follow()))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the task that follows."""
        await self._life.aclose()

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Count as a listener: only then are new lines read."""
        async with self._opening:
            if self.listeners == 0:
                self._lines.clear()
                self._from = self._newest = await self._journal.newest_key()
            self.listeners += 1
        try:
            yield
        finally:
            self.listeners -= 1

    async def after(self, key: int) -> Sequence[Entry]:
        """Return the lines behind a key, at most BATCH, as soon as there is one. For listeners."""
        async with self._grown:
            await self._grown.wait_for(lambda: self._newest > key)
        if key < self._from:
            return await self._journal.history_after(key, BATCH)
        return [line for line in self._lines if line.key > key][:BATCH]

    async def _follow(self) -> None:
        while True:
            await self._committed.wait()
            self._committed.clear()
            pause = PAUSE
            try:
                while self.listeners and (
                    lines := await self._journal.history_after(self._newest, BATCH)
                ):
                    await self._keep(lines)
            except Retry as error:
                self._committed.set()  # what was not read is read again
                pause = error.after
            await asyncio.sleep(pause)

    async def _keep(self, lines: Sequence[Entry]) -> None:
        async with self._grown:
            if overflow := max(0, len(self._lines) + len(lines) - KEPT):
                self._from = self._lines[overflow - 1].key
            self._lines.extend(lines)
            self._newest = lines[-1].key
            self._grown.notify_all()
