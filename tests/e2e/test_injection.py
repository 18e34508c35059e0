"""Attacks by payload on a whole node, from a contract on one chain to the hub on another.

tests/agents/test_injection.py has all of the corpus; here are some of each kind, asked on chain of
every built-in agent, with a model that gives in and looks for secrets in what it is sent.
"""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from eth_account import Account
from web3 import Web3

from support.client import Asked, Client, Question
from support.injection import AGENTS, Attack, Hostile, attacks
from support.node import Node
from support.node_devnet import Devnet
from support.scripted import Scripted, scripted

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("e2e_injection"),
]

API_KEY = "sk-CanaryOfTheAttackedNode0123456789"
ENVIRONMENT = "CanaryOfTheAttackedEnvironment01"
ATTACKS = attacks()
CHOSEN = [
    [each for each in ATTACKS if each.kind == kind][3]
    for kind in sorted({attack.kind for attack in ATTACKS})
]


def secrets_of(devnet: Devnet) -> dict[str, bytes]:
    """What may appear nowhere: decrypted by eth_account, not by what is tested."""
    keys = devnet.folder / "keys"
    password = (keys / "password").read_text().strip()
    found = {"password": password.encode(), "api": API_KEY.encode(), "env": ENVIRONMENT.encode()}
    for name in ("signer", "account"):
        key = bytes(Account.decrypt(json.loads((keys / f"{name}.json").read_text()), password))
        found |= {f"{name} key": key, f"{name} key in hex": key.hex().encode()}
    return found


@dataclass
class Attacked:
    """All intents, settled, with what the node says and the chains have of them."""

    node: Node
    asked: dict[tuple[int, str], Asked]
    shown: dict[tuple[int, str], dict[str, Any]]
    outputs: dict[tuple[int, str], bytes]
    evidence: dict[tuple[int, str], bytes]
    hostile: Hostile
    forbidden: Scripted
    secrets: dict[str, bytes]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def attacked(
    devnet: Devnet, client: Client, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Attacked]:
    secrets = secrets_of(devnet)
    key_file = devnet.folder / "keys" / "attacked-api-key"
    key_file.write_text(API_KEY + "\n")
    key_file.chmod(0o600)
    hostile = Hostile([API_KEY, ENVIRONMENT, secrets["password"].decode()])
    async with scripted(hostile.answer) as served, scripted(hostile.answer) as forbidden:
        backends = "".join(
            f'[[backends]]\nkind = "openai"\nname = "{name}"\nnetwork = "{name}"\n'
            f'base_url = "{server.base_url}"\nmodels = [{{ name = "m" }}]\n'
            'api_key_file = "keys/attacked-api-key"\n'
            for name, server in (("forbidden", forbidden), ("allowed", served))
        )
        config = devnet.variant("attacked", backends=backends)
        pairs = [(attack, agent) for attack in CHOSEN for agent in AGENTS]
        pairs = [(a, agent) for a, agent in pairs if len(a.payload(agent)) <= 8192]
        async with Node(config, tmp_path_factory.mktemp("attacked") / "log") as node:
            env = {"VAGUS_POLICY__NETWORKS": '["allowed"]', "API_KEY": ENVIRONMENT}
            await node.start(VAGUS_LOG__LEVEL="debug", **env)
            questions = [Question(a.payload(agent), agent=agent) for a, agent in pairs]
            names = [(a.number, agent) for a, agent in pairs]
            asked = dict(zip(names, await client.ask_all(questions), strict=True))
            shown = {k: await node.reaches(v.hex, "settled") for k, v in asked.items()}
            outputs = {k: await _output(client, each) for k, each in shown.items()}
            evidence = {
                k: (await node.get(f"/v1/evidence/{each['evidence_hash']}"))[1]
                for k, each in shown.items()
            }
            yield Attacked(node, asked, shown, outputs, evidence, hostile, forbidden, secrets)


async def _output(client: Client, shown: dict[str, Any]) -> bytes:
    """The output in the delivery's calldata; nothing where nothing was delivered."""
    if shown["deliver_tx"] is None:
        return b""
    tx = await client.chains[1].web3.eth.get_transaction(shown["deliver_tx"])
    _, call = client.chains[1].contract.decode_function_input(tx["input"])
    return bytes(call["output"])


def attack_of(number: int) -> Attack:
    return ATTACKS[number]


async def test_what_is_delivered_is_an_output_that_the_payload_allows(
    attacked: Attacked, client: Client
) -> None:
    answered = {k for k, shown in attacked.shown.items() if shown["status"] == "fulfilled"}
    assert len(answered) > len(attacked.shown) / 2
    for name, asked in attacked.asked.items():
        delivered = await client.events("Delivered", asked)
        if name in answered:
            number, agent = name
            assert attack_of(number).allows(agent, attacked.outputs[name])
            (event,) = delivered
            assert bytes(event["outputHash"]) == bytes(Web3.keccak(attacked.outputs[name]))
        else:
            assert attacked.shown[name]["status"] == "refused"
            assert delivered == []


async def test_agent_model_and_payee_on_chain_are_those_of_any_other_intent(
    attacked: Attacked, client: Client, devnet: Devnet
) -> None:
    digests: dict[str, set[tuple[bytes, bytes]]] = {agent: set() for agent in AGENTS}
    for (_, agent), asked in attacked.asked.items():
        for event in await client.events("Delivered", asked):
            digests[agent].add((bytes(event["agentDigest"]), bytes(event["modelDigest"])))
        (settled,) = await client.events("Settled", asked)
        assert settled["fee"] + settled["returned"] == 10**15
    assert all(len(each) == 1 for each in digests.values())
    assert {shown["backend"] for shown in attacked.shown.values()} <= {"allowed/m", ""}
    assert attacked.forbidden.requests == []


async def test_no_secret_is_in_what_was_delivered_asked_logged_or_served(
    attacked: Attacked,
) -> None:
    assert attacked.hostile.authorizations == {f"Bearer {API_KEY}"}
    environ = Path(f"/proc/{attacked.node.pid}/environ").read_bytes()
    assert ENVIRONMENT.encode() in environ  # the node itself has it
    places = {
        "outputs": b"".join(attacked.outputs.values()),
        "prompts": b"".join(attacked.hostile.raw),
        "evidence": b"".join(attacked.evidence.values()),
        "the API": json.dumps(list(attacked.shown.values())).encode(),
        "the log": attacked.node.log.encode(),
    }
    assert all(places.values())
    for place, text in places.items():
        leaked = [name for name, secret in attacked.secrets.items() if secret in text]
        assert leaked == [], place


async def test_the_log_has_no_traceback_and_quotes_no_attack(attacked: Attacked) -> None:
    assert "Traceback" not in attacked.node.log
    assert {line["level"] for line in attacked.node.lines()} <= {"debug", "info", "warning"}
    texts = [attack_of(number).text for number, _ in attacked.asked]
    assert not [text for text in texts if text and len(text) > 20 and text in attacked.node.log]
