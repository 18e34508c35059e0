"""The pauses of intents that wait for another try, each of which can be cut short."""

from __future__ import annotations

import asyncio

__all__ = ["Pauses"]


class Pauses:
    """Who sleeps now, by intent, and why."""

    def __init__(self) -> None:
        self._sleeping: dict[bytes, asyncio.Future[None]] = {}
        self.reasons: dict[bytes, str] = {}
        """By intent that sleeps, why it does."""

    async def sleep(self, intent_id: bytes, seconds: float, reason: str = "") -> None:
        """Wait so many seconds, or until `wake`."""
        loop = asyncio.get_running_loop()
        woken = self._sleeping[intent_id] = loop.create_future()
        self.reasons[intent_id] = reason
        timer = loop.call_later(seconds, self.wake, intent_id)
        try:
            await woken
        finally:
            timer.cancel()
            del self._sleeping[intent_id], self.reasons[intent_id]

    def wake(self, intent_id: bytes) -> bool:
        """End an intent's pause; False where it has none."""
        woken = self._sleeping.get(intent_id)
        if woken is None or woken.done():
            return False
        woken.set_result(None)
        return True
