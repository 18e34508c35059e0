"""What each endpoint says by itself, for people who look for the one that is at fault."""

import asyncio
from dataclasses import replace
from typing import TypeVar

from vagus.adapters.base import Block, Endpoint
from vagus.adapters.evm.blocks import read_header
from vagus.adapters.evm.config import EvmConfig
from vagus.adapters.evm.rpc import Rpc
from vagus.adapters.quorum import Quorum
from vagus.adapters.round import Ask
from vagus.protocol import Retry

__all__ = ["look_at"]

T = TypeVar("T")

# Two endpoints that are asked at one moment may be this far apart and well.
_BLOCKS = 2
_SECONDS = 5


async def look_at(quorum: Quorum[Rpc], config: EvmConfig) -> tuple[Endpoint, ...]:
    """Ask each endpoint for its chain and its heads, then all for the final block of most."""
    found = await _all(quorum, lambda rpc: _look(rpc, config))
    if len(found) > 1:
        found = await _compare(quorum, found, config)
    return tuple(found)


async def _look(rpc: Rpc, config: EvmConfig) -> Endpoint:
    loop = asyncio.get_running_loop()
    began = loop.time()
    latest = final = fault = None
    try:
        async with asyncio.timeout(config.timeout):
            chain_id = await rpc.quantity("eth_chainId", [])
            if chain_id != config.chain_id:
                fault = f"serves eip155:{chain_id}"
            else:
                latest = (await read_header(rpc, "latest")).block
                final = (await read_header(rpc, config.final_tag(latest.height))).block
    except Retry as error:
        fault = error.reason.removeprefix(f"{rpc.name}: ")
    except TimeoutError:
        fault = f"did not answer in {config.timeout:g} s"
    return Endpoint(rpc.name, fault, latest, final, loop.time() - began)


async def _compare(quorum: Quorum[Rpc], found: list[Endpoint], config: EvmConfig) -> list[Endpoint]:
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
    if behind > _BLOCKS and head.time - one.latest.time > _SECONDS:
        return f"is {behind} blocks behind the others"
    if there and there not in most:
        return f"disagrees with the others at block {height}"
    return None


async def _hash(rpc: Rpc, height: int, config: EvmConfig) -> bytes | None:
    try:
        async with asyncio.timeout(config.timeout):
            return (await read_header(rpc, height)).block.hash
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
