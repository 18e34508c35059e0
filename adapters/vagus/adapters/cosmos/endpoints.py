"""What each endpoint says by itself, for people who look for the one that is at fault."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import TypeVar

from vagus.adapters.base import Block, Endpoint
from vagus.adapters.cosmos.blocks import read_committed, read_header
from vagus.adapters.cosmos.config import CosmosConfig
from vagus.adapters.cosmos.rpc import Rpc
from vagus.adapters.quorum import Quorum
from vagus.protocol import Retry

__all__ = ["look_at"]

T = TypeVar("T")

# Two endpoints that are asked at one moment may be this far apart and well.
_BLOCKS = 2
_SECONDS = 5


async def look_at(quorum: Quorum[Rpc], config: CosmosConfig) -> tuple[Endpoint, ...]:
    """Ask each endpoint for its chain and its head, then all for the final block of most."""
    found = await _all(quorum, lambda rpc: _look(rpc, config))
    if len(found) > 1:
        found = await _compare(quorum, found, config)
    return tuple(found)


async def _all(quorum: Quorum[Rpc], ask: Callable[[Rpc], Coroutine[None, None, T]]) -> list[T]:
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(ask(rpc), name=f"look at {rpc.name}") for rpc in quorum.endpoints
        ]
    return [task.result() for task in tasks]


async def _compare(
    quorum: Quorum[Rpc], found: list[Endpoint], config: CosmosConfig
) -> list[Endpoint]:
    """Add what is wrong with an endpoint beside the others."""
    reached = [each.latest for each in found if each.latest and not each.fault]
    if len(reached) < quorum.needed:
        return found
    head = sorted(reached, key=lambda block: block.height)[-quorum.needed]
    hashes = await _all(quorum, lambda rpc: _hash(rpc, head.height, config))
    most = [each for each in hashes if each and hashes.count(each) >= quorum.needed]
    return [replace(one, fault=_fault(one, head, hashes[at], most)) for at, one in enumerate(found)]


async def _look(rpc: Rpc, config: CosmosConfig) -> Endpoint:
    loop = asyncio.get_running_loop()
    began = loop.time()
    latest = fault = None
    try:
        async with asyncio.timeout(config.timeout):
            header = await read_header(rpc, await read_committed(rpc))
            if header.chain != config.id:
                fault = f"serves {header.chain}"
            else:
                latest = header.block
    except Retry as error:
        fault = error.reason.removeprefix(f"{rpc.name}: ")
    except TimeoutError:
        fault = f"did not answer in {config.timeout:g} s"
    return Endpoint(rpc.name, fault, latest, latest, loop.time() - began)


async def _hash(rpc: Rpc, height: int, config: CosmosConfig) -> bytes | None:
    try:
        async with asyncio.timeout(config.timeout):
            return (await read_header(rpc, height)).block.hash
    except (Retry, TimeoutError):
        return None


def _fault(one: Endpoint, head: Block, there: bytes | None, most: list[bytes]) -> str | None:
    if one.fault or one.latest is None:
        return one.fault
    behind = head.height - one.latest.height
    if behind > _BLOCKS and head.time - one.latest.time > _SECONDS:
        return f"is {behind} blocks behind the others"
    if there and there not in most:
        return f"disagrees with the others at block {head.height}"
    return None
