"""Three nodes of three operators, of which two sign: one broker between them, one model each."""

import asyncio
import base64
import contextlib
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest
import pytest_asyncio
from eth_account import Account
from eth_account.messages import encode_typed_data
from web3 import Web3

from support.client import SETTLED, Asked, Client, hurried_client_of, until
from support.node import Node, vagus
from support.node_devnet import Devnet, running_devnet
from support.node_model import StubModel, stub_model
from vagus.daemon.config import load
from vagus.daemon.failpoints import FAILPOINTS
from vagus.protocol import agent_id
from vagus.protocol.sealing import secret_context, unseal

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("e2e_committee"),
]


@dataclass
class Three:
    """Three running nodes with a model each, and a client of the chains that they serve."""

    net: Devnet
    client: Client
    nodes: list[Node]
    models: list[StubModel]

    async def all_settled(self, asked: Asked) -> None:
        for node in self.nodes:
            await node.reaches(asked.hex, "settled")

    async def ended(self, node: Node, asked: Asked) -> None:
        """Wait until a node that was away has seen that an intent has ended, with or without it."""
        ends = {"settled", "closed"}
        await until(lambda: node.intent(asked.hex), lambda shown: shown["stage"] in ends)

    async def delivered(self, asked: Asked) -> dict:
        """The one delivery of an intent, and its one settlement has been."""
        (delivered,) = await self.client.events("Delivered", asked)
        (_,) = await self.client.events("Settled", asked)
        assert await self.client.state(asked) == SETTLED
        return delivered

    async def down(self) -> None:
        for node in self.nodes:
            if node.returncode is None:
                await node.kill()

    async def up(self) -> None:
        await asyncio.gather(*(node.launch() for node in self.nodes if node.returncode is not None))
        for node in self.nodes:
            await node.serving()
            await until(lambda node=node: node.get("/readyz"), lambda got: got[0] == 200)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def three(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Three]:
    folder = tmp_path_factory.mktemp("committee")
    async with contextlib.AsyncExitStack() as stack:
        net = await stack.enter_async_context(running_devnet(folder / "net", nodes=3))
        client = await stack.enter_async_context(hurried_client_of(net.chains))
        models = [await stack.enter_async_context(stub_model(fickle=False)) for _ in range(3)]
        nodes = [
            await stack.enter_async_context(Node(net.member(at, model.backends), folder / f"{at}"))
            for at, model in enumerate(models)
        ]
        for node in nodes:
            await node.launch()
        three = Three(net, client, nodes, models)
        await three.up()
        yield three


async def test_an_answer_is_run_by_each_signed_by_two_and_delivered_once(three: Three) -> None:
    asked = await three.client.ask("a question to three")
    await three.all_settled(asked)
    await three.delivered(asked)
    assert [model.asked["a question to three"] for model in three.models] == [1, 1, 1]


async def test_the_signers_of_a_delivery_are_two_members_of_the_hubs_set(three: Three) -> None:
    asked = await three.client.ask("who signed?")
    await three.all_settled(asked)
    await three.delivered(asked)
    chain = three.client.chains[1]
    (log,) = await chain.contract.events.Delivered.get_logs(
        from_block=0, argument_filters={"intentId": asked.id}
    )
    transaction = await chain.web3.eth.get_transaction(log["transactionHash"])
    _, arguments = chain.contract.decode_function_input(transaction["input"])
    signers = [
        recover(chain.hub, dict(arguments["attestation"]), signature)
        for signature in arguments["signatures"]
    ]
    committee = next(
        each for each in await chain.contract.functions.committee().call() if isinstance(each, list)
    )
    assert len(set(signers)) == 2
    assert {each.lower() for each in signers} <= {each.lower() for each in committee}


def recover(hub: str, attestation: dict, signature: bytes) -> str:
    """Recover a signer by eth_account, from EIP-712 data of its own."""
    kinds = [
        "bytes32",
        "bytes32",
        "uint64",
        "bytes32",
        "bytes32",
        "bytes32",
        "bytes32",
        "uint64",
        "uint64",
    ]
    types = [{"name": name, "type": kind} for name, kind in zip(attestation, kinds, strict=True)]
    message = {
        "types": {
            "EIP712Domain": [
                {"name": "name", "type": "string"},
                {"name": "version", "type": "string"},
                {"name": "salt", "type": "bytes32"},
            ],
            "Attestation": types,
        },
        "primaryType": "Attestation",
        "domain": {"name": "vagus", "version": "1", "salt": Web3.keccak(text=hub)},
        "message": attestation,
    }
    return Account.recover_message(encode_typed_data(full_message=message), signature=signature)


@pytest.mark.parametrize("failpoint", FAILPOINTS)
async def test_a_member_killed_anywhere_holds_up_nobody_and_comes_back(
    failpoint: str, three: Three
) -> None:
    victim = three.nodes[2]
    await victim.kill()
    await victim.launch(failpoint)
    await victim.serving()
    await until(lambda: victim.get("/readyz"), lambda got: got[0] == 200)
    asked = await three.client.ask(f"three, of which one dies at {failpoint}")
    for node in three.nodes[:2]:
        await node.reaches(asked.hex, "settled")
    await three.delivered(asked)
    if victim.returncode is None:
        await victim.kill()
    assert victim.returncode == -signal.SIGKILL
    await three.up()
    await three.ended(victim, asked)


async def test_all_killed_at_once_go_on_with_what_they_had(three: Three) -> None:
    for model in three.models:
        model.open.clear()
    asked = await three.client.ask("all die")
    for node in three.nodes:
        await node.reaches(asked.hex, "routed")
    await three.down()
    await three.up()
    # Not before all are back: two are enough, and who comes later finds that it was settled without it.
    for model in three.models:
        model.open.set()
    await three.all_settled(asked)
    await three.delivered(asked)


async def test_a_member_whose_model_answers_otherwise_is_outvoted(three: Three) -> None:
    liar = three.models[0]
    liar.lies = True
    try:
        asked = await three.client.ask("what is true?")
        await three.all_settled(asked)
    finally:
        liar.lies = False
    for node in three.nodes:
        shown = await node.intent(asked.hex)
        assert shown["answer"] == "answer 1 to what is true?"
    await three.delivered(asked)


async def test_what_waits_for_others_says_for_whom_and_why(three: Three) -> None:
    here, *others = three.nodes
    for node in others:
        await node.kill()
    try:
        asked = await three.client.ask("is anybody there?")
        shown = await until(
            lambda: here.intent(asked.hex),
            lambda found: (
                found
                and found["committee"]
                and found["committee"]["phase"] == "agreeing"
                # Its own run may still be under way, and who was heard of just before is here
                # for 15 s more and has not come to its block.
                and found["committee"]["next"].startswith(
                    "waits for 1 more member to have a result"
                )
                and "has not seen it" not in str(found["committee"]["members"])
            ),
        )
        assert shown["committee"]["votes_needed"] == 2
        states = {each["signer"]: each["state"] for each in shown["committee"]["members"]}
        assert len(states) == 3
        missing = [state for state in states.values() if not state.startswith("this node")]
        absent = ("offline", "said nothing", "never heard of")
        assert all(any(words in each for words in absent) for each in missing), missing
    finally:
        await three.up()
    for node in three.nodes:
        await three.ended(node, asked)


async def test_a_sealed_question_is_read_by_each_member_and_shown_to_no_open_backend(
    three: Three,
) -> None:
    here = three.nodes[0]
    config = here.config.with_name("asking.toml")
    config.write_text(
        here.config.read_text().replace("port = 0", f"port = {here.url.rpartition(':')[2]}")
    )
    code, out, err = await vagus(
        *("intent", "send", "--seal", "--prompt", "what nobody else may read", "--json"),
        *("--config", config),
    )
    assert "sealed to 3 members" in err
    shown = orjson.loads(out)
    assert (code, shown["status"]) == (1, "refused"), err
    # Each has opened it: who cannot waits for those who can.
    assert shown["reason"].startswith("no backend is left by the privacy confidential")
    assert b"what nobody else may read".hex() not in shown["payload"]
    assert not any("what nobody else may read" in model.asked for model in three.models)


async def test_a_requesters_secret_is_sealed_to_each_member(three: Three, tmp_path: Path) -> None:
    here = three.nodes[0]
    config = here.config.with_name("sealing.toml")
    config.write_text(
        here.config.read_text().replace("port = 0", f"port = {here.url.rpartition(':')[2]}")
    )
    secret = tmp_path / "secret"
    secret.write_text("Bearer canary-91bc\n")
    asking = "0x" + "44" * 20
    code, out, err = await vagus(
        *("secret", "seal", "--host", "api.example.org", "--requester", asking),
        *("--file", secret, "--config", config),
    )
    assert code == 0, err
    assert "canary" not in out + err
    _, _, other = await vagus(
        *("secret", "seal", "--host", "api.example.org", "--requester", asking),
        *("--file", secret, "--config", config, "--agent", "nosuch@1"),
    )
    assert "who asks for nosuch@1, asks others" in other
    sealed = base64.b64decode(out.strip(), validate=True)
    origin = three.client.chains[0].hub_id
    word = bytes(12) + bytes.fromhex(asking[2:])
    context = secret_context(origin, word, agent_id("fetch@1"), "api.example.org")
    for node in three.nodes:
        keys = load(node.config).transport_key
        assert keys is not None
        assert unseal(sealed, keys.open().x25519_secret, context) == b"Bearer canary-91bc"


async def test_the_committees_status_shows_who_takes_part(three: Three) -> None:
    async def look() -> dict:
        code, body = await three.nodes[0].get("/v1/committee")
        assert code == 200
        return orjson.loads(body)

    def whole(found: dict) -> bool:
        return all(len(each["lag"]) == 2 and each["present"] for each in found["members"])

    view = await until(look, whole)
    assert [each["connected"] for each in view["transports"]] == [True]
    assert len(view["members"]) == 2
    assert all(each["present"] for each in view["members"])
    assert all(set(each["lag"]) == {"eip155:31337", "eip155:31338"} for each in view["members"])
