"""What holds whatever backends do: money, tries, time, and nothing left behind."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from support.fleet import Scripted, Turn, request
from support.virtual_time import in_virtual_time
from vagus.compute import Barred
from vagus.compute.routing import Router, Served, Spend
from vagus.protocol import Refuse, Retry

WORST = 1129

SECONDS = st.sampled_from([0.0, 0.2, 1.0, 1.0, 1.0, 1.1, 4.0, 25.0, 1e6])
ERRORS = st.sampled_from(
    [Retry("down"), Retry("HTTP 429", 7.0), Refuse("HTTP 400"), Barred("HTTP 402"), KeyError("x")]
)
TURNS: st.SearchStrategy[Turn] = st.one_of(
    SECONDS, SECONDS, SECONDS, ERRORS, st.tuples(SECONDS, ERRORS)
)


@st.composite
def fleets(draw: st.DrawFn) -> list[Scripted]:
    return [
        Scripted(
            f"b{n}",
            draw(st.lists(TURNS, min_size=1, max_size=12)),
            price=draw(st.integers(0, 4)),
            slots=draw(st.sampled_from([1, 2, 64])),
        )
        for n in range(draw(st.integers(1, 5)))
    ]


@settings(max_examples=150, deadline=None)
@given(
    fleet=fleets(),
    allowed=st.integers(1, 5),
    limit=st.integers(0, 12 * WORST) | st.none(),
    seconds=st.sampled_from([0.5, 3.0, 30.0]),
    waves=st.lists(st.integers(1, 4), min_size=1, max_size=8),
    leaves=st.sampled_from([None, None, 0.7, 2.0]),
)
def test_calls_keep_their_bounds(
    fleet: list[Scripted],
    allowed: int,
    limit: int | None,
    seconds: float,
    waves: list[int],
    leaves: float | None,
) -> None:
    router, spend = Router(), Spend(limit)
    chosen, others = fleet[:allowed], fleet[allowed:]
    served: list[Served] = []

    async def call() -> None:
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(leaves):
                found = await router.complete(request(), chosen, timeout=seconds, spend=spend)
        except (Retry, Refuse, TimeoutError):
            pass
        else:
            served.append(found)
            assert len(found.tried) <= router.tuning.tries
            # Nobody is asked again that did not fail for now.
            last = {each.backend: at for at, each in enumerate(found.tried)}
            again = [each for at, each in enumerate(found.tried) if at < last[each.backend]]
            assert {each.end for each in again} <= {"failed"}
            assert {each.backend for each in found.tried} <= {each.name for each in chosen}
        assert asyncio.get_running_loop().time() <= began + seconds + 1e-6

    async def go() -> None:
        for calls in waves:
            async with asyncio.TaskGroup() as group:
                for _ in range(calls):
                    group.create_task(call())
            now = asyncio.get_running_loop().time()
            assert all(start <= now for each in fleet for start in each.began)
            assert all(each.running == 0 for each in fleet)

    in_virtual_time(go())
    assert not any(each.began for each in others)
    assert limit is None or spend.used <= limit
    assert spend.used >= sum(each.cost + each.lost for each in served)
    assert sum(len(each.began) for each in fleet) <= router.tuning.tries * sum(waves)
    assert router.tallies.hedges <= router.tuning.hedges * sum(waves)
    assert all(series.in_flight == 0 for series in router.measurements)
