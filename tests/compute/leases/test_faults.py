"""Whatever a network does and whenever a node dies: no leaked machine, no second one, no money too much."""

from __future__ import annotations

import random
from decimal import Decimal
from pathlib import Path

import pytest

from support.leases import Clock, Network, ident, lessor, stop
from vagus.compute.leases.ledger import Ledger
from vagus.compute.leases.spend import DAY, Cap

ROUNDS = 60
CAP = Cap(700_000, 6_000_000)


def _fault(dice: random.Random, rented: Network) -> None:
    """Let something happen to the network."""
    faults = rented.sandbox.faults
    after = dice.random() < 0.5
    match dice.randrange(6):
        case 0:
            faults.add(status=500, after_work=after, times=dice.randint(1, 3))
        case 1:
            faults.add(hang_up=True, after_work=after, times=dice.randint(1, 3))
        case 2:
            faults.add(status=429, headers={"Retry-After": "20"}, times=1)
        case 3:
            faults.add(method="POST", status=503, after_work=after, times=1)
        case 4:
            faults.add(method="DELETE|PUT", status=500, after_work=after, times=dice.randint(1, 5))
        case _:
            rented.sandbox.credit = Decimal(dice.choice(["0", "0.6", "50"]))


async def _check(rented: Network, ledger: Ledger, clock: Clock) -> None:
    """Hold the ledger against the network's own books."""
    live = {row.label: row for row in await ledger.live()}
    labels = rented.labels()
    assert set(labels) <= set(live), "a machine is rented that the ledger does not know"
    assert len(labels) == len(set(labels)), "two machines under one label"
    held = [label for label in labels if live[label].state != "releasing"]
    assert len(held) <= 1, "two machines at once"
    _, day = await ledger.spent("gpu", int(clock.now) + 1)
    assert (await rented.charged()) * 1_000_000 <= day + 2, "the network took more than is booked"
    assert day <= CAP.day


@pytest.mark.parametrize("seed", range(8))
async def test_no_schedule_of_faults_and_crashes_leaks_or_doubles_a_machine(
    rented: Network, clock: Clock, tmp_path: Path, seed: int
) -> None:
    dice = random.Random(seed)
    began = clock.now
    left = ROUNDS
    while left:
        # One life of the node; it ends as by kill -9, in the middle of whatever it was doing.
        async with lessor(
            rented, tmp_path, clock, cap=CAP, always=dice.random() < 0.5, idle=120, start=300
        ) as (
            each,
            ledger,
            _,
        ):
            for _ in range(min(left, dice.randint(1, 30))):
                left -= 1
                if dice.random() < 0.2:
                    each.need()
                if dice.random() < 0.3:
                    _fault(dice, rented)
                if rented.sandbox.alive and dice.random() < 0.05:
                    await rented.sandbox.lose(ident(rented.sandbox.alive[0]))
                clock.sleep(min(await each.step(), 600) + dice.random() * 5)
                await _check(rented, ledger, clock)
    assert clock.now - began < DAY  # so that what is booked within a day is all that was
    rented.sandbox.faults.clear()
    async with lessor(rented, tmp_path, clock, cap=CAP) as (each, ledger, _):
        assert await stop(each, clock, 600), "what was rented can't be ended"
        assert rented.labels() == []
        await _check(rented, ledger, clock)
