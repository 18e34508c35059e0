"""What a lessor does beyond what the kit tries on every network."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from support.leases import MODEL, Clock, Guest, Network, lessor, network, serve, steps
from vagus.compute.leases.ledger import Ledger
from vagus.compute.leases.lessor import Lessor, Plan
from vagus.compute.leases.records import State
from vagus.compute.leases.spend import Cap


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
        each = Lessor(provisioner, ledger, plan, Guest(MODEL), clock)
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
            each = Lessor(
                provisioner,
                ledger,
                Plan("gpu", akash.want, Cap(2_000_000, 20_000_000)),
                Guest(MODEL),
                clock,
            )
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


def _with(akash: Network, **change: object) -> Network:
    """The same account, with another machine wanted."""
    if any(hasattr(akash.want.container, name) for name in change):
        change = {"container": replace(akash.want.container, **change)}  # type: ignore[arg-type]
    return replace(akash, want=replace(akash.want, **change))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        {"image": "vllm/vllm-openai:v0.12.0"},
        {"args": ("--model", MODEL, "--max-model-len", "16384")},
        {"env": {"HF_TOKEN": "hf_0123"}},
        {"port": 8080},
        {"gpus": ("h100",), "max_hourly": Decimal("1.90")},
        {"count": 2, "max_hourly": Decimal("1.90")},
        {"regions": ("eu-west",)},
        {"vram": 24},
        {"memory": 32},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_a_machine_of_another_shape_is_ended_before_one_of_this_is_rented(
    akash: Network, clock: Clock, tmp_path: Path, change: dict[str, object]
) -> None:
    async with lessor(akash, tmp_path, clock) as (each, ledger, guest):
        await serve(each, ledger, guest, clock)
    [old] = akash.sandbox.alive
    async with lessor(_with(akash, **change), tmp_path, clock) as (each, ledger, guest):
        row = await serve(each, ledger, guest, clock)
        assert row.number == 2
        [made] = akash.sandbox.alive
        assert made.dseq != old.dseq
        assert "another machine" in (await ledger.row(1)).reason
        # And that one stays.
        await steps(each, clock, 1300)
        assert [row.number for row in await ledger.live()] == [2]


@pytest.mark.parametrize("change", [{"hours": 2}, {"max_hourly": Decimal("0.50")}])
async def test_a_machine_that_serves_is_kept_where_hours_or_a_price_above_it_change(
    akash: Network, clock: Clock, tmp_path: Path, change: dict[str, object]
) -> None:
    async with lessor(akash, tmp_path, clock) as (each, ledger, guest):
        row = await serve(each, ledger, guest, clock)
    async with lessor(_with(akash, **change), tmp_path, clock) as (each, ledger, guest):
        assert (await serve(each, ledger, guest, clock)).number == row.number


@pytest.mark.parametrize("state", [State.INTENDED, State.ASKED, State.LEASED])
async def test_a_lease_under_way_to_another_shape_is_given_up(
    akash: Network, clock: Clock, tmp_path: Path, state: State
) -> None:
    akash.sandbox.starts_after = 1000
    async with lessor(akash, tmp_path, clock) as (each, ledger, _):
        await each.step()
        while (row := (await ledger.live())[0]).state != state:
            clock.sleep(0.1 if state == State.ASKED else min(await each.step(), 5))
            if state == State.ASKED:
                assert await ledger.asked(row.number, int(clock.now))
    akash.sandbox.starts_after = 1
    changed = _with(akash, image="vllm/vllm-openai:v0.12.0")
    async with lessor(changed, tmp_path, clock) as (each, ledger, guest):
        row = await serve(each, ledger, guest, clock)
        assert (row.number, row.shape) == (2, ledger.shape(changed.want))
        assert akash.labels() == [row.label]


async def test_a_change_of_the_shape_passes_no_cap(clock: Clock, tmp_path: Path) -> None:
    """Hours that are paid ahead are not paid back: with room for one of them the next machine waits."""
    async with network("ionet", tmp_path) as ionet:
        tight = Cap(hour=400_000, day=5_000_000)
        async with lessor(ionet, tmp_path, clock, cap=tight) as (each, ledger, guest):
            await serve(each, ledger, guest, clock)
            paid = ionet.sandbox.spent
        changed = _with(ionet, image="vllm/vllm-openai:v0.12.0")
        async with lessor(changed, tmp_path, clock, cap=tight) as (each, ledger, guest):
            await steps(each, clock, 1800)
            assert (ionet.labels(), ionet.sandbox.spent) == ([], paid)
            assert "cap is" in each.why
            await serve(each, ledger, guest, clock)
            assert ionet.sandbox.spent == 2 * paid


async def test_a_lease_that_costs_more_than_the_config_allows_by_now_is_not_renewed(
    akash: Network, clock: Clock, tmp_path: Path
) -> None:
    async with lessor(akash, tmp_path, clock) as (each, ledger, guest):
        row = await serve(each, ledger, guest, clock)
    dear = _with(akash, max_hourly=Decimal("0.30"))
    async with lessor(dear, tmp_path, clock) as (each, ledger, guest):
        await steps(each, clock, 2 * 3600)
        assert akash.labels() == []
        assert (await ledger.row(row.number)).until <= row.until
