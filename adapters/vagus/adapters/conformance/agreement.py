"""Two of three endpoints: one that lies, lags or is down changes nothing, and two down stall all."""

# ruff: noqa: S101 - a test kit asserts

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import pytest

from vagus.adapters.base import Built, ChainAdapter, Cursor, IntentState, TxStage
from vagus.adapters.conformance.driving import (
    as_asked,
    caught_up,
    driven,
    final,
    made,
    patiently,
    payloads,
    proxied,
    question,
    read_all,
    ready,
    until,
)
from vagus.adapters.conformance.faults import (
    Drop,
    Empty,
    Fault,
    Garbage,
    Limited,
    Malformed,
    Shorten,
    Silent,
    Stale,
)
from vagus.adapters.conformance.harness import Asked, ChainHarness, Urls
from vagus.adapters.conformance.proxy import FaultProxy
from vagus.adapters.conformance.rules import ConformanceTests, needs
from vagus.protocol import Halt, Retry, keccak256

__all__ = ["AgreementTests"]

T = TypeVar("T")

_ACCOUNT = 7
# Requests that are those of two looks at the head at least.
_TWO_LOOKS = 6
_NEVER_ASKED = keccak256(b"an intent that nobody asked")

_ONE_BAD: dict[str, Fault] = {
    "down": Drop(),
    "silent": Silent(),
    "full of garbage": Garbage(),
    "malformed": Malformed(),
    "rate-limited": Limited(after=1),
    "empty": Empty(),
    "cut short": Shorten(0),
}


class AgreementTests(ConformanceTests):
    """A quorum of endpoints."""

    @needs("quorum")
    async def test_its_quorum_is_what_it_was_made_with(self, harness: ChainHarness) -> None:
        """Known before it is entered, and the same with every endpoint down."""
        async with _three(harness) as (adapter, proxies):
            assert adapter.quorum == (2, 3)
            for proxy in proxies:
                proxy.faults = (Drop(),)
            await until(lambda: not adapter.healthy)
            assert adapter.quorum == (2, 3)
        assert made(harness).quorum == (1, 1)

    @needs("quorum")
    async def test_one_forging_endpoint_never_gets_through(self, harness: ChainHarness) -> None:
        """Whichever of the three it is and whatever it forges, what is read is the truth."""
        sample = await _sample(harness)
        for name, forgery in harness.forgeries().items():
            for liar in range(3):
                async with _three(harness) as (adapter, proxies):
                    proxies[liar].faults = (forgery,)
                    await harness.advance()
                    await ready(adapter, harness)
                    async with made(harness, account=_ACCOUNT) as honest:
                        await ready(honest, harness)
                        truth = await _answers(honest, harness, sample)
                    found = await _answers(adapter, harness, sample)
                    assert found == truth, f"{name}, by endpoint {liar}"

    @needs("quorum")
    async def test_each_forgery_deceives_an_adapter_of_one_endpoint(
        self, harness: ChainHarness
    ) -> None:
        """Or stops it: else it would show nothing that two of three see through it."""
        sample = await _sample(harness)
        async with made(harness, account=_ACCOUNT) as honest:
            await ready(honest, harness)
            truth = await _answers(honest, harness, sample)
        for name, forgery in harness.forgeries().items():
            async with proxied(harness) as proxy, made(harness, proxy, account=_ACCOUNT) as adapter:
                await ready(adapter, harness)
                proxy.faults = (forgery,)
                await _looked(proxy, adapter)
                try:
                    found = await _answers(adapter, harness, sample, tries=1)
                except (AssertionError, Halt):  # nothing but Retry, or no chain at all: no truth
                    continue
                assert found != truth, f"nobody would believe the forgery: {name}"

    @needs("quorum")
    async def test_a_transaction_ends_as_the_chain_has_it_whatever_one_endpoint_says(
        self, harness: ChainHarness
    ) -> None:
        """No nonce is skipped, and nothing is lost or reverted because one of three says so."""
        for number, (name, forgery) in enumerate(harness.forgeries().items()):
            async with _three(harness) as (adapter, proxies):
                proxies[number % 3].faults = (forgery,)
                await ready(adapter, harness)
                built = await _built(adapter)
                end = await driven(adapter, harness, built.state)
                assert (end.stage, end.tx_id) == (TxStage.FINAL, built.tx_id), name

    @needs("quorum")
    @pytest.mark.parametrize("fault", _ONE_BAD.values(), ids=_ONE_BAD.keys())
    async def test_one_bad_endpoint_stops_nothing(
        self, harness: ChainHarness, fault: Fault
    ) -> None:
        """Heads, intents, state and transactions go on with the other two."""
        async with _three(harness) as (adapter, proxies):
            await ready(adapter, harness)
            proxies[0].faults = (fault,)
            sample = await _sample(harness)
            await ready(adapter, harness)
            async with made(harness, account=_ACCOUNT) as honest:
                await ready(honest, harness)
                truth = await _answers(honest, harness, sample)
            assert await _answers(adapter, harness, sample) == truth
            built = await _built(adapter)
            assert (await driven(adapter, harness, built.state)).stage is TxStage.FINAL
            assert adapter.healthy

    @needs("quorum")
    async def test_one_endpoint_that_hangs_behind_holds_nobody_back(
        self, harness: ChainHarness
    ) -> None:
        """The heads are those of the others."""
        async with _three(harness) as (adapter, proxies):
            before = await caught_up(adapter, harness)
            proxies[2].faults = (Stale(proxies[2].remembered()),)
            asked = await harness.ask(payloads(1))
            await final(adapter, harness)
            found, _ = await read_all(adapter, before)
            assert as_asked(found) == asked

    @needs("quorum")
    async def test_two_endpoints_down_stall_and_the_third_is_not_believed(
        self, harness: ChainHarness
    ) -> None:
        """The quorum never shrinks: reads are a Retry and no head comes, until one is back."""
        async with _three(harness) as (adapter, proxies):
            before = await caught_up(adapter, harness)
            heads = await ready(adapter, harness)
            for proxy in proxies[:2]:
                proxy.faults = (Drop(),)
            await until(lambda: not adapter.healthy)
            asked = await harness.ask(payloads(1))
            await harness.advance(harness.finality + 1)
            seen = proxies[2].seen["http"]
            await until(lambda: proxies[2].seen["http"] >= seen + 6)
            assert adapter.heads == heads
            for read in (
                adapter.hub_state,
                adapter.start,
                lambda: adapter.intent_state(_NEVER_ASKED),
                lambda: adapter.delivery(_NEVER_ASKED),
                lambda: adapter.credit(harness.nobody),
            ):
                with pytest.raises(Retry):
                    await read()
            proxies[0].faults = ()
            await ready(adapter, harness)
            found, _ = await read_all(adapter, before)
            assert as_asked(found) == asked

    @needs("quorum")
    async def test_one_down_and_one_that_lies_are_no_quorum(self, harness: ChainHarness) -> None:
        """Every read is the truth, or a Retry."""
        async with made(harness) as honest:
            await final(honest, harness)
            state = await honest.hub_state()
        for name, forgery in harness.forgeries().items():
            async with _three(harness) as (adapter, proxies):
                await ready(adapter, harness)
                proxies[0].faults = (Drop(),)
                proxies[1].faults = (forgery,)
                for _ in range(3):
                    with contextlib.suppress(Retry):
                        assert (await adapter.hub_state()).current == state.current, name
                    with contextlib.suppress(Retry):
                        found = await adapter.intent_state(_NEVER_ASKED)
                        assert found is IntentState.NONE, name
                    with contextlib.suppress(Retry):
                        assert await adapter.delivery(_NEVER_ASKED) is None, name

    @needs("quorum")
    async def test_each_endpoint_is_shown_by_itself(self, harness: ChainHarness) -> None:
        """By a name of its own, and the one at fault is named in words."""
        async with _three(harness) as (adapter, proxies):
            await ready(adapter, harness)
            assert [each.fault for each in await adapter.endpoints()] == [None] * 3
            proxies[1].faults = (Drop(),)
            found = await adapter.endpoints()
            assert [each.fault is None for each in found] == [True, False, True]
            assert len({each.name for each in found}) == 3
            proxies[1].faults = (harness.another_chain(),)
            found = await adapter.endpoints()
            assert [each.fault is None for each in found] == [True, False, True]


@contextlib.asynccontextmanager
async def _three(
    harness: ChainHarness,
) -> AsyncIterator[tuple[ChainAdapter, list[FaultProxy]]]:
    """An adapter over three proxies before the node, of which two must agree."""
    async with contextlib.AsyncExitStack() as stack:
        proxies = [await stack.enter_async_context(proxied(harness)) for _ in range(3)]
        urls = [Urls(proxy.rpc, proxy.ws) for proxy in proxies]
        made_of_three = harness.adapter(urls, account=_ACCOUNT, quorum=2)
        yield await stack.enter_async_context(made_of_three), proxies


async def _looked(proxy: FaultProxy, adapter: ChainAdapter) -> None:
    """Wait until the head was looked at through the proxy's faults, or they stopped that."""
    seen = proxy.seen["http"]
    await until(lambda: proxy.seen["http"] >= seen + _TWO_LOOKS or not adapter.healthy)


@dataclass(frozen=True, slots=True)
class _Sample:
    """Two intents, and the journalled state of a transaction that is final."""

    begin: Cursor
    asked: list[Asked]
    state: bytes


async def _sample(harness: ChainHarness) -> _Sample:
    async with made(harness, account=_ACCOUNT) as adapter:
        begin = await caught_up(adapter, harness)
        built = await _built(adapter)
        await driven(adapter, harness, built.state)
        asked = await harness.ask(payloads(2))
        await final(adapter, harness)
    return _Sample(begin, asked, built.state)


async def _answers(
    adapter: ChainAdapter, harness: ChainHarness, sample: _Sample, tries: int = 2_000
) -> dict[str, object]:
    """All that leads to a signature or to the end of a transaction, as the adapter has it."""

    def read(call: Callable[[], Awaitable[T]]) -> Awaitable[T]:
        return patiently(call, tries)

    heads = await adapter.next_heads(None)
    cursor, intents = sample.begin, []
    while cursor.height < heads.final.height:
        batch, cursor = await read(partial(adapter.intents, cursor, heads.final))
        intents += batch
    ids = [each.intent_id for each in sample.asked]
    return {
        "final": heads.final,
        "latest": heads.latest,
        "intents": as_asked(intents),
        "fees": [each.intent.max_fee for each in intents],
        "block": await read(partial(adapter.block, sample.begin.height)),
        "hub": await read(adapter.hub_state),
        "start": await read(adapter.start),
        "open": [await read(partial(adapter.intent_state, each)) for each in (*ids, _NEVER_ASKED)],
        "delivered": [await read(partial(adapter.delivery, each)) for each in ids],
        "credit": await read(partial(adapter.credit, harness.nobody)),
        "lane": await read(partial(adapter.open_lane, None)),
        "end": (await read(partial(adapter.advance, sample.state))).stage,
    }


async def _built(adapter: ChainAdapter) -> Built:
    call = adapter.request_call(question(adapter))
    estimate = await patiently(lambda: adapter.estimate(call))
    return await adapter.build(call, estimate, await patiently(lambda: adapter.open_lane(None)))
