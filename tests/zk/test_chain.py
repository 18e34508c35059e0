"""A committee of three proves a flower's species to a contract on another chain; two of it only verify."""

import asyncio
import contextlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import decode

from support.client import SETTLED, Question, hurried_client_of
from support.iris import Built
from support.node import Node
from support.node_devnet import running_devnet
from support.node_model import stub_model
from support.plugins import install

FLOWER = b'{"petal_length":60,"petal_width":25,"sepal_length":63,"sepal_width":33}'


def installed_in(folder: Path, built: Built) -> Path:
    """Put the example where a process that looks there finds it installed."""
    shutil.copytree(built.folder / "src" / "vagus_iris", folder / "vagus_iris")
    install(folder, "agents", {"iris": "vagus_iris:IrisAgent"}, name="vagus-iris", version="1.0.0")
    return folder


async def test_a_contract_gets_the_species_and_the_evidence_has_the_proof(
    built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugins = installed_in(tmp_path / "plugins", built)
    monkeypatch.setenv("PYTHONPATH", str(plugins))
    async with contextlib.AsyncExitStack() as stack:
        net = await stack.enter_async_context(running_devnet(tmp_path / "net", nodes=3))
        client = await stack.enter_async_context(hurried_client_of(net.chains))
        model = await stack.enter_async_context(stub_model())
        nodes = []
        for at in range(3):
            config = net.member(at, model.backends)
            config.write_text(f'{config.read_text()}\n[agents."iris@1"]\n')
            log = tmp_path / f"{at}.log"
            nodes.append(await stack.enter_async_context(Node(config, log)))
            await nodes[-1].launch()
        await asyncio.gather(*(node.ready() for node in nodes))
        asked, refused = await client.ask_all(
            [Question(FLOWER, agent="iris@1"), Question(b'{"petal_length":1}', agent="iris@1")]
        )
        shown = await nodes[0].reaches(asked.hex, "settled")
        await nodes[0].reaches(refused.hex, "settled")
        assert await client.state(asked) == SETTLED
        web3, contract = client.chains[1].web3, client.chains[1].contract
        (delivered,) = await contract.events["Delivered"].get_logs(
            from_block=0, argument_filters={"intentId": asked.id}
        )
        # The hub keeps the hash; the output itself is in the delivery's calldata.
        tx: Any = await web3.eth.get_transaction(delivered["transactionHash"])
        _, call = contract.decode_function_input(tx["input"])
        assert web3.keccak(call["output"]) == delivered["args"]["outputHash"]
        assert decode(["uint256"], call["output"]) == (2,)
        assert await client.events("Delivered", refused) == []
        _, evidence = await nodes[1].get(f"/v1/evidence/{shown['evidence_hash']}")
        assert web3.keccak(evidence).hex() == shown["evidence_hash"].removeprefix("0x")
        [proven] = json.loads(evidence)["proofs"]
        assert proven["inputs"] == ["63", "33", "60", "25"]
        _, checks = await nodes[1].get(f"/v1/evidence/{shown['evidence_hash']}/checks")
        found = [each["document"]["reason"] for each in json.loads(checks)["checks"]]
        assert "the proofs hold" in found
        assert model.asked.total() == 0
