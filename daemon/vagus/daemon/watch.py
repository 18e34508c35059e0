"""Watching a hub: intents are journalled as they are seen, and handed on once they are final."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from vagus.daemon.failpoints import failpoint
from vagus.protocol import Halt, Retry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from vagus.adapters.base import Block, ChainAdapter, Cursor, Heads, Requested
    from vagus.daemon.journal.base import Journal
    from vagus.daemon.journal.records import IntentRecord
    from vagus.daemon.network import Network

__all__ = ["watch"]

log = structlog.get_logger("vagus.watch")


async def watch(
    adapter: ChainAdapter,
    journal: Journal,
    network: Network,
    hand_on: Callable[[IntentRecord], Awaitable[None]],
) -> None:
    """Follow one hub until its chain halts; `hand_on` is given each intent once it is final.

    The cursor moves over final blocks alone, in the write that records what they hold. What is
    newer than the final block is recorded too, so that it can be seen, but it is read again. While
    the hub cannot be read, the network's `faults` have the reason under its name.
    """
    faults = network.faults
    heads: Heads | None = None
    cursor: Cursor | None = None
    shown: set[tuple[int, bytes]] = set()
    while True:
        try:
            heads = await adapter.next_heads(heads)
            if cursor is None:
                if journal.unfenced(adapter.hub):
                    await journal.fence(adapter.hub, (await network.state(adapter)).next_seq)
                cursor = await journal.cursor(adapter.hub) or await adapter.start()
            network.read_to(adapter, cursor.height)
            cursor = await _read(adapter, journal, network, cursor, heads.final, hand_on)
            if heads.latest.height > cursor.height:
                tip, _ = await adapter.intents(cursor, heads.latest)
                if new := [each for each in tip if _key(each) not in shown]:
                    await journal.observe(adapter.hub, new, None)
                    failpoint("observed")
                shown = {_key(each) for each in tip}
        except Retry as error:
            if adapter.chain in network.halts:
                return  # by another, and why is what `faults` has to say
            if adapter.hub not in faults:  # once a fault, not once a second
                log.warning(
                    "hub cannot be read",
                    chain=adapter.chain,
                    hub=adapter.hub,
                    reason=error.reason,
                )
            faults[adapter.hub] = error.reason
            heads = cursor = None
            await asyncio.sleep(error.after)
        except Halt as error:
            # The other chains go on; this one waits for a person.
            await network.halt(error)
            return
        else:
            if adapter.chain in network.halts:
                return
            if faults.pop(adapter.hub, None):
                log.info("hub is read again", chain=adapter.chain, hub=adapter.hub)


def _key(found: Requested) -> tuple[int, bytes]:
    """What tells an intent of the tip from those written before: its number, and its block."""
    return found.intent.seq, found.block_hash


async def _read(
    adapter: ChainAdapter,
    journal: Journal,
    network: Network,
    cursor: Cursor,
    final: Block,
    hand_on: Callable[[IntentRecord], Awaitable[None]],
) -> Cursor:
    while cursor.height < final.height:
        found, cursor = await adapter.intents(cursor, final)
        fresh = await journal.observe(adapter.hub, found, cursor)
        if found:
            failpoint("observed")
        for record in fresh:
            await hand_on(record)
        network.read_to(adapter, cursor.height)
    return cursor
