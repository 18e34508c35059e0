"""A stranger's agent: built, installed beside vagus in a fresh environment, asked on chain."""

import asyncio
import json
import sys
from pathlib import Path

import pytest
from eth_abi.abi import decode

from support.client import Client, Question
from support.installed import run
from support.node import Node
from support.node_devnet import Devnet

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("e2e_plugin"),
]

COMMENTS = ["Yes, please! I vote for it.", "No. It ruins the treasury.", "What is a fee?"]


async def test_a_plugin_of_its_wheel_answers_a_contract_on_another_chain(
    environment: Path, devnet: Devnet, client: Client, tmp_path: Path
) -> None:
    config = devnet.variant("plugin")
    config.write_text(config.read_text() + '\n[agents."stance@1"]\n')

    # What runs is what was installed, from nowhere else.
    where = "import vagus.daemon, vagus_stance; print(vagus.daemon.__file__, vagus_stance.__file__)"
    for path in run(environment / "python", "-c", where).split():
        assert Path(path).is_relative_to(environment.parent)
    vagus = environment / "vagus"
    shown = json.loads(run(vagus, "agents", "list", "--config", config, "--json"))["agents"]
    found = {each["id"]: each for each in shown}
    assert found["stance@1"] == {
        "id": "stance@1",
        "entry": "stance",
        "version": "1.0.0",
        "mode": "fields",
        "distribution": "vagus-stance 1.0.0",
        "served": True,
        "error": None,
    }
    served = {name for name, each in found.items() if each["served"]}
    assert served == {"chat@1", "choose@1", "extract@1", "number@1", "stance@1"}
    assert all(each["error"] is None for each in shown)

    payload = json.dumps({"proposal": "Lower the fee.", "comments": COMMENTS}).encode()
    async with Node(config, tmp_path / "log", program=vagus) as node:
        await node.start()
        asked, refused = await client.ask_all(
            [
                Question(payload, agent="stance@1"),
                Question(b'{"proposal":"p","comments":[]}', agent="stance@1"),
            ]
        )
        shown = await node.reaches(asked.hex, "settled", within=120)
        await node.reaches(refused.hex, "settled")
        assert shown["status"] == "fulfilled"
        (delivered,) = await client.events("Delivered", asked)
        # The hub keeps the hash; the output itself is in the delivery's calldata.
        tx = await client.chains[1].web3.eth.get_transaction(shown["deliver_tx"])
        _, call = client.chains[1].contract.decode_function_input(tx["input"])
        assert client.chains[1].web3.keccak(call["output"]) == delivered["outputHash"]
        counts = decode(["uint256"] * 3, call["output"])
        assert sum(counts) == len(COMMENTS)
        _, evidence = await node.get(f"/v1/evidence/{shown['evidence_hash']}")
        document = json.loads(evidence)
        assert document["agent"]["name"] == "stance"
        assert len(document["calls"]) == len(COMMENTS)
        assert (await node.intent(refused.hex))["status"] == "refused"
    assert await client.events("Delivered", refused) == []


async def test_without_the_plugin_the_same_config_is_an_error_with_a_remedy(devnet: Devnet) -> None:
    config = devnet.variant("pluginless")
    config.write_text(config.read_text() + '\n[agents."stance@1"]\n')
    process = await asyncio.create_subprocess_exec(
        *(Path(sys.executable).parent / "vagus", "agents", "list", "--config", config),
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    _, err = await process.communicate()
    assert process.returncode == 2
    assert 'agents."stance@1": not installed; there are chat, choose' in err.decode()
