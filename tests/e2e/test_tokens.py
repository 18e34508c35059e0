"""A node that buys tokens: AkashML's sandbox in dollars, the answer on chain, the price in the evidence."""

import json
from decimal import ROUND_CEILING, Decimal
from pathlib import Path

import pytest

from support.client import Client, Question
from support.node import Node
from support.node_devnet import Devnet
from vagus.compute.sandbox.chat import ScriptedModel
from vagus.compute.sandbox.openai import AkashMLSandbox

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("e2e_tokens"),
]

MODEL = "Qwen/Qwen3-30B-A3B"
# 0.13 and 0.4 dollars per 1,000,000 tokens, where 10^18 parts are worth 3,000 dollars.
INPUT, OUTPUT = 43_333_333_333_334, 133_333_333_333_334


async def test_an_answer_is_bought_at_the_listed_price(
    devnet: Devnet, client: Client, tmp_path: Path
) -> None:
    async with AkashMLSandbox(models=(ScriptedModel(MODEL, 40_960),)) as sandbox:
        key = tmp_path / "akashml.key"
        key.write_text(sandbox.api_key)
        key.chmod(0o600)
        config = devnet.variant(
            "tokens",
            backends=f'[[backends]]\nkind = "akashml"\nname = "akashml"\n'
            f'base_url = "{sandbox.base_url}"\napi_key_file = "{key}"\n',
        )
        config.write_text(config.read_text() + '\n[money]\nusd = "3000"\n')
        async with Node(config, tmp_path / "log") as node:
            await node.start()
            (asked,) = await client.ask_all([Question(b'{"prompt":"What is a bee?"}')])
            shown = await node.reaches(asked.hex, "settled", within=120)
            assert shown["status"] == "fulfilled"
            _, evidence = await node.get(f"/v1/evidence/{shown['evidence_hash']}")
            _, models = await node.get("/v1/models")
        (call,) = json.loads(evidence)["calls"]
        assert (call["backend"], call["network"]) == ("akashml", "akash")
        assert call["model"]["name"] == call["model"]["reported"] == MODEL
        assert (call["price"]["input"], call["price"]["output"]) == (str(INPUT), str(OUTPUT))
        read, written = int(call["usage"]["prompt"]), int(call["usage"]["completion"])
        cost = (Decimal(INPUT) * read + Decimal(OUTPUT) * written) / 10**6
        assert int(call["cost"]) == cost.to_integral_value(ROUND_CEILING) > 0
        (backend,) = json.loads(models)["backends"]
        assert backend["models"][0]["price"]["source"] == "akashml's listing; USD by config"
        assert sandbox.api_key not in (tmp_path / "log").read_text()
