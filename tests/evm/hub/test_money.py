"""Who is credited what, and how it is paid out."""

import pytest
from web3.contract import Contract

from support.contracts import RevertError, send
from support.hub import AGENT, FOREIGN, ZERO, HubClient, word


def by_puppet(hub: HubClient, puppet: Contract, fee: int = 5000):
    """Request in a contract's name; the intent."""
    arguments = (AGENT, b"question", ZERO, b"", 0, FOREIGN, ZERO, 0, hub.now + 3600)
    data = hub.contract.encode_abi("request", args=arguments)
    receipt = execute(hub, puppet, data, value=fee)
    return dict(hub.events("IntentRequested", receipt)[0]["intent"])


def execute(hub: HubClient, puppet: Contract, data: str, value: int = 0):
    """Let the contract call the hub."""
    call = puppet.functions.execute(hub.contract.address, data, 2_000_000)
    return send(hub.anvil, call, hub.alice, value=value)


def expire(hub: HubClient, intent: dict[str, int]) -> None:
    """Let the next call happen when a refund is due."""
    hub.at(intent["deadline"] + hub.config["grace"] + 1)


def test_a_settlement_credits_the_payees_and_returns_the_rest(hub: HubClient):
    intent = hub.ask(fee=5000)
    payouts = [(word(hub.node), 30), (word(hub.carol), 12), (word(hub.node), 1)]
    receipt = hub.settle(intent, payouts)
    assert hub.view("credit", hub.node) == 31
    assert hub.view("credit", hub.carol) == 12
    assert hub.view("credit", hub.alice) == 5000 - 43
    state = hub.view("intentState", hub.intent_id(intent))
    assert (state["state"], state["escrow"], state["destHub"]) == (2, 0, ZERO)
    assert (state["requester"], state["deadline"]) == (hub.alice, intent["deadline"])
    (event,) = hub.events("Settled", receipt)
    assert event["intentId"] == hub.intent_id(intent)
    assert (event["status"], event["fee"], event["returned"]) == (0, 43, 4957)
    assert event["epoch"] == hub.epoch
    assert [tuple(p.values()) for p in event["payouts"]] == payouts


@pytest.mark.parametrize("status", [1, 2])
def test_a_refusal_or_failure_returns_all(hub: HubClient, status: int):
    intent = hub.ask(fee=5000)
    hub.settle(intent, [], hub.receipt(intent, [], status))
    assert hub.view("credit", hub.alice) == 5000


def test_the_whole_fee_may_be_paid_out(hub: HubClient):
    hub.settle(hub.ask(fee=5000), [(word(hub.carol), 5000)])
    assert hub.view("credit", hub.alice) == 0
    assert hub.view("credit", hub.carol) == 5000


def test_a_refund_credits_the_requester_whoever_asks_for_it(hub: HubClient):
    intent = hub.ask(fee=5000)
    expire(hub, intent)
    receipt = hub.refund(intent)
    assert receipt["from"] == hub.bob
    assert hub.view("credit", hub.alice) == 5000
    assert hub.view("credit", hub.bob) == 0
    state = hub.view("intentState", hub.intent_id(intent))
    assert (state["state"], state["escrow"]) == (3, 0)
    (event,) = hub.events("Refunded", receipt)
    expected = {"intentId": hub.intent_id(intent), "requester": hub.alice, "amount": 5000}
    assert dict(event) == expected


def test_a_withdrawal_pays_all_credit_once(hub: HubClient):
    balance = hub.anvil.web3.eth.get_balance
    hub.settle(hub.ask(fee=5000), [(word(hub.carol), 300)])
    hub.settle(hub.ask(fee=5000), [(word(hub.carol), 44)])
    before = balance(hub.carol)
    receipt = hub.send("withdraw", sender=hub.carol)
    spent = receipt["gasUsed"] * receipt["effectiveGasPrice"]
    assert balance(hub.carol) == before + 344 - spent
    assert hub.view("credit", hub.carol) == 0
    assert balance(hub.contract.address) == 10_000 - 344
    assert dict(hub.events("Withdrawn", receipt)[0]) == {"account": hub.carol, "amount": 344}


def test_a_requester_that_reverts_on_receipt_blocks_neither_settlement_nor_others(
    hub: HubClient, puppet: Contract
):
    intent = by_puppet(hub, puppet, fee=5000)
    hub.settle(intent, [(word(hub.carol), 300)])
    assert hub.view("credit", puppet.address) == 4700
    hub.send("withdraw", sender=hub.carol)


def test_a_requester_that_reverts_on_receipt_blocks_no_refund(hub: HubClient, puppet: Contract):
    intent = by_puppet(hub, puppet, fee=5000)
    expire(hub, intent)
    hub.refund(intent)
    assert hub.view("credit", puppet.address) == 5000


def test_a_creditor_that_refuses_payment_keeps_its_credit(hub: HubClient, puppet: Contract):
    intent = by_puppet(hub, puppet, fee=5000)
    hub.settle(intent, [])
    withdraw = hub.contract.encode_abi("withdraw", args=())
    with pytest.raises(RevertError) as caught:
        execute(hub, puppet, withdraw)
    assert caught.value.reason == "withdrawal refused"
    assert hub.view("credit", puppet.address) == 5000
    send(hub.anvil, puppet.functions.be_generous(), hub.alice)
    execute(hub, puppet, withdraw)
    assert hub.view("credit", puppet.address) == 0
    assert hub.anvil.web3.eth.get_balance(puppet.address) == 5000


def test_a_creditor_cannot_withdraw_again_from_within_its_withdrawal(
    hub: HubClient, puppet: Contract
):
    others = hub.ask(fee=9000)
    hub.settle(by_puppet(hub, puppet, fee=5000), [])
    withdraw = hub.contract.encode_abi("withdraw", args=())
    send(hub.anvil, puppet.functions.be_generous(), hub.alice)
    send(hub.anvil, puppet.functions.script(4, hub.contract.address, withdraw), hub.alice)
    execute(hub, puppet, withdraw)
    assert not puppet.functions.succeeded().call()
    assert hub.anvil.web3.eth.get_balance(puppet.address) == 5000
    assert hub.view("intentState", hub.intent_id(others))["escrow"] == 9000
