"""Reading a backlog: by the adapter, by a bare client that looks at nothing, and by somebody else's."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from vagus.daemon.bench.backlog import quorum_of, timed
from vagus.protocol import VagusError

if TYPE_CHECKING:
    from collections.abc import Callable

    from vagus.daemon.bench.backlog import Backlog

__all__ = ["Reading", "read"]

_ENDPOINTS = (1, 3)


@dataclass(frozen=True, slots=True)
class Reading:
    """The backlog read once, in seconds (medians of the rounds); `ratio` is adapter over chain."""

    quorum: str
    chain_s: float
    adapter_s: float
    intents_per_s: float
    ratio: float


async def read(
    asked: Backlog, rounds: int, say: Callable[[str], None]
) -> tuple[tuple[Reading, ...], float | None]:
    """Take turns, so that what else the machine does slows all alike. Also the peer's seconds."""
    bare: dict[int, list[float]] = {each: [] for each in _ENDPOINTS}
    ours: dict[int, list[float]] = {each: [] for each in _ENDPOINTS}
    peer: list[float] = []
    for number in range(rounds):
        for endpoints in _ENDPOINTS:
            bare[endpoints].append(await timed(asked.read_bare(endpoints)))
            ours[endpoints].append(await _read_adapter(asked, endpoints))
        if asked.peer:
            peer.append(await timed(asked.read_peer()))
        say(f"  round {number + 1} of {rounds}")
    readings = []
    for endpoints in _ENDPOINTS:
        chain_s, adapter_s = median(bare[endpoints]), median(ours[endpoints])
        readings.append(
            Reading(
                quorum=quorum_of(endpoints),
                chain_s=round(chain_s, 6),
                adapter_s=round(adapter_s, 6),
                intents_per_s=round(asked.intents / adapter_s, 1),
                ratio=round(adapter_s / chain_s, 2),
            )
        )
    return tuple(readings), round(median(peer), 6) if peer else None


async def _read_adapter(asked: Backlog, endpoints: int) -> float:
    async with asked.adapter(endpoints) as adapter:
        final = (await adapter.next_heads(None)).final
        cursor, found = await adapter.start(), 0
        began = time.perf_counter()
        while cursor.height < final.height:
            batch, cursor = await adapter.intents(cursor, final)
            found += len(batch)
        seconds = time.perf_counter() - began
    if found != asked.intents:
        raise VagusError(f"{found} of {asked.intents} intents were read")
    return seconds
