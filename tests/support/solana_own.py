"""What a hub has on Solana alone: its initialization, lamports and rent, and accounts that are closed.

Run in LiteSVM and on a node. Each case finds a fresh hub, as those of `support.hub_cases` do.
"""

from typing import Any

from solders.pubkey import Pubkey

from support.consumer_solana import Consumer, new_consumer
from support.hub import DAY, Message, members, word
from support.hub_cases.on_solana import SolanaTableHub, bare
from support.hub_cases.table import Cases
from support.hub_solana import person, solana_hub_id

__all__ = ["OWN"]

OWN = Cases()
FEE = 5000  # lamports a signature of a transaction, the cluster's own
Hub = SolanaTableHub


def lamports(hub: Hub, key: Pubkey) -> int:
    """What an account has; none that is not there."""
    account = hub.chain.account(key)
    return account.lamports if account else 0


def size(hub: Hub, key: Pubkey) -> int:
    """An account's bytes."""
    account = hub.chain.account(key)
    assert account
    return len(account.data)


# Initialize.


def another(hub: Hub, **options: Any) -> Hub:
    """Another program on the same chain, that is no hub yet."""
    return bare(hub.chain, members(4), 3, **options)


@OWN.rejected("already initialized", "a second initialize")
def _(hub):
    hub.at(hub.now + 10)
    hub.initialize()


@OWN.rejected("not the upgrade authority", "an initialize by anyone but the upgrade authority")
def _(hub):
    another(hub).initialize(authority=hub.alice)


@OWN.rejected("not the upgrade authority", "an initialize of a program that nobody may upgrade")
def _(hub):
    another(hub, upgraded_by=None).initialize()


def malformed(genesis: bytes, what: str) -> None:
    @OWN.rejected("genesis malformed", f"a genesis hash with {what}")
    def _(hub):
        another(hub).initialize(genesis=genesis)


malformed(b"0" * 32, "a digit that base58 has not")
malformed(b"I" * 32, "a capital letter that base58 has not")
malformed(b"l" * 32, "a letter that base58 has not")
malformed(b" " * 32, "spaces")
malformed(bytes(32), "zero bytes")


@OWN.rejected("first epoch not now", "a first epoch in a second")
def _(hub):
    new = another(hub)
    new.initialize(epoch=new.now + 1)


@OWN.rejected("first epoch not now", "a first epoch 121 seconds ago")
def _(hub):
    new = another(hub)
    new.initialize(epoch=new.now - 121)


def begins_then(_: Hub, made: tuple[Hub, int]) -> None:
    """Its first epoch and number are of that time, its id of its own address."""
    new, epoch = made
    config = new.config
    assert config["firstEpoch"] == config["epoch"] == epoch
    assert config["firstSeq"] == (epoch << 20) + 1
    assert config["hubId"] == solana_hub_id(new.chain.genesis, new.program.id)


@OWN.accepted("a first epoch 120 seconds ago", begins_then)
def _(hub):
    new = another(hub)
    epoch = new.now - 120
    new.initialize(epoch=epoch)
    return new, epoch


@OWN.accepted("dust at the accounts of a hub to be", begins_then)
def _(hub):
    new = another(hub)
    for key in (new.pda(b"config"), new.signers_of(new.now)):
        new.chain.fund(key, 10**9)
    new.initialize()
    return new, new.now


def a_year(_: Hub, new: Hub) -> None:
    """The longest periods that there are."""
    assert {new.config[name] for name in ("minTtl", "maxTtl", "grace")} == {366 * DAY}


@OWN.accepted("periods at their bounds", a_year)
def _(hub):
    new = another(hub)
    new.initialize(minTtl=366 * DAY, maxTtl=366 * DAY, grace=366 * DAY)
    return new


# Lamports.


def in_accounts_of_its_own(hub: Hub, made: tuple[Message, int]) -> None:
    """Rent and fee lie in the intent's account, the credit's rent in another; the payer paid no more."""
    intent, paid = made
    place = hub.place(hub.intent_id(intent), intent["requester"])
    credit = hub.credit_of(intent["requester"])
    assert size(hub, place) == 456 + 5 + 2
    assert lamports(hub, place) == hub.chain.rent(463) + 7000
    assert lamports(hub, credit) == hub.chain.rent(48)
    assert paid == hub.chain.rent(463) + 7000 + hub.chain.rent(48) + FEE
    record = hub.escrow(intent)
    assert record
    assert (record["amount"], record["payload"], record["terms"]) == (7000, b"12345", b"{}")
    assert record["payer"] == intent["requester"]


@OWN.accepted("a request pays rent and fee", in_accounts_of_its_own)
def _(hub):
    before = hub.balance(hub.alice)
    intent = hub.ask(fee=7000, payload=b"12345", terms=b"{}")
    return intent, before - hub.balance(hub.alice)


def moved(hub: Hub, made: tuple[Message, int]) -> None:
    """Each credit has its rent and what is owed, the withdrawn one its rent alone."""
    intent, gained = made
    place = hub.place(hub.intent_id(intent), intent["requester"])
    assert lamports(hub, place) == hub.chain.rent(size(hub, place))
    owed = {word(hub.carol): 0, word(hub.bob): 500, word(hub.alice): 1499}
    for owner, amount in owed.items():
        assert lamports(hub, hub.credit_of(owner)) == hub.chain.rent(48) + amount
        assert hub.owed(owner) == amount
    assert gained == 3001 - FEE


@OWN.accepted("a settlement moves lamports and a withdrawal pays them", moved)
def _(hub):
    intent = hub.ask(fee=5000)
    carol, bob = word(hub.carol), word(hub.bob)
    hub.settle(intent, [(carol, 3000), (bob, 500), (carol, 1)])
    assert [hub.owed(each) for each in (carol, bob)] == [3001, 500]
    before = hub.balance(hub.carol)
    hub.send("withdraw", sender=hub.carol)
    return intent, hub.balance(hub.carol) - before


def payees(hub: Hub, count: int) -> list[tuple[bytes, int]]:
    """So many accounts of their own, each paid another amount."""
    names = [f"payee {i} of {hub.program.id}" for i in range(count)]
    return [(bytes(person(name).pubkey()), 100 + i) for i, name in enumerate(names)]


def each_paid(hub: Hub, made: list[tuple[bytes, int]]) -> None:
    """All have their credit."""
    assert {payee: hub.owed(payee) for payee, _ in made} == dict(made)


@OWN.accepted("25 payees of their own in one transaction", each_paid)
def _(hub):
    paid = payees(hub, 25)
    hub.settle(hub.ask(fee=5000), paid)
    return paid


@OWN.accepted("34 payees of their own through a lookup table", each_paid)
def _(hub):
    paid = payees(hub, 34)
    hub.chain.look_up([hub.credit_of(payee) for payee, _ in paid])
    hub.settle(hub.ask(fee=5000), paid)
    return paid


@OWN.rejected("credit not open", "a payout to a credit that is not open")
def _(hub):
    hub.open_credit = lambda _: None
    hub.settle(hub.ask(), [(word(hub.carol), 10)])


@OWN.rejected("payee zero", "a credit of nobody")
def _(hub):
    hub.open_credit(bytes(32))


@OWN.rejected("nonce in use", "a nonce a second time")
def _(hub):
    hub.ask()
    hub.nonces = {}
    hub.ask()


@OWN.rejected("wrong account", "a withdrawal of another's credit")
def _(hub):
    hub.settle(hub.ask(), [(word(hub.carol), 10)])
    accounts = {"owner": hub.key(hub.bob), "credit": hub.credit_of(word(hub.carol))}
    hub.call("withdraw", hub.bob, accounts)


# Closing.


def over(hub: Hub) -> Message:
    """An intent that was settled and may just not be closed yet."""
    intent = hub.ask(deadline=hub.now + 100, payload=bytes(500))
    hub.settle(intent, [])
    hub.at(intent["deadline"] + hub.config["grace"])
    return intent


def delivered(hub: Hub, deadline: int) -> Message:
    """A delivery of an intent of this deadline."""
    intent = hub.intent(deadline=deadline)
    hub.deliver(intent)
    return intent


def rent_came_back(hub: Hub, made: tuple[Pubkey, int, int]) -> None:
    """All that was in the account is its payer's, and the account is gone."""
    key, had, gained = made
    assert gained == had > 0
    assert lamports(hub, key) == 0


@OWN.accepted("closing an intent that is over", rent_came_back)
def _(hub):
    intent = over(hub)
    hub.at(hub.now + 1)
    place = hub.place(hub.intent_id(intent), intent["requester"])
    had, before = lamports(hub, place), hub.balance(hub.alice)
    hub.close_intent(intent)
    return place, had, hub.balance(hub.alice) - before


@OWN.accepted("closing a delivery after its retries", rent_came_back)
def _(hub):
    start = hub.now
    intent = delivered(hub, start + 10)
    hub.at(start + 7 * DAY + 1)
    key = hub.pda(b"delivery", hub.intent_id(intent))
    had, before = lamports(hub, key), hub.balance(hub.node)
    hub.close_delivery(intent)
    return key, had, hub.balance(hub.node) - before


@OWN.accepted("closing a delivery after the refund of a late deadline", rent_came_back)
def _(hub):
    intent = delivered(hub, hub.now + 20 * DAY)
    hub.at(intent["deadline"] + hub.config["grace"] + 1)
    key = hub.pda(b"delivery", hub.intent_id(intent))
    had, before = lamports(hub, key), hub.balance(hub.node)
    hub.close_delivery(intent)
    return key, had, hub.balance(hub.node) - before


@OWN.rejected("intent still open", "closing an open intent, however late")
def _(hub):
    intent = hub.ask(deadline=hub.now + 100)
    hub.at(intent["deadline"] + hub.config["grace"] + 1)
    hub.close_intent(intent)


@OWN.rejected("close too early", "closing a settled intent at the end of the grace")
def _(hub):
    hub.close_intent(over(hub))


@OWN.rejected("wrong account", "closing an intent to the gain of another")
def _(hub):
    intent = over(hub)
    hub.at(hub.now + 1)
    hub.close_intent(intent, receiver=hub.bob)


@OWN.rejected("intent not open", "closing an intent twice")
def _(hub):
    intent = over(hub)
    hub.at(hub.now + 1)
    hub.close_intent(intent)
    hub.close_intent(intent)


@OWN.rejected("intent not open", "a settlement of an intent that is closed")
def _(hub):
    intent = over(hub)
    hub.at(hub.now + 1)
    hub.close_intent(intent)
    hub.settle(intent, [], hub.receipt(intent, [], expiry=2**63))


@OWN.rejected("close too early", "closing a delivery at the end of its retries")
def _(hub):
    start = hub.now
    intent = delivered(hub, start + 10)
    hub.at(start + 7 * DAY)
    hub.close_delivery(intent)


@OWN.rejected("close too early", "closing a delivery at the end of a late deadline's grace")
def _(hub):
    intent = delivered(hub, hub.now + 20 * DAY)
    hub.at(intent["deadline"] + hub.config["grace"])
    hub.close_delivery(intent)


@OWN.rejected("wrong account", "closing a delivery to the gain of another")
def _(hub):
    start = hub.now
    intent = delivered(hub, start + 10)
    hub.at(start + 7 * DAY + 1)
    hub.close_delivery(intent, receiver=hub.bob)


@OWN.rejected("not delivered", "closing a delivery twice")
def _(hub):
    start = hub.now
    intent = delivered(hub, start + 10)
    hub.at(start + 7 * DAY + 1)
    hub.close_delivery(intent)
    hub.close_delivery(intent)


@OWN.rejected("deadline passed", "a delivery again once it is closed")
def _(hub):
    start = hub.now
    intent = delivered(hub, start + 10)
    hub.at(start + 7 * DAY + 1)
    hub.close_delivery(intent)
    hub.deliver(intent, hub.attestation(intent, expiry=2**63))


# The example consumer.


def answered_and_collected(hub: Hub, made: tuple[Message, Consumer, int]) -> None:
    """It keeps the answer, the callback is noted, and the rest of the fee is the owner's."""
    intent, consumer, gained = made
    assert consumer.answer() == (hub.intent_id(intent), 0, b"answer")
    assert hub.delivery_of(intent)["callback"] == "succeeded"
    assert gained == 2000 - FEE


@OWN.accepted("the example consumer asks, is answered and collects", answered_and_collected)
def _(hub):
    consumer = new_consumer(hub, f"consumer of {hub.program.id}")
    consumer.allow(hub.bob, hub.id, bytes(consumer.authority))
    intent = consumer.ask(hub.bob)
    assert intent["requester"] == bytes(consumer.authority)
    assert hub.answer(intent)
    # What is left is too little for an account to hold: it goes on to the owner in the same call.
    hub.settle(intent, [(word(hub.carol), 3000)])
    before = hub.balance(hub.bob)
    consumer.collect(hub.bob)
    return intent, consumer, hub.balance(hub.bob) - before
