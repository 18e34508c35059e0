"""A devnet and a demo of one kind of chain alone."""

import asyncio
import json
import signal
from pathlib import Path

import pytest

from support.node import vagus
from support.node_devnet import alive, running_devnet

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("demo"),
]


async def test_a_devnet_of_solana_alone_has_one_hub_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    async with running_devnet(tmp_path / "net", chains="solana") as net:
        (chain,) = net.chains
        assert chain["caip2"].startswith("solana:")
        code, out, err = await vagus("hub", "show", "--config", net.config, "--json")
        assert code == 0, err
        (hub,) = json.loads(out)["hubs"]
        assert (hub["hub"], hub["threshold"], len(hub["signers"])) == (chain["hub"], 1, 1)
        pids = net.pids()
        assert len(pids) > 1
        net.process.send_signal(signal.SIGINT)
        async with asyncio.timeout(30):
            await net.process.wait()
        assert [pid for pid in pids if alive(pid)] == []


async def test_the_demo_goes_from_solana_to_solana() -> None:
    code, out, err = await vagus(
        "demo", "--chains", "solana", "--nodes", "1", "--json", within=300.0
    )
    assert code == 0, err
    report = json.loads(out)
    assert report["ok"] is True
    assert report["failed"] == 0
    ends = {(each["origin"], each["dest"]) for each in report["intents"]}
    fulfilled = [each for each in report["intents"] if each["status"] == "fulfilled"]
    assert report["delivered"] == len(fulfilled) > 0
    assert {each["origin"] for each in fulfilled} == {each["dest"] for each in fulfilled}
    assert all(origin.startswith("solana:") for origin, _ in ends)
    assert all(each["output"] and each["deliver_tx"] and each["settle_tx"] for each in fulfilled)
