"""The example consumers, in Vyper and in Solidity, on a hub."""

import pytest
from web3.contract import Contract

from support.contracts import RevertError, committed, deploy, send
from support.hub import AGENT, FOREIGN, ZERO, HubClient, word
from support.solidity import solidity

BUILDS = {"vyper": lambda: committed("consumer"), "solidity": lambda: solidity()["Consumer"]}
FAILED, SUCCEEDED = 2, 1


@pytest.fixture(params=BUILDS)
def consumer(request: pytest.FixtureRequest, hub: HubClient) -> Contract:
    """A consumer of this hub and of chat@1, owned by Alice."""
    build = BUILDS[request.param]()
    return deploy(hub.anvil, build, hub.contract.address, AGENT, sender=hub.alice)


def ask(hub: HubClient, consumer: Contract, fee: int = 5000, sender: str | None = None):
    """Ask from here to here; the intent."""
    callback = word(consumer.address)
    question = (b"question", ZERO, b"", 0, hub.id, callback, 400_000, hub.now + 3600)
    receipt = send(hub.anvil, consumer.functions.ask(*question), sender or hub.alice, value=fee)
    return dict(hub.events("IntentRequested", receipt)[0]["intent"])


def outcome(hub: HubClient, intent: dict[str, object]) -> int:
    return hub.view("delivery", hub.intent_id(intent))["callback"]


def test_a_consumer_asks_is_answered_and_keeps_the_answer(hub: HubClient, consumer: Contract):
    intent = ask(hub, consumer)
    assert intent["requester"] == intent["callback"] == word(consumer.address)
    assert intent["agentId"] == AGENT
    receipt = hub.deliver(intent, output="the answer, ünïcode".encode())
    answer = consumer.functions.answers(hub.intent_id(intent)).call()
    assert list(answer) == [True, 0, "the answer, ünïcode".encode()]
    (event,) = consumer.events.Answered().process_receipt(receipt, errors=_discard())
    assert event["args"]["output"] == "the answer, ünïcode".encode()
    assert outcome(hub, intent) == SUCCEEDED


def _discard():
    from web3.logs import DISCARD

    return DISCARD


@pytest.mark.parametrize("status", [1, 2])
def test_a_refusal_is_noted_and_is_no_answer(hub: HubClient, consumer: Contract, status: int):
    intent = ask(hub, consumer)
    hub.deliver(intent, hub.attestation(intent, b"", status), b"")
    answer = consumer.functions.answers(hub.intent_id(intent)).call()
    assert list(answer) == [False, status, b""]
    assert outcome(hub, intent) == SUCCEEDED


def test_nobody_but_the_hub_answers(hub: HubClient, consumer: Contract):
    call = consumer.functions.onResult(
        b"\1" * 32, hub.id, word(consumer.address), AGENT, ZERO, 0, b"forged"
    )
    with pytest.raises(RevertError) as caught:
        send(hub.anvil, call, hub.bob)
    assert caught.value.reason == "not the hub"


@pytest.mark.parametrize(
    "change",
    [
        {"requester": b"\1" * 32},
        {"originHub": FOREIGN},
        {"agentId": b"\1" * 32},
    ],
    ids=["another requester", "another origin", "another agent"],
)
def test_an_answer_to_anyone_elses_question_is_refused(
    hub: HubClient, consumer: Contract, change: dict[str, bytes]
):
    intent = ask(hub, consumer) | change
    hub.deliver(intent)
    assert outcome(hub, intent) == FAILED
    assert not consumer.functions.answers(hub.intent_id(intent)).call()[0]


def test_a_peer_on_another_chain_is_allowed_by_the_owner(hub: HubClient, consumer: Contract):
    peer = b"\7" * 32
    intent = hub.intent(requester=peer, callback=word(consumer.address), callbackGas=400_000)
    send(hub.anvil, consumer.functions.allow(FOREIGN, peer, True), hub.alice)
    hub.deliver(intent)
    assert outcome(hub, intent) == SUCCEEDED
    send(hub.anvil, consumer.functions.allow(FOREIGN, peer, False), hub.alice)
    hub.deliver(intent | {"seq": 8})
    assert outcome(hub, intent | {"seq": 8}) == FAILED


def test_only_the_owner_asks_allows_and_collects(hub: HubClient, consumer: Contract):
    with pytest.raises(RevertError):
        ask(hub, consumer, sender=hub.bob)
    for call in (consumer.functions.allow(FOREIGN, ZERO, True), consumer.functions.collect()):
        with pytest.raises(RevertError) as caught:
            send(hub.anvil, call, hub.bob)
        assert caught.value.reason == "not the owner"


def test_the_owner_collects_what_the_hub_returns(hub: HubClient, consumer: Contract):
    intent = ask(hub, consumer, fee=10**18)
    hub.settle(intent, [(word(hub.carol), 10**17)])
    balance = hub.anvil.web3.eth.get_balance
    before = balance(hub.alice)
    receipt = send(hub.anvil, consumer.functions.collect(), hub.alice)
    spent = receipt["gasUsed"] * receipt["effectiveGasPrice"]
    assert balance(hub.alice) == before + 9 * 10**17 - spent
    assert balance(consumer.address) == 0


def test_a_consumer_takes_no_payment_but_the_hubs(hub: HubClient, consumer: Contract):
    payment = {"from": hub.bob, "to": consumer.address, "value": 1, "gas": 100_000}
    eth = hub.anvil.web3.eth
    hash_ = eth.send_transaction(payment | {"gasPrice": 10**10})
    assert eth.wait_for_transaction_receipt(hash_, poll_latency=0.005)["status"] == 0


def test_the_reverter_is_delivered_to_and_noted(hub: HubClient):
    reverter = deploy(hub.anvil, committed("reverter"))
    intent = hub.intent(callback=word(reverter.address), callbackGas=100_000)
    hub.deliver(intent)
    assert outcome(hub, intent) == FAILED
