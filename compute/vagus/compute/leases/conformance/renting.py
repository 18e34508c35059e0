"""A machine is rented while it is needed, renewed while it may be, and ended when it is not."""

# ruff: noqa: S101 - a test kit asserts

from pathlib import Path

from vagus.compute.leases.conformance.rental import Clock, Rental
from vagus.compute.leases.conformance.tools import BACKEND, caps, lessor, serve, steps, stop
from vagus.compute.leases.ledger import Ledger
from vagus.compute.leases.records import FILE, State
from vagus.compute.leases.spend import DAY, HOUR

__all__ = ["Renting"]

LOOKS = 200


class Renting:
    """Whole lives of a lease, where nothing fails but what the sandbox does by itself."""

    async def test_a_machine_is_rented_serves_and_is_released(
        self, rental: Rental, clock: Clock, tmp_path: Path
    ) -> None:
        """Once a completion has come, and not before."""
        async with lessor(rental, tmp_path, clock) as (each, ledger, guest):
            row = await serve(each, ledger, guest, clock)
            assert rental.labels() == [row.label]
            assert each.why == ""
            assert await stop(each, clock, 120)
            assert (rental.labels(), guest.home) == ([], None)
            assert [row.state for row in await ledger.recent()] == [State.RELEASED]

    async def test_nothing_is_rented_before_somebody_asks_and_it_ends_when_nobody_does(
        self, rental: Rental, clock: Clock, tmp_path: Path
    ) -> None:
        """Hours that are paid come back to nobody: such a machine serves to their end."""
        async with lessor(rental, tmp_path, clock, always=False, idle=600) as (each, ledger, guest):
            await steps(each, clock, 2 * HOUR)
            assert rental.labels() == []
            each.need()
            row = await serve(each, ledger, guest, clock)
            await steps(each, clock, 1200)
            if row.prepaid:
                assert guest.home is not None
                await steps(each, clock, HOUR)
            assert rental.labels() == []
            [row] = await ledger.recent()
            over = "the time that is paid is over" if row.prepaid else "nobody needs it"
            assert row.reason == over

    async def test_a_lease_is_renewed_and_the_network_takes_what_is_booked(
        self, rental: Rental, clock: Clock, tmp_path: Path
    ) -> None:
        """One lease all the time."""
        async with lessor(rental, tmp_path, clock) as (each, ledger, _):
            await steps(each, clock, 4.5 * HOUR)
            [row] = await ledger.live()
            assert row.state == State.SERVING
            assert rental.labels() == [row.label]
            assert await stop(each, clock, 120)
            _, day = await ledger.spent(BACKEND, int(clock.now))
            took = await rental.sandbox.charged() * 1_000_000
            assert took <= day <= took * 2

    async def test_a_cap_ends_what_it_does_not_let_be_renewed(
        self, rental: Rental, clock: Clock, tmp_path: Path
    ) -> None:
        """And the network has never taken more than the caps, by its own books."""
        cap = caps(rental, hour=2.5, day=3.5)
        async with lessor(rental, tmp_path, clock, cap=cap) as (each, _, _guest):
            taken = []
            for _ in range(360):
                await steps(each, clock, 300)
                taken.append((clock.now, await rental.sandbox.charged()))
            for span, most in ((HOUR, cap.hour), (DAY, cap.day)):
                for now, total in taken:
                    inside = [was for when, was in taken if now - span <= when <= now]
                    assert (total - inside[0]) * 1_000_000 <= most
            _, last = taken[-1]
            assert last * 1_000_000 > cap.day / 2, "it was of use for as long as it might be"
            assert "cap is" in each.why or rental.labels()

    async def test_a_machine_that_disappears_is_replaced(
        self, rental: Rental, clock: Clock, tmp_path: Path
    ) -> None:
        """By another one; what is gone is not called released."""
        async with lessor(rental, tmp_path, clock, gone=60) as (each, ledger, guest):
            await serve(each, ledger, guest, clock)
            home = guest.home
            [ident] = rental.sandbox.rented()
            await rental.sandbox.lose(ident)
            each.doubt()
            await steps(each, clock, 90)
            row = await serve(each, ledger, guest, clock)
            assert guest.home != home
            lost = await ledger.row(row.number - 1)
            assert lost.state == State.LOST
            assert rental.labels() == [row.label]

    async def test_a_machine_of_another_shape_than_the_configs_is_ended_and_another_rented(
        self, rental: Rental, clock: Clock, tmp_path: Path
    ) -> None:
        """After a change of the image, of its environment, of what it runs on: never two at once."""
        async with lessor(rental, tmp_path, clock) as (each, ledger, guest):
            old = await serve(each, ledger, guest, clock)
        async with lessor(rental.changed(), tmp_path, clock) as (each, ledger, guest):
            for _ in range(LOOKS):
                assert rental.labels() in ([old.label], [])
                if (await ledger.row(old.number)).state == State.RELEASED:
                    break
                clock.sleep(min(await each.step(), 5.0))
            new = await serve(each, ledger, guest, clock)
            assert new.number > old.number
            assert rental.labels() == [new.label]
            assert "another machine" in (await ledger.row(old.number)).reason

    async def test_an_orphan_is_found_and_ended(
        self, rental: Rental, clock: Clock, tmp_path: Path
    ) -> None:
        """A data folder restored from an older copy knows nothing of what was rented since."""
        async with Ledger(tmp_path):
            pass
        copy = (tmp_path / FILE).read_bytes()
        async with lessor(rental, tmp_path, clock) as (each, ledger, guest):
            await serve(each, ledger, guest, clock)
        (tmp_path / FILE).write_bytes(copy)
        clock.sleep(300)
        async with lessor(rental, tmp_path, clock, always=False) as (each, ledger, _):
            await steps(each, clock, 240)
            assert rental.labels() == []
            [row] = await ledger.recent()
            assert row.reason == "found on the network, where it should not be"

    async def test_another_nodes_machines_are_left_alone(
        self, rental: Rental, clock: Clock, tmp_path: Path
    ) -> None:
        """Of one account, by a ledger of its own."""
        one, other = tmp_path / "one", tmp_path / "other"
        one.mkdir()
        other.mkdir()
        async with lessor(rental, one, clock) as (each, ledger, guest):
            row = await serve(each, ledger, guest, clock)
            async with lessor(rental, other, clock, always=False) as (beside, _, _):
                await steps(beside, clock, 1300)
                assert await stop(beside, clock, 60)
            assert rental.labels() == [row.label]
