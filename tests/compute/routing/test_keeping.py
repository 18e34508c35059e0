"""What a call may cost is kept before it can be charged, by whoever hands in how."""

import asyncio
import contextlib

import pytest

from support.fleet import MODEL, Scripted, request
from support.virtual_time import in_virtual_time
from vagus.compute import Answer
from vagus.compute.routing import Router, Served, Spend, Tuning
from vagus.protocol import Retry

# A request's worst case at a price of one a token, by hand: 5 bytes, 1,024 of template, 100 written.
WORST, COST = 1129, 20


class Kept:
    """Keeps each amount in order, once `seconds` are over; with an error it can't."""

    def __init__(self, *backends: Scripted, seconds: float = 0.5) -> None:
        self.amounts: list[int] = []
        self.asked: list[int] = []
        self.error: Retry | None = None
        self._backends = backends
        self._seconds = seconds

    async def __call__(self, amount: int) -> None:
        self.asked.append(sum(len(each.began) for each in self._backends))
        await asyncio.sleep(self._seconds)
        if self.error is not None:
            raise self.error
        self.amounts.append(amount)


def test_what_is_held_is_kept_before_each_try_is_sent() -> None:
    down, up = Scripted("down", Retry("HTTP 500")), Scripted("up", price=2)
    kept = Kept(down, up)
    spend = Spend(10_000, kept)

    async def go() -> Served:
        return await Router().complete(request(), [down, up], timeout=30, spend=spend)

    assert in_virtual_time(go()).backend is up
    assert kept.amounts == [WORST, 2 * WORST]
    assert kept.asked == [0, 1]
    assert spend.used == 2 * COST


def test_a_hedge_is_kept_beside_the_call_that_it_hedges() -> None:
    slow = Scripted("slow", lambda at: 1.0 if at < 100 else 9.0)
    other = Scripted("other", price=2)
    kept = Kept(seconds=0.0)

    async def go() -> Served:
        router = Router(Tuning(explore=0))
        for _ in range(100):
            await router.complete(request(), [slow], timeout=60)
        spend = Spend(10_000, kept)
        return await router.complete(request(), [slow, other], timeout=60, spend=spend)

    assert in_virtual_time(go()).backend is other
    assert kept.amounts == [WORST, 3 * WORST]


@pytest.mark.parametrize("streams", [False, True])
def test_what_cannot_be_kept_is_not_sent_and_speaks_against_no_backend(streams: bool) -> None:
    backend = Scripted("only", 1.0)
    kept = Kept(backend)
    kept.error = Retry("the disk is full", 7.0)
    spend, router = Spend(10_000, kept), Router()

    async def call() -> Served:
        if not streams:
            return await router.complete(request(), [backend], timeout=30, spend=spend)
        pieces = router.stream(request(), [backend], timeout=30, spend=spend)
        async with contextlib.aclosing(pieces):
            (served,) = [each async for each in pieces if isinstance(each, Served)]
            return served

    async def go() -> Answer:
        with pytest.raises(Retry, match="the disk is full") as caught:
            await call()
        assert caught.value.after == 7.0
        assert (backend.began, spend.used) == ([], 0)
        assert router.measurements.of("only", MODEL.digest).breaker.state == "closed"
        kept.error = None
        return (await call()).answer

    assert in_virtual_time(go()).text == "ok"
    assert spend.used == COST


def test_a_call_that_is_cancelled_while_it_is_kept_costs_nothing() -> None:
    backend = Scripted("only", 1.0)
    spend = Spend(10_000, Kept(backend, seconds=5.0))

    async def go() -> None:
        router = Router()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await router.complete(request(), [backend], timeout=30, spend=spend)
        assert router.measurements.of("only", MODEL.digest).in_flight == 0

    in_virtual_time(go())
    assert (backend.began, spend.used) == ([], 0)


def test_what_is_free_needs_not_be_kept() -> None:
    backend = Scripted("free", price=0)
    kept = Kept(backend)

    async def go() -> Served:
        return await Router().complete(request(), [backend], timeout=30, spend=Spend(10_000, kept))

    assert in_virtual_time(go()).cost == 0
    assert kept.asked == []
