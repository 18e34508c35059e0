"""Lamports: what lies where, who gets it, and that nothing else moves."""

import pytest
from solders.pubkey import Pubkey

from support.contracts import RevertError
from support.hub import word
from support.hub_solana import SolanaHub, person
from support.litesvm import FailedError, LiteChain

FEE = 5000  # lamports a signature of a transaction, the cluster's own


def lamports(hub: SolanaHub, key: Pubkey) -> int:
    """What an account has; none that is not there."""
    account = hub.chain.account(key)
    return account.lamports if account else 0


def rent(chain: LiteChain, size: int) -> int:
    """The least that an account of this size has, by the runtime's own word."""
    return chain.svm.minimum_balance_for_rent_exemption(size)


def size(hub: SolanaHub, key: Pubkey) -> int:
    """An account's bytes."""
    account = hub.chain.account(key)
    assert account
    return len(account.data)


def test_25_payees_of_their_own_fit_a_transaction_and_26_do_not(hub: SolanaHub):
    payees = [(bytes(person(f"payee {i}").pubkey()), 1) for i in range(26)]
    hub.settle(hub.ask(), payees[:25])
    with pytest.raises(AssertionError, match="over the size of a transaction"):
        hub.settle(hub.ask(), payees)


def test_credit_is_opened_once_and_again_without_effect(hub: SolanaHub):
    hub.settle(hub.ask(), [(word(hub.carol), 10)])
    hub.open_credit(word(hub.carol))
    assert hub.credit(hub.carol) == 10


def test_a_payout_that_no_lamports_can_hold_is_rejected(hub: SolanaHub):
    intent = hub.ask()
    for amount in (2**64, 2**255, 2**64 + 10):
        receipt = hub.receipt(intent, [(word(hub.carol), amount)], fee=10)
        with pytest.raises(RevertError, match="payouts do not sum"):
            hub.settle(intent, [(word(hub.carol), amount)], receipt)
    receipt = hub.receipt(intent, [], fee=2**64 + 10)
    with pytest.raises(RevertError, match="fee over maximum"):
        hub.settle(intent, [], receipt)


def test_dust_at_an_account_that_is_not_there_yet_blocks_nothing(hub: SolanaHub, chain: LiteChain):
    """Lamports were sent to the addresses of all that is about to be made."""
    alice = word(hub.alice)
    answered = hub.intent()
    places = {
        "intent": hub.pda(b"intent", alice, 0),
        "credit": hub.credit_of(alice),
        "payee": hub.credit_of(word(hub.carol)),
        "delivery": hub.pda(b"delivery", hub.intent_id(answered)),
        "set": hub.signers_of(hub.epoch + 1),
        "staging": hub.pda(b"staging", word(hub.node), 1),
    }
    for key in places.values():
        chain.fund(key, 10**6)
    intent = hub.ask(fee=7000)
    # Dust counts for the rent alone: the escrow is paid in full.
    place = places["intent"]
    assert lamports(hub, place) == max(rent(chain, size(hub, place)), 10**6) + 7000
    hub.settle(intent, [(word(hub.carol), 7000)])
    assert hub.credit(hub.carol) == 7000
    hub.deliver(answered, output=bytes(2000))
    assert hub.delivery(answered)
    hub.rotate(hub.keys[:3], 2)
    assert hub.read("SignerSet", places["set"])


def test_more_dust_than_rent_and_fee_still_leaves_the_fee_to_pay(hub: SolanaHub, chain: LiteChain):
    place = hub.pda(b"intent", word(hub.alice), 0)
    chain.fund(place, 10**9)
    before = lamports(hub, hub.key(hub.alice))
    intent = hub.ask(fee=7000)
    paid = before - lamports(hub, hub.key(hub.alice))
    assert paid == 7000 + rent(chain, 48) + FEE
    assert lamports(hub, place) == 10**9 + 7000
    hub.settle(intent, [])
    assert hub.credit(hub.alice) == 7000
    assert lamports(hub, place) == 10**9


def test_a_payer_without_lamports_is_told_so_by_the_system_program(hub: SolanaHub):
    fee = lamports(hub, hub.key(hub.alice))
    with pytest.raises(FailedError) as caught:
        hub.ask(fee=fee)
    # ResultWithNegativeLamports of the system program: none of the hub's codes.
    assert caught.value.code == 1
    assert hub.config["nextSeq"] == hub.config["firstSeq"]


def test_the_rent_of_what_is_over_goes_back_to_whom_it_belongs(hub: SolanaHub, chain: LiteChain):
    intent = hub.ask(deadline=hub.now + 100, payload=bytes(500))
    called = hub.intent(deadline=hub.now + 100)
    hub.settle(intent, [])
    hub.deliver(called)
    place = hub.place(hub.intent_id(intent), intent["requester"])
    delivered = hub.pda(b"delivery", hub.intent_id(called))
    chain.fund(place, 777)
    in_place, in_delivery = lamports(hub, place), lamports(hub, delivered)
    hub.at(intent["deadline"] + hub.config["grace"] + 1)
    before = lamports(hub, hub.key(hub.alice))
    hub.close_intent(intent)
    assert lamports(hub, hub.key(hub.alice)) == before + in_place
    assert chain.account(place) is None or lamports(hub, place) == 0
    hub.at(hub.now + 7 * 86_400)
    before = lamports(hub, hub.key(hub.node))
    hub.close_delivery(called)
    assert lamports(hub, hub.key(hub.node)) == before + in_delivery


def test_a_nonce_whose_account_is_closed_makes_another_intent(hub: SolanaHub, monkeypatch):
    first = hub.ask(deadline=hub.now + 100)
    hub.settle(first, [])
    receipt = hub.receipt(first, [], expiry=2**63)
    hub.at(first["deadline"] + hub.config["grace"] + 1)
    hub.close_intent(first)
    monkeypatch.setattr(hub, "nonces", {})
    second = hub.ask()
    assert second["seq"] == first["seq"] + 1
    monkeypatch.setitem(hub.nonces, hub.intent_id(first), 0)
    with pytest.raises(RevertError, match="intent not open"):
        hub.settle(first, [], receipt)


def test_a_refund_of_a_deadline_at_the_end_of_time_never_comes(hub: SolanaHub):
    """Deadlines of deliveries come from other hubs: no sum of them overflows."""
    intent = hub.intent(deadline=2**64 - 1)
    hub.deliver(intent, hub.attestation(intent, expiry=2**64 - 1))
    hub.at(hub.now + 400 * 86_400)
    with pytest.raises(RevertError, match="close too early"):
        hub.close_delivery(intent)
