"""The ledger: a row before each effect, caps that hold, and a file that is refused where it is damaged."""

from __future__ import annotations

import sqlite3
import stat
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from support.leases import CONTAINER
from vagus.compute.leases.base import Quote, Want
from vagus.compute.leases.ledger import Ledger
from vagus.compute.leases.records import FILE, State
from vagus.compute.leases.spend import DAY, HOUR, Cap
from vagus.protocol import Refuse

NOW = 1_800_000_000
CAP = Cap(2_000_000, 10_000_000)
QUOTE = Quote(Want(CONTAINER, hours=1), "offer", "rtx4090", Decimal(1))


async def test_its_id_and_keys_outlive_it_and_its_file_is_the_nodes_alone(tmp_path: Path) -> None:
    async with Ledger(tmp_path) as ledger:
        first = (ledger.id, ledger.key("a"), ledger.key("b"))
    async with Ledger(tmp_path) as ledger:
        assert (ledger.id, ledger.key("a"), ledger.key("b")) == first
        assert ledger.prefix == f"vagus-{ledger.id}-"
    assert first[1] != first[2]
    assert len(bytes.fromhex(first[0])) == 8
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600


async def test_caps_count_what_is_only_intended(tmp_path: Path) -> None:
    async with Ledger(tmp_path) as ledger:
        for _ in range(2):
            await ledger.intend("gpu", "akash", QUOTE, CAP, NOW)
        with pytest.raises(Refuse, match="the cap is 2"):
            await ledger.intend("gpu", "akash", QUOTE, CAP, NOW)
        # Another backend has caps of its own.
        await ledger.intend("other", "akash", QUOTE, CAP, NOW)


async def test_what_nobody_was_asked_for_costs_nothing(tmp_path: Path) -> None:
    async with Ledger(tmp_path) as ledger:
        row = await ledger.intend("gpu", "akash", QUOTE, CAP, NOW)
        await ledger.releasing(row.number, "no need")
        await ledger.ended(row.number, NOW + 600)
        assert await ledger.bookings("gpu", NOW) == ()
        assert (await ledger.row(row.number)).state == State.RELEASED


async def test_a_release_gives_back_time_that_is_paid_as_it_passes_and_no_hours_paid_before(
    tmp_path: Path,
) -> None:
    async with Ledger(tmp_path) as ledger:
        for prepaid, cost in ((False, 500_000), (True, 1_000_000)):
            backend = f"gpu-{prepaid}"
            quote = replace(QUOTE, prepaid=prepaid)
            row = await ledger.intend(backend, "akash", quote, CAP, NOW)
            assert await ledger.asked(row.number, NOW)
            await ledger.leased(row.number, "7", None)
            await ledger.releasing(row.number, "no need")
            await ledger.ended(row.number, NOW + HOUR // 2)
            assert await ledger.spent(backend, NOW + 2 * HOUR) == (0, cost)
            assert (await ledger.spent(backend, NOW + HOUR // 2))[1] == cost


async def test_a_lease_that_is_not_known_to_have_ended_goes_on_costing(tmp_path: Path) -> None:
    async with Ledger(tmp_path) as ledger:
        row = await ledger.intend("gpu", "akash", QUOTE, CAP, NOW)
        await ledger.asked(row.number, NOW)
        await ledger.releasing(row.number, "no need")
        assert (await ledger.spent("gpu", NOW + 5 * HOUR))[1] == 5_000_000
        # And so it keeps a further one from being rented.
        tight = Cap(1_500_000, 5_500_000)
        with pytest.raises(Refuse, match="within a"):
            await ledger.intend("gpu", "akash", QUOTE, tight, NOW + 5 * HOUR)


async def test_a_network_that_takes_less_than_quoted_is_booked_by_its_own_price(
    tmp_path: Path,
) -> None:
    async with Ledger(tmp_path) as ledger:
        row = await ledger.intend("gpu", "akash", QUOTE, CAP, NOW)
        await ledger.asked(row.number, NOW)
        await ledger.leased(row.number, "7", 400_000)
        assert (await ledger.spent("gpu", NOW + HOUR))[1] == 400_000


async def test_nothing_is_asked_for_that_shall_end(tmp_path: Path) -> None:
    async with Ledger(tmp_path) as ledger:
        row = await ledger.intend("gpu", "akash", QUOTE, CAP, NOW)
        await ledger.releasing(row.number, "by hand")
        assert not await ledger.asked(row.number, NOW)
        assert (await ledger.row(row.number)).asked == 0


async def test_an_orphan_is_taken_up_and_booked(tmp_path: Path) -> None:
    async with Ledger(tmp_path) as ledger:
        gone = await ledger.intend("gpu", "akash", QUOTE, CAP, NOW)
        await ledger.asked(gone.number, NOW)
        await ledger.releasing(gone.number, "no need")
        await ledger.ended(gone.number, NOW + 60)
        later = NOW + HOUR
        # Thought to be over, and not: it has cost all along.
        assert await ledger.stray(gone.label, "7", "gpu", "akash", 1, later)
        assert (await ledger.spent("gpu", later + 1))[1] == pytest.approx(1_000_000, abs=1000)
        # Of a ledger that was restored from an older copy.
        unknown = f"{ledger.prefix}99"
        assert await ledger.stray(unknown, "8", "gpu", "akash", 1_000_000, later)
        states = {row.label: row.state for row in await ledger.live()}
        assert states == {gone.label: State.RELEASING, unknown: State.RELEASING}
        # Live, or none of ours.
        assert not await ledger.stray(gone.label, "7", "gpu", "akash", 1, later)
        for odd in ("x", "0", "-1", "1e3", "9" * 40, ""):
            assert not await ledger.stray(ledger.prefix + odd, "9", "gpu", "akash", 1, later)


async def test_a_number_far_beyond_the_last_one_ends_no_numbers(tmp_path: Path) -> None:
    async with Ledger(tmp_path) as ledger:
        for odd in ("999999999999999", "20000"):
            assert not await ledger.stray(ledger.prefix + odd, "9", "gpu", "akash", 1, NOW)
        assert (await ledger.intend("gpu", "akash", QUOTE, CAP, NOW)).number == 1
        assert await ledger.stray(f"{ledger.prefix}10000", "9", "gpu", "akash", 1, NOW)


async def test_a_number_that_is_none_to_a_file_is_refused(tmp_path: Path) -> None:
    async with Ledger(tmp_path) as ledger:
        row = await ledger.intend("gpu", "akash", QUOTE, CAP, NOW)
        await ledger.asked(row.number, NOW)
        with pytest.raises(Refuse, match="63 bits"):
            await ledger.leased(row.number, "7", 1 << 63)
        assert (await ledger.row(row.number)).state == State.ASKED


async def test_a_day_of_hours_that_were_begun_counts_whole_once_they_are_paid_before(
    tmp_path: Path,
) -> None:
    async with Ledger(tmp_path) as ledger:
        quote = replace(QUOTE, prepaid=True)
        row = await ledger.intend("gpu", "render", quote, CAP, NOW)
        await ledger.asked(row.number, NOW)
        await ledger.leased(row.number, "7", None)
        # Nobody could end it: the second hour and the third are begun.
        assert (await ledger.spent("gpu", NOW + 2 * HOUR + 60))[1] == 3_000_000
        assert (await ledger.spent("gpu", NOW + DAY + 2 * HOUR))[1] <= 25_000_000


async def test_two_may_have_it_open(tmp_path: Path) -> None:
    async with (
        Ledger(tmp_path) as one,
        Ledger(tmp_path) as two,
        Ledger(tmp_path, reading=True) as read,
    ):
        row = await one.intend("gpu", "akash", QUOTE, CAP, NOW)
        assert await two.live() == await read.live() == (row,)
        await two.releasing(row.number, "by hand")
        assert (await one.row(row.number)).state == State.RELEASING


async def test_a_ledger_that_is_damaged_or_of_another_version_is_refused(tmp_path: Path) -> None:
    async with Ledger(tmp_path):
        pass
    path = tmp_path / FILE
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version=9")
    db.close()
    with pytest.raises(Refuse, match="version 9"):
        async with Ledger(tmp_path):
            pass
    path.write_bytes(b"no database at all, and much too long for an empty one" * 100)
    with pytest.raises(Refuse, match="can't be relied on"):
        async with Ledger(tmp_path):
            pass


async def test_a_shape_is_of_all_but_hours_and_price_and_says_nothing_of_an_environment(
    tmp_path: Path,
) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    want = Want(CONTAINER, gpus=("a", "b"), hours=1)
    async with Ledger(one) as ledger, Ledger(other) as beside:
        shape = ledger.shape(want)
        same = replace(want, gpus=("b", "a"), hours=2, max_hourly=Decimal(3))
        assert ledger.shape(same) == shape
        env = {"HF_TOKEN": "hf_0123", "A": "1"}
        shapes = {
            ledger.shape(replace(want, **change))  # type: ignore[arg-type]
            for change in (
                {"gpus": ("a",)},
                {"count": 2},
                {"regions": ("eu",)},
                {"container": replace(CONTAINER, env=env)},
                {"container": replace(CONTAINER, args=("--model", "another"))},
                {"container": replace(CONTAINER, key_env="LLAMA_API_KEY")},
            )
        }
        assert len(shapes) == 6
        assert shape not in shapes
        turned = replace(CONTAINER, env=dict(reversed(env.items())))
        assert ledger.shape(replace(want, container=turned)) in shapes
        assert beside.shape(want) != shape
        assert "hf_0123" not in "".join(shapes)


async def test_a_ledger_of_the_version_before_keeps_its_machines(tmp_path: Path) -> None:
    async with Ledger(tmp_path) as ledger:
        row = await ledger.intend("gpu", "akash", QUOTE, CAP, NOW)
        await ledger.asked(row.number, NOW)
        known = (ledger.id, ledger.key("a"))
    path = tmp_path / FILE
    with sqlite3.connect(path) as db:
        # Version 1 lacked this one column.
        db.execute("ALTER TABLE lease DROP COLUMN shape")
        db.execute("PRAGMA user_version=1")
    db.close()
    with pytest.raises(Refuse, match="a start of the node"):
        async with Ledger(tmp_path, reading=True):
            pass
    async with Ledger(tmp_path) as ledger:
        [found] = await ledger.live()
        assert (found.label, found.state, found.shape) == (row.label, State.ASKED, "")
        assert (ledger.id, ledger.key("a")) == known
        assert (await ledger.spent("gpu", NOW + HOUR))[1] == 1_000_000
    async with Ledger(tmp_path, reading=True) as ledger:
        assert len(await ledger.live()) == 1


async def test_a_deposit_that_a_dead_node_could_not_stop_must_fit_the_caps(tmp_path: Path) -> None:
    """By hand: 0.50 at 0.10 an hour lasts five hours, of which one hour alone is booked."""
    cheap = replace(QUOTE, hourly=Decimal("0.1"), held=Decimal("0.5"))
    async with Ledger(tmp_path) as ledger:
        with pytest.raises(Refuse, match=r"0\.5 USD within a day, and the cap is 0\.49"):
            await ledger.intend("gpu", "akash", cheap, Cap(100_000, 490_000), NOW)
        with pytest.raises(Refuse, match=r"0\.1 USD within a hour, and the cap is 0\.09"):
            await ledger.intend("gpu", "akash", cheap, Cap(90_000, 500_000), NOW)
        row = await ledger.intend("gpu", "akash", cheap, Cap(100_000, 500_000), NOW)
        assert row.until == NOW + HOUR
        assert await ledger.spent("gpu", NOW + DAY) == (0, 100_000), (
            "what is booked is what is wanted"
        )
        # Of a slow machine, a day takes no more than a day of it costs.
        slow = replace(cheap, hourly=Decimal("0.01"))
        await ledger.intend("slow", "akash", slow, Cap(10_000, 240_000), NOW)
