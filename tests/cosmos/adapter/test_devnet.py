"""wasmd as a child: it starts, it answers, it obeys, and it never outlives us."""

import asyncio
import hashlib
import math
import os
import signal
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
from coincurve import PrivateKey

from support.cosmos_harness import CosmosHarness
from support.hub_parameters import GOOD, Unchecked, wrong_parameters
from vagus.adapters.base import HubParameters, Rejected
from vagus.adapters.conformance.driving import made, ready
from vagus.adapters.cosmos import validator
from vagus.adapters.cosmos.deploy import deploy_hub, instantiation
from vagus.adapters.cosmos.devnet import DENOM, PREFIX, Wasmd, dev_wallet
from vagus.adapters.cosmos.upgrades import hub_code
from vagus.adapters.cosmos.wallet import Wallet
from vagus.adapters.evm.devnet import DevnetError
from vagus.adapters.parameters import ParameterError
from vagus.daemon.wasmd import wasmd_path
from vagus.protocol import Retry
from vagus.protocol.bech32 import encode

SIGNERS = (b"\x11" * 20, b"\x22" * 20)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def home_of(pid: int) -> Path:
    words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    (home,) = [word.removeprefix("--home=") for word in words if word.startswith("--home=")]
    return Path(home)


async def newest(wasmd: Wasmd) -> tuple[int, int]:
    """The newest block's height and time, by CometBFT's own REST form."""
    async with aiohttp.ClientSession() as session, session.get(f"{wasmd.rpc}/commit") as answer:
        header = (await answer.json())["result"]["signed_header"]["header"]
    text = header["time"].partition(".")[0].removesuffix("Z")
    return int(header["height"]), int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


async def test_two_chains_run_side_by_side_and_are_gone_at_the_end() -> None:
    path = wasmd_path()
    async with Wasmd(path) as one, Wasmd(path, "vagus-2") as two:
        assert one.rpc != two.rpc
        assert (one.chain, two.chain) == ("cosmos:vagus-1", "cosmos:vagus-2")
        for wasmd in (one, two):
            height = wasmd.height
            await wasmd.advance(3)
            assert (await newest(wasmd))[0] >= height + 3
        assert await balance(one, encode(PREFIX, dev_wallet(9).address)) > 10**20
        homes = [home_of(one.pid), home_of(two.pid)]
        assert all(home.is_dir() for home in homes)
    assert not alive(one.pid)
    assert not alive(two.pid)
    assert not any(home.exists() for home in homes)


async def test_a_steered_chain_stands_still_and_moves_by_order() -> None:
    async with Wasmd(wasmd_path(), steered=True) as wasmd:
        height, time = await newest(wasmd)
        await wasmd.advance()
        await wasmd.advance(4)
        assert (await newest(wasmd))[0] == wasmd.height == height + 5
        await wasmd.pass_time(8 * 86_400)
        assert (await newest(wasmd))[1] >= time + 8 * 86_400
        exact = (await newest(wasmd))[1] + 12_345
        await wasmd.at(exact)
        await wasmd.advance()
        assert (await newest(wasmd))[1] == exact
        await wasmd.run()
        ahead = wasmd.height + 5
        await wasmd.advance(5)
        await wasmd.hold()
        held = wasmd.height
        assert held >= ahead
        await wasmd.advance()
        assert (await newest(wasmd))[0] == held + 1


async def test_a_node_that_hung_up_on_its_validator_is_dialled_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A node waits five seconds for a signature; on a busy machine that is not always enough."""
    dialled = asyncio.Semaphore(0)
    dial = asyncio.open_unix_connection

    async def counted(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        found = await dial(path)
        dialled.release()
        return found

    monkeypatch.setattr(asyncio, "open_unix_connection", counted)
    monkeypatch.setattr(validator, "_PATIENCE", 6.0)
    async with asyncio.timeout(60), Wasmd(wasmd_path(), steered=True) as wasmd:
        for _ in range(2):
            await dialled.acquire()
        height = wasmd.height
        await wasmd.advance(2)
        assert wasmd.height == height + 2


async def test_a_chain_that_is_not_steered_says_so() -> None:
    async with Wasmd(wasmd_path()) as wasmd:
        for call in (wasmd.hold, wasmd.run, lambda: wasmd.pass_time(1), lambda: wasmd.at(1)):
            with pytest.raises(DevnetError, match="not steered"):
                await call()


async def test_what_raises_inside_leaves_as_it_is() -> None:
    with pytest.raises(KeyError, match="mine"):
        async with Wasmd(wasmd_path()):
            raise KeyError("mine")


async def test_a_binary_that_is_none_is_named() -> None:
    with pytest.raises(DevnetError, match="wasmd"):
        async with Wasmd(Path("/nowhere/wasmd")):
            pass


async def test_a_node_that_dies_is_noticed_by_whoever_waits_for_a_block() -> None:
    async with Wasmd(wasmd_path()) as wasmd:
        os.kill(wasmd.pid, signal.SIGKILL)
        with pytest.raises(DevnetError, match="wasmd ended"):
            await wasmd.advance(1_000)


async def test_the_node_ends_with_its_parent_however_that_ends() -> None:
    code = (
        "import asyncio\n"
        "from vagus.adapters.cosmos.devnet import Wasmd\n"
        "from vagus.daemon.wasmd import wasmd_path\n"
        "async def main():\n"
        "    async with Wasmd(wasmd_path()) as wasmd:\n"
        "        print(wasmd.pid, flush=True)\n"
        "        await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    node = int(await process.stdout.readline())
    assert alive(node)
    process.kill()
    await process.wait()
    async with asyncio.timeout(10):
        while alive(node):
            await asyncio.sleep(0.02)


async def test_a_deployment_costs_what_it_says_and_what_is_refused_is_said() -> None:
    parameters = HubParameters(signers=SIGNERS, threshold=2)
    async with Wasmd(wasmd_path()) as wasmd:
        wallet = dev_wallet(0)
        address = encode(PREFIX, wallet.address)
        before = await balance(wasmd, address)
        done = await deploy_hub(wasmd.rpc, wallet, parameters, denom=DENOM)
        assert before - await balance(wasmd, address) == done.fee
        assert done.account.startswith(f"cosmos:vagus-1:{PREFIX}1")
        assert 0 < done.gas_used <= done.fee * 40
        with pytest.raises(Rejected, match=r"^threshold over size$"):
            await deploy_hub(
                wasmd.rpc, wallet, Unchecked(signers=SIGNERS, threshold=3), denom=DENOM
            )
        poor = Wallet(PrivateKey(b"\x07" * 32))
        with pytest.raises(Retry, match=f"{encode(PREFIX, poor.address)} cannot pay"):
            await deploy_hub(wasmd.rpc, poor, parameters, denom=DENOM)


async def test_a_hub_that_cannot_work_is_refused_before_anything_is_sent() -> None:
    async with Wasmd(wasmd_path()) as wasmd:
        wallet = dev_wallet(0)
        address = encode(PREFIX, wallet.address)
        before = await balance(wasmd, address)
        for said, wrong in wrong_parameters(128).items():
            with pytest.raises(ParameterError, match=f"^{said}"):
                await deploy_hub(wasmd.rpc, wallet, wrong, denom=DENOM)
        with pytest.raises(ParameterError, match=r"^slowest: nan is no number"):
            await deploy_hub(wasmd.rpc, wallet, GOOD, denom=DENOM, slowest=math.nan)
        for price in ("free", "nan", "snan", "inf", "-1", "1e12"):
            with pytest.raises(ParameterError, match=f"^gas_price: '{price}' is no gas price"):
                await deploy_hub(wasmd.rpc, wallet, GOOD, denom=DENOM, gas_price=price)
        with pytest.raises(ParameterError, match=r"^guardian: its prefix is juno, .* is wasm"):
            await deploy_hub(wasmd.rpc, wallet, GOOD, denom=DENOM, guardian_prefix="juno")
        assert await balance(wasmd, address) == before
        assert await codes(wasmd) == []
        largest = replace(GOOD, min_fee=2**128 - 1, max_ttl=366 * 86_400, grace=366 * 86_400)
        done = await deploy_hub(wasmd.rpc, wallet, largest, denom=DENOM, guardian_prefix=PREFIX)
        assert await balance(wasmd, address) == before - done.fee


async def test_code_that_the_chain_has_is_not_stored_again() -> None:
    """A failed try's, too, among codes of other builds."""
    async with CosmosHarness() as harness:
        rpc, wallet = harness.wasmd.rpc, dev_wallet(0)
        await harness.store("consumer")
        await harness.wasmd.run()
        before = await codes(harness.wasmd)
        assert len(before) == 2
        with pytest.raises(Rejected, match=r"^threshold over size$"):
            await deploy_hub(rpc, wallet, Unchecked(SIGNERS, 3), denom=DENOM)
        done = await deploy_hub(rpc, wallet, GOOD, denom=DENOM)
        assert await codes(harness.wasmd) == before
        (found,) = [each for each in before if int(each["code_id"]) == done.code_id]
        assert found["data_hash"].lower() == hashlib.sha256(hub_code()).hexdigest()
        await harness.wasmd.hold()
        harness.hub = done.account
        async with made(harness) as adapter:
            await ready(adapter, harness)
            assert await adapter.upgradeable() is None


async def codes(wasmd: Wasmd) -> list[dict[str, str]]:
    """What is stored, by the SDK's own REST form."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{wasmd.rest}/cosmwasm/wasm/v1/code") as answer,
    ):
        found: list[dict[str, str]] = (await answer.json())["code_infos"]
        return found


async def balance(wasmd: Wasmd, address: str) -> int:
    url = f"{wasmd.rest}/cosmos/bank/v1beta1/balances/{address}/by_denom?denom={DENOM}"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return int((await answer.json())["balance"]["amount"])


async def test_a_hub_with_an_admin_or_unknown_code_is_said_to_be_changeable() -> None:
    async with CosmosHarness() as harness:
        async with made(harness) as adapter:
            await ready(adapter, harness)
            assert await adapter.upgradeable() is None
        hub = instantiation(HubParameters(signers=SIGNERS, threshold=2), DENOM)
        owner = await harness.instantiate(harness.code_id, hub, admin=True)
        consumer = {"hub": harness.address, "agent_id": "11" * 32}
        other = await harness.instantiate(await harness.store("consumer"), consumer)
        for address, words in ((owner, "its admin: wasm1"), (other, "unknown: its code")):
            harness.hub = f"{harness.wasmd.chain}:{address}"
            async with made(harness) as adapter:
                await ready(adapter, harness)
                assert words in str(await adapter.upgradeable())
