"""What each endpoint says by itself, for people who look for the one that is at fault."""

import asyncio
from dataclasses import replace
from typing import TypeVar

from vagus.adapters.base import Block, Endpoint
from vagus.adapters.quorum import Quorum
from vagus.adapters.round import Ask
from vagus.adapters.solana.blocks import read_block, read_slot
from vagus.adapters.solana.config import SolanaConfig
from vagus.adapters.solana.heads import read_chain
from vagus.adapters.solana.rpc import Rpc
from vagus.protocol import Retry

__all__ = ["look_at"]

T = TypeVar("T")

# Two endpoints that are asked at one moment may be this far apart and well.
_SLOTS = 12
_SECONDS = 5


async def look_at(quorum: Quorum[Rpc], config: SolanaConfig) -> tuple[Endpoint, ...]:
    """Ask each endpoint for its chain and its heads, then all for the final slot of most."""
    found = await _all(quorum, lambda rpc: _look(rpc, config))
    if len(found) > 1:
        found = await _compare(quorum, found, config)
    return tuple(found)


async def _look(rpc: Rpc, config: SolanaConfig) -> Endpoint:
    loop = asyncio.get_running_loop()
    began = loop.time()
    latest = final = fault = None
    try:
        async with asyncio.timeout(config.timeout):
            chain = await read_chain(rpc)
            if chain != config.id:
                fault = f"serves {chain}"
            else:
                slot = await read_slot(rpc, "confirmed")
                latest = await read_block(rpc, slot, "confirmed")
                slot = await read_slot(rpc, "finalized")
                final = await read_block(rpc, slot, "finalized")
    except Retry as error:
        fault = error.reason.removeprefix(f"{rpc.name}: ")
    except TimeoutError:
        fault = f"did not answer in {config.timeout:g} s"
    return Endpoint(rpc.name, fault, latest, final, loop.time() - began)


async def _compare(
    quorum: Quorum[Rpc], found: list[Endpoint], config: SolanaConfig
) -> list[Endpoint]:
    """Add what is wrong with an endpoint beside the others."""
    latest = [each.latest for each in found if each.latest and not each.fault]
    final = [each.final.height for each in found if each.final and not each.fault]
    if len(final) < quorum.needed:
        return found
    head = sorted(latest, key=lambda block: block.height)[-quorum.needed]
    height = quorum.reached(final)
    hashes = await _all(quorum, lambda rpc: _hash(rpc, height, config))
    most = [each for each in hashes if each and hashes.count(each) >= quorum.needed]
    return [
        replace(one, fault=_fault(one, head, height, hashes[at], most))
        for at, one in enumerate(found)
    ]


def _fault(
    one: Endpoint, head: Block, height: int, there: bytes | None, most: list[bytes]
) -> str | None:
    if one.fault or one.latest is None:
        return one.fault
    behind = head.height - one.latest.height
    if behind > _SLOTS and head.time - one.latest.time > _SECONDS:
        return f"is {behind} slots behind the others"
    if there and there not in most:
        return f"disagrees with the others at slot {height}"
    return None


async def _hash(rpc: Rpc, height: int, config: SolanaConfig) -> bytes | None:
    try:
        async with asyncio.timeout(config.timeout):
            return (await read_block(rpc, height, "finalized")).hash
    except (Retry, TimeoutError):
        return None


async def _all(quorum: Quorum[Rpc], ask: Ask[Rpc, T]) -> list[T]:
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_run(ask, rpc), name=f"look at {rpc.name}")
            for rpc in quorum.endpoints
        ]
    return [task.result() for task in tasks]


async def _run(ask: Ask[Rpc, T], rpc: Rpc) -> T:
    return await ask(rpc)
