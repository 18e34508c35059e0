"""Whatever a node or its network does: a call answers, or raises `Retry`, and nothing else."""

# ruff: noqa: S101 - a test kit asserts

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import pytest

from vagus.adapters.base import Built, Call, ChainAdapter, Cursor
from vagus.adapters.conformance.driving import (
    caught_up,
    driven,
    final,
    made,
    payloads,
    proxied,
    question,
    ready,
)
from vagus.adapters.conformance.faults import (
    Drop,
    Empty,
    Endless,
    Error,
    Fault,
    Flap,
    Garbage,
    Half,
    Limited,
    Malformed,
    Shorten,
    Silent,
    Stale,
    Status,
)
from vagus.adapters.conformance.harness import ChainHarness, Urls
from vagus.adapters.conformance.rules import ConformanceTests
from vagus.protocol import Retry

__all__ = ["FaultTests"]

Operations = dict[str, Callable[[], Awaitable[object]]]

# What says nothing of the chain: no call can answer through it.
_FATAL: dict[str, Fault] = {
    "dropped": Drop(),
    "silent": Silent(),
    "half a body": Half(),
    "an endless body": Endless(),
    "garbage": Garbage(),
    "an error": Error(),
    "an error of a rate limit": Error(-32_005, "limit exceeded"),
    "429": Limited(after=7),
    "500": Status(500),
    "404": Status(404),
    "a redirect": Status(302),
}
# What some calls get through, and others don't.
_PASSING: dict[str, Fault] = {
    "every second request": Flap(),
    "empty lists": Empty(),
    "lists cut short": Shorten(1),
    "malformed answers": Malformed(),
}
_API_KEY = "a-key-that-nobody-may-see"
_REPEATING: dict[str, Fault] = {
    "down": Drop(),
    "refused": Status(401),
    "named in an error": Error(-32_000, f"the quota of {_API_KEY} is used up"),
}
_MALFORMED = 150
_ACCOUNT = 6
# Seconds between two looks at the head: none beside the calls, where a websocket tells of blocks.
_RARELY, _OFTEN = 600.0, 0.05


class FaultTests(ConformanceTests):
    """Every call that asks a node, through every fault."""

    @pytest.mark.parametrize("fault", _FATAL.values(), ids=_FATAL.keys())
    async def test_what_is_no_answer_is_a_retry(self, harness: ChainHarness, fault: Fault) -> None:
        """For each call, and the next one after it succeeds."""
        async with proxied(harness) as proxy:
            async with made(harness, proxy, account=_ACCOUNT, poll=_poll(self.lacks)) as adapter:
                calls, built = await _operations(adapter, harness, self.lacks)
                proxy.faults = (fault,)
                ends = await asyncio.gather(*(_end(call) for call in calls.values()))
                proxy.faults = ()
                answered = [name for name, end in zip(calls, ends, strict=True) if end is None]
                assert not answered, f"answered without a node: {answered}"
                for error in ends:
                    assert isinstance(error, Retry)
                    assert error.after > 0
                    assert error.reason.isprintable()
                for name, call in calls.items():
                    assert await _end(call) is None, name
            await _finished(harness, built)

    async def test_a_rate_limit_says_when_to_come_back(self, harness: ChainHarness) -> None:
        """Retry-After is the Retry's, within reason."""
        async with proxied(harness) as proxy, made(harness, proxy, poll=_RARELY) as adapter:
            await ready(adapter, harness)
            proxy.faults = (Limited(after=7),)
            with pytest.raises(Retry) as raised:
                await adapter.hub_state()
            assert raised.value.after == 7
            proxy.faults = (Limited(after=10**9),)
            with pytest.raises(Retry) as raised:
                await adapter.hub_state()
            assert raised.value.after <= 3_600

    @pytest.mark.parametrize("fault", _PASSING.values(), ids=_PASSING.keys())
    async def test_what_may_be_an_answer_raises_nothing_but_retry(
        self, harness: ChainHarness, fault: Fault
    ) -> None:
        """One call after the other, several times over, with the head followed meanwhile."""
        async with proxied(harness) as proxy:
            async with made(harness, proxy, account=_ACCOUNT) as adapter:
                calls, built = await _operations(adapter, harness, self.lacks)
                proxy.faults = (fault,)
                for _ in range(3):
                    for call in calls.values():
                        await _end(call)
                proxy.faults = ()
                await ready(adapter, harness)
            await _finished(harness, built)

    async def test_thousands_of_malformed_answers_raise_nothing_but_retry(
        self, harness: ChainHarness
    ) -> None:
        """Each call gets answers broken in some hundred ways, the same ones in every run."""
        async with proxied(harness) as proxy:
            async with made(harness, proxy, account=_ACCOUNT, poll=_poll(self.lacks)) as adapter:
                calls, built = await _operations(adapter, harness, self.lacks)
                before, retries = proxy.seen["http"], 0
                for seed in range(_MALFORMED):
                    proxy.faults = (Malformed(seed),)
                    ends = await asyncio.gather(*(_end(call) for call in calls.values()))
                    retries += sum(end is not None for end in ends)
                proxy.faults = ()
                assert proxy.seen["http"] - before >= _MALFORMED * len(calls)
                assert retries > _MALFORMED * len(calls) // 2
                for name, call in calls.items():
                    assert await _end(call) is None, name
            await _finished(harness, built)

    @pytest.mark.parametrize("fault", _REPEATING.values(), ids=_REPEATING.keys())
    async def test_no_secret_of_an_endpoint_is_shown(
        self, harness: ChainHarness, fault: Fault
    ) -> None:
        """An API key may stand in a URL: nothing says it, not even where the node repeats it."""
        async with proxied(harness) as proxy:
            url = f"{proxy.rpc.rstrip('/')}/?key={_API_KEY}"
            async with harness.adapter([Urls(url, harness.node.ws)], account=_ACCOUNT) as adapter:
                calls, built = await _operations(adapter, harness, self.lacks)
                proxy.faults = (fault,)
                for name, call in calls.items():
                    error = await _end(call)
                    assert error is not None, name
                    assert _API_KEY not in f"{error!r} {error.reason}", name
                assert _API_KEY not in repr(await adapter.endpoints())
                assert _API_KEY not in f"{adapter!r} {adapter.tallies()}"
            await _finished(harness, built)

    async def test_a_head_that_is_malformed_is_no_head(self, harness: ChainHarness) -> None:
        """The following of the head lives through a thousand broken answers, and no head comes of one."""
        async with proxied(harness) as proxy, made(harness, proxy, poll=0.001) as adapter:
            before = await ready(adapter, harness)
            start = proxy.seen["http"]
            proxy.faults = (Malformed(7),)
            await harness.advance(3)
            async with asyncio.timeout(60):
                while proxy.seen["http"] < start + 1_000:  # noqa: ASYNC110 - the proxy sets no event
                    await asyncio.sleep(0.01)
            newest = (await harness.block()).height
            assert adapter.heads is not None
            assert before.latest.height <= adapter.heads.latest.height <= newest
            proxy.faults = ()
            await ready(adapter, harness)

    async def test_a_node_that_hangs_behind_is_not_a_fault(self, harness: ChainHarness) -> None:
        """Answers of before raise nothing but Retry, and take nothing back."""
        async with proxied(harness) as proxy, made(harness, proxy, account=_ACCOUNT) as adapter:
            calls, built = await _operations(adapter, harness, self.lacks)
            for call in calls.values():
                await _end(call)
            past = proxy.remembered()
            await _finished(harness, built)
            await ready(adapter, harness)
            proxy.faults = (Stale(past),)
            for call in calls.values():
                await _end(call)


async def _operations(
    adapter: ChainAdapter, harness: ChainHarness, lacks: Mapping[str, str]
) -> tuple[Operations, Built]:
    """Every call that asks a node, with arguments that it would succeed with."""
    cursor: Cursor = await caught_up(adapter, harness)
    (asked,) = await harness.ask(payloads(1))
    heads = await final(adapter, harness)
    (found,) = await adapter.requested(asked.tx_id)
    request: Call = adapter.request_call(question(adapter))
    lane = await adapter.open_lane(None)
    built = await adapter.build(request, await adapter.estimate(request), lane)
    (raw,) = (await adapter.advance(built.state)).send
    calls: Operations = {
        "start": adapter.start,
        "intents": lambda: adapter.intents(cursor, heads.final),
        "requested": lambda: adapter.requested(asked.tx_id),
        "events": lambda: adapter.events(harness.requested, asked.height, asked.height),
        "hub_state": adapter.hub_state,
        "upgradeable": adapter.upgradeable,
        "intent_state": lambda: adapter.intent_state(found.intent.id),
        "delivery": lambda: adapter.delivery(found.intent.id),
        "credit": lambda: adapter.credit(adapter.account),
        "balance": adapter.balance,
        "estimate": lambda: adapter.estimate(request),
        "open_lane": lambda: adapter.open_lane(lane),
        "broadcast": lambda: adapter.broadcast(raw),
        "advance": lambda: adapter.advance(built.state),
    }
    if "nonces" in lacks:
        del calls["open_lane"]  # there is nothing to reconcile with
    return calls, built


def _poll(lacks: Mapping[str, str]) -> float:
    return _OFTEN if "websocket" in lacks else _RARELY


async def _end(call: Callable[[], Awaitable[object]]) -> Retry | None:
    """Return the Retry that a call ends with; anything else raised is a defect."""
    try:
        await call()
    except Retry as error:
        return error
    except Exception as error:
        raise AssertionError(f"{error!r} was raised, and not a Retry") from error
    return None


async def _finished(harness: ChainHarness, built: Built) -> None:
    """Follow what was built to its end, so that the account's lane is free again."""
    async with made(harness, account=_ACCOUNT) as adapter:
        await ready(adapter, harness)
        await driven(adapter, harness, built.state)
