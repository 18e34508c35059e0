"""Who is credited what, and how it is paid out; which coins the hub takes."""

import random

import pytest

from support.hub import AGENT, FOREIGN, ZERO, Message, members, word
from support.hub_cosmos import ARGUMENTS, CosmosHub, Puppet, new_hub
from support.wasmd import Chain, RevertError
from vagus.adapters.cosmos.devnet import DENOM


def question(hub: CosmosHub) -> tuple[object, ...]:
    """What request takes."""
    return (AGENT, b"question", ZERO, b"", 0, FOREIGN, ZERO, 0, hub.now + 3600)


def by_puppet(hub: CosmosHub, puppet: Puppet, fee: int = 5000) -> Message:
    """Request in a contract's name; the intent."""
    hub.chain.pay(puppet.address, fee)
    result = puppet.send(hub.address, hub.message("request", *question(hub)), fee)
    return dict(hub.events("IntentRequested", result)[0]["intent"])


def test_a_settlement_credits_the_payees_and_returns_the_rest(hub: CosmosHub):
    intent = hub.ask(fee=5000)
    payouts = [(word(hub.node), 30), (word(hub.carol), 12), (word(hub.node), 1)]
    result = hub.settle(intent, payouts)
    assert hub.view("credit", hub.node) == 31
    assert hub.view("credit", hub.carol) == 12
    assert hub.view("credit", hub.alice) == 5000 - 43
    state = hub.view("intentState", hub.intent_id(intent))
    assert (state["state"], state["escrow"]) == ("settled", 0)
    assert (state["requester"], state["deadline"]) == (word(hub.alice), intent["deadline"])
    (event,) = hub.events("Settled", result)
    assert event == {
        "intentId": hub.intent_id(intent),
        "status": 0,
        "fee": 43,
        "returned": 4957,
        "epoch": hub.epoch,
        "payouts": payouts,
    }


@pytest.mark.parametrize("status", [1, 2])
def test_a_refusal_or_failure_returns_all(hub: CosmosHub, status: int):
    intent = hub.ask(fee=5000)
    hub.settle(intent, [], hub.receipt(intent, [], status))
    assert hub.view("credit", hub.alice) == 5000


def test_a_refund_credits_the_requester_whoever_asks_for_it(hub: CosmosHub):
    intent = hub.ask(fee=5000)
    hub.at(intent["deadline"] + hub.config["grace"] + 1)
    result = hub.refund(intent)
    assert hub.view("credit", hub.alice) == 5000
    assert hub.view("credit", hub.bob) == 0
    state = hub.view("intentState", hub.intent_id(intent))
    assert (state["state"], state["escrow"]) == ("refunded", 0)
    (event,) = hub.events("Refunded", result)
    requester = word(hub.alice)
    assert event == {"intentId": hub.intent_id(intent), "requester": requester, "amount": 5000}


def test_a_withdrawal_pays_all_credit_once(chain: Chain, hub: CosmosHub):
    hub.settle(hub.ask(fee=5000), [(word(hub.carol), 300)])
    hub.settle(hub.ask(fee=5000), [(word(hub.carol), 44)])
    before = chain.balance(chain.bech32(hub.carol))
    result = hub.send("withdraw", sender=hub.carol)
    assert chain.balance(chain.bech32(hub.carol)) == before + 344 - result["fee"]
    assert hub.view("credit", hub.carol) == 0
    assert chain.balance(hub.address) == 10_000 - 344
    told = {"account": word(hub.carol), "amount": 344}
    assert hub.events("Withdrawn", result) == [told]


def test_a_contract_asks_and_is_paid_like_anyone(chain: Chain, hub: CosmosHub, puppet: Puppet):
    intent = by_puppet(hub, puppet, fee=5000)
    # Its address has 32 bytes, none of which is padding.
    assert intent["requester"] == puppet.word
    assert any(puppet.word[:12])
    hub.settle(intent, [(word(hub.carol), 300)])
    assert hub.view("credit", puppet.word) == 4700
    puppet.send(hub.address, hub.message("withdraw"))
    assert chain.balance(puppet.address) == 4700
    assert chain.balance(hub.address) == 300


def test_a_payee_may_be_a_contract(hub: CosmosHub, puppet: Puppet):
    hub.settle(hub.ask(fee=5000), [(puppet.word, 5000)])
    assert hub.view("credit", puppet.word) == 5000
    # The same last twenty bytes are another account.
    assert hub.view("credit", bytes(12) + puppet.word[12:]) == 0


def test_amounts_over_what_the_chain_has_are_never_credited(hub: CosmosHub):
    intent = hub.ask(fee=5000)
    for amount in (2**128, 2**256 - 1):
        payouts = [(word(hub.carol), amount)]
        with pytest.raises(RevertError) as caught:
            hub.settle(intent, payouts, hub.receipt(intent, payouts))
        assert caught.value.reason == "fee over maximum"
        with pytest.raises(RevertError) as caught:
            hub.settle(intent, payouts, hub.receipt(intent, payouts, fee=5000))
        assert caught.value.reason == "payouts do not sum"
    assert hub.view("credit", hub.carol) == 0


def test_an_intent_of_another_chain_may_have_a_fee_over_what_this_chain_has(hub: CosmosHub):
    intent = hub.intent(maxFee=2**256 - 1)
    hub.deliver(intent)
    assert hub.view("delivery", hub.intent_id(intent))["status"] == 0


def test_the_hub_always_has_what_it_owes(chain: Chain, hub: CosmosHub):
    choose = random.Random(5)
    accounts = [hub.alice, hub.bob, hub.carol, hub.node]
    intents: list[Message] = []
    for _ in range(60):
        step = choose.choice(("ask", "ask", "settle", "refund", "withdraw"))
        if step == "ask":
            sender, fee = choose.choice(accounts), choose.randrange(1000, 9000)
            intents.append(hub.ask(sender, fee, deadline=hub.now + 100))
        elif step == "withdraw":
            creditor = choose.choice(accounts)
            if hub.view("credit", creditor):
                hub.send("withdraw", sender=creditor)
        elif intents:
            intent = choose.choice(intents)
            is_open = hub.view("intentState", hub.intent_id(intent))["state"] == "open"
            if step == "refund" and is_open:
                hub.at(max(hub.now, intent["deadline"] + hub.config["grace"] + 1))
                hub.refund(intent)
            elif step == "settle" and is_open:
                shares = [choose.randrange(intent["maxFee"] // 3) for _ in range(3)]
                payouts = [(word(choose.choice(accounts)), share) for share in shares]
                receipt = hub.receipt(intent, payouts, expiry=2**64 - 1)
                hub.settle(intent, payouts, receipt)
        states = [hub.view("intentState", hub.intent_id(intent)) for intent in intents]
        owed = sum(state["escrow"] for state in states)
        owed += sum(hub.view("credit", account) for account in accounts)
        assert chain.balance(hub.address) == owed


# Coins.


def test_a_coin_of_another_denom_is_no_fee(chain: Chain, hub: CosmosHub):
    with pytest.raises(RevertError) as caught:
        chain.execute(
            hub.address, hub.message("request", *question(hub)), hub.alice, {"other": 5000}
        )
    assert caught.value.reason == "denom unknown"
    assert chain.balance(hub.address, "other") == 0


def test_a_second_coin_is_refused_beside_the_fee(chain: Chain, hub: CosmosHub):
    coins = {"other": 1, DENOM: 5000}
    with pytest.raises(RevertError) as caught:
        chain.execute(hub.address, hub.message("request", *question(hub)), hub.alice, coins)
    assert caught.value.reason == "one coin only"
    assert chain.balance(hub.address) == chain.balance(hub.address, "other") == 0


def test_a_hub_may_take_another_denom_than_the_chains_own(chain: Chain):
    hub = new_hub(chain, members(4), 3, chain.accounts[1], feeDenom="other")
    message = hub.message("request", *question(hub))
    result = chain.execute(hub.address, message, hub.alice, {"other": 5000})
    (event,) = hub.events("IntentRequested", result)
    assert event["maxFee"] == 5000
    hub.settle(event["intent"], [])
    before = chain.balance(chain.bech32(hub.alice), "other")
    hub.send("withdraw", sender=hub.alice)
    assert chain.balance(chain.bech32(hub.alice), "other") == before + 5000


def test_no_coin_is_a_fee_of_nothing(chain: Chain):
    free = new_hub(chain, members(4), 3, chain.accounts[1], minFee=0)
    assert free.ask(fee=0)["maxFee"] == 0
    hub = new_hub(chain, members(4), 3, chain.accounts[1])
    with pytest.raises(RevertError) as caught:
        hub.ask(fee=0)
    assert caught.value.reason == "fee under minimum"


def test_no_other_call_takes_coins(hub: CosmosHub):
    intent = hub.intent()
    attestation = hub.attestation(intent)
    signatures = hub.sign("Attestation", attestation)
    receipt = hub.receipt(intent, [])
    rotation = hub.rotation(members(1), 1)
    arguments = {
        "deliver": (
            tuple(intent.values()),
            tuple(attestation.values()),
            b"answer",
            signatures,
        ),
        "retry": (tuple(intent.values()), b"answer"),
        "settle": (tuple(receipt.values()), [], signatures),
        "refund": (hub.intent_id(intent),),
        "withdraw": (),
        "rotate": (tuple(rotation.values()), [], signatures),
        "pause": (),
        "unpause": (),
        "offerGuardian": (hub.alice,),
        "acceptGuardian": (),
    }
    assert arguments.keys() == ARGUMENTS.keys() - {"request"}
    for name, args in arguments.items():
        with pytest.raises(RevertError) as caught:
            hub.send(name, *args, sender=hub.guardian, value=1)
        assert caught.value.reason == "no funds taken", name


def test_coins_that_are_merely_sent_to_the_hub_are_nobodys_credit(chain: Chain, hub: CosmosHub):
    chain.pay(hub.address, 5000)
    with pytest.raises(RevertError) as caught:
        hub.send("withdraw", sender=chain.accounts[0])
    assert caught.value.reason == "no credit"
    intent = hub.ask(fee=2000)
    hub.settle(intent, [])
    hub.send("withdraw", sender=hub.alice)
    assert chain.balance(hub.address) == 5000
