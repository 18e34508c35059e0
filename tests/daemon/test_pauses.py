"""The pauses of what waits: cut short for one, and for nobody else."""

import asyncio

import pytest

from vagus.daemon.pauses import Pauses

A, B = b"\x0a" * 32, b"\x0b" * 32


async def test_a_pause_ends_by_itself() -> None:
    await Pauses().sleep(A, 0.001)


async def test_one_that_is_woken_goes_on_and_the_others_sleep() -> None:
    pauses = Pauses()
    first = asyncio.create_task(pauses.sleep(A, 3600))
    second = asyncio.create_task(pauses.sleep(B, 3600))
    await asyncio.sleep(0)
    assert (pauses.wake(A), pauses.wake(A)) == (True, False)
    await first
    assert not second.done()
    assert pauses.wake(B)
    await second


async def test_who_does_not_sleep_cannot_be_woken() -> None:
    pauses = Pauses()
    assert not pauses.wake(A)
    await pauses.sleep(A, 0)
    assert not pauses.wake(A)


async def test_a_pause_that_is_cancelled_leaves_nothing_behind() -> None:
    pauses = Pauses()
    task = asyncio.create_task(pauses.sleep(A, 3600))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not pauses.wake(A)
