"""A second hub on the chain, of the same code and committee: what it is asked is not asked of the first."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from vagus.adapters.base import IntentState
from vagus.adapters.conformance.driving import as_asked, caught_up, final, made, payloads, read_all
from vagus.adapters.conformance.harness import ChainHarness

__all__ = ["asked_of_another_hub_is_not_asked_here", "while_blocks_come"]

T = TypeVar("T")


async def while_blocks_come(harness: ChainHarness, deploying: Coroutine[Any, Any, T]) -> T:
    """Deploy on a chain whose blocks come by order alone."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(deploying, name="deploy another hub")
        while not task.done():
            await harness.advance()
            await asyncio.sleep(0)
    return task.result()


async def asked_of_another_hub_is_not_asked_here(
    harness: ChainHarness, impostor: ChainHarness
) -> None:
    """`impostor` asks another hub on the same chain, whose logs are the hub's to the letter."""
    async with made(harness) as adapter:
        begin = await caught_up(adapter, harness)
        theirs = await impostor.ask(payloads(2))
        mine = await harness.ask(payloads(1))
        theirs += await impostor.ask(payloads(1))
        await final(adapter, harness)
        found, _ = await read_all(adapter, begin)
        assert as_asked(found) == mine
        read = await asyncio.gather(*(adapter.requested(each.tx_id) for each in theirs))
        assert read == [[]] * 3
        heights = [each.height for each in (*theirs, *mine)]
        events = await adapter.events(harness.requested, min(heights), max(heights))
        assert [each.tx_id for each in events] == [each.tx_id for each in mine]
        for each in theirs:
            assert await adapter.intent_state(each.intent_id) is IntentState.NONE
