"""Driving an adapter as the daemon does: read to the final block, send and follow to the end."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Sequence
from typing import Never, TypeVar

from vagus.adapters.base import (
    Call,
    ChainAdapter,
    Cursor,
    Heads,
    Question,
    Requested,
    Step,
    TxStage,
)
from vagus.adapters.conformance.harness import Asked, ChainHarness, Urls
from vagus.adapters.conformance.proxy import FaultProxy
from vagus.protocol import ZERO32, Retry, agent_id

__all__ = [
    "as_asked",
    "caught_up",
    "driven",
    "endless_heads",
    "final",
    "made",
    "next_of",
    "patiently",
    "payloads",
    "proxied",
    "question",
    "read_all",
    "ready",
    "submit",
    "until",
]

PATIENCE = 60.0
"""Seconds after which a state that is waited for does not come; no test takes that long."""

_MOST_RETRIES = 2_000
_MOST_STEPS = 40

T = TypeVar("T")


def proxied(harness: ChainHarness) -> FaultProxy:
    """Return a proxy, not entered, before the harness's node."""
    return FaultProxy(harness.node.rpc, harness.node.ws)


def made(
    harness: ChainHarness, *proxies: FaultProxy, account: int = 0, poll: float = 0.05
) -> ChainAdapter:
    """Make an adapter over proxies, or over the node itself; one of several endpoints suffices."""
    urls = [Urls(proxy.rpc, proxy.ws) for proxy in proxies] or [harness.node]
    return harness.adapter(urls, account=account, poll=poll)


async def until(met: Callable[[], bool]) -> None:
    """Wait until a condition is met."""
    async with asyncio.timeout(PATIENCE):
        while not met():  # noqa: ASYNC110 - proxies and adapters of any make: they set no event
            await asyncio.sleep(0.01)


async def patiently(call: Callable[[], Awaitable[T]], tries: int = _MOST_RETRIES) -> T:
    """Call until no `Retry` is raised, as the daemon does but without its pauses."""
    for _ in range(tries):
        try:
            return await call()
        except Retry:
            await asyncio.sleep(0)
    raise AssertionError(f"nothing but Retry, {tries} times")


async def ready(adapter: ChainAdapter, harness: ChainHarness) -> Heads:
    """Wait until the adapter has seen the node's newest block, and the final one that it makes."""
    newest = (await harness.block()).height
    async with asyncio.timeout(PATIENCE):
        heads = await adapter.next_heads(None)
        # The two may be read one after the other, with a block between.
        while heads.latest.height < newest or heads.final.height < newest - harness.finality:
            heads = await adapter.next_heads(heads)
    return heads


async def next_of(adapter: ChainAdapter, seen: Heads) -> Heads:
    """Wait for other heads than these."""
    async with asyncio.timeout(PATIENCE):
        return await adapter.next_heads(seen)


async def endless_heads(adapter: ChainAdapter, seen: Heads) -> Never:
    """Follow the head until a `Halt` ends that."""
    while True:
        seen = await next_of(adapter, seen)


async def final(adapter: ChainAdapter, harness: ChainHarness) -> Heads:
    """Let what is included now become final, and wait until the adapter has seen that."""
    newest = (await harness.block()).height
    blocks = max(1, harness.finality)
    await harness.advance(blocks)
    async with asyncio.timeout(PATIENCE):
        heads = await adapter.next_heads(None)
        while heads.final.height < newest or heads.latest.height < newest + blocks:
            heads = await adapter.next_heads(heads)
    return heads


# Reading


async def read_all(
    adapter: ChainAdapter, begin: Cursor | None = None
) -> tuple[list[Requested], list[Cursor]]:
    """Read from a cursor, or from the start, to the final block; all cursors, the last one too."""
    heads = await adapter.next_heads(None)
    cursor = await patiently(adapter.start) if begin is None else begin
    cursors = [cursor]
    found: list[Requested] = []
    for _ in range(_MOST_RETRIES):
        if cursor.height >= heads.final.height:
            return found, cursors
        try:
            batch, cursor = await adapter.intents(cursor, heads.final)
        except Retry:
            await asyncio.sleep(0)
            continue
        found += batch
        cursors.append(cursor)
    raise AssertionError(f"the final block is not reached in {_MOST_RETRIES} reads")


async def caught_up(adapter: ChainAdapter, harness: ChainHarness) -> Cursor:
    """Let all that is there become final, and return the cursor behind it."""
    await final(adapter, harness)
    return (await read_all(adapter))[1][-1]


def as_asked(found: Sequence[Requested]) -> list[Asked]:
    """What an adapter read, in the harness's terms; payloads are held against their hashes elsewhere."""
    return [
        Asked(each.intent.id, each.intent.seq, each.payload, each.tx_id, each.height)
        for each in found
    ]


_numbers = iter(range(1 << 62))


def payloads(count: int) -> list[bytes]:
    """Return payloads of which no two are the same."""
    return [b'{"prompt":"question %d"}' % next(_numbers) for _ in range(count)]


# Sending


def question(adapter: ChainAdapter, **changes: object) -> Question:
    """Return a request that the hub takes, of this hub to itself."""
    if adapter.heads is None:
        raise AssertionError("the adapter has no heads yet: wait for them with `ready`")
    values: dict[str, object] = {
        "agent_id": agent_id("chat@1"),
        "payload": payloads(1)[0],
        "model_digest": ZERO32,
        "terms": b"",
        "min_signers": 0,
        "dest_hub": adapter.hub_id,
        "callback": ZERO32,
        "callback_gas": 0,
        "deadline": adapter.heads.latest.time + 3_600,
        "fee": 10**6,
    }
    return Question(**(values | changes))  # type: ignore[arg-type]  # each is the field's own


async def submit(adapter: ChainAdapter, harness: ChainHarness, call: Call) -> Step:
    """Send one call on a fresh lane and follow it to its end."""
    built = await adapter.build(call, await adapter.estimate(call), await adapter.open_lane(None))
    return await driven(adapter, harness, built.state)


async def driven(adapter: ChainAdapter, harness: ChainHarness, state: bytes) -> Step:
    """Follow a transaction to its end from its journalled bytes alone, letting blocks come."""
    stage = TxStage.BUILT
    for _ in range(_MOST_STEPS):
        step = await patiently(functools.partial(adapter.advance, state))
        if step.stage.ended:
            return step
        state, stage = step.state, step.stage
        for raw in step.send:
            await patiently(functools.partial(adapter.broadcast, raw))
        # What is included waits for nothing but blocks, and some chains are final after many.
        await harness.advance(max(1, harness.finality // 2) if stage is TxStage.INCLUDED else 1)
        await ready(adapter, harness)
    raise AssertionError(f"the transaction does not end: it is {stage}")
