"""Whatever a network does: no machine too many, none that is forgotten, no money over the caps."""

# ruff: noqa: S101 - a test kit asserts

import random
from decimal import Decimal
from pathlib import Path

import pytest

from vagus.compute.leases.conformance.late import Late
from vagus.compute.leases.conformance.rental import Clock, Rental
from vagus.compute.leases.conformance.tools import books, caps, lessor, serve, steps, stop
from vagus.compute.leases.records import State
from vagus.compute.leases.spend import DAY, HOUR

__all__ = ["Failing"]

SEEDS = 8
ROUNDS = 60
CALLS = 60
WAYS: dict[str, dict[str, object]] = {
    "500": {"status": 500},
    "500 after its work": {"status": 500, "after_work": True},
    "cut off after its work": {"hang_up": True, "after_work": True},
}


class Failing:
    """The network fails, and the node goes on or is started again."""

    @pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
    async def test_each_call_of_a_lease_may_fail_once(
        self, rental: Rental, clock: Clock, tmp_path: Path, way: dict[str, object]
    ) -> None:
        """Each in a life of its own, from the first call to the last that a life makes."""
        faults, cap = rental.sandbox.faults, caps(rental)
        for skip in range(CALLS):
            folder = tmp_path / str(skip)
            folder.mkdir()
            taken = int(await rental.sandbox.charged() * 1_000_000)
            faults.clear()
            fault = faults.add(skip=skip, times=1, **way)
            async with lessor(rental, folder, clock, cap=cap) as (each, ledger, guest):
                await serve(each, ledger, guest, clock)
                await books(rental, ledger, clock, cap, taken)
                clock.sleep(HOUR - 660)
                await steps(each, clock, 240)
                await books(rental, ledger, clock, cap, taken)
                assert await stop(each, clock, 600), f"call {skip + 1} failed"
                assert rental.labels() == [], f"call {skip + 1} failed"
                await books(rental, ledger, clock, cap, taken)
            if faults.left(fault):
                assert skip > 3, "a life makes calls that no fault meets"
                return
        raise AssertionError(f"one life of a lease takes over {CALLS} calls")

    async def test_credit_that_runs_out_leaves_nothing_and_is_made_up_for(
        self, rental: Rental, clock: Clock, tmp_path: Path
    ) -> None:
        """Before a machine is rented, and while one serves."""
        sandbox, cap = rental.sandbox, caps(rental)
        sandbox.credit = rental.want.max_hourly / 100
        async with lessor(rental, tmp_path, clock, cap=cap) as (each, ledger, guest):
            await steps(each, clock, 240)
            assert guest.home is None
            assert each.why, "it is not said why"
            await books(rental, ledger, clock, cap)
            sandbox.credit = Decimal(100)
            first = await serve(each, ledger, guest, clock)
            sandbox.credit = Decimal(0)
            for _ in range(30):
                await steps(each, clock, 300)
                await books(rental, ledger, clock, cap)
            assert (rental.labels(), guest.home) == ([], None)
            assert (await ledger.row(first.number)).state in {State.RELEASED, State.LOST}
            sandbox.credit = Decimal(100)
            row = await serve(each, ledger, guest, clock)
            assert rental.labels() == [row.label]
            assert await stop(each, clock, 300)
            await books(rental, ledger, clock, cap)

    async def test_a_machine_that_serves_is_kept_while_its_networks_api_is_down(
        self, rental: Rental, clock: Clock, tmp_path: Path
    ) -> None:
        """What answers completions is well."""
        async with lessor(rental, tmp_path, clock, gone=60) as (each, ledger, guest):
            row = await serve(each, ledger, guest, clock)
            rental.sandbox.faults.disappear()
            for _ in range(5):
                each.doubt()
                await steps(each, clock, 60)
            assert await serve(each, ledger, guest, clock) == row

    async def test_a_rent_whose_answer_is_late_is_waited_for(
        self, rental: Rental, clock: Clock, tmp_path: Path
    ) -> None:
        """The node dies over a call that the network is still busy with, and nobody needs it any more."""
        late = Late(rental.make, clock, 20.0)
        async with lessor(late.rental(rental), tmp_path, clock) as (each, ledger, _):
            await each.step()
            await each.step()
            assert [row.state for row in await ledger.live()] == [State.ASKED]
        assert rental.labels() == []
        async with lessor(late.rental(rental), tmp_path, clock, always=False) as (each, ledger, _):
            for row in await ledger.live():
                await ledger.releasing(row.number, "nobody needs it")
            await steps(each, clock, 300)
            assert late.did, "the network did it after all"
            assert rental.labels() == []
            assert await ledger.live() == ()

    @pytest.mark.parametrize("seed", range(SEEDS))
    async def test_no_schedule_of_faults_and_crashes_leaks_or_doubles_a_machine(
        self, rental: Rental, clock: Clock, tmp_path: Path, seed: int
    ) -> None:
        """Several lives of a node, each of which ends in the middle of whatever it was doing."""
        dice = random.Random(seed)  # noqa: S311 - a schedule that can be had again
        began, left, cap = clock.now, ROUNDS, caps(rental, hour=1.5, day=10)
        charged: list[tuple[float, Decimal]] = []
        while left:
            known = rental.changed() if dice.random() < 0.2 else rental
            always = dice.random() < 0.5
            async with lessor(
                known, tmp_path, clock, cap=cap, always=always, idle=120, start=300
            ) as (each, ledger, _):
                for _ in range(min(left, dice.randint(1, 30))):
                    left -= 1
                    await _happen(dice, rental)
                    if dice.random() < 0.2:
                        each.need()
                    clock.sleep(min(await each.step(), 600) + dice.random() * 5)
                    await books(rental, ledger, clock, cap)
                    charged.append((clock.now, await rental.sandbox.charged() * 1_000_000))
        for now, taken in charged:
            before = min(had for at, had in charged if now - HOUR <= at <= now)
            assert taken - before <= cap.hour + 2, (
                "the network took more within an hour than the cap"
            )
        assert clock.now - began < DAY  # so that what is booked within a day is all that was
        rental.sandbox.faults.clear()
        async with lessor(rental, tmp_path, clock, cap=cap) as (each, ledger, _):
            assert await stop(each, clock, 600), "what was rented can't be ended"
            assert rental.labels() == []
            await books(rental, ledger, clock, cap)


async def _happen(dice: random.Random, rental: Rental) -> None:
    """Let something happen to the network, or nothing."""
    faults, after = rental.sandbox.faults, dice.random() < 0.5
    if dice.random() < 0.05 and (rented := list(rental.sandbox.rented())):
        await rental.sandbox.lose(rented[0])
    if dice.random() > 0.3:
        return
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
            rental.sandbox.credit = rental.want.max_hourly * dice.choice([0, 1, 100])
