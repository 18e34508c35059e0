"""anvil as a child: it starts, it answers, and it never outlives us."""

import asyncio
import math
import os
import signal
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from support.evm import wallet
from support.hub_parameters import GOOD, Unchecked, wrong_parameters
from vagus.adapters.base import HubParameters, Rejected
from vagus.adapters.evm.deploy import deploy_contract, deploy_hub
from vagus.adapters.evm.devnet import DEV_KEYS, Anvil, DevnetError
from vagus.adapters.parameters import ParameterError
from vagus.daemon.fetch import anvil_path
from vagus.protocol import Account, Retry, hub_id, keccak256

SIGNERS = (b"\x11" * 20, b"\x22" * 20)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def gone(pid: int) -> None:
    async with asyncio.timeout(10):
        while alive(pid):
            await asyncio.sleep(0.02)


async def test_two_chains_run_side_by_side_with_final_blocks() -> None:
    async with Anvil(anvil_path()) as one, Anvil(anvil_path(), chain_id=31_338) as two:
        assert one.port != two.port
        for anvil in (one, two):
            assert int(await anvil.call("eth_chainId"), 16) == anvil.chain_id
            await anvil.mine(5)
            final = await anvil.call("eth_getBlockByNumber", "finalized", False)
            assert int(final["number"], 16) >= 3
            address = wallet().address
            assert int(await anvil.call("eth_getBalance", "0x" + address.hex(), "latest"), 16) > 0
    assert not alive(one.pid)
    assert not alive(two.pid)
    with pytest.raises(RuntimeError, match="outside of its async with"):
        await one.call("eth_chainId")


async def test_time_is_warped_and_final() -> None:
    async with Anvil(anvil_path()) as anvil:
        before = await anvil.call("eth_getBlockByNumber", "latest", False)
        await anvil.warp(86_400)
        after = await anvil.call("eth_getBlockByNumber", "finalized", False)
        assert int(after["timestamp"], 16) - int(before["timestamp"], 16) >= 86_400


async def test_what_raises_inside_leaves_as_it_is() -> None:
    with pytest.raises(KeyError, match="mine"):
        async with Anvil(anvil_path()):
            raise KeyError("mine")


async def test_a_node_that_does_not_start_says_why() -> None:
    with pytest.raises(DevnetError, match=r"did not start: .*--help"):
        async with Anvil(anvil_path(), options=("--no-such-option",)):
            pass
    with pytest.raises(DevnetError, match="did not start"):
        async with Anvil(Path("/no/such/anvil")):
            pass


async def test_it_dies_with_its_parent() -> None:
    script = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from vagus.adapters.evm.devnet import Anvil\n"
        "async def main():\n"
        "    async with Anvil(Path(sys.argv[1])) as anvil:\n"
        "        print(anvil.pid, flush=True)\n"
        "        await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, str(anvil_path()), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    assert alive(pid)
    os.kill(parent.pid, signal.SIGKILL)
    await parent.wait()
    await gone(pid)


async def test_a_hub_is_deployed_with_what_it_was_given() -> None:
    async with Anvil(anvil_path()) as anvil:
        parameters = HubParameters(signers=SIGNERS, threshold=2, guardian=wallet(1).account)
        hub = await deploy_hub(anvil.rpc, wallet(), parameters)
        assert Account.parse(hub.account).chain == anvil.chain
        assert hub.gas_used > 1_000_000
        call = {"to": "0x" + hub.address.hex(), "data": "0x" + keccak256(b"hubId()")[:4].hex()}
        assert await anvil.call("eth_call", call, "latest") == "0x" + hub_id(hub.account).hex()
        consumer = await deploy_contract(anvil.rpc, wallet(), "reverter")
        assert await anvil.call("eth_getCode", "0x" + consumer.address.hex(), "latest") != "0x"


async def test_a_hub_that_cannot_work_is_refused_before_anything_is_sent() -> None:
    async with Anvil(anvil_path()) as anvil:
        for said, wrong in wrong_parameters(256).items():
            with pytest.raises(ParameterError, match=f"^{said}"):
                await deploy_hub(anvil.rpc, wallet(), wrong)
        for slowest in (math.nan, math.inf, -5.0):
            with pytest.raises(ParameterError, match=f"^slowest: {slowest} is no number"):
                await deploy_hub(anvil.rpc, wallet(), GOOD, slowest)
        with pytest.raises(ParameterError, match="grace: 3600 s is too short: the slowest"):
            await deploy_hub(anvil.rpc, wallet(), GOOD, slowest=3_000)
        assert await transactions(anvil) == 0
        largest = replace(GOOD, min_fee=2**256 - 1, max_ttl=366 * 86_400, grace=366 * 86_400)
        await deploy_hub(anvil.rpc, wallet(), largest)
        assert await transactions(anvil) == 1


async def test_periods_cover_the_finality_that_the_chain_shows() -> None:
    async with Anvil(anvil_path()) as anvil:
        await anvil.call("evm_setIntervalMining", 0)
        await anvil.call("evm_increaseTime", 3_600)
        await anvil.mine(1)
        with pytest.raises(ParameterError, match=r"min_ttl: 120 s is too short: this chain's"):
            await deploy_hub(anvil.rpc, wallet(), GOOD)
        slow = replace(GOOD, min_ttl=10_000)
        with pytest.raises(ParameterError, match="grace: 3600 s is too short: the slowest"):
            await deploy_hub(anvil.rpc, wallet(), slow)
        assert await transactions(anvil) == 0


async def test_what_the_hub_rejects_is_said_in_its_words() -> None:
    async with Anvil(anvil_path()) as anvil:
        with pytest.raises(Rejected, match="threshold too low"):
            await deploy_hub(anvil.rpc, wallet(), Unchecked(signers=SIGNERS, threshold=1))


async def transactions(anvil: Anvil) -> int:
    address = "0x" + wallet().address.hex()
    return int(await anvil.call("eth_getTransactionCount", address, "latest"), 16)


async def test_a_deployment_to_nowhere_is_a_retry_without_the_url() -> None:
    url = "http://127.0.0.1:1/canary-key"
    with pytest.raises(Retry) as raised:
        await deploy_hub(url, wallet(), HubParameters(signers=SIGNERS, threshold=2))
    assert "canary" not in str(raised.value)


def test_the_keys_are_anvils_own() -> None:
    assert len(set(DEV_KEYS)) == 10
    assert all(len(key) == 66 for key in DEV_KEYS)


async def test_states_of_old_blocks_are_kept_for_as_long_as_the_chain_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    async with Anvil(anvil_path()) as anvil:
        await anvil.mine(2000)
        while not any(path.is_file() for path in tmp_path.glob("vagus-anvil-*/content/**/*")):
            await anvil.mine()
    assert list(tmp_path.iterdir()) == []
