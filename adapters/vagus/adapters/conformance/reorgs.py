"""Reorganisations: those above finality change nothing that was said, deeper ones halt the chain."""

# ruff: noqa: S101 - a test kit asserts

from __future__ import annotations

import pytest

from vagus.adapters.base import IntentState, TxStage
from vagus.adapters.conformance.driving import (
    as_asked,
    caught_up,
    driven,
    endless_heads,
    final,
    made,
    patiently,
    payloads,
    question,
    read_all,
    ready,
)
from vagus.adapters.conformance.harness import Asked, ChainHarness
from vagus.adapters.conformance.rules import ConformanceTests, needs
from vagus.protocol import Halt

__all__ = ["ReorgTests"]


class ReorgTests(ConformanceTests):
    """Blocks that leave the chain."""

    @needs("finality")
    @needs("reorg")
    async def test_an_intent_of_a_dropped_block_is_never_final(self, harness: ChainHarness) -> None:
        """For every depth up to finality: what stands in the blocks that came instead is read."""
        async with made(harness) as adapter:
            cursor = await caught_up(adapter, harness)
            for depth in range(1, harness.finality + 1):
                kept = await harness.ask(payloads(1))
                dropped: list[Asked] = []
                for _ in range(depth):
                    dropped += await harness.ask(payloads(1))
                await ready(adapter, harness)
                await harness.reorganise(depth)
                instead = await harness.ask(payloads(2))
                await final(adapter, harness)
                found, cursors = await read_all(adapter, cursor)
                cursor = cursors[-1]
                assert as_asked(found) == [*kept, *instead], f"a reorg of {depth} blocks"
                # The hub counts on: numbers of dropped intents come again, their ids do not.
                for each in dropped:
                    state = await adapter.intent_state(each.intent_id)
                    assert state is IntentState.NONE, f"a reorg of {depth} blocks"
                for each in (*kept, *instead):
                    assert await adapter.intent_state(each.intent_id) is IntentState.OPEN
                assert adapter.healthy

    @needs("finality")
    @needs("reorg")
    async def test_an_inclusion_that_was_taken_back_is_sent_again(
        self, harness: ChainHarness
    ) -> None:
        """From the journalled bytes, until it is final; it is not final before."""
        async with made(harness) as adapter:
            await ready(adapter, harness)
            for depth in range(1, harness.finality + 1):
                call = adapter.request_call(question(adapter))
                estimate, lane = await adapter.estimate(call), await adapter.open_lane(None)
                built = await adapter.build(call, estimate, lane)
                (raw,) = (await adapter.advance(built.state)).send
                await adapter.broadcast(raw)
                await harness.advance(depth)
                await ready(adapter, harness)
                assert (await adapter.advance(built.state)).stage is TxStage.INCLUDED
                await harness.reorganise(depth)
                await harness.advance()
                await ready(adapter, harness)
                step = await adapter.advance(built.state)
                assert not step.stage.ended, f"a reorg of {depth} blocks"
                end = await driven(adapter, harness, step.state)
                assert end.stage is TxStage.FINAL

    @needs("finality")
    @needs("reorg")
    async def test_a_cursor_from_before_a_reorg_is_still_good(self, harness: ChainHarness) -> None:
        """It names a final block, which no reorganisation above finality touches."""
        async with made(harness) as adapter:
            cursor = await caught_up(adapter, harness)
        await harness.advance(harness.finality)
        await harness.reorganise(harness.finality)
        asked = await harness.ask(payloads(1))
        async with made(harness) as again:
            await final(again, harness)
            found, _ = await read_all(again, cursor)
            assert as_asked(found) == asked

    @needs("reorg")
    async def test_a_final_block_that_is_replaced_halts_the_chain(
        self, harness: ChainHarness
    ) -> None:
        """For good: the wait for heads and every read raise `Halt` from then on."""
        async with made(harness) as adapter:
            (asked,) = await harness.ask(payloads(1))
            await final(adapter, harness)
            heads = await ready(adapter, harness)
            await harness.reorganise(harness.finality + 1)
            await harness.advance()
            with pytest.raises(Halt) as raised:
                await endless_heads(adapter, heads)
            assert raised.value.chain == adapter.chain
            assert not adapter.healthy
            for read in (
                adapter.hub_state,
                adapter.balance,
                lambda: adapter.intent_state(asked.intent_id),
            ):
                with pytest.raises(Halt):
                    await read()

    @needs("reorg")
    async def test_a_final_block_that_was_replaced_while_nobody_looked_halts_the_chain(
        self, harness: ChainHarness
    ) -> None:
        """The journalled cursor names a block that the chain does not have any more."""
        async with made(harness) as adapter:
            cursor = await caught_up(adapter, harness)
        assert cursor.hash == (await harness.block(cursor.height)).hash
        await harness.reorganise(harness.finality + 1)
        await harness.advance(harness.finality + 2)
        async with made(harness) as again:
            heads = await ready(again, harness)
            with pytest.raises(Halt):
                await patiently(lambda: again.intents(cursor, heads.final))
