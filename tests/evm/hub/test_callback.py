"""What a callback is given, what it can do to the hub (nothing), and who can starve it (nobody)."""

import pytest
from web3 import Web3
from web3.contract import Contract

from support.anvil import Anvil
from support.contracts import RevertError, send
from support.hub import AGENT, DAY, FOREIGN, ZERO, HubClient, members, word
from support.hub_cases.retrying import CALLS

ACCEPT, REVERT, BURN, BOMB, CALL = range(5)
NONE, SUCCEEDED, FAILED = range(3)
NEXT = members(2, "next")


def script(puppet: Contract, anvil: Anvil, mode: int, target: str = "", data: str = "0x") -> None:
    """Tell the callback what to do."""
    call = puppet.functions.script(mode, target or puppet.address, data)
    send(anvil, call, anvil.accounts[0])


def outcome(hub: HubClient, intent: dict[str, object]) -> int:
    """The recorded outcome of an intent's callback."""
    return hub.view("delivery", hub.intent_id(intent))["callback"]


def told(puppet: Contract) -> dict[str, object]:
    """What the callback was given last; of the output its hash and length."""
    names = ("intentId", "originHub", "requester", "agentId", "payloadHash")
    types = ["bytes32"] * 5 + ["uint64", "bytes32", "uint256"]
    words = puppet.w3.codec.decode(types, puppet.functions.seen().call())
    return dict(zip((*names, "status", "outputHash", "outputLength"), words, strict=True))


@pytest.fixture
def intent(hub: HubClient, puppet: Contract) -> dict[str, object]:
    """An intent whose callback is the puppet."""
    return hub.intent(callback=word(puppet.address), callbackGas=900_000)


def test_the_callback_is_told_who_asked_whom_where_and_the_output(
    hub: HubClient, puppet: Contract, intent
):
    receipt = hub.deliver(intent)
    assert told(puppet) == {
        "intentId": hub.intent_id(intent),
        "originHub": FOREIGN,
        "requester": word(hub.alice),
        "agentId": AGENT,
        "payloadHash": Web3.keccak(b"question"),
        "status": 0,
        "outputHash": Web3.keccak(b"answer"),
        "outputLength": 6,
    }
    assert puppet.functions.sender().call() == hub.contract.address
    assert outcome(hub, intent) == SUCCEEDED
    (event,) = hub.events("CallbackResult", receipt)
    assert dict(event) == {
        "intentId": hub.intent_id(intent),
        "callback": word(puppet.address),
        "success": True,
    }


def test_a_callback_is_told_of_a_refusal(hub: HubClient, puppet: Contract, intent):
    hub.deliver(intent, hub.attestation(intent, b"", 1), b"")
    assert (told(puppet)["status"], told(puppet)["outputLength"]) == (1, 0)
    assert outcome(hub, intent) == SUCCEEDED


def test_the_longest_output_reaches_the_callback_whole(hub: HubClient, puppet: Contract, intent):
    output = bytes(range(256)) * 32
    receipt = hub.deliver(intent, output=output)
    assert told(puppet)["outputHash"] == Web3.keccak(output)
    assert told(puppet)["outputLength"] == 8192
    assert hub.events("Delivered", receipt)[0]["output"] == output


@pytest.mark.parametrize("mode", [REVERT, BURN, BOMB])
def test_a_failing_callback_never_blocks_the_delivery(
    hub: HubClient, puppet: Contract, intent, mode: int
):
    script(puppet, hub.anvil, mode)
    receipt = hub.deliver(intent)
    assert not hub.events("CallbackResult", receipt)[0]["success"]
    assert outcome(hub, intent) == FAILED
    # No more than was promised is gone, whatever the callback did.
    assert receipt["gasUsed"] < 200_000 + intent["callbackGas"]


def test_a_target_without_code_is_a_failed_callback(hub: HubClient):
    intent = hub.intent(callback=word(hub.carol))
    receipt = hub.deliver(intent)
    assert not hub.events("CallbackResult", receipt)[0]["success"]
    assert outcome(hub, intent) == FAILED


@pytest.mark.parametrize("malformed", [b"\1" + bytes(31), bytes(11) + b"\1" * 21, b"\xff" * 32])
def test_a_word_that_is_no_evm_address_is_a_failed_callback(hub: HubClient, malformed: bytes):
    intent = hub.intent(callback=malformed)
    receipt = hub.deliver(intent)
    assert dict(hub.events("CallbackResult", receipt)[0])["callback"] == malformed
    assert outcome(hub, intent) == FAILED


def test_a_contracts_address_with_a_dirty_word_in_front_is_not_called(
    hub: HubClient, puppet: Contract
):
    dirty = b"\1" + word(puppet.address)[1:]
    intent = hub.intent(callback=dirty, callbackGas=400_000)
    hub.deliver(intent)
    assert outcome(hub, intent) == FAILED
    assert puppet.functions.calls().call() == 0


def test_no_callback_is_no_call(hub: HubClient):
    intent = hub.intent(callback=ZERO, callbackGas=2**64 - 1)
    receipt = hub.deliver(intent)
    assert hub.events("CallbackResult", receipt) == []
    assert outcome(hub, intent) == NONE


def test_callback_gas_over_the_maximum_is_a_failure_without_a_call(
    hub: HubClient, puppet: Contract
):
    for gas in (hub.config["maxCallbackGas"] + 1, 2**64 - 1):
        intent = hub.intent(callback=word(puppet.address), callbackGas=gas)
        hub.deliver(intent)
        assert outcome(hub, intent) == FAILED
    assert puppet.functions.calls().call() == 0


def test_the_hub_itself_is_a_failed_callback(hub: HubClient):
    intent = hub.intent(callback=word(hub.contract.address))
    hub.deliver(intent)
    assert outcome(hub, intent) == FAILED


# Gas.


def lowest(hub: HubClient, low: int, high: int, attempt) -> int:
    """The least gas with which the attempt does not revert."""
    while high - low > 1:
        middle = (low + high) // 2
        with hub.anvil.undone():
            try:
                attempt(middle)
            except RevertError:
                low = middle
            else:
                high = middle
    return high


@pytest.mark.parametrize("gas", [0, 50_000, 400_000, 1_000_000])
def test_a_deliverer_cannot_starve_the_callback(hub: HubClient, puppet: Contract, gas: int):
    intent = hub.intent(callback=word(puppet.address), callbackGas=gas)
    script(puppet, hub.anvil, BURN)
    attestation = hub.attestation(intent)
    signatures = hub.sign("Attestation", attestation)

    def deliver(limit: int):
        return hub.deliver(intent, attestation, b"answer", signatures, gas=limit)

    least = lowest(hub, 100_000, 3_000_000, deliver)
    with hub.anvil.undone(), pytest.raises(RevertError) as caught:
        deliver(least - 1)
    assert caught.value.reason == "too little gas for callback"
    receipt = deliver(least)
    (call,) = traced(hub, receipt)["calls"][-1:]
    assert int(call["gas"], 16) == gas
    assert int(call["gasUsed"], 16) == gas
    assert outcome(hub, intent) == FAILED


def traced(hub: HubClient, receipt) -> dict:
    """The calls of a transaction."""
    hash_ = "0x" + receipt["transactionHash"].hex()
    return hub.anvil.rpc("debug_traceTransaction", hash_, {"tracer": "callTracer"})


def test_a_callback_that_burns_its_gas_is_retried_with_all_of_it(
    hub: HubClient, puppet: Contract, intent
):
    script(puppet, hub.anvil, BURN)
    hub.deliver(intent)
    with pytest.raises(RevertError) as caught:
        hub.retry(intent, gas=intent["callbackGas"] + 60_000)
    assert caught.value.reason == "too little gas for callback"
    call = traced(hub, hub.retry(intent))["calls"][-1]
    assert int(call["gas"], 16) == intent["callbackGas"]


# Retry.


def test_a_failed_callback_is_retried_until_it_has_succeeded(
    hub: HubClient, puppet: Contract, intent
):
    script(puppet, hub.anvil, REVERT)
    hub.deliver(intent)
    before = hub.view("delivery", hub.intent_id(intent))
    receipt = hub.retry(intent)
    assert not hub.events("CallbackResult", receipt)[0]["success"]
    script(puppet, hub.anvil, ACCEPT)
    receipt = hub.retry(intent)
    assert hub.events("CallbackResult", receipt)[0]["success"]
    # The rest of the record stays as it was delivered.
    assert hub.view("delivery", hub.intent_id(intent)) == before | {"callback": SUCCEEDED}
    with pytest.raises(RevertError) as caught:
        hub.retry(intent)
    assert caught.value.reason == "no failed callback"
    assert puppet.functions.calls().call() == 1


def test_no_retry_after_a_callback_that_succeeded_at_once(hub: HubClient, intent):
    hub.deliver(intent)
    with pytest.raises(RevertError) as caught:
        hub.retry(intent)
    assert caught.value.reason == "no failed callback"


def test_a_retry_outlives_the_deadline_and_the_set_that_signed(
    hub: HubClient, puppet: Contract, intent
):
    script(puppet, hub.anvil, REVERT)
    hub.deliver(intent)
    script(puppet, hub.anvil, ACCEPT)
    hub.rotate(members(1, "next"), 1)
    hub.at(hub.now + 6 * DAY)
    hub.retry(intent)
    assert outcome(hub, intent) == SUCCEEDED


# Reentrancy.


def test_every_call_that_changes_anything_is_among_the_reentered(hub: HubClient):
    changing = {
        entry["name"]
        for entry in hub.contract.abi
        if entry["type"] == "function" and entry["stateMutability"] in ("nonpayable", "payable")
    }
    assert changing == set(CALLS)


@pytest.mark.parametrize("name", ["config", "committee", "minFee", "hubId"])
def test_inside_a_callback_the_views_answer(hub: HubClient, puppet: Contract, intent, name: str):
    script(puppet, hub.anvil, CALL, hub.contract.address, hub.contract.encode_abi(name, args=()))
    hub.deliver(intent)
    assert puppet.functions.succeeded().call()


def test_inside_its_callback_a_delivery_is_already_recorded(
    hub: HubClient, puppet: Contract, intent
):
    id_ = hub.intent_id(intent)
    data = hub.contract.encode_abi("delivery", args=(id_,))
    script(puppet, hub.anvil, CALL, hub.contract.address, data)
    hub.deliver(intent)
    assert puppet.functions.succeeded().call()
    words = puppet.functions.answer().call()
    assert int.from_bytes(words[:32]) == hub.view("delivery", id_)["deliveredAt"]
    assert int.from_bytes(words[-32:]) == FAILED  # until it has succeeded
