"""A machine is rented while it is needed, renewed while it may be, and ended when it is not."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from support.leases import CAP, Clock, Guest, Late, Network, ident, lessor, network, steps, stop
from vagus.compute.leases.ledger import Ledger
from vagus.compute.leases.lessor import Lessor, Plan
from vagus.compute.leases.records import State
from vagus.compute.leases.spend import Cap

HOUR = 3600
CENTS = 10_000


async def test_a_machine_is_rented_serves_and_is_released(
    rented: Network, clock: Clock, tmp_path: Path
) -> None:
    async with lessor(rented, tmp_path, clock) as (each, ledger, guest):
        await steps(each, clock, 240)
        [row] = await ledger.live()
        assert (row.state, each.why) == (State.SERVING, "")
        assert guest.home is not None
        assert rented.labels() == [row.label]
        assert await stop(each, clock, 120)
        assert rented.labels() == []
        assert guest.home is None
        assert [row.state for row in await ledger.recent()] == [State.RELEASED]


async def test_nothing_is_rented_before_somebody_asks_and_it_ends_when_nobody_does(
    rented: Network, clock: Clock, tmp_path: Path
) -> None:
    async with lessor(rented, tmp_path, clock, always=False, idle=600) as (each, ledger, guest):
        await steps(each, clock, 2 * HOUR)
        assert rented.labels() == []
        each.need()
        await steps(each, clock, 240)
        assert guest.home is not None
        await steps(each, clock, 1200)
        [row] = await ledger.recent()
        if not row.prepaid:
            assert rented.labels() == []
            assert row.reason == "nobody needs it"
            return
        # Hours that are paid come back to nobody: it serves to their end, and is not renewed.
        assert guest.home is not None
        await steps(each, clock, HOUR)
        assert rented.labels() == []
        assert [row.reason for row in await ledger.recent()] == ["the time that is paid is over"]


async def test_a_machine_that_serves_is_kept_while_its_networks_api_is_down(
    rented: Network, clock: Clock, tmp_path: Path
) -> None:
    async with lessor(rented, tmp_path, clock, gone=60) as (each, ledger, guest):
        await steps(each, clock, 240)
        rented.sandbox.faults.disappear()
        for _ in range(5):
            each.doubt()
            await steps(each, clock, 60)
        [row] = await ledger.live()
        assert (row.state, guest.home is not None) == (State.SERVING, True)


async def test_a_lease_is_renewed_and_the_network_takes_what_is_booked(
    rented: Network, clock: Clock, tmp_path: Path
) -> None:
    async with lessor(rented, tmp_path, clock) as (each, ledger, _):
        await steps(each, clock, 4.5 * HOUR)
        [row] = await ledger.live()
        assert row.state == State.SERVING
        assert rented.labels() == [row.label], "one lease all the time"
        assert await stop(each, clock, 120)
        _, day = await ledger.spent("gpu", int(clock.now))
        took = (await rented.charged()) * 1_000_000
        assert took <= day <= took * 2


async def test_a_cap_ends_what_it_does_not_let_be_renewed(
    rented: Network, clock: Clock, tmp_path: Path
) -> None:
    """And the network has never taken more than the caps, by its own books."""
    cap = Cap(hour=160 * CENTS, day=200 * CENTS)
    async with lessor(rented, tmp_path, clock, cap=cap) as (each, _, _guest):
        taken = []
        for _ in range(360):
            await steps(each, clock, 300)
            taken.append((clock.now, (await rented.charged())))
        for span, most in ((HOUR, cap.hour), (24 * HOUR, cap.day)):
            for now, total in taken:
                inside = [was for when, was in taken if now - span <= when <= now]
                assert (total - inside[0]) * 1_000_000 <= most
        assert (await rented.charged()) > Decimal(1), "it was of use for as long as it might be"
        assert "cap is" in each.why or rented.labels()


async def test_a_machine_that_disappears_is_replaced(
    rented: Network, clock: Clock, tmp_path: Path
) -> None:
    async with lessor(rented, tmp_path, clock, gone=60) as (each, ledger, guest):
        await steps(each, clock, 240)
        home = guest.home
        await rented.sandbox.lose(ident(rented.sandbox.alive[0]))
        each.doubt()
        await steps(each, clock, 400)
        assert guest.home is not None
        assert guest.home != home
        lost, current = sorted(await ledger.recent(), key=lambda row: row.number)
        assert (lost.state, current.state) == (State.LOST, State.SERVING)
        assert rented.labels() == [current.label]


async def test_what_the_network_ended_itself_is_noticed(
    akash: Network, clock: Clock, tmp_path: Path
) -> None:
    async with lessor(akash, tmp_path, clock) as (each, ledger, _):
        await steps(each, clock, 240)
        [made] = akash.sandbox.alive
        akash.sandbox._end(made, "lease_closed_reason_provider")
        await steps(each, clock, 1300)
        lost, current = sorted(await ledger.recent(), key=lambda row: row.number)
        assert (lost.state, lost.reason) == (State.LOST, "the network has ended it")
        assert akash.labels() == [current.label]


async def test_an_orphan_is_found_and_ended(rented: Network, clock: Clock, tmp_path: Path) -> None:
    """A data folder restored from an older copy knows nothing of what was rented since."""
    old = tmp_path / "old"
    old.mkdir()
    async with Ledger(old):
        pass
    copy = (old / "leases.sqlite").read_bytes()
    async with lessor(rented, old, clock) as (each, _, _):
        await steps(each, clock, 240)
        assert len(rented.labels()) == 1
    (old / "leases.sqlite").write_bytes(copy)
    clock.sleep(300)
    async with lessor(rented, old, clock, always=False) as (each, ledger, _):
        await steps(each, clock, 240)
        assert rented.labels() == []
        [row] = await ledger.recent()
        assert row.reason == "found on the network, where it should not be"


async def test_another_nodes_machines_are_left_alone(
    rented: Network, clock: Clock, tmp_path: Path
) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    async with lessor(rented, one, clock) as (each, _, _):
        await steps(each, clock, 240)
        async with lessor(rented, other, clock, always=False) as (beside, _, _):
            await steps(beside, clock, 1300)
            assert await stop(beside, clock, 60)
        assert len(rented.labels()) == 1


async def test_a_rent_whose_answer_is_late_is_waited_for(
    rented: Network, clock: Clock, tmp_path: Path
) -> None:
    """The node dies over a call that the network is still busy with, and nobody needs it any more."""
    late = Late(rented.make, clock, 20.0)
    slow = replace(rented, make=lambda: late)
    async with lessor(slow, tmp_path, clock) as (each, ledger, _):
        await each.step()
        await each.step()
        assert [row.state for row in await ledger.live()] == [State.ASKED]
    assert rented.labels() == []
    async with lessor(slow, tmp_path, clock, always=False) as (each, ledger, _):
        for row in await ledger.live():
            await ledger.releasing(row.number, "nobody needs it")
        await steps(each, clock, 300)
        assert late.did, "the network did it after all"
        assert rented.labels() == []
        assert await ledger.live() == ()


async def test_no_credit_is_said_and_nothing_is_left(
    akash: Network, clock: Clock, tmp_path: Path
) -> None:
    akash.sandbox.credit = Decimal("0.45")
    async with lessor(akash, tmp_path, clock) as (each, ledger, _):
        await steps(each, clock, 240)
        assert "Not enough balance" in each.why
        assert akash.labels() == []
        akash.sandbox.credit = Decimal(10)
        await steps(each, clock, 600)
        assert len(akash.labels()) == 1
        assert [row.state for row in await ledger.live()] == [State.SERVING]


async def test_a_price_over_the_quote_is_not_paid(
    akash: Network, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Ledger(tmp_path) as ledger, akash.make() as provisioner:
        rent = provisioner.lease

        async def dearer(*args: object) -> object:
            return replace(await rent(*args), hourly=Decimal(5))

        monkeypatch.setattr(provisioner, "lease", dearer)
        plan = Plan("gpu", akash.want, Cap(2_000_000, 20_000_000), always=True)
        each = Lessor(provisioner, ledger, plan, Guest(), clock)
        await steps(each, clock, 60)
        assert akash.labels() == []
        assert "not as quoted" in (await ledger.recent())[-1].reason


async def test_a_server_that_never_answers_is_given_up(
    akash: Network, clock: Clock, tmp_path: Path
) -> None:
    """An address and a running container are no proof: a completion is."""
    container = replace(akash.want.container, key_env="ANOTHER_API_KEY", env={"A_API_KEY": "other"})
    shut = replace(akash, want=replace(akash.want, container=container))
    async with lessor(shut, tmp_path, clock, start=300) as (each, ledger, guest):
        await steps(each, clock, 240)
        assert guest.home is None
        assert [row.state for row in await ledger.live()] == [State.LEASED]
        await steps(each, clock, 240)
        first = await ledger.row(1)
        assert first.state == State.LOST
        assert "does not serve" in first.reason


async def test_hours_that_were_booked_are_bought_whatever_the_config_says_by_now(
    clock: Clock, tmp_path: Path
) -> None:
    async with network("ionet", tmp_path) as ionet:
        async with lessor(ionet, tmp_path, clock) as (each, ledger, _):
            await each.step()
            [row] = await ledger.live()
            assert await ledger.asked(row.number, int(clock.now))
        changed = replace(ionet, want=replace(ionet.want, hours=24))
        async with lessor(changed, tmp_path, clock) as (each, ledger, _):
            await steps(each, clock, 240)
            assert (await ledger.row(row.number)).state == State.SERVING
        assert [each.hours for each in ionet.sandbox.deployments.values()] == [1]


@pytest.mark.parametrize("change", [{"hours": 2}, {"max_hourly": Decimal("0.10")}])
async def test_what_nobody_was_asked_for_is_given_up_where_the_config_has_changed(
    clock: Clock, tmp_path: Path, change: dict[str, object]
) -> None:
    async with network("ionet", tmp_path) as ionet:
        async with lessor(ionet, tmp_path, clock) as (each, ledger, _):
            await each.step()
            [row] = await ledger.live()
            assert row.state == State.INTENDED
        want = replace(ionet.want, **change)  # type: ignore[arg-type]
        async with lessor(replace(ionet, want=want), tmp_path, clock) as (each, ledger, _):
            await steps(each, clock, 240)
            assert (await ledger.row(row.number)).state == State.RELEASED
            assert row.label not in ionet.labels()
            assert [each.hours for each in ionet.sandbox.deployments.values()] == (
                [2] if "hours" in change else []
            )


async def test_a_defect_is_said_by_its_type_and_ends_no_lessor(
    akash: Network, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Ledger(tmp_path) as ledger, akash.make() as provisioner:

        async def broken(prefix: str) -> object:
            raise OverflowError("a key")

        with monkeypatch.context() as patched:
            patched.setattr(provisioner, "owned", broken)
            each = Lessor(provisioner, ledger, Plan("gpu", akash.want, CAP), Guest(), clock)
            assert await each.step() == 1.0
            assert each.why == "a defect of this node: OverflowError"
            # For as long as it takes: the pauses grow no further than to a minute.
            for _ in range(1100):
                clock.sleep(61)
                assert await each.step() <= 60.0
        clock.sleep(61)
        assert await each.step() > 0
        each.need()
        await steps(each, clock, 60)
        assert len(akash.labels()) == 1
