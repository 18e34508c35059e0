"""A router's own time for a call, in µs: instant backends, one call after the other, in the processor's time."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

__all__ = ["Timed", "microseconds"]

ROUNDS = 5

Timed = Callable[[int], Awaitable[Any]]


async def microseconds(routed: Timed, bare: Timed, calls: int) -> float:
    """The median over rounds of what `routed` takes for a call more than `bare`."""

    async def timed(ask: Timed) -> float:
        began = time.process_time()
        for index in range(calls):
            await ask(index)
        return (time.process_time() - began) / calls * 1e6

    await timed(routed)  # until everything is known and cached
    found = []
    for _ in range(ROUNDS):
        await asyncio.sleep(0)
        found.append(await timed(routed) - await timed(bare))
    return statistics.median(found)
