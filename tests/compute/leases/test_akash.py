"""Akash's provisioner: what it asks for, what it takes, and what it never does."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from support.leases import Clock, Network, lessor, serve, steps
from vagus.compute.backends.akash import AkashBackend, AkashConfig
from vagus.compute.leases.akash import AkashProvisioner
from vagus.compute.leases.akash_money import dollars_per_hour, units_per_block
from vagus.compute.leases.akash_sdl import sdl
from vagus.compute.leases.base import Lease, Quote
from vagus.compute.leases.spend import DAY, Cap
from vagus.compute.registry import backend_config, make_backend
from vagus.compute.sandbox.akash import AkashSandbox
from vagus.protocol import Refuse, Retry

LABEL = "vagus-0123456789abcdef-1"


@pytest.fixture
async def own(akash: Network, clock: Clock) -> AsyncIterator[AkashProvisioner]:
    akash.sandbox.bids_after = 0
    async with akash.make() as provisioner:
        yield provisioner


async def leased(own: AkashProvisioner, akash: Network) -> tuple[Quote, Lease]:
    quote = (await own.quote(akash.want))[0]
    return quote, await own.lease(quote, LABEL, "k" * 48)


def test_prices_follow_from_blocks_of_six_seconds() -> None:
    # 0.60 USD an hour: 600,000 uact over 600 blocks.
    assert dollars_per_hour("1000", "uact") == Decimal("0.6")
    assert units_per_block(Decimal("0.6")) == 1000
    assert units_per_block(Decimal("0.6000001")) == 1001
    assert dollars_per_hour("1000", "uakt") is None
    for nonsense in ("-1", "NaN", "1e99", "Infinity", "x"):
        with pytest.raises(Retry, match="none"):
            dollars_per_hour(nonsense, "uact")


@pytest.mark.parametrize("amount", ["1e-999994", "1e-19", "1e16", "-1", "NaN", "x"])
def test_an_amount_that_is_none_is_a_retry(amount: str) -> None:
    with pytest.raises(Retry, match="an amount that is none"):
        dollars_per_hour(amount, "uact")


def test_an_sdl_is_what_akash_documents(akash: Network) -> None:
    want = replace(akash.want, regions=("eu-west",), vram=24)
    quote = Quote(want, "rtx4090/24Gi", "rtx4090", Decimal("0.6"))
    auditor = "akash1365yvmc4s7awdyj3n2sav7xfx76adc6dnmlx63"
    assert json.loads(sdl(quote, LABEL, "key", [auditor])) == {
        "version": "2.0",
        "services": {
            "model": {
                "image": "vllm/vllm-openai:v0.11.0",
                "args": ["--model", "Qwen/Qwen3-8B"],
                "env": ["VLLM_API_KEY=key"],
                "expose": [{"port": 8000, "as": 80, "to": [{"global": True}]}],
            }
        },
        "profiles": {
            "compute": {
                "gpu": {
                    "resources": {
                        "cpu": {"units": 4},
                        "memory": {"size": "16Gi"},
                        "storage": [{"size": "50Gi"}],
                        "gpu": {
                            "units": 1,
                            "attributes": {
                                "vendor": {"nvidia": [{"model": "rtx4090", "ram": "24Gi"}]}
                            },
                        },
                    }
                }
            },
            "placement": {
                LABEL: {
                    "pricing": {"gpu": {"denom": "uact", "amount": 1000}},
                    "signedBy": {"anyOf": [auditor]},
                    "attributes": {"location-region": "eu-west"},
                }
            },
        },
        "deployment": {"model": {LABEL: {"profile": "gpu", "count": 1}}},
    }


async def test_the_market_is_asked_for_what_fits(own: AkashProvisioner, akash: Network) -> None:
    wide = replace(akash.want, gpus=(), max_hourly=Decimal(2))
    assert [each.gpu for each in await own.quote(wide)] == ["rtx4090", "a100", "h100"]
    assert [each.gpu for each in await own.quote(replace(wide, vram=80))] == ["a100", "h100"]
    assert [each.gpu for each in await own.quote(replace(wide, gpus=("H100",)))] == ["h100"]
    assert await own.quote(replace(wide, max_hourly=Decimal("0.1"))) == ()
    assert await own.quote(replace(wide, count=64)) == ()
    for each in await own.quote(wide):
        assert each.hourly <= wide.max_hourly


async def test_the_cheapest_open_bid_of_a_provider_that_will_do_is_taken(
    own: AkashProvisioner, akash: Network
) -> None:
    sandbox: AkashSandbox = akash.sandbox
    _, lease = await leased(own, akash)
    assert lease.hourly == Decimal("0.39")
    [made] = sandbox.alive
    assert made.provider is sandbox.providers[2]


async def test_a_provider_that_is_avoided_or_paid_in_another_coin_is_not_taken(
    akash: Network, clock: Clock, tmp_path: Any
) -> None:
    sandbox: AkashSandbox = akash.sandbox
    sandbox.bids_after = 0
    sandbox.providers[2].denom = "uakt"
    avoid = (sandbox.providers[1].address,)
    key = tmp_path / "network.key"
    async with AkashProvisioner(key, base_url=sandbox.base_url, avoid=avoid) as own:
        with pytest.raises(Retry, match="2 bids"):
            await leased(own, akash)
        clock.sleep(900)
        with pytest.raises(Refuse, match="no provider took"):
            await leased(own, akash)


async def test_top_up_is_off_before_there_is_a_lease(own: AkashProvisioner, akash: Network) -> None:
    await leased(own, akash)
    calls = akash.sandbox.calls
    setting = next(
        at for at, each in enumerate(calls) if each.startswith("PATCH /v2/deployment-set")
    )
    assert setting < calls.index("POST /v1/leases")
    assert akash.sandbox.alive[0].top_up is False


async def test_a_lease_that_is_forgotten_takes_no_more_than_its_hours(
    own: AkashProvisioner, akash: Network
) -> None:
    """Beside the sandbox's own test, where one that nobody told otherwise refills for ever."""
    sandbox: AkashSandbox = akash.sandbox
    before = sandbox.credit
    _, lease = await leased(own, akash)
    sandbox.ahead += 30 * 86_400
    assert sandbox.alive == []
    assert before - sandbox.credit == pytest.approx(Decimal("0.5"), abs=Decimal("0.01"))
    with pytest.raises(Refuse, match="closed"):
        await own.ready(lease)


async def test_a_dead_node_spends_no_more_than_a_days_cap_by_the_deposit_that_it_left(
    akash: Network, clock: Clock, tmp_path: Path
) -> None:
    """At 0.08 an hour a deposit of 0.50 lasts for six hours, one of which was wanted."""
    sandbox = akash.sandbox
    sandbox.providers = [replace(each, hourly=Decimal("0.08")) for each in sandbox.providers]
    cheap = replace(akash, want=replace(akash.want, max_hourly=Decimal("0.1")))
    async with lessor(cheap, tmp_path, clock, cap=Cap(200_000, 490_000)) as (each, _, _):
        await steps(each, clock, 600)
        assert "0.5 USD within a day, and the cap is 0.49" in each.why
        assert await sandbox.charged() == 0
    async with lessor(cheap, tmp_path, clock, cap=Cap(200_000, 500_000)) as (each, ledger, guest):
        await serve(each, ledger, guest, clock)
    clock.sleep(DAY)
    assert Decimal("0.45") < await sandbox.charged() <= Decimal("0.5")
    assert akash.labels() == [], "the escrow is empty"


async def test_a_machine_whose_provider_forwards_a_port_serves_there(
    akash: Network, clock: Clock, tmp_path: Path
) -> None:
    for each in akash.sandbox.providers:
        each.forwards = True
    async with lessor(akash, tmp_path, clock) as (each, ledger, guest):
        row = await serve(each, ledger, guest, clock)
        assert guest.home is not None
        assert guest.home.base_url == f"{akash.sandbox.machines[row.id].url}/v1"


async def test_no_lease_is_taken_while_top_up_can_not_be_switched_off(
    own: AkashProvisioner, akash: Network
) -> None:
    akash.sandbox.faults.add(path="/v2/deployment-settings", status=404)
    with pytest.raises(Refuse):
        await leased(own, akash)
    assert "POST /v1/leases" not in akash.sandbox.calls


async def test_a_manifest_that_did_not_arrive_is_sent_again(
    own: AkashProvisioner, akash: Network
) -> None:
    sandbox: AkashSandbox = akash.sandbox
    sandbox.faults.add(path="/v1/leases", status=502, code="manifest_not_delivered", times=1)
    quote = (await own.quote(akash.want))[0]
    with pytest.raises(Retry, match="502"):
        await own.lease(quote, LABEL, "k" * 48)
    await own.lease(quote, LABEL, "k" * 48)
    assert sandbox.alive[0].manifested


async def test_the_older_apis_manifest_is_handed_on(own: AkashProvisioner, akash: Network) -> None:
    akash.sandbox.wants_manifest = True
    await leased(own, akash)
    assert akash.sandbox.alive[0].manifested


async def test_renewing_fills_the_escrow_to_a_time_and_not_twice(
    own: AkashProvisioner, akash: Network, clock: Clock
) -> None:
    _, lease = await leased(own, akash)
    ends = clock.now + 4 * 3600
    first = await own.renew(lease, ends)
    credit = akash.sandbox.credit
    second = await own.renew(lease, ends)
    assert akash.sandbox.credit == credit
    assert first.ends == second.ends == pytest.approx(ends, abs=120)


async def test_no_renewal_pays_a_price_that_has_risen(
    own: AkashProvisioner, akash: Network, clock: Clock
) -> None:
    _, lease = await leased(own, akash)
    akash.sandbox.providers[2].hourly = Decimal(40)
    with pytest.raises(Refuse, match="more than it did"):
        await own.renew(lease, clock.now + 4 * 3600)


async def test_a_renewal_is_refused_where_escrows_are_filled_no_more(
    own: AkashProvisioner, akash: Network, clock: Clock
) -> None:
    akash.sandbox.deposits = False
    _, lease = await leased(own, akash)
    assert lease.ends == pytest.approx(clock.now + 3600 * 0.5 / 0.39, abs=120)
    with pytest.raises(Refuse, match="filled"):
        await own.renew(lease, clock.now + 4 * 3600)


async def test_credit_that_is_out_is_refused_and_a_top_up_under_way_waited_for(
    own: AkashProvisioner, akash: Network
) -> None:
    assert await own.credit() == Decimal(100)
    akash.sandbox.faults.add(
        path="/v1/deployments", status=402, code="balance_top_up_pending", times=1
    )
    with pytest.raises(Retry):
        await leased(own, akash)
    akash.sandbox.credit = Decimal(0)
    with pytest.raises(Refuse, match="Not enough balance"):
        await leased(own, akash)


async def test_others_deployments_are_not_ours(own: AkashProvisioner, akash: Network) -> None:
    _, lease = await leased(own, akash)
    akash.sandbox.deployments[lease.id].label = "dcloud"
    async with akash.make() as another:
        assert await another.owned("vagus-") == ()


async def test_a_list_whose_labels_are_not_known_yet_is_no_list(
    own: AkashProvisioner, akash: Network
) -> None:
    await leased(own, akash)
    akash.sandbox.indexed_after = 2
    async with akash.make() as another:
        for _ in range(2):
            with pytest.raises(Retry, match="not yet"):
                await another.owned("vagus-")
        assert [each.label for each in await another.owned("vagus-")] == [LABEL]


async def test_all_pages_of_a_long_list_are_read(
    own: AkashProvisioner, akash: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vagus.compute.leases.akash_console.PAGE", 2)
    quote = (await own.quote(akash.want))[0]
    made = [f"vagus-0123456789abcdef-{number}" for number in range(1, 6)]
    for label in made:
        await own.lease(quote, label, "k" * 48)
    assert [each.label for each in await own.owned("vagus-")] == made


def test_the_table_in_the_guide_rents_on_akash() -> None:
    guide = (Path(__file__).parents[3] / "docs" / "compute.md").read_text()
    blocks = re.findall(r"```toml\n(.*?)```", guide, re.DOTALL)
    tables = [each for block in blocks for each in tomllib.loads(block).get("backends", [])]
    [table] = [each for each in tables if each["kind"] == "akash"]
    config = backend_config(table)
    assert isinstance(config, AkashConfig)
    backend = make_backend(config)
    assert isinstance(backend, AkashBackend)
    assert isinstance(backend.provisioner(), AkashProvisioner)
    assert backend.settings.plan().cap == Cap(700_000, 10_000_000)
