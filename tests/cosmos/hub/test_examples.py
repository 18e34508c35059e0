"""The example consumer on a hub."""

from typing import Any

import pytest

from support.hub import AGENT, FOREIGN, ZERO, Message, word
from support.hub_cosmos import CONSUMER, CosmosHub, json_of
from support.wasmd import Chain, RevertError, short
from vagus.adapters.cosmos.devnet import DENOM


class Consumer:
    """A consumer of a hub and of chat@1, owned by the first account."""

    def __init__(self, chain: Chain, hub: CosmosHub) -> None:
        self.chain, self.hub = chain, hub
        self.owner = chain.accounts[0]
        trust = {"hub": hub.address, "agent_id": AGENT.hex()}
        self.address = chain.instantiate(CONSUMER, trust)
        self.word = word(short(self.address))

    def call(self, message: Any, sender: str | None = None, fee: int = 0) -> Any:
        funds = {DENOM: fee} if fee else None
        return self.chain.execute(self.address, message, sender or self.owner, funds)

    def ask(self, sender: str | None = None, fee: int = 5000, **changes: Any) -> Message:
        """Ask from here to here; the intent."""
        question = {
            "agentId": AGENT,
            "payload": b"question",
            "modelDigest": ZERO,
            "terms": b"",
            "minSigners": 0,
            "destHub": self.hub.id,
            "callback": self.word,
            "callbackGas": 400_000,
            "deadline": self.hub.now + 3600,
        }
        result = self.call({"ask": json_of(question | changes)}, sender, fee)
        return dict(self.hub.events("IntentRequested", result)[0]["intent"])

    def allow(self, hub_id: bytes, requester: bytes, allowed: bool) -> None:
        """Say whose questions count."""
        arguments = {"originHub": hub_id, "requester": requester, "allowed": allowed}
        self.call({"allow": json_of(arguments)})

    def answer(self, intent: Message) -> Any:
        """The answer that it keeps of an intent."""
        question = {"answer": {"intent_id": self.hub.intent_id(intent).hex()}}
        return self.chain.query(self.address, question)


@pytest.fixture
def consumer(chain: Chain, hub: CosmosHub) -> Consumer:
    return Consumer(chain, hub)


def outcome(hub: CosmosHub, intent: Message) -> str:
    return hub.view("delivery", hub.intent_id(intent))["callback"]


def test_a_consumer_asks_is_answered_and_keeps_the_answer(hub: CosmosHub, consumer: Consumer):
    intent = consumer.ask()
    assert intent["requester"] == intent["callback"] == consumer.word
    assert intent["agentId"] == AGENT
    text = "the answer, ünïcode".encode()
    result = hub.deliver(intent, output=text)
    assert consumer.answer(intent) == {"answered": True, "status": "0", "output": text.hex()}
    (told,) = [e for e in result["events"] if e["type"] == "wasm-answered"]
    assert {"key": "output", "value": text.hex(), "index": True} in told["attributes"]
    assert outcome(hub, intent) == "succeeded"


@pytest.mark.parametrize("status", [1, 2])
def test_a_refusal_is_noted_and_is_no_answer(hub: CosmosHub, consumer: Consumer, status: int):
    intent = consumer.ask()
    hub.deliver(intent, hub.attestation(intent, b"", status), b"")
    answer = {"answered": False, "status": str(status), "output": ""}
    assert consumer.answer(intent) == answer
    assert outcome(hub, intent) == "succeeded"


def test_nobody_but_the_hub_answers(hub: CosmosHub, consumer: Consumer):
    forged = {
        "intentId": b"\1" * 32,
        "originHub": hub.id,
        "requester": consumer.word,
        "agentId": AGENT,
        "payloadHash": ZERO,
        "status": 0,
        "output": b"forged",
    }
    with pytest.raises(RevertError) as caught:
        consumer.call({"on_result": json_of(forged)}, hub.bob)
    assert caught.value.reason == "not the hub"


@pytest.mark.parametrize(
    "change",
    [{"requester": b"\1" * 32}, {"originHub": FOREIGN}, {"agentId": b"\1" * 32}],
    ids=["another requester", "another origin", "another agent"],
)
def test_an_answer_to_anyone_elses_question_is_refused(
    hub: CosmosHub, consumer: Consumer, change: dict[str, bytes]
):
    intent = consumer.ask() | change
    hub.deliver(intent)
    assert outcome(hub, intent) == "failed"
    assert consumer.answer(intent) is None


def test_a_peer_on_another_chain_is_allowed_by_the_owner(hub: CosmosHub, consumer: Consumer):
    peer = b"\7" * 32
    intent = hub.intent(requester=peer, callback=consumer.word, callbackGas=400_000)
    consumer.allow(FOREIGN, peer, allowed=True)
    hub.deliver(intent)
    assert outcome(hub, intent) == "succeeded"
    consumer.allow(FOREIGN, peer, allowed=False)
    hub.deliver(intent | {"seq": 8})
    assert outcome(hub, intent | {"seq": 8}) == "failed"


def test_only_the_owner_asks_allows_and_collects(hub: CosmosHub, consumer: Consumer):
    with pytest.raises(RevertError) as caught:
        consumer.ask(hub.bob)
    assert caught.value.reason == "not the owner"
    allow = json_of({"originHub": FOREIGN, "requester": ZERO, "allowed": True})
    for message in ({"allow": allow}, {"collect": {}}):
        with pytest.raises(RevertError) as caught:
            consumer.call(message, hub.bob)
        assert caught.value.reason == "not the owner"


def test_a_consumer_asks_no_other_agent(consumer: Consumer):
    with pytest.raises(RevertError) as caught:
        consumer.ask(agentId=b"\1" * 32)
    assert caught.value.reason == "another agent"


def test_the_owner_collects_what_the_hub_returns(chain: Chain, hub: CosmosHub, consumer: Consumer):
    intent = consumer.ask(fee=10**9)
    hub.settle(intent, [(word(hub.carol), 10**8)])
    owner = chain.bech32(consumer.owner)
    before = chain.balance(owner)
    result = consumer.call({"collect": {}})
    assert chain.balance(owner) == before + 9 * 10**8 - result["fee"]
    assert chain.balance(consumer.address) == 0


@pytest.mark.parametrize(
    "hub_address",
    [
        "cosmos1qyqszqgpqyqszqgpqyqszqgpqyqszqgpjnp7du",
        "wasm1qyqszqgpqyqszqgpqyqszqgpqyqszqgp00000",
        "wasm",
        "",
    ],
)
def test_a_consumer_trusts_no_hub_of_a_foreign_prefix_or_a_bad_checksum(
    chain: Chain, hub_address: str
):
    with pytest.raises(RevertError) as caught:
        chain.instantiate(CONSUMER, {"hub": hub_address, "agent_id": AGENT.hex()})
    assert "addr_validate errored" in caught.value.reason
