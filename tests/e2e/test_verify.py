"""`vagus verify` and `vagus evidence show` on what three operators delivered, held against web3."""

import asyncio
import contextlib
import json
import re
import shutil
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from web3 import Web3

from support.client import Asked, Client, hurried_client_of, until
from support.node import Node, vagus
from support.node_devnet import Devnet, running_devnet
from support.node_model import stub_model

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("e2e_verify"),
]


@dataclass
class Answered:
    """A question that a committee of three has answered, the nodes and an empty folder."""

    net: Devnet
    client: Client
    nodes: list[Node]
    asked: Asked
    config: Path
    folder: Path

    async def verify(self, *options: object) -> tuple[int, dict[str, Any], str]:
        code, out, err = await vagus("verify", self.asked.hex, "--json", *options)
        return code, json.loads(out), err

    @property
    def options(self) -> tuple[object, ...]:
        """The nodes listen where the system let them, and not where the config says."""
        return ("--config", self.config, "--url", self.nodes[0].url)

    async def calldata(self) -> tuple[str, dict[str, Any]]:
        """The delivery's transaction and its arguments, as web3 reads them."""
        chain = self.client.chains[1]
        (log,) = await chain.contract.events.Delivered.get_logs(
            from_block=0, argument_filters={"intentId": self.asked.id}
        )
        sent: Any = await chain.web3.eth.get_transaction(log["transactionHash"])
        return "0x" + sent["hash"].hex(), chain.contract.decode_function_input(sent["input"])[1]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def answered(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Answered]:
    folder = tmp_path_factory.mktemp("verify")
    async with contextlib.AsyncExitStack() as stack:
        net = await stack.enter_async_context(running_devnet(folder / "net", nodes=3))
        client = await stack.enter_async_context(hurried_client_of(net.chains))
        nodes, configs = [], []
        for at in range(3):
            model = await stack.enter_async_context(stub_model(fickle=False))
            configs.append(net.member(at, model.backends))
            nodes.append(await stack.enter_async_context(Node(configs[at], folder / f"{at}")))
            await nodes[at].launch()
        for node in nodes:
            await node.serving()
            await until(lambda node=node: node.get("/readyz"), lambda got: got[0] == 200)
        asked = await client.ask("what is to be verified?")
        for node in nodes:
            await node.reaches(asked.hex, "settled")
        yield Answered(net, client, nodes, asked, configs[0], folder)


async def test_a_delivery_is_verified_and_each_line_agrees_with_web3(answered: Answered) -> None:
    code, told, err = await answered.verify(*answered.options)
    assert code == 0, (told, err)
    tx, arguments = await answered.calldata()
    assert (told["verified"], told["tx"], told["intent"]) == (True, tx, answered.asked.hex)
    assert told["output"] == "0x" + arguments["output"].hex()
    attestation = arguments["attestation"]
    assert told["evidence_hash"] == "0x" + attestation["evidenceHash"].hex()
    assert len(set(told["signers"])) == len(arguments["signatures"]) >= 2
    lines = {each["what"]: each["holds"] for each in told["checks"]}
    wanted = {
        *("intent", "payload", "terms", "output", "attestation", "signatures", "hub"),
        *("evidence", "document", "agent", "model", "executor", "roster"),
    }
    assert {what for what in wanted if lines.get(what) is not True} == set()
    checks = [what for what, holds in lines.items() if what.startswith("check of 0x") and holds]
    assert checks, told


async def test_people_read_the_same_in_words(answered: Answered) -> None:
    code, out, _ = await vagus("verify", answered.asked.hex, *answered.options)
    assert code == 0
    assert out.splitlines()[-1] == "verified"
    assert any(line.startswith("ok  signatures") for line in out.splitlines())


async def test_any_node_and_a_named_transaction_do_as_well(answered: Answered) -> None:
    tx, _ = await answered.calldata()
    other = answered.nodes[2].url
    code, told, _ = await answered.verify("--config", answered.config, "--url", other, "--tx", tx)
    assert (code, told["verified"]) == (0, True)
    code, out, err = await vagus(
        *("verify", answered.asked.hex, "--config", answered.config, "--tx", answered.asked.hex),
    )
    assert (code, out) == (1, "")
    assert "did not deliver this intent" in err


async def test_what_is_saved_is_verified_without_a_network_and_a_change_is_found(
    answered: Answered,
) -> None:
    saved = answered.folder / "saved"
    code, told, err = await answered.verify(*answered.options, "--save", saved)
    assert code == 0
    assert f"--offline {saved}" in err
    code, alone, err = await answered.verify("--offline", saved)
    assert (code, alone, err) == (0, told, "")
    for name, replace in {
        "evidence.json": lambda data: data.replace(b'"exact"', b'"loose"').replace(b"1", b"2", 1),
        "delivery.json": lambda data: data.replace(
            told["output"][2:].encode(), b"00" + told["output"][4:].encode()
        ),
        "roster.json": lambda data: data.replace(b"0x", b"0X", 1),
    }.items():
        bent = answered.folder / f"bent-{name}"
        shutil.copytree(saved, bent)
        data = (bent / name).read_bytes()
        assert replace(data) != data
        (bent / name).write_bytes(replace(data))
        code, found, _ = await answered.verify("--offline", bent)
        assert (code, found["verified"]) == (1, False), name


async def test_the_page_shows_how_to_check_it_without_vagus(answered: Answered) -> None:
    saved = answered.folder / "alone"
    _, told, _ = await answered.verify(*answered.options, "--save", saved)
    page = (Path(__file__).parents[2] / "docs" / "evidence.md").read_text()
    [program] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    done = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, saved), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await done.communicate()
    assert done.returncode == 0
    said = [line.split() for line in out.decode().splitlines()]
    assert [(signer.lower(), member) for signer, member in said] == [
        (signer, "True") for signer in told["signers"]
    ]


async def test_evidence_is_shown_from_a_node_and_from_the_journal_of_one_that_is_down(
    answered: Answered,
) -> None:
    _, arguments = await answered.calldata()
    digest = "0x" + arguments["attestation"]["evidenceHash"].hex()
    other = answered.nodes[1].url
    code, out, _ = await vagus("evidence", "show", digest, "--json", "--url", other)
    assert code == 0
    shown = json.loads(out)
    assert shown["document"]["intent"]["id"] == answered.asked.hex
    members = {each["member"] for each in shown["checks"]}
    assert members
    assert all(each["document"]["intent"] == answered.asked.hex for each in shown["checks"])
    code, _, err = await vagus("evidence", "show", "0x" + "00" * 32, *answered.options)
    assert code == 1
    assert "this node has no evidence of that hash" in err
    await answered.nodes[0].kill()
    code, out, _ = await vagus("evidence", "show", digest, "--config", answered.config, "--json")
    assert code == 0
    assert json.loads(out)["document"] == shown["document"]
    whole = Web3.keccak(
        text=json.dumps(
            shown["document"], sort_keys=True, separators=(",", ":"), ensure_ascii=False
        )
    )
    assert "0x" + whole.hex() == digest


async def test_an_intent_that_nobody_delivered_is_said_to_be_none(answered: Answered) -> None:
    code, out, err = await vagus("verify", "0x" + "11" * 32, *answered.options)
    assert (code, out) == (1, "")
    assert "is delivered on no chain of" in err
    code, _, err = await vagus("verify", "0x11", "--config", answered.config)
    assert code == 2
    assert "is no id and no hash" in err
