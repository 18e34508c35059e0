"""The queue that never makes its producer wait."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.compute.lossy import LossyQueue

Puts = list[tuple[int, int]]  # producer and size


@given(st.lists(st.tuples(st.integers(0, 80), st.integers(0, 40)), max_size=120))
def test_it_is_never_over_its_bounds_and_counts_all_that_it_lost(puts: Puts) -> None:
    queue = LossyQueue[int](10, 100)
    dropped = 0
    for n, (producer, size) in enumerate(puts):
        dropped += queue.put(n, size, producer)
        assert len(queue) <= 10
    kept = [queue.pop() for _ in range(len(queue))]
    assert len(kept) + dropped == len(puts)
    assert sum(puts[n][1] for n in kept) <= 100
    with pytest.raises(IndexError):
        queue.pop()


@given(st.lists(st.integers(0, 40), max_size=60))
def test_of_one_producer_the_newest_stay_in_their_order(sizes: list[int]) -> None:
    queue = LossyQueue[int](10, 100)
    for n, size in enumerate(sizes):
        queue.put(n, size)
    kept = [queue.pop() for _ in range(len(queue))]
    assert kept == list(range(len(sizes)))[len(sizes) - len(kept) :]


@given(st.integers(1, 5), st.integers(0, 200))
def test_who_floods_loses_its_own(honest: int, flood: int) -> None:
    queue = LossyQueue[str](10, 10_000)
    for n in range(honest):
        queue.put(f"honest {n}", 1, "honest")
    for n in range(flood):
        queue.put(f"flood {n}", 1, "flooder")
    kept = [queue.pop() for _ in range(len(queue))]
    assert [each for each in kept if each.startswith("honest")] == [
        f"honest {n}" for n in range(honest)
    ]
    assert len(kept) == min(10, honest + flood)


def test_what_is_larger_than_the_queue_pushes_nothing_out() -> None:
    queue = LossyQueue[str](10, 100)
    queue.put("small", 1)
    assert queue.put("large", 101) == 1
    assert queue.pop() == "small"


async def test_all_who_wait_get_what_comes() -> None:
    queue = LossyQueue[int](10, 100)
    waiting = [asyncio.create_task(queue.get()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    for n in range(2):
        queue.put(n, 1)
    assert sorted(await asyncio.gather(*waiting[1:])) == [0, 1]
    assert len(queue) == 0
