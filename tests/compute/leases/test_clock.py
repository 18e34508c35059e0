"""Somebody sets the machine's clock while a node runs: leases and caps go by the time that has passed."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from support.leases import MODEL, Clock, Guest, Network, steps
from vagus.compute.leases import clock as clock_module
from vagus.compute.leases.clock import Steady
from vagus.compute.leases.ledger import Ledger
from vagus.compute.leases.lessor import Lessor, Plan
from vagus.compute.leases.records import State
from vagus.compute.leases.spend import Cap

HOUR = 3600.0


class Passing(Clock):
    """Time that passes on the wall's clock too; that one may also be set."""

    def __init__(self, wall: Clock) -> None:
        super().__init__(1000.0)
        self._wall = wall

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        self._wall.sleep(seconds)


@pytest.fixture
def passing(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Passing:
    found = Passing(clock)
    monkeypatch.setattr(clock_module, "_passed", found)
    return found


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
def test_what_has_passed_counts_and_not_what_was_set(
    jump: float, clock: Clock, passing: Passing
) -> None:
    began = clock.now
    steady = Steady()
    clock.now += jump
    passing.sleep(60)
    assert steady() == began + 60


def test_it_is_unix_time_and_goes_on() -> None:
    before, steady = time.time(), Steady()
    first, second = steady(), steady()
    assert before - 1 <= first <= second <= time.time() + 1


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
async def test_a_clock_that_is_set_by_an_hour_frees_no_cap_and_ends_no_lease(
    jump: float, akash: Network, clock: Clock, passing: Passing, tmp_path: Path
) -> None:
    async with Ledger(tmp_path) as ledger, akash.make() as provisioner:
        # Of an hour's cap the one lease leaves less than another would cost.
        plan = Plan("gpu", akash.want, Cap(600_000, 20_000_000), always=True)
        each = Lessor(provisioner, ledger, plan, Guest(MODEL))
        await steps(each, passing, 240)
        [row] = await ledger.live()
        assert row.state == State.SERVING
        clock.now += jump
        # The network's own clock is not the one that was set.
        akash.sandbox.ahead -= jump
        await steps(each, passing, 240)
        [same] = await ledger.recent()
        assert (same.label, same.state, same.until) == (row.label, State.SERVING, row.until)
        assert akash.labels() == [row.label]
