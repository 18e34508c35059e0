"""What the router does where a backend does not answer."""

import asyncio
import contextlib

import pytest
import structlog

from support.fleet import MODEL, Scripted, request
from support.virtual_time import in_virtual_time
from vagus.compute import Answer, Barred, Delta, Spoilt, Usage
from vagus.compute.routing import Router, Served, Spend, Tuning
from vagus.protocol import Refuse, Retry

REFUSED = Refuse("HTTP 400: no such parameter")


async def complete(router: Router, *backends: Scripted, seconds: float = 30) -> Served:
    return await router.complete(request(), backends, timeout=seconds)


def test_a_passing_fault_moves_a_call_on_and_is_told() -> None:
    down, up = Scripted("down", Retry("HTTP 500")), Scripted("up", price=2)
    served = in_virtual_time(complete(Router(), down, up))
    assert served.backend is up
    assert [(each.backend, each.end, each.reason) for each in served.tried] == [
        ("down", "failed", "HTTP 500"),
        ("up", "answered", ""),
    ]
    assert served.cost == 40
    assert served.lost == 0


def test_nobody_is_asked_twice_and_nobody_beyond_the_fourth() -> None:
    fleet = [Scripted(f"b{n}", Retry(f"down {n}", 5 + n), price=n + 1) for n in range(6)]
    with pytest.raises(Retry, match="down 3") as caught:
        in_virtual_time(complete(Router(), *fleet))
    assert [len(each.began) for each in fleet] == [1, 1, 1, 1, 0, 0]
    assert caught.value.after == 5


def test_a_refusal_of_the_request_is_final_once_two_agree() -> None:
    fleet = [Scripted(f"b{n}", REFUSED, price=n + 1) for n in range(3)]
    with pytest.raises(Refuse, match="no such parameter"):
        in_virtual_time(complete(Router(), *fleet))
    assert [len(each.began) for each in fleet] == [1, 1, 0]


def test_a_refusal_of_one_is_not_the_last_word_while_another_answers() -> None:
    assert (
        in_virtual_time(
            complete(Router(), Scripted("odd", REFUSED), Scripted("even", price=2))
        ).backend.name
        == "even"
    )


def test_a_refusal_of_the_only_one_is_final() -> None:
    with pytest.raises(Refuse, match="no such parameter"):
        in_virtual_time(complete(Router(), Scripted("only", REFUSED)))


def test_nothing_is_decided_where_one_refuses_and_another_is_down() -> None:
    with pytest.raises(Retry, match="down"):
        in_virtual_time(complete(Router(), Scripted("a", REFUSED), Scripted("b", Retry("down"))))


def test_a_bar_is_no_refusal_of_the_intent() -> None:
    with pytest.raises(Retry, match="HTTP 401") as caught:
        in_virtual_time(complete(Router(), Scripted("a", Barred("HTTP 401"))))
    assert caught.value.after == 30


def test_a_defect_of_a_backend_counts_as_its_failure_and_quotes_nothing() -> None:
    broken = Scripted("broken", KeyError("the prompt"))
    with structlog.testing.capture_logs() as logs:
        served = in_virtual_time(complete(Router(), broken, Scripted("whole", price=2)))
    assert served.tried[0].reason == "a defect of backend broken: KeyError"
    assert "the prompt" not in str(logs)


def test_a_hanging_backend_gets_half_of_the_time_where_another_can_step_in() -> None:
    hanging, up = Scripted("hanging", 1e6), Scripted("up", price=2)

    async def go() -> float:
        spend = Spend(10_000)
        served = await Router().complete(request(), [hanging, up], timeout=30, spend=spend)
        assert served.backend is up
        # It ran until its time was over: who knows whether it is charged.
        assert served.lost == 1129
        assert spend.used == 1129 + served.cost
        return asyncio.get_running_loop().time()

    assert in_virtual_time(go()) == pytest.approx(16)


def test_who_is_alone_gets_all_of_the_time() -> None:
    only = Scripted("only", 29.0)
    assert in_virtual_time(complete(Router(), only)).tried[0].seconds == 29


def test_a_call_that_hangs_at_the_only_one_is_asked_again() -> None:
    only = Scripted("only", lambda n: 1e6 if n == 20 else 2.0)

    async def go() -> Served:
        router = Router()
        for _ in range(20):
            await complete(router, only)
        return await complete(router, only, seconds=60)

    first, second = in_virtual_time(go()).tried
    assert (first.end, round(first.seconds)) == ("failed", 6)  # three times what answers take
    assert (second.end, second.seconds) == ("answered", 2)


def test_who_is_known_to_be_slow_is_given_the_time_it_needs() -> None:
    slow, other = Scripted("slow", 20.0, price=1), Scripted("other", 20.0, price=1000)

    async def go() -> list[str]:
        router = Router()
        names = [(await complete(router, slow, seconds=60)).backend.name for _ in range(3)]
        return [*names, (await complete(router, slow, other, seconds=30)).backend.name]

    assert in_virtual_time(go()) == ["slow"] * 4


def test_no_call_begins_once_the_time_is_over() -> None:
    only = Scripted("only")
    with pytest.raises(Retry, match="time for model calls is over"):
        in_virtual_time(complete(Router(), only, seconds=0))
    assert only.began == []


async def trip(router: Router, ill: Scripted) -> None:
    """Open a breaker, by three calls that somebody much dearer answers in the end."""
    for _ in range(3):
        served = await complete(router, ill, Scripted("dear", 0.0, price=10_000))
        assert [each.end for each in served.tried] == ["failed", "answered"]
    assert not router.usable(ill.name, MODEL.digest)


def test_three_failures_in_a_row_open_the_breaker_and_one_probe_closes_it() -> None:
    ill = Scripted("ill", lambda n: Retry("down") if n < 3 else 1.0, price=1)
    well = Scripted("well", price=2)

    async def go() -> None:
        router = Router()
        await trip(router, ill)
        assert (await complete(router, ill, well)).backend is well
        assert len(ill.began) == 3
        async with asyncio.TaskGroup() as group:
            calls = [group.create_task(complete(router, ill, well)) for _ in range(5)]
        assert sorted(each.result().backend.name for each in calls) == ["ill"] + ["well"] * 4
        assert router.usable("ill", MODEL.digest)

    in_virtual_time(go())


def test_a_probe_that_fails_opens_the_breaker_for_twice_as_long() -> None:
    ill, well = Scripted("ill", Retry("down")), Scripted("well", price=2)

    async def go() -> list[float]:
        router = Router()
        for _ in range(400):
            await complete(router, ill, well)
        return [after - before for before, after in zip(ill.began[2:], ill.began[3:], strict=False)]

    # Calls come a second apart, so a probe comes up to a second late.
    pauses = in_virtual_time(go())
    assert [round(each) for each in pauses[:7]] == [1, 2, 4, 8, 16, 32, 60]


def test_a_probe_that_is_cancelled_leaves_the_breaker_to_be_probed_again() -> None:
    ill = Scripted("ill", lambda n: Retry("down") if n < 3 else 5.0)
    well = Scripted("well", price=2)

    async def go() -> None:
        router = Router()
        await trip(router, ill)
        await asyncio.sleep(1)
        probe = asyncio.create_task(complete(router, ill))
        await asyncio.sleep(0.1)
        assert (await complete(router, ill, well)).backend is well
        assert len(ill.began) == 4
        probe.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await probe
        await complete(router, ill, well)
        assert len(ill.began) == 5

    in_virtual_time(go())


def test_a_breaker_is_passed_by_after_a_pause_where_there_is_nobody_else() -> None:
    ill = Scripted("ill", lambda n: Retry("down") if n < 3 else 1.0)

    async def go() -> float:
        router = Router()
        await trip(router, ill)
        began = asyncio.get_running_loop().time()
        await complete(router, ill)
        return asyncio.get_running_loop().time() - began

    assert in_virtual_time(go()) == pytest.approx(1.5)  # half a second, before the breaker's one


def test_who_is_alone_is_asked_again_after_pauses_that_double() -> None:
    ill = Scripted("ill", lambda n: Retry("down") if n < 3 else 1.0)
    served = in_virtual_time(complete(Router(), ill))
    assert [each.end for each in served.tried] == ["failed", "failed", "failed", "answered"]
    assert ill.began == [0.0, 0.5, 1.5, 3.5]


def test_a_pause_is_made_only_where_time_is_left_to_answer() -> None:
    ill = Scripted("ill", Retry("down"))
    with pytest.raises(Retry, match="down"):
        in_virtual_time(complete(Router(), ill, seconds=3))
    assert ill.began == [0.0, 0.5, 1.5]
    busy = Scripted("busy", Retry("HTTP 429", 60))
    with pytest.raises(Retry, match="HTTP 429") as caught:
        in_virtual_time(complete(Router(), busy, seconds=300))
    assert busy.began == [0.0]
    assert caught.value.after == 60


def test_a_pause_that_a_backend_asks_for_is_kept() -> None:
    busy = Scripted("busy", lambda n: Retry("HTTP 429", 20) if n == 0 else 1.0)
    other = Scripted("other", price=2)

    async def go() -> None:
        router = Router()
        assert (await complete(router, busy, other)).backend is other
        await asyncio.sleep(18)
        assert (await complete(router, busy, other)).backend is other
        await asyncio.sleep(1)
        assert (await complete(router, busy, other)).backend is busy

    in_virtual_time(go())
    assert busy.began[1] - busy.began[0] >= 20


async def pieces(router: Router, *backends: Scripted) -> list[Delta | Served]:
    stream = router.stream(request(), backends, timeout=30)
    async with contextlib.aclosing(stream):
        return [piece async for piece in stream]


def test_a_stream_moves_on_until_its_first_piece() -> None:
    *deltas, served = in_virtual_time(
        pieces(Router(), Scripted("down", Retry("down")), Scripted("up", price=2))
    )
    assert [piece.text for piece in deltas if isinstance(piece, Delta)] == ["o", "k"]
    assert isinstance(served, Served)
    assert isinstance(served.answer, Answer)
    assert [each.end for each in served.tried] == ["failed", "answered"]


def test_a_stream_that_breaks_off_after_its_first_piece_is_the_readers_to_repeat() -> None:
    broken, up = Scripted("broken", (1.0, Retry("cut"))), Scripted("up", price=2)
    read: list[Delta | Served] = []

    async def go() -> None:
        stream = Router().stream(request(), [broken, up], timeout=30)
        async with contextlib.aclosing(stream):
            async for piece in stream:
                read.append(piece)  # noqa: PERF401 - what came before the error is wanted

    with pytest.raises(Retry, match="cut"):
        in_virtual_time(go())
    assert read == [Delta("o")]
    assert up.began == []


def test_a_stream_without_a_first_piece_in_time_is_left() -> None:
    *_, served = in_virtual_time(pieces(Router(), Scripted("slow", 40.0), Scripted("up", price=2)))
    assert isinstance(served, Served)
    assert [(each.backend, each.end) for each in served.tried] == [
        ("slow", "failed"),
        ("up", "answered"),
    ]


def test_a_stream_left_half_read_is_charged_at_most_and_held_no_more() -> None:
    async def go() -> None:
        router, spend, up = Router(), Spend(10_000), Scripted("up")
        stream = router.stream(request(), [up], timeout=30, spend=spend)
        async with contextlib.aclosing(stream):
            assert await anext(stream) == Delta("o")
        assert spend.used == 1129
        [series] = router.measurements
        assert series.in_flight == 0

    in_virtual_time(go())


# What an answer that can't be used may cost


def lost(backend: Scripted, *, stream: bool) -> int:
    """Return what a call that fails at its only backend leaves used of the budget."""
    spend = Spend(1_000_000)

    async def go() -> None:
        router = Router(Tuning(tries=1))
        if not stream:
            await router.complete(request(), [backend], timeout=30, spend=spend)
            return
        pieces = router.stream(request(), [backend], timeout=30, spend=spend)
        async with contextlib.aclosing(pieces):
            async for piece in pieces:
                assert isinstance(piece, Delta)

    with pytest.raises(Retry):
        in_virtual_time(go())
    return spend.used


def test_a_stream_that_breaks_after_a_piece_counts_at_its_worst_case() -> None:
    assert lost(Scripted("broken", (1.0, Retry("cut"))), stream=True) == 1129


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_breaks_the_protocol_counts_and_a_fault_before_it_does_not(
    stream: bool,
) -> None:
    assert lost(Scripted("broken", Spoilt("not JSON")), stream=stream) == 1129
    assert lost(Scripted("down", Retry("HTTP 500")), stream=stream) == 0


@pytest.mark.parametrize("usage", [Usage(-5, 10), Usage(10, -1), Usage(10, 101), Usage(1030, 1)])
@pytest.mark.parametrize("stream", [False, True])
def test_a_usage_that_was_not_asked_for_is_no_answer_and_counts_at_its_worst_case(
    usage: Usage, stream: bool
) -> None:
    wrong = Scripted("wrong")
    wrong.usage = usage
    assert lost(wrong, stream=stream) == 1129
