"""Whom the router asks first, and whom it leaves out."""

import asyncio
from decimal import Decimal

import pytest

from support.fleet import MODEL, Scripted, request
from support.virtual_time import in_virtual_time
from vagus.compute import Answer, Barred, Completion, Price, Usage
from vagus.compute.routing import Router, Spend, Tuning
from vagus.protocol import Refuse, Retry

DIGEST = MODEL.digest


async def ask(router: Router, *backends: Scripted, times: int = 1, seconds: float = 30) -> str:
    """Return who answered the last of so many calls, one after the other."""
    served = await router.complete(request(), backends, timeout=seconds)
    for _ in range(times - 1):
        served = await router.complete(request(), backends, timeout=seconds)
    return served.backend.name


def test_of_equals_the_cheapest_is_asked() -> None:
    dear, cheap = Scripted("dear", price=3), Scripted("cheap", price=2)
    assert in_virtual_time(ask(Router(), dear, cheap)) == "cheap"
    assert dear.began == []


def test_the_price_of_now_counts_and_not_the_one_of_the_last_call() -> None:
    async def go() -> list[str]:
        one, other = Scripted("one", price=2), Scripted("other", price=3)
        router = Router()
        first = await ask(router, one, other)
        one.unit = Price(Decimal(9 * 10**6), Decimal(9 * 10**6))
        await asyncio.sleep(1)
        return [first, await ask(router, one, other)]

    assert in_virtual_time(go()) == ["one", "other"]


def test_who_fails_often_must_be_much_cheaper() -> None:
    flaky = Scripted("flaky", lambda n: Retry("down") if n % 3 == 0 else 1.0, price=80)
    solid = Scripted("solid", price=100)

    async def go() -> str:
        return await ask(Router(), flaky, solid, times=200)

    assert in_virtual_time(go()) == "solid"


def test_who_is_slow_loses_against_who_costs_a_little_more() -> None:
    slow, fast = Scripted("slow", 8.0, price=10), Scripted("fast", 1.0, price=11)
    router = Router()

    async def go() -> str:
        return await ask(router, slow, fast, times=60)

    assert in_virtual_time(go()) == "fast"
    assert len(slow.began) < 10


class Writer(Scripted):
    """Writes so many tokens a second, four of five that a request allows."""

    def __init__(self, name: str, rate: int, price: int) -> None:
        super().__init__(name, price=price)
        self.rate = rate

    async def complete(self, request: Completion, *, timeout: float) -> Answer:
        written = request.max_tokens * 4 // 5
        self.usage, self._turns = Usage(10, written), written / self.rate
        return await super().complete(request, timeout=timeout)


def test_who_is_slow_gets_short_requests_where_others_get_the_long_ones() -> None:
    # A sixth dearer is 0.69 of the score. 1.0 s against 0.3 is 0.91 of it, 16.4 s against 4.1 is 0.21.
    slow, fast = Writer("slow", rate=50, price=100), Writer("fast", rate=200, price=120)
    router = Router(Tuning(explore=0))

    async def go() -> list[str]:
        for _ in range(20):
            await router.complete(request(64), [slow], timeout=60)
            await router.complete(request(64), [fast], timeout=60)
            await router.complete(request(1024), [slow], timeout=60)
            await router.complete(request(1024), [fast], timeout=60)
        asked = []
        for tokens in (64, 1024) * 6:
            served = await router.complete(request(tokens), [slow, fast], timeout=60)
            asked.append(served.backend.name)
            await asyncio.sleep(1)
        return asked[2:]  # the first of each size shows how much is written

    assert in_virtual_time(go()) == ["slow", "fast"] * 5


def test_a_failing_check_weighs_against_a_backend() -> None:
    doubted, trusted = Scripted("doubted", price=90), Scripted("trusted", price=100)
    router = Router()

    async def go() -> list[str]:
        first = await ask(router, doubted, trusted)
        for _ in range(4):
            router.verified("doubted", DIGEST, False)
        await asyncio.sleep(1)
        return [first, await ask(router, doubted, trusted)]

    assert in_virtual_time(go()) == ["doubted", "trusted"]


def test_load_goes_to_who_has_room() -> None:
    small, large = Scripted("small", price=100, slots=2), Scripted("large", price=110, slots=64)
    router = Router()

    async def go() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(20):
                group.create_task(ask(router, small, large))

    in_virtual_time(go())
    assert len(small.began) <= 2
    assert len(large.began) >= 18


def test_a_call_waits_for_a_slot_only_where_nobody_has_one() -> None:
    only = Scripted("only", slots=1)
    router = Router()

    async def go() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(ask(router, only))

    in_virtual_time(go())
    assert only.ended == ["answered"] * 3


def test_who_names_no_price_is_not_asked() -> None:
    silent, priced = Scripted("silent", price=0), Scripted("priced", price=9)
    silent.unit = Retry("no source of prices answers")
    assert in_virtual_time(ask(Router(), silent, priced)) == "priced"
    with pytest.raises(Retry, match="silent: no source of prices answers"):
        in_virtual_time(ask(Router(), silent))
    assert silent.began == []


def test_who_seems_to_have_no_room_for_the_prompt_is_asked_last() -> None:
    refusal = Refuse("HTTP 400: 4,200 tokens are over 4,096")
    small, large = Scripted("small", refusal, price=1), Scripted("large", price=9)
    small.most, large.most = 100, 4096
    assert in_virtual_time(ask(Router(), small, large)) == "large"
    assert small.began == []
    # How many tokens it really has, only the backend can tell.
    with pytest.raises(Refuse, match="HTTP 400"):
        in_virtual_time(ask(Router(), small))
    fitting = Scripted("fitting")
    fitting.most = 100
    assert in_virtual_time(ask(Router(), fitting)) == "fitting"


def test_who_costs_more_than_is_left_is_not_asked() -> None:
    # The worst case of a call: 5 bytes, 1,024 tokens of template, 100 of answer.
    flaky, dear = Scripted("flaky", Retry("down"), price=1), Scripted("dear", price=2)

    async def go(limit: int) -> str:
        spend = Spend(limit)
        served = await Router().complete(request(), [flaky, dear], timeout=30, spend=spend)
        assert spend.used == served.cost + served.lost
        return served.backend.name

    assert in_virtual_time(go(2 * 1129)) == "dear"
    with pytest.raises(Retry, match="down"):
        in_virtual_time(go(2 * 1129 - 1))
    with pytest.raises(Refuse, match="budget of 1128"):
        in_virtual_time(go(1128))
    assert len(dear.began) == 1


def test_a_stranger_is_tried_until_it_is_known() -> None:
    known, stranger = Scripted("known", price=100), Scripted("stranger", price=200)
    router = Router()

    async def go() -> None:
        await ask(router, known, times=50)
        await ask(router, known, stranger, times=100)

    in_virtual_time(go())
    assert len(stranger.began) == 3  # then it is known, and dearer


def test_strangers_are_tried_in_few_calls_however_many_there_are() -> None:
    known = Scripted("known", price=100)
    strangers = [Scripted(f"stranger-{n}", price=200) for n in range(100)]

    async def go() -> None:
        await ask(Router(), known, *strangers, times=1000)

    in_virtual_time(go())
    assert sum(len(each.began) for each in strangers) <= 10 + 1000 * 0.02


def test_strangers_that_cost_many_times_more_are_left_alone() -> None:
    known, stranger = Scripted("known", price=100), Scripted("stranger", price=900)

    async def go() -> None:
        router = Router()
        await ask(router, known, times=50)
        await ask(router, known, stranger, times=100)

    in_virtual_time(go())
    assert stranger.began == []


def test_what_was_seen_fades_so_that_who_was_slow_gets_another_chance() -> None:
    slow, fast = Scripted("slow", lambda n: 60.0 if n < 3 else 1.0), Scripted("fast", price=2)
    router = Router()

    async def go() -> list[str]:
        first = await ask(router, slow, fast, times=30, seconds=300)
        await asyncio.sleep(24 * 3600)
        return [first, await ask(router, slow, fast, times=30, seconds=300)]

    assert in_virtual_time(go()) == ["fast", "slow"]


def test_who_is_quarantined_is_not_asked_until_it_is_released() -> None:
    liar, honest = Scripted("liar", price=1), Scripted("honest", price=9)
    router = Router()

    async def go() -> list[str]:
        router.quarantine("liar", DIGEST, "it serves another model")
        names = [await ask(router, liar, honest)]
        with pytest.raises(Retry, match="liar is quarantined: it serves another model"):
            await ask(router, liar)
        assert router.release("liar", DIGEST)
        assert not router.release("liar", DIGEST)
        return [*names, await ask(router, liar, honest)]

    assert in_virtual_time(go()) == ["honest", "liar"]


def test_who_is_outvoted_three_times_in_a_row_is_quarantined() -> None:
    async def go() -> None:
        router = Router()
        assert router.usable("another", DIGEST)
        for ok in (False, False, True, False, False):
            router.compared("one", DIGEST, ok)
        assert router.usable("one", DIGEST)
        router.compared("one", DIGEST, False)
        assert not router.usable("one", DIGEST)

    in_virtual_time(go())


def outvote(router: Router, name: str) -> None:
    for _ in range(3):
        router.compared(name, DIGEST, ok=False)


def test_votes_alone_shut_a_backend_out_for_an_hour() -> None:
    async def go() -> None:
        router = Router()
        assert router.usable("another", DIGEST)
        outvote(router, "one")
        await asyncio.sleep(3599)
        assert not router.usable("one", DIGEST)
        await asyncio.sleep(2)
        router.compared("one", DIGEST, ok=False)  # counted from none again
        assert router.usable("one", DIGEST)

    in_virtual_time(go())


@pytest.mark.parametrize("first", ["votes", "canaries"])
def test_votes_do_not_shorten_another_quarantine(first: str) -> None:
    async def go() -> None:
        router = Router()
        assert router.usable("another", DIGEST)
        steps = [
            lambda: outvote(router, "one"),
            lambda: router.quarantine("one", DIGEST, "it serves another model"),
        ]
        for step in steps if first == "votes" else steps[::-1]:
            step()
        await asyncio.sleep(24 * 3600)
        assert not router.usable("one", DIGEST)

    in_virtual_time(go())


def test_votes_alone_do_not_shut_out_the_last_backend_of_a_model() -> None:
    async def go() -> None:
        router = Router()
        assert router.usable("another", DIGEST)
        assert router.usable("of another model", b"\x01" * 32)
        outvote(router, "one")
        outvote(router, "another")
        assert not router.usable("one", DIGEST)
        assert router.usable("another", DIGEST)

    in_virtual_time(go())


def test_a_price_that_is_not_known_now_decides_nothing() -> None:
    dear, cheap = Scripted("dear", price=9), Scripted("cheap")
    cheap.unit = Retry("no rate of the dollar")
    refusing = Scripted("refusing", Refuse("HTTP 400"))

    async def go() -> None:
        for other, spend in ((dear, Spend(2000)), (refusing, Spend())):
            router = Router()
            with pytest.raises(Retry) as caught:
                await router.complete(request(), [other, cheap], timeout=30, spend=spend)
            assert caught.value.after == 30
        cheap.unit = Refuse("it is not sold")
        with pytest.raises(Refuse, match="within the budget"):
            await Router().complete(request(), [dear, cheap], timeout=30, spend=Spend(2000))

    in_virtual_time(go())


def test_who_is_outvoted_for_now_is_waited_for_where_others_cost_too_much() -> None:
    dear, cheap = Scripted("dear", price=9), Scripted("cheap")

    async def go() -> None:
        router = Router()
        await router.complete(request(), [dear, cheap], timeout=30)
        outvote(router, "cheap")
        with pytest.raises(Retry, match="cheap is quarantined: outvoted 3 times"):
            await router.complete(request(), [dear, cheap], timeout=30, spend=Spend(2000))
        router.quarantine("cheap", DIGEST, "it serves another model")
        with pytest.raises(Refuse, match="within the budget"):
            await router.complete(request(), [dear, cheap], timeout=30, spend=Spend(2000))

    in_virtual_time(go())


def test_one_model_in_quarantine_says_nothing_of_another_one() -> None:
    async def go() -> None:
        router = Router()
        router.quarantine("one", DIGEST, "wrong")
        assert router.usable("one", b"\x01" * 32)

    in_virtual_time(go())


def test_observers_see_each_request_with_what_served_it_and_who_might_have() -> None:
    seen = []
    one, other = Scripted("one"), Scripted("other", price=2)

    async def go() -> None:
        router = Router(observers=[lambda *told: seen.append(told)])
        with pytest.raises(Retry):
            await ask(router, Scripted("down", Retry("down")))
        await ask(router, one, other)

    in_virtual_time(go())
    [(asked, served, allowed)] = seen
    assert asked == request()
    assert served.backend is one
    assert allowed == (one, other)


def test_what_bars_a_model_bars_the_backend_and_not_the_request() -> None:
    barred, other = Scripted("barred", Barred("HTTP 402: no credit")), Scripted("other", price=5)
    router = Router()

    async def go() -> list[str]:
        names = [await ask(router, barred, other), await ask(router, barred, other)]
        assert len(barred.began) == 1
        with pytest.raises(Retry, match="HTTP 402"):
            await ask(router, barred)
        assert len(barred.began) == 1
        return names

    assert in_virtual_time(go()) == ["other", "other"]
