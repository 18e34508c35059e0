"""Reading a backlog: by the adapter, by a bare client that looks at nothing, and by web3.py."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any, cast

from web3 import AsyncHTTPProvider, AsyncWeb3

from vagus.adapters.evm import hub
from vagus.adapters.evm.artifacts import artifact
from vagus.daemon.bench.backlog import RANGE, adapter_over, quorum_of, timed
from vagus.protocol import VagusError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from web3.types import FilterParams

    from vagus.daemon.bench.backlog import Backlog

__all__ = ["Reading", "read"]


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
) -> tuple[tuple[Reading, ...], float]:
    """Take turns, so that what else the machine does slows all alike."""
    bare: dict[int, list[float]] = {1: [], 3: []}
    ours: dict[int, list[float]] = {1: [], 3: []}
    peer: list[float] = []
    for number in range(rounds):
        for endpoints in (1, 3):
            bare[endpoints].append(await timed(_read_bare(asked, endpoints)))
            ours[endpoints].append(await _read_adapter(asked, endpoints))
        peer.append(await timed(_read_web3(asked)))
        say(f"  round {number + 1} of {rounds}")
    readings = []
    for endpoints in (1, 3):
        chain_s, adapter_s = median(bare[endpoints]), median(ours[endpoints])
        readings.append(
            Reading(
                quorum=quorum_of(endpoints),
                chain_s=round(chain_s, 3),
                adapter_s=round(adapter_s, 3),
                intents_per_s=round(asked.intents / adapter_s, 1),
                ratio=round(adapter_s / chain_s, 2),
            )
        )
    return tuple(readings), round(median(peer), 3)


async def _read_bare(asked: Backlog, endpoints: int) -> None:
    for wanted in _ranges(asked):
        calls = [asked.bare.post(("eth_getLogs", [wanted])) for _ in range(endpoints)]
        await asyncio.gather(*calls)


async def _read_adapter(asked: Backlog, endpoints: int) -> float:
    async with adapter_over(asked, endpoints) as adapter:
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


async def _read_web3(asked: Backlog) -> None:
    provider = AsyncHTTPProvider(asked.anvil.rpc)
    web3 = AsyncWeb3(provider)
    address = AsyncWeb3.to_checksum_address(asked.address)
    event = web3.eth.contract(address, abi=artifact("hub")["abi"]).events.IntentRequested()
    found = 0
    for wanted in _ranges(asked):
        logs = await web3.eth.get_logs(cast("FilterParams", wanted))
        found += len([event.process_log(log) for log in logs])
    await provider.disconnect()
    if found != asked.intents:
        raise VagusError(f"web3 read {found} of {asked.intents} intents")


def _ranges(asked: Backlog) -> Iterator[dict[str, Any]]:
    for low in range(asked.first, asked.last + 1, RANGE):
        yield {
            "address": AsyncWeb3.to_checksum_address(asked.address),
            "topics": ["0x" + hub.REQUESTED_TOPIC.hex()],
            "fromBlock": hex(low),
            "toBlock": hex(min(asked.last, low + RANGE - 1)),
        }
