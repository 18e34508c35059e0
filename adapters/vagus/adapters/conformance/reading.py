"""Reading a hub's intents: each once, in order, none missed, whatever the node leaves out."""

# ruff: noqa: S101 - a test kit asserts

from __future__ import annotations

import pytest

from vagus.adapters.base import EventFilter
from vagus.adapters.conformance.driving import (
    as_asked,
    caught_up,
    final,
    made,
    patiently,
    payloads,
    proxied,
    read_all,
    ready,
    until,
)
from vagus.adapters.conformance.faults import (
    Delay,
    Drop,
    Empty,
    Error,
    Fault,
    Garbage,
    Half,
    Limited,
    Shorten,
    Sometimes,
    Stale,
    Status,
)
from vagus.adapters.conformance.harness import Asked, ChainHarness
from vagus.adapters.conformance.rules import ConformanceTests
from vagus.protocol import Retry, keccak256

__all__ = ["ReadingTests"]

# Intents per block: several in one, and empty blocks between.
_PATTERN = (2, 0, 1, 0, 0, 3, 1)

_OMITTING: dict[str, Fault] = {
    "half of the answers are empty": Sometimes(0.5, Empty()),
    "half of the answers are cut short": Sometimes(0.5, Shorten(1)),
    "half of the requests are dropped": Sometimes(0.5, Drop()),
    "half of the bodies are broken off": Sometimes(0.5, Half()),
    "a third of the requests is rate-limited": Sometimes(0.33, Limited(after=0)),
    "a third of the requests ends in 502": Sometimes(0.33, Status(502)),
    "a third of the answers is an error": Sometimes(0.33, Error()),
    "a third of the answers is garbage": Sometimes(0.33, Garbage()),
    "every answer is late": Delay(0.02),
}


class ReadingTests(ConformanceTests):
    """Reading without a gap."""

    async def test_a_backlog_is_read_in_order_each_intent_once(self, harness: ChainHarness) -> None:
        """From the hub's first intent on; numbers, ids, payloads and places as they were asked."""
        async with made(harness) as adapter:
            asked = await _asked(harness)
            await final(adapter, harness)
            found, cursors = await read_all(adapter)
            assert as_asked(found)[-len(asked) :] == asked
            first = found[0].intent.seq
            assert [each.intent.seq for each in found] == [*range(first, first + len(found))]
            for each in found:
                assert each.intent.origin_hub == adapter.hub_id
                assert keccak256(each.payload) == each.intent.payload_hash
                assert each.block_hash == (await harness.block(each.height)).hash
            state = await adapter.hub_state()
            assert state.next_seq == cursors[-1].next_seq == asked[-1].seq + 1

    async def test_reading_goes_on_from_any_cursor(self, harness: ChainHarness) -> None:
        """Another process with a journalled cursor reads exactly what was not read before it."""
        async with made(harness) as adapter:
            before = await caught_up(adapter, harness)
            cursors, asked = [before], []
            for _ in range(3):
                asked += await harness.ask(payloads(2))
                await final(adapter, harness)
                cursors += (await read_all(adapter, cursors[-1]))[1][1:]
        async with made(harness) as again:
            await ready(again, harness)
            for cursor in cursors:
                found, _ = await read_all(again, cursor)
                assert as_asked(found) == [each for each in asked if each.seq >= cursor.next_seq]

    async def test_a_cursor_at_the_end_has_nothing_to_read(self, harness: ChainHarness) -> None:
        """And stays where it is."""
        async with made(harness) as adapter:
            cursor = await caught_up(adapter, harness)
            heads = await adapter.next_heads(None)
            assert await adapter.intents(cursor, heads.final) == ([], cursor)

    async def test_what_is_newer_than_final_can_be_seen(self, harness: ChainHarness) -> None:
        """Up to the newest block, for people who wait."""
        async with made(harness) as adapter:
            cursor = await caught_up(adapter, harness)
            asked = await harness.ask(payloads(2))
            heads = await ready(adapter, harness)
            found, after = await adapter.intents(cursor, heads.latest)
            while after.height < heads.latest.height:
                more, after = await adapter.intents(after, heads.latest)
                found += more
            assert as_asked(found) == asked

    @pytest.mark.parametrize("fault", _OMITTING.values(), ids=_OMITTING.keys())
    async def test_nothing_is_missed_where_answers_fail(
        self, harness: ChainHarness, fault: Fault
    ) -> None:
        """Retry by Retry all of it comes, each intent once."""
        async with proxied(harness) as proxy:
            async with made(harness, proxy) as adapter:
                before = await caught_up(adapter, harness)
                asked = await _asked(harness)
                await final(adapter, harness)
                proxy.faults = (fault,)
                found, _ = await read_all(adapter, before)
            assert as_asked(found) == asked

    async def test_a_cursor_never_passes_what_the_node_hides(self, harness: ChainHarness) -> None:
        """As long as every list is empty reading fails, and goes on once the node is whole."""
        async with proxied(harness) as proxy:
            async with made(harness, proxy) as adapter:
                cursor = await caught_up(adapter, harness)
                asked = await _asked(harness)
                heads = await final(adapter, harness)
                proxy.faults = (Empty(),)
                for _ in range(5):
                    try:
                        found, cursor = await adapter.intents(cursor, heads.final)
                    except Retry:
                        continue
                    assert found == []
                    assert cursor.height < heads.final.height
                    assert cursor.next_seq == asked[0].seq
                proxy.faults = ()
                found, _ = await read_all(adapter, cursor)
            assert as_asked(found) == asked

    async def test_an_endpoint_behind_itself_hides_nothing(self, harness: ChainHarness) -> None:
        """Answers of before may be empty: they are not taken for what is there now."""
        async with proxied(harness) as proxy:
            async with made(harness, proxy) as adapter:
                before = await caught_up(adapter, harness)
                past = proxy.remembered()
                asked = await _asked(harness)
                heads = await final(adapter, harness)
                proxy.faults = (Stale(past),)
                try:
                    found, cursor = await adapter.intents(before, heads.final)
                except Retry:
                    found, cursor = [], before
                proxy.faults = ()
                rest, _ = await read_all(adapter, cursor)
            assert as_asked(found + rest) == asked

    async def test_what_a_transaction_asked_is_read_at_once(self, harness: ChainHarness) -> None:
        """In the newest block, for whoever sent it."""
        async with made(harness) as adapter:
            await ready(adapter, harness)
            (asked,) = await harness.ask(payloads(1))
            assert as_asked(await adapter.requested(asked.tx_id)) == [asked]

    async def test_the_events_of_any_contract_are_read_in_order(
        self, harness: ChainHarness
    ) -> None:
        """Both ends of the range included; another contract has none."""
        async with made(harness) as adapter:
            await ready(adapter, harness)
            asked = await _asked(harness)
            await harness.advance()
            await ready(adapter, harness)
            first, last = asked[0].height, asked[-1].height
            found = await patiently(lambda: adapter.events(harness.requested, first, last))
            assert [(each.tx_id, each.height) for each in found] == [
                (each.tx_id, each.height) for each in asked
            ]
            assert await adapter.events(harness.requested, last + 1, last + 1) == []
            inner = await adapter.events(harness.requested, first + 1, last - 1)
            assert len(inner) == sum(first < each.height < last for each in asked)
            other = EventFilter(harness.requested.address, "NeverLogged(uint64)")
            assert await adapter.events(other, first, last) == []

    async def test_intents_are_seen_while_the_endpoint_flaps(self, harness: ChainHarness) -> None:
        """Blocks come and half of all requests fail, the head's too; in the end all is there."""
        async with proxied(harness) as proxy:
            async with made(harness, proxy) as adapter:
                before = await caught_up(adapter, harness)
                proxy.faults = (Sometimes(0.5, Drop()),)
                asked: list[Asked] = []
                for _ in range(4):
                    asked += await harness.ask(payloads(1))
                heads = await final(adapter, harness)
                found, cursors = await read_all(adapter, before)
                await until(lambda: proxy.passed["http"] < proxy.seen["http"])
            assert as_asked(found) == asked
            assert cursors[-1].height >= heads.final.height


async def _asked(harness: ChainHarness) -> list[Asked]:
    asked: list[Asked] = []
    for count in _PATTERN:
        if count:
            asked += await harness.ask(payloads(count))
        else:
            await harness.advance()
    return asked
