"""What a callback is given, what it can do to the hub (nothing), and who can starve it (nobody)."""

import pytest
from web3 import Web3

from support.hub import AGENT, DAY, FOREIGN, ZERO, Message, members, word
from support.hub_cases.retrying import CALLS
from support.hub_cosmos import ARGUMENTS, CosmosHub, Puppet, call
from support.wasmd import Chain, Result, RevertError

GAS = 400_000
NEXT = members(2, "next")


def outcome(hub: CosmosHub, intent: Message) -> str:
    """The recorded outcome of an intent's callback."""
    return hub.view("delivery", hub.intent_id(intent))["callback"]


@pytest.fixture
def intent(hub: CosmosHub, puppet: Puppet) -> Message:
    """An intent whose callback is the puppet: an address of 32 bytes."""
    return hub.intent(callback=puppet.word, callbackGas=GAS)


def test_the_callback_is_told_who_asked_whom_where_and_the_output(
    hub: CosmosHub, puppet: Puppet, intent: Message
):
    result = hub.deliver(intent)
    seen = puppet.seen
    assert (seen["calls"], seen["sender"], seen["funds"]) == (1, hub.address, 0)
    assert seen["outcome"] == {
        "intentId": hub.intent_id(intent),
        "originHub": FOREIGN,
        "requester": word(hub.alice),
        "agentId": AGENT,
        "payloadHash": Web3.keccak(b"question"),
        "status": 0,
        "output": b"answer".hex(),
    }
    assert outcome(hub, intent) == "succeeded"
    told = {"intentId": hub.intent_id(intent), "callback": puppet.word, "success": True}
    assert hub.events("CallbackResult", result) == [told]


def test_a_callback_is_told_of_a_refusal(hub: CosmosHub, puppet: Puppet, intent: Message):
    hub.deliver(intent, hub.attestation(intent, b"", 1), b"")
    assert (puppet.seen["outcome"]["status"], puppet.seen["outcome"]["output"]) == (1, "")
    assert outcome(hub, intent) == "succeeded"


def test_the_longest_output_reaches_the_callback_whole(
    hub: CosmosHub, puppet: Puppet, intent: Message
):
    output = bytes(range(256)) * 32
    result = hub.deliver(intent | {"callbackGas": 10**6}, output=output)
    assert puppet.seen["outcome"]["output"] == output.hex()
    assert hub.events("Delivered", result)[0]["output"] == output


@pytest.mark.parametrize("act", ["fail", "burn", "panic"])
def test_a_failing_callback_never_blocks_the_delivery(
    hub: CosmosHub, puppet: Puppet, intent: Message, act: str
):
    puppet.script(act)
    result = hub.deliver(intent)
    assert not hub.events("CallbackResult", result)[0]["success"]
    assert outcome(hub, intent) == "failed"
    # What it did before it failed is undone, and no more than was promised is gone.
    assert puppet.seen["calls"] == 0
    assert int(result["gas_used"]) < 250_000 + GAS


def test_a_target_without_code_is_a_failed_callback(hub: CosmosHub):
    for callback in (word(hub.carol), b"\1" * 32):
        intent = hub.intent(callback=callback)
        result = hub.deliver(intent)
        assert not hub.events("CallbackResult", result)[0]["success"]
        assert outcome(hub, intent) == "failed"


def test_a_contract_that_knows_no_on_result_is_a_failed_callback(hub: CosmosHub):
    intent = hub.intent(callback=hub.word, callbackGas=GAS)
    hub.deliver(intent)
    assert outcome(hub, intent) == "failed"


def test_no_callback_is_no_call(hub: CosmosHub):
    intent = hub.intent(callback=ZERO, callbackGas=2**64 - 1)
    result = hub.deliver(intent)
    assert hub.events("CallbackResult", result) == []
    assert outcome(hub, intent) == "none"


def test_callback_gas_over_the_maximum_is_a_failure_without_a_call(hub: CosmosHub, puppet: Puppet):
    for gas in (hub.config["maxCallbackGas"] + 1, 2**64 - 1):
        intent = hub.intent(callback=puppet.word, callbackGas=gas)
        result = hub.deliver(intent)
        assert not hub.events("CallbackResult", result)[0]["success"]
        assert outcome(hub, intent) == "failed"
    assert puppet.seen["calls"] == 0


# What it answers.


@pytest.mark.parametrize(("events", "size"), [(20, 10_000), (4_000, 1), (0, 200_000)])
def test_a_long_answer_of_the_callback_does_not_block_the_delivery(
    hub: CosmosHub, puppet: Puppet, events: int, size: int
):
    intent = hub.intent(callback=puppet.word, callbackGas=10**6)
    puppet.script("bomb", events=events, bytes=size)
    result = hub.deliver(intent, gas=20_000_000)
    assert outcome(hub, intent) == "succeeded"
    # Reading what it answered costs the deliverer no more than it cost the callback.
    assert int(result["gas_used"]) < 250_000 + 2 * 10**6


def test_an_answer_that_the_chain_takes_for_too_long_is_a_failed_callback(
    hub: CosmosHub, puppet: Puppet
):
    intent = hub.intent(callback=puppet.word, callbackGas=10**6)
    puppet.script("bomb", events=40, bytes=10_000)
    hub.deliver(intent, gas=20_000_000)
    assert outcome(hub, intent) == "failed"


# Gas.


def starved(hub: CosmosHub, intent: Message, gas: int) -> Result | None:
    """Deliver with so much gas; None if it ran out, and then nothing is recorded."""
    try:
        return hub.deliver(intent, gas=gas)
    except RevertError as error:
        if "out of gas" not in error.reason:
            raise
    assert hub.view("delivery", hub.intent_id(intent)) is None
    return None


def test_a_deliverer_cannot_starve_a_callback_that_would_succeed(
    hub: CosmosHub, puppet: Puppet, intent: Message
):
    full = int(hub.deliver(intent | {"seq": 1})["gas_used"])
    assert outcome(hub, intent | {"seq": 1}) == "succeeded"
    delivered = []
    for seq, gas in enumerate(range(full - 200_000, full + 40_000, 10_000), start=100):
        once = intent | {"seq": seq}
        delivered.append(starved(hub, once, gas) is not None)
        # Either the transaction fails as a whole or the callback had what it needs.
        if delivered[-1]:
            assert outcome(hub, once) == "succeeded"
    assert delivered == sorted(delivered)
    assert {True, False} == set(delivered)
    assert puppet.seen["calls"] == 1 + sum(delivered)


@pytest.mark.parametrize("promised", [0, 70_000, 400_000])
def test_a_callback_that_burns_its_gas_is_recorded_only_if_it_had_all_of_it(
    hub: CosmosHub, puppet: Puppet, promised: int
):
    puppet.script("burn")
    intent = hub.intent(callback=puppet.word, callbackGas=promised)
    low, high, seq = 100_000, 900_000, 100
    while high - low > 500:
        seq += 1
        middle = (low + high) // 2
        if starved(hub, intent | {"seq": seq}, middle) is None:
            low = middle
        else:
            high = middle
    least = hub.deliver(intent | {"seq": 1}, gas=high)
    assert outcome(hub, intent | {"seq": 1}) == "failed"
    silent = hub.deliver(hub.intent(seq=2))
    # The promise, and beside it what recording the outcome costs; loading this contract too.
    own = int(least["gas_used"]) - int(silent["gas_used"])
    assert promised <= own < promised + 60_000


# Retry.


def test_a_failed_callback_is_retried_until_it_has_succeeded(
    hub: CosmosHub, puppet: Puppet, intent: Message
):
    puppet.script("fail")
    hub.deliver(intent)
    before = hub.view("delivery", hub.intent_id(intent))
    assert not hub.events("CallbackResult", hub.retry(intent))[0]["success"]
    puppet.script("accept")
    assert hub.events("CallbackResult", hub.retry(intent))[0]["success"]
    # The rest of the record stays as it was delivered.
    assert hub.view("delivery", hub.intent_id(intent)) == before | {"callback": "succeeded"}
    with pytest.raises(RevertError) as caught:
        hub.retry(intent)
    assert caught.value.reason == "no failed callback"
    assert puppet.seen["calls"] == 1


def test_a_retry_outlives_the_deadline_and_the_set_that_signed(
    hub: CosmosHub, puppet: Puppet, intent: Message
):
    puppet.script("fail")
    hub.deliver(intent)
    puppet.script("accept")
    hub.rotate(members(1, "next"), 1)
    hub.at(hub.now + 6 * DAY)
    hub.retry(intent)
    assert outcome(hub, intent) == "succeeded"


# Reentrancy.


def test_every_call_is_among_the_reentered():
    assert ARGUMENTS.keys() == set(CALLS)


def test_inside_a_callback_the_hub_is_closed_to_other_contracts_too(
    chain: Chain, hub: CosmosHub, puppet: Puppet
):
    other = Puppet(chain)
    hub.settle(hub.ask(), [(other.word, 5000)])
    withdrawal = hub.message("withdraw")
    puppet.try_(other.address, {"send": {"msg": call(hub.address, withdrawal)}})
    hub.deliver(hub.intent(callback=puppet.word, callbackGas=10**6))
    assert puppet.seen["succeeded"] is False
    other.send(hub.address, withdrawal)


def test_a_callback_cannot_retry_itself(hub: CosmosHub, puppet: Puppet, intent: Message):
    puppet.try_(hub.address, hub.message("retry", tuple(intent.values()), b"answer"))
    hub.deliver(intent)
    assert puppet.seen["succeeded"] is False
    assert outcome(hub, intent) == "succeeded"
    assert puppet.seen["calls"] == 1


def test_inside_its_callback_a_delivery_is_already_recorded(
    hub: CosmosHub, puppet: Puppet, intent: Message
):
    puppet.script("look")
    hub.deliver(intent)
    after = hub.view("delivery", hub.intent_id(intent))
    # Until it has succeeded, a callback counts as failed.
    assert puppet.seen["delivery"] == after | {"callback": "failed"}
    assert after["callback"] == "succeeded"
