"""A second request beside a slow one."""

import asyncio
from decimal import Decimal

import msgspec
import pytest

from support.fleet import MODEL, Scripted, request
from support.virtual_time import in_virtual_time
from vagus.compute import Answer, Completion, Model, Price
from vagus.compute.routing import Router, Served, Spend, Tuning
from vagus.protocol import Retry


def slow_at(*calls: int, seconds: float = 20.0):
    """Answer in a second, but for some calls."""
    return lambda n: seconds if n in calls else 1.0


async def warm(router: Router, *backends: Scripted, calls: int = 100) -> None:
    for _ in range(calls):
        await router.complete(request(), backends, timeout=60)


async def hedged(
    router: Router, slow: Scripted, other: Scripted, spend: Spend | None = None
) -> tuple[Served, float]:
    """Return what served a call after a hundred, and how long that took."""
    await warm(router, slow)
    began = asyncio.get_running_loop().time()
    served = await router.complete(request(), [slow, other], timeout=60, spend=spend)
    return served, asyncio.get_running_loop().time() - began


def test_after_the_p95_another_is_asked_and_the_first_answer_wins() -> None:
    slow, other = Scripted("slow", slow_at(100)), Scripted("other", price=2)
    router = Router(Tuning(explore=0))
    served, took = in_virtual_time(hedged(router, slow, other))
    assert served.backend is other
    assert took == pytest.approx(2, rel=0.08)  # a second's bucket, then a second
    assert [(each.backend, each.end, each.hedge) for each in served.tried] == [
        ("slow", "cancelled", False),
        ("other", "answered", True),
    ]
    assert slow.ended[-1] == "cancelled"
    assert slow.running == other.running == 0
    assert (router.tallies.hedges, router.tallies.won) == (1, 1)


def test_the_loser_counts_as_spent_where_it_may_be_charged() -> None:
    spend = Spend(1129 + 2 * 1129)
    served, _ = in_virtual_time(
        hedged(
            Router(Tuning(explore=0)),
            Scripted("slow", slow_at(100)),
            Scripted("other", price=2),
            spend,
        )
    )
    assert served.lost == 1129
    assert spend.used == 1129 + served.cost


def test_the_loser_costs_nothing_where_cancelling_ends_the_bill() -> None:
    slow, spend = Scripted("slow", slow_at(100)), Spend(10_000)
    slow.cancels = True
    served, _ = in_virtual_time(
        hedged(Router(Tuning(explore=0)), slow, Scripted("other", price=2), spend)
    )
    assert served.lost == 0
    assert spend.used == served.cost


def test_there_is_no_hedge_that_the_budget_does_not_bear() -> None:
    slow, other = Scripted("slow", slow_at(100)), Scripted("other", price=2)
    router = Router(Tuning(explore=0))
    served, _ = in_virtual_time(hedged(router, slow, other, Spend(3 * 1129 - 1)))
    assert served.backend is slow
    assert router.tallies.hedges == 0
    assert other.began == []


def test_the_first_may_win_all_the_same() -> None:
    slow, other = Scripted("slow", slow_at(100, seconds=1.5)), Scripted("other", 9.0, price=2)
    served, took = in_virtual_time(hedged(Router(Tuning(explore=0)), slow, other))
    assert served.backend is slow
    assert took == pytest.approx(1.5)
    assert other.ended == ["cancelled"]


def test_a_hedge_goes_on_where_the_first_fails_meanwhile() -> None:
    slow = Scripted("slow", lambda n: (2.0, Retry("cut")) if n == 100 else 1.0)
    served, _ = in_virtual_time(
        hedged(Router(Tuning(explore=0)), slow, Scripted("other", 5.0, price=2))
    )
    assert [each.end for each in served.tried] == ["failed", "answered"]


def test_a_hedge_that_fails_is_replaced_while_the_first_is_slow() -> None:
    slow = Scripted("slow", slow_at(100))
    broken, other = Scripted("broken", Retry("down"), price=2), Scripted("other", price=3)

    async def go() -> Served:
        router = Router(Tuning(explore=0))
        await warm(router, slow)
        served = await router.complete(request(), [slow, broken, other], timeout=60)
        assert router.tallies.hedges == 1
        return served

    served = in_virtual_time(go())
    assert [(each.backend, each.end) for each in served.tried] == [
        ("slow", "cancelled"),
        ("broken", "failed"),
        ("other", "answered"),
    ]


def test_where_both_fail_the_call_goes_on_to_the_next() -> None:
    slow = Scripted("slow", lambda n: (2.0, Retry("cut")) if n == 100 else 1.0)
    other = Scripted("other", (3.0, Retry("down")), price=2)
    third = Scripted("third", price=3)

    async def go() -> Served:
        router = Router(Tuning(explore=0))
        await warm(router, slow)
        return await router.complete(request(), [slow, other, third], timeout=60)

    assert in_virtual_time(go()).backend is third


def test_no_more_than_a_tenth_of_all_calls_are_hedged() -> None:
    # Every fifth call is slow: twice as many as there may be hedges.
    slow = Scripted("slow", lambda n: 10.0 if n % 5 == 0 else 1.0, price=1)
    other = Scripted("other", 3.0, price=50)
    router = Router(Tuning(explore=0))

    async def go() -> None:
        await warm(router, slow, other, calls=1000)

    in_virtual_time(go())
    assert 70 <= router.tallies.hedges <= 100
    assert router.tallies.hedges <= 0.1 * router.tallies.calls["answered"]


def test_who_hangs_is_hedged_by_what_others_earned_since_it_began() -> None:
    # 101 calls have earned 0.909 hedges when it begins, 121 have 1.089 when it is late.
    slow, other = Scripted("slow", slow_at(100)), Scripted("other", price=2)
    router = Router(Tuning(explore=0, hedges=0.009))

    async def go() -> float:
        await warm(router, slow)
        began = asyncio.get_running_loop().time()
        late = asyncio.create_task(router.complete(request(), [slow, other], timeout=60))
        while len(slow.began) < 101:
            await asyncio.sleep(0)
        await asyncio.gather(*(warm(router, slow, calls=1) for _ in range(20)))
        await late
        return asyncio.get_running_loop().time() - began

    assert in_virtual_time(go()) == pytest.approx(2, rel=0.08)
    assert router.tallies.hedges == router.tallies.won == 1


def test_who_is_always_outrun_loses_its_place() -> None:
    # It answers a hundred calls, and from then on none.
    stuck, other = Scripted("stuck", lambda n: 1.0 if n < 100 else 1e6), Scripted("other", price=2)
    router = Router(Tuning(explore=0))

    async def go() -> float:
        await warm(router, stuck)
        began = asyncio.get_running_loop().time()
        await warm(router, stuck, other)
        return asyncio.get_running_loop().time() - began

    assert in_virtual_time(go()) < 200
    assert len(stuck.began) < 100 + 15


def test_a_caller_that_leaves_ends_both() -> None:
    slow, other = Scripted("slow", slow_at(100)), Scripted("other", 20.0, price=2)

    async def go() -> None:
        router, spend = Router(Tuning(explore=0)), Spend(10_000)
        await warm(router, slow)
        call = asyncio.create_task(
            router.complete(request(), [slow, other], timeout=60, spend=spend)
        )
        await asyncio.sleep(2)
        assert slow.running == other.running == 1
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert slow.running == other.running == 0
        assert [series.in_flight for series in router.measurements] == [0, 0]
        assert spend.used == 1129 + 2 * 1129

    in_virtual_time(go())


class Shelf(Scripted):
    """Sells one at a time at one price, and whatever is more at four times that."""

    def price(self, model: Model) -> Price:
        return FOUR if self.running else ONE

    async def complete(self, request: Completion, *, timeout: float) -> Answer:
        price = self.price(MODEL)
        answer = await super().complete(request, timeout=timeout)
        return msgspec.structs.replace(answer, price=price)


ONE, FOUR = (Price(Decimal(each * 10**6), Decimal(each * 10**6)) for each in (1, 4))


@pytest.mark.parametrize(("limit", "price"), [(4 * 1129, 4), (4 * 1129 - 1, 1)])
def test_a_call_begins_at_the_price_of_that_moment_or_waits_for_a_better_one(
    limit: int, price: int
) -> None:
    """Two are chosen in one turn of the loop, when there was room for one at the lower price."""

    async def calls() -> None:
        shelf, other = Shelf("shelf"), Scripted("other", Retry("down"))
        router = Router(Tuning(explore=0))
        await warm(router, shelf)
        first, second = Spend(), Spend(limit)
        one, two = await asyncio.gather(
            *(
                router.complete(request(), [shelf, other], timeout=60, spend=spend)
                for spend in (first, second)
            )
        )
        assert (one.price, first.used) == (ONE, 20)
        assert (two.price, second.used) == (FOUR if price == 4 else ONE, 20 * price)
        assert len(shelf.began) == 102
        assert bool(other.began) is (price == 1)

    in_virtual_time(calls())


@pytest.mark.parametrize("limit", [4 * 1129, 4 * 1129 - 1])
def test_what_costs_more_by_the_time_that_its_cost_is_kept_is_kept_once_more_or_not_sent(
    limit: int,
) -> None:
    async def call() -> None:
        shelf, kept = Shelf("shelf"), []

        async def keep(used: int) -> None:
            kept.append(used)
            shelf.running = 1  # somebody else took what was cheap

        spend = Spend(limit, keep)
        asked = Router().complete(request(), [shelf], timeout=1.5, spend=spend)
        if limit == 4 * 1129:
            assert (await asked).price == FOUR
            assert (kept, spend.used) == ([1129, 4 * 1129], 4 * 20)
        else:
            with pytest.raises(Retry, match="its price has just risen"):
                await asked
            assert (kept[0], shelf.began, spend.used) == (1129, [], 0)

    in_virtual_time(call())


@pytest.mark.parametrize("dearer", [0, 1])
def test_an_answer_may_be_cheaper_than_was_said_and_never_dearer(dearer: int) -> None:
    said = Price(Decimal(5 * 10**6), Decimal(5 * 10**6))
    own = Price(Decimal((4 + 2 * dearer) * 10**6), Decimal(10**6))

    class Sells(Shelf):
        def price(self, model: Model) -> Price:
            return own if self.running else said

        async def complete(self, request: Completion, *, timeout: float) -> Answer:
            answer = await Scripted.complete(self, request, timeout=timeout)
            return msgspec.structs.replace(answer, price=own)

    async def call() -> None:
        spend = Spend(10_000)
        served = await Router().complete(request(), [Sells("one")], timeout=60, spend=spend)
        assert (served.price, spend.used) == ((said, 100) if dearer else (own, 50))
        assert served.cost == spend.used

    in_virtual_time(call())
