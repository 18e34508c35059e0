"""A maximum price holds for each try at the price of its moment, however much is left to spend."""

import asyncio
from decimal import Decimal

import pytest

from support.fleet import Scripted, request
from support.virtual_time import in_virtual_time
from vagus.compute import Price
from vagus.compute.routing import Router, Served, Spend, Tuning
from vagus.protocol import Refuse, Retry


def per_token(read: int, written: int) -> Price:
    return Price(Decimal(read * 10**6), Decimal(written * 10**6))


MOST = per_token(2, 2)


def bounded(keep=None) -> Spend:
    """Nothing is too much in all."""
    return Spend(10**9, keep, MOST)


async def asked(*backends: Scripted, spend: Spend, seconds: float = 30) -> Served:
    return await Router(Tuning(explore=0)).complete(
        request(), backends, timeout=seconds, spend=spend
    )


@pytest.mark.parametrize(
    ("price", "paid"),
    [
        (per_token(2, 2), True),
        (per_token(3, 1), False),
        (per_token(1, 3), False),
    ],
)
def test_tokens_read_and_tokens_written_each_have_their_maximum(price: Price, paid: bool) -> None:
    backend, spend = Scripted("only"), bounded()
    backend.unit = price
    if paid:
        assert in_virtual_time(asked(backend, spend=spend)).cost == 40
    else:
        with pytest.raises(Refuse, match="no backend is left by the maximum price"):
            in_virtual_time(asked(backend, spend=spend))
        assert (backend.began, spend.used) == ([], 0)


def test_who_becomes_too_dear_is_not_asked_again_after_it_failed() -> None:
    moving, other = Scripted("moving", lambda _: fails()), Scripted("other", price=3)

    def fails() -> Retry:
        moving.unit = per_token(3, 3)
        return Retry("HTTP 500")

    with pytest.raises(Retry, match="HTTP 500"):
        in_virtual_time(asked(moving, other, spend=bounded()))
    assert (len(moving.began), other.began) == (1, [])


def test_who_is_too_dear_is_no_hedge() -> None:
    slow = Scripted("slow", lambda at: 1.0 if at < 100 else 9.0)
    dear = Scripted("dear", price=3)

    async def go() -> Served:
        router = Router(Tuning(explore=0))
        for _ in range(100):
            await router.complete(request(), [slow], timeout=60)
        return await router.complete(request(), [slow, dear], timeout=60, spend=bounded())

    assert in_virtual_time(go()).backend is slow
    assert dear.began == []


@pytest.mark.parametrize("streams", [False, True])
def test_a_price_that_rises_over_it_while_the_cost_is_kept_is_not_paid(streams: bool) -> None:
    backend = Scripted("moving")

    async def keep(used: int) -> None:
        backend.unit = per_token(3, 3)

    spend = bounded(keep)

    async def go() -> None:
        if not streams:
            await asked(backend, spend=spend, seconds=1)
        async for _ in Router().stream(request(), [backend], timeout=1, spend=spend):
            pytest.fail("a piece came")

    with pytest.raises(Retry, match="moving: its price has just risen"):
        in_virtual_time(go())
    assert (backend.began, spend.used) == ([], 0)


def test_whose_price_comes_down_in_time_is_asked_after_all() -> None:
    """It rises while its cost is kept, and the call waits for a better moment."""
    backend = Scripted("moving")
    kept: list[int] = []

    async def keep(used: int) -> None:
        kept.append(used)
        if len(kept) == 1:
            backend.unit = per_token(3, 3)
            asyncio.get_running_loop().call_later(0.1, setattr, backend, "unit", MOST)

    # Another is there to be asked first, so that the call lives on.
    other = Scripted("other", Retry("HTTP 500"), price=2)
    served = in_virtual_time(asked(backend, other, spend=bounded(keep)))
    assert (served.backend, served.price) == (backend, MOST)
