"""The head: followed by the chain's own rule of finality, never backwards, on one chain alone."""

# ruff: noqa: S101 - a test kit asserts

from __future__ import annotations

import asyncio

import pytest

from vagus.adapters.conformance.driving import (
    endless_heads,
    made,
    next_of,
    proxied,
    ready,
    until,
)
from vagus.adapters.conformance.exchange import Exchange, Reply
from vagus.adapters.conformance.faults import (
    Drop,
    Fault,
    Further,
    Garbage,
    Half,
    Over,
    Silent,
    Stale,
    Status,
)
from vagus.adapters.conformance.harness import ChainHarness
from vagus.adapters.conformance.proxy import FaultProxy
from vagus.adapters.conformance.rules import ConformanceTests, needs
from vagus.protocol import Halt, Retry

__all__ = ["HeadTests"]

_RARELY = 600.0


class HeadTests(ConformanceTests):
    """Following the head."""

    async def test_the_heads_are_the_chains_own(self, harness: ChainHarness) -> None:
        """The newest and the newest final block, field by field as the node has them."""
        async with made(harness) as adapter:
            await harness.advance(2)
            heads = await ready(adapter, harness)
            assert heads.latest == await harness.block(heads.latest.height)
            assert heads.final == await harness.block(heads.final.height)
            assert heads.latest.height - heads.final.height == harness.finality
            assert adapter.healthy

    async def test_a_block_is_read_once_it_is_final(self, harness: ChainHarness) -> None:
        """At any height up to the final one as the node has it, and above that a Retry."""
        async with made(harness) as adapter:
            first = await ready(adapter, harness)
            await harness.advance(2)
            heads = await ready(adapter, harness)
            for height in {first.final.height, heads.final.height}:
                assert await adapter.block(height) == await harness.block(height)
            for height in {heads.final.height + 1, heads.latest.height + 1_000}:
                with pytest.raises(Retry):
                    await adapter.block(height)

    async def test_what_was_seen_is_not_waited_for_again(self, harness: ChainHarness) -> None:
        """A wait for other heads than the last ones ends with the next block, not before."""
        async with made(harness) as adapter:
            seen = await ready(adapter, harness)
            waiting = asyncio.create_task(adapter.next_heads(seen))
            await harness.advance()
            assert (await waiting).latest.height > seen.latest.height

    async def test_heads_never_go_back(self, harness: ChainHarness) -> None:
        """An endpoint that falls behind itself changes nothing."""
        async with proxied(harness) as proxy, made(harness, proxy) as adapter:
            await ready(adapter, harness)
            past = proxy.remembered()
            await harness.advance(2)
            heads = await ready(adapter, harness)
            proxy.faults = (Stale(past),)
            await _looks(proxy, 6)
            assert adapter.heads is not None
            assert adapter.heads.latest.height >= heads.latest.height
            assert adapter.heads.final.height >= heads.final.height

    async def test_a_node_that_is_down_at_the_start_is_waited_for(
        self, harness: ChainHarness
    ) -> None:
        """Entering succeeds; until it answers there are no heads, and reads are a Retry."""
        async with proxied(harness) as proxy:
            proxy.faults = (Drop(),)
            async with made(harness, proxy) as adapter:
                assert adapter.heads is None
                assert not adapter.healthy
                with pytest.raises(Retry):
                    await adapter.hub_state()
                proxy.faults = ()
                await ready(adapter, harness)

    async def test_a_node_that_goes_down_is_unhealthy_until_it_returns(
        self, harness: ChainHarness
    ) -> None:
        """The heads stay meanwhile, and go on afterwards."""
        async with proxied(harness) as proxy, made(harness, proxy) as adapter:
            before = await ready(adapter, harness)
            proxy.faults = (Status(503),)
            await until(lambda: not adapter.healthy)
            await harness.advance()
            assert adapter.heads == before
            proxy.faults = ()
            await ready(adapter, harness)
            await until(lambda: adapter.healthy)

    async def test_blocks_that_come_between_two_reads_are_no_fault(
        self, harness: ChainHarness
    ) -> None:
        """On a fast chain the newest block and the final one are never of one moment."""
        async with proxied(harness) as proxy, made(harness, proxy) as adapter:
            heads = await ready(adapter, harness)
            proxy.faults = (_Meanwhile(harness),)
            height = heads.latest.height
            while heads.latest.height < height + 10 * (harness.finality + 1):
                heads = await next_of(adapter, heads)
                assert adapter.healthy

    # One chain alone

    async def test_another_chain_halts_at_the_start(self, harness: ChainHarness) -> None:
        """Before anything else is asked of it."""
        async with proxied(harness) as proxy:
            proxy.faults = (harness.another_chain(),)
            with pytest.raises(Halt):
                async with made(harness, proxy):
                    pass

    async def test_an_endpoint_that_comes_back_as_another_chain_halts(
        self, harness: ChainHarness
    ) -> None:
        """Whatever answers after a fault may be another node; from the Halt on every call raises it."""
        async with proxied(harness) as proxy, made(harness, proxy) as adapter:
            heads = await ready(adapter, harness)
            proxy.faults = (Drop(),)
            await until(lambda: not adapter.healthy)
            proxy.faults = (harness.another_chain(),)
            with pytest.raises(Halt):
                await endless_heads(adapter, heads)
            proxy.faults = ()
            with pytest.raises(Halt):
                await adapter.hub_state()
            assert not adapter.healthy

    # Wake-ups

    @needs("websocket")
    async def test_a_websocket_wakes_the_reader_before_its_time(
        self, harness: ChainHarness
    ) -> None:
        """With ten minutes between two looks, a block is seen by its wake-up."""
        async with (
            proxied(harness) as proxy,
            made(harness, proxy, poll=_RARELY) as adapter,
        ):
            await adapter.next_heads(None)
            await until(lambda: proxy.passed["message"] >= 1)  # the subscription stands
            await harness.advance()
            await ready(adapter, harness)

    @needs("websocket")
    @pytest.mark.parametrize("fault", [Drop(), Half(), Garbage(), Silent(), Status(503)], ids=repr)
    async def test_a_bad_websocket_takes_nothing_away(
        self, harness: ChainHarness, fault: Drop
    ) -> None:
        """Refused, cut in a message, full of garbage or silent: polling goes on."""
        async with proxied(harness) as proxy:
            proxy.faults = (Over("handshake", fault), Over("message", fault))
            async with made(harness, proxy) as adapter:
                await until(lambda: proxy.seen["handshake"] >= 1)
                for _ in range(3):
                    await harness.advance()
                    await ready(adapter, harness)
                assert adapter.healthy

    @needs("websocket")
    async def test_a_cut_websocket_is_opened_again(self, harness: ChainHarness) -> None:
        """In the middle of a message too, and no block is missed between."""
        async with proxied(harness) as proxy, made(harness, proxy) as adapter:
            for count, mid_message in ((1, False), (2, True)):
                await until(lambda count=count: proxy.passed["handshake"] >= count)  # type: ignore[misc]
                await until(lambda: proxy.websockets == 1)
                await proxy.cut(mid_message=mid_message)
                await harness.advance()
                await ready(adapter, harness)
            await until(lambda: proxy.passed["handshake"] >= 3)

    # The end

    async def test_leaving_ends_every_task(self, harness: ChainHarness) -> None:
        """What entering started is gone, whatever it was doing."""
        before = asyncio.all_tasks()
        async with made(harness) as adapter:
            await ready(adapter, harness)
            assert asyncio.all_tasks() > before
        await until(lambda: asyncio.all_tasks() <= before)

    async def test_leaving_closes_every_connection(self, harness: ChainHarness) -> None:
        """Also those that wait for an answer that does not come."""
        async with proxied(harness) as proxy:
            async with made(harness, proxy) as adapter:
                await ready(adapter, harness)
                assert proxy.connections > 0
                proxy.faults = (Silent(),)
                await _looks(proxy, 1)
            await until(lambda: proxy.connections == 0)

    async def test_a_cancelled_call_leaves_the_adapter_usable(self, harness: ChainHarness) -> None:
        """Cancelling passes through."""
        async with proxied(harness) as proxy, made(harness, proxy) as adapter:
            await ready(adapter, harness)
            proxy.faults = (Silent(),)
            call = asyncio.create_task(adapter.hub_state())
            await _looks(proxy, 2)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            proxy.faults = ()
            assert (await adapter.hub_state()).current.threshold == 1

    async def test_the_endpoints_are_asked_one_by_one(self, harness: ChainHarness) -> None:
        """Each says its heads, or what is wrong with it, and none of that raises."""
        async with proxied(harness) as proxy, made(harness, proxy) as adapter:
            await ready(adapter, harness)
            (well,) = await adapter.endpoints()
            assert well.fault is None
            assert well.latest == await harness.block()
            assert well.seconds >= 0
            proxy.faults = (Status(503),)
            (ill,) = await adapter.endpoints()
            assert ill.fault
            assert ill.latest is None


class _Meanwhile(Fault):
    """More blocks come after each answer than lie between the newest and the final one."""

    def __init__(self, harness: ChainHarness) -> None:
        self._harness = harness

    async def apply(self, exchange: Exchange, further: Further) -> Reply:
        reply = await further(exchange)
        if exchange.via == "http":
            await self._harness.advance(self._harness.finality + 1)
        return reply


async def _looks(proxy: FaultProxy, count: int) -> None:
    """Wait until so many more requests have come."""
    seen = proxy.seen["http"]
    await until(lambda: proxy.seen["http"] >= seen + count)
