"""Watching a hub: intents are journalled as they are seen, and handed on once they are final."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from vagus.daemon.failpoints import failpoint
from vagus.protocol import Retry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from vagus.adapters.base import Block, ChainAdapter, Cursor, Heads
    from vagus.daemon.journal import Journal
    from vagus.daemon.records import IntentRecord

__all__ = ["watch"]

log = structlog.get_logger("vagus.watch")


async def watch(
    adapter: ChainAdapter, journal: Journal, hand_on: Callable[[IntentRecord], Awaitable[None]]
) -> None:
    """Follow one hub for ever; `hand_on` is given each intent once it is final.

    The cursor moves over final blocks alone, in the write that records what they hold. What is
    newer than the final block is recorded too, so that it can be seen, but it is read again.
    """
    heads: Heads | None = None
    cursor: Cursor | None = None
    waiting = False
    while True:
        heads = await adapter.next_heads(heads)
        try:
            if cursor is None:
                cursor = await journal.cursor(adapter.hub) or await adapter.start()
            cursor = await _read(adapter, journal, cursor, heads.final, hand_on)
            if heads.latest.height > cursor.height:
                tip, _ = await adapter.intents(cursor, heads.latest)
                if tip:
                    await journal.observe(adapter.hub, tip, None)
                    failpoint("observed")
        except Retry as error:
            if not waiting:  # once a fault, not once a second
                log.warning("hub cannot be read", hub=adapter.hub, reason=error.reason)
            waiting, heads, cursor = True, None, None
            await asyncio.sleep(error.after)
        else:
            if waiting:
                log.info("hub is read again", hub=adapter.hub)
            waiting = False


async def _read(
    adapter: ChainAdapter,
    journal: Journal,
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
    return cursor
