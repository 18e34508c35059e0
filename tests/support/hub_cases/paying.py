"""Who is credited what, and what a withdrawal pays."""

from support.hub import HubClient, Message, word
from support.hub_cases.settling import credited
from support.hub_cases.table import Cases

CASES = Cases()


def each_their_own(hub: HubClient, made: tuple[Message, list[tuple[bytes, int]]]) -> None:
    """Every payee has what the payouts sum to for it, the requester the rest."""
    intent, payouts = made
    assert hub.owed(word(hub.node)) == 31
    assert hub.owed(word(hub.carol)) == 12
    assert hub.owed(word(hub.alice)) == 5000 - 43
    assert hub.intent_of(intent)["state"] == "settled"
    (event,) = hub.told("Settled")
    told = {"intentId": hub.intent_id(intent), "status": 0, "fee": 43, "returned": 4957}
    assert {name: event[name] for name in told} == told
    assert sum(amount for _, amount in payouts) == event["fee"]


@CASES.accepted("a settlement with a payee twice", each_their_own)
def _(hub):
    intent = hub.ask(fee=5000)
    payouts = [(word(hub.node), 30), (word(hub.carol), 12), (word(hub.node), 1)]
    hub.settle(intent, payouts)
    return intent, payouts


def both(hub: HubClient, _: None) -> None:
    """The requester has its payout and the rest."""
    assert hub.owed(word(hub.alice)) == 5000


@CASES.accepted("a settlement that pays the requester", both)
def _(hub):
    hub.settle(hub.ask(fee=5000), [(word(hub.alice), 3000)])


def returned(status: int) -> None:
    def then(hub: HubClient, intent: Message) -> None:
        assert hub.owed(word(hub.alice)) == 5000
        assert hub.intent_of(intent)["state"] == "settled"
        (event,) = hub.told("Settled")
        assert (event["status"], event["fee"], event["returned"]) == (status, 0, 5000)

    @CASES.accepted(f"a settlement with status {status} returns all", then)
    def _(hub):
        intent = hub.ask(fee=5000)
        hub.settle(intent, [], hub.receipt(intent, [], status))
        return intent


returned(1)
returned(2)


@CASES.accepted("a settlement without payouts returns all", credited)
def _(hub):
    intent = hub.ask(fee=5000)
    hub.settle(intent, [])
    return intent, 0


def paid(hub: HubClient, gained: int) -> None:
    """All credit of both settlements, and nobody else's."""
    assert gained == 344
    assert hub.told("Withdrawn") == [{"account": word(hub.carol), "amount": 344}]
    assert hub.owed(word(hub.carol)) == 0
    assert hub.owed(word(hub.alice)) == 10_000 - 344


@CASES.accepted("a withdrawal", paid)
def _(hub):
    hub.settle(hub.ask(fee=5000), [(word(hub.carol), 300)])
    hub.settle(hub.ask(fee=5000), [(word(hub.carol), 44)])
    before = hub.balance(hub.carol)
    hub.send("withdraw", sender=hub.carol)
    return hub.balance(hub.carol) + hub.cost() - before


def paid_all_the_same(hub: HubClient, creditor: bytes) -> None:
    """Where nobody can refuse: nothing is owed any more."""
    assert hub.owed(creditor) == 0


@CASES.rejected("withdrawal refused", "a withdrawal that its receiver refuses", paid_all_the_same)
def _(hub):
    puppet = hub.puppet()
    hub.settle(hub.ask(fee=5000), [(puppet.creditor, 5000)])
    assert hub.owed(puppet.creditor) == 5000
    puppet.withdraw()
    return puppet.creditor
