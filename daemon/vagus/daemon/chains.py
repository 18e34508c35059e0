"""A chain's life in a node: its adapter is entered, its hub watched, and a halt waited out.

Each chain has one task, which owns its adapter: a chain that halts stops no other, and one that is
resumed gets a new adapter, since the old one remembers what it halted for.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import structlog

from vagus.daemon.watch import watch
from vagus.protocol import Halt, Retry, VagusError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from vagus.adapters.base import ChainAdapter
    from vagus.daemon.carriers import Carriers
    from vagus.daemon.journal.base import Journal
    from vagus.daemon.network import Network

__all__ = ["serve_chain"]

log = structlog.get_logger("vagus.chains")


async def serve_chain(
    adapter: ChainAdapter,
    make: Callable[[], ChainAdapter],
    look: Callable[[ChainAdapter], Awaitable[None]],
    network: Network,
    journal: Journal,
    carriers: Carriers,
) -> None:
    """Serve a chain until the task is cancelled.

    `look` is asked before anything is done on the chain: Retry until it can tell, whatever else it
    raises ends the node. `make` gives a new adapter of the same chain after a halt.
    """
    chain = adapter.chain
    while True:
        if chain not in network.halts:
            try:
                async with adapter, _entered(network, chain), asyncio.TaskGroup() as group:
                    serving = group.create_task(
                        _serve(adapter, look, network, journal, carriers),
                        name=f"watch {adapter.hub}",
                    )
                    await network.halted(chain)
                    serving.cancel()
            except Halt as error:
                await network.halt(error)
        await carriers.park(chain, network)
        await network.resumed(chain)
        try:
            # Keys are opened again, which takes a second of work.
            adapter = await asyncio.to_thread(make)
        except VagusError as error:
            await network.halt(Halt(chain, f"it cannot be resumed: {error}"))
        else:
            network.replace(adapter)


@contextlib.asynccontextmanager
async def _entered(network: Network, chain: str) -> AsyncIterator[None]:
    network.entered.add(chain)
    try:
        yield
    finally:
        network.entered.discard(chain)


async def _serve(
    adapter: ChainAdapter,
    look: Callable[[ChainAdapter], Awaitable[None]],
    network: Network,
    journal: Journal,
    carriers: Carriers,
) -> None:
    while True:
        try:
            await look(adapter)
            await _look_back(adapter, journal)
            break
        except Retry as error:
            if adapter.hub not in network.faults:  # once a fault, not once a second
                log.warning("chain not looked at yet", chain=adapter.chain, reason=error.reason)
            network.faults[adapter.hub] = error.reason
            await asyncio.sleep(error.after)
        except Halt as error:
            await network.halt(error)
            return
    network.release(adapter.chain)
    await carriers.take_up(adapter.chain, journal, network)
    await watch(adapter, journal, network, carriers.take)


async def _look_back(adapter: ChainAdapter, journal: Journal) -> None:
    """Read from the journalled cursor on, which raises Halt where its block is another one now.

    What it reads is read again by the watcher: no intent may go on before this has been asked.
    """
    cursor = await journal.cursor(adapter.hub)
    if cursor is None:
        return
    heads = await adapter.next_heads(None)
    if heads.final.height < cursor.height:
        raise Retry(f"{adapter.chain} is behind block {cursor.height}, which was read as final")
    await adapter.intents(cursor, heads.final)
