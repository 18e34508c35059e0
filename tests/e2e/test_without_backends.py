"""A whole node that asks no model: it has no backend, and answers by what it reads on the web."""

import json
from pathlib import Path

import pytest
from eth_abi.abi import decode

from support.client import Client, Question
from support.node import Node, vagus
from support.node_devnet import LOCAL, Devnet
from support.scripted import response, scripted, sending

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("e2e_without_backends"),
]


def without_backends(devnet: Devnet, name: str, agents: str) -> Path:
    """Write a config of the devnet's node that has no backend, and serves these agents alone."""
    config = devnet.variant(name)
    text = config.read_text()
    cut = text.index("[agents.")
    assert text.index(LOCAL) < cut
    config.write_text("backends = []\n" + text[:cut].replace(LOCAL, "") + agents)
    return config


async def test_an_agent_that_asks_no_model_is_served_by_a_node_without_backends(
    devnet: Devnet, client: Client, tmp_path: Path
) -> None:
    async with scripted(sending(response({"price": "1.25"}))) as api:
        http = (
            'hosts = ["127.0.0.1"]\nschemes = ["http"]\n'
            f'ports = [{api.port}]\nallow_networks = ["127.0.0.1/32"]\n'
        )
        agents = f'[agents."fetch@1".http]\n{http}'
        config = without_backends(devnet, "no_models", agents)
        code, out, err = await vagus("check", "--config", config)
        assert (code, err) == (0, ""), out
        payload = {"url": f"http://127.0.0.1:{api.port}/v1", "path": "$.price", "decimals": 2}
        async with Node(config, tmp_path / "log") as node:
            await node.start()
            asked = await client.ask_all(
                [
                    Question(json.dumps(payload).encode(), agent="fetch@1"),
                    Question(json.dumps(payload).encode(), agent="fetch@1", model=b"\x07" * 32),
                ]
            )
            answered, pinned = [await node.reaches(each.hex, "settled") for each in asked]
            code, out, _ = await vagus("doctor", "--config", config)
            assert code == 0, out
        assert answered["status"] == "fulfilled"
        assert not answered["backend"]
        assert decode(["int256"], bytes.fromhex(answered["output_bytes"][2:])) == (125,)
        assert pinned["status"] == "refused"
        assert pinned["reason"] == "fetch@1 asks no model, and the intent pins one"
        assert len(api.requests) == 1


async def test_an_agent_that_asks_models_is_not_served_without_a_backend(devnet: Devnet) -> None:
    config = without_backends(devnet, "no_models_for_chat", '[agents."chat@1"]\n')
    for command in ("check", "run"):
        code, out, err = await vagus(command, "--config", config)
        assert code == (1 if command == "check" else 2), out
        assert 'agents."chat@1": it asks a model, and nobody serves one' in out + err
