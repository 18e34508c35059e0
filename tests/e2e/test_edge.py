"""An intent between two chains, answered by an edge worker; the node has no model of its own."""

import json
import tomllib
from pathlib import Path

import pytest

from support.client import Client
from support.edge import new_key, running
from support.mosquitto import Mosquitto
from support.node import Node, vagus
from support.node_devnet import Devnet
from support.openai_server import openai_server
from vagus.compute.backends.openai import ModelConfig, OpenAIBackend, OpenAIConfig
from vagus.protocol import address_of

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("e2e_edge"),
]


async def test_an_edge_worker_answers_an_intent(
    devnet: Devnet, client: Client, tmp_path: Path
) -> None:
    key = new_key()
    named = (ModelConfig(name="repeater"),)
    keys = devnet.folder / "keys"
    async with Mosquitto(tmp_path) as broker, openai_server() as server:
        table = {"kind": "edge", "name": "edge", "url": broker.url}
        lines = [f"{name} = {json.dumps(value)}" for name, value in table.items()]
        lines.append(f'workers = ["0x{address_of(key).hex()}"]')
        config = devnet.variant("edge", backends="[[backends]]\n" + "\n".join(lines) + "\n")
        transport = tomllib.loads(config.read_text())["transport_key"]["keystore"]
        code, out, _ = await vagus("keys", "show", keys / Path(transport).name)
        assert code == 0
        node_address = bytes.fromhex(out.strip()[2:])
        local = OpenAIConfig(name="local", base_url=server.base_url, models=named)
        async with (
            OpenAIBackend(local) as inner,
            running(broker.url, key, inner, {node_address}) as worker,
            Node(config, tmp_path / "log") as node,
        ):
            # Doctor asks the worker, too.
            code, out, err = await vagus("doctor", "--config", config)
            assert "model edge" in out + err
            assert "repeater answered in" in out + err
            await node.start()
            asked = await client.ask("What is a bee?")
            shown = await node.reaches(asked.id.hex(), "settled", within=120)
            assert shown["status"] == "fulfilled"
            chain = client.chains[1]
            sent = await chain.web3.eth.get_transaction(shown["deliver_tx"])
            _, call = chain.contract.decode_function_input(sent["input"])
            assert b"You said: What is a bee?" in call["output"]
            (delivered,) = await client.events("Delivered", asked)
            assert chain.web3.keccak(call["output"]) == delivered["outputHash"]
            assert worker.jobs.counts["answered"] >= 1
            assert not +worker.dropped
