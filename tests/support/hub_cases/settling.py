"""What settle, refund and withdraw reject, and at which bounds they credit."""

from support.hub import FOREIGN, ZERO, HubClient, Message, word
from support.hub_cases.table import Cases

CASES = Cases()


def received(hub: HubClient, amounts: list[int], **changes: object):
    """Settle an intent of fee 5000 with a rightly signed receipt that was changed before."""
    intent = hub.ask(fee=5000)
    payouts = [(word(hub.carol), amount) for amount in amounts]
    hub.settle(intent, payouts, hub.receipt(intent, payouts, **changes))
    return intent, sum(amounts)


def credited(hub: HubClient, made: tuple[Message, int]) -> None:
    """Carol has credit of what was paid, the requester of the rest, and the intent is settled."""
    intent, fee = made
    assert hub.owed(word(hub.carol)) == fee
    assert hub.owed(intent["requester"]) == intent["maxFee"] - fee
    assert hub.intent_of(intent) == {
        "requester": intent["requester"],
        "deadline": intent["deadline"],
        "escrow": 0,
        "state": "settled",
    }
    (event,) = hub.told("Settled")
    told = {"status": 0, "fee": fee, "returned": intent["maxFee"] - fee, "epoch": hub.epoch}
    assert event["intentId"] == hub.intent_id(intent)
    assert {name: event[name] for name in told} == told


def credited_to_the_word(hub: HubClient, payee: bytes) -> None:
    """Where every word is an address: that one has the credit."""
    assert hub.owed(payee) == 10


@CASES.rejected("intent not open", "a receipt for an unknown intent")
def _(hub):
    hub.settle(hub.intent(), [])


@CASES.rejected("intent not open", "a second settlement")
def _(hub):
    intent = hub.ask()
    hub.settle(intent, [])
    hub.settle(intent, [])


@CASES.rejected("another destination", "a receipt for another destination")
def _(hub):
    received(hub, [10], destHub=b"\1" * 32)


@CASES.rejected("unknown status", "a receipt with status 3")
def _(hub):
    received(hub, [], status=3)


@CASES.rejected("fee without fulfilment", "a fee with status 1")
def _(hub):
    received(hub, [10], status=1)


@CASES.rejected("fee without fulfilment", "a fee with status 2")
def _(hub):
    received(hub, [10], status=2)


@CASES.rejected("fee over maximum", "a fee over what is escrowed")
def _(hub):
    received(hub, [5001])


@CASES.accepted("a fee of all that is escrowed", credited)
def _(hub):
    return received(hub, [4000, 1000])


@CASES.rejected("payouts do not sum", "payouts of more than the fee")
def _(hub):
    received(hub, [10, 20], fee=29)


@CASES.rejected("payouts do not sum", "payouts of less than the fee")
def _(hub):
    received(hub, [10, 20], fee=31)


@CASES.rejected("payouts do not sum", "a fee that nobody is paid")
def _(hub):
    received(hub, [], fee=1)


@CASES.rejected("", "payouts whose sum overflows")
def _(hub):
    received(hub, [2**256 - 1, 11], fee=10)


@CASES.rejected("payouts differ", "other payouts than were signed")
def _(hub):
    intent = hub.ask()
    receipt = hub.receipt(intent, [(word(hub.carol), 10)])
    hub.settle(intent, [(word(hub.bob), 10)], receipt)


@CASES.rejected("payee zero", "a payout to nobody")
def _(hub):
    hub.settle(hub.ask(), [(ZERO, 10)])


@CASES.rejected(
    "payee malformed", "a payout to a word that is no address of this chain", credited_to_the_word
)
def _(hub):
    hub.settle(hub.ask(), [(b"\1" * 32, 10)])
    return b"\1" * 32


@CASES.rejected(
    "payee malformed", "a payout to an address with one byte too many", credited_to_the_word
)
def _(hub):
    hub.settle(hub.ask(), [(bytes(11) + b"\1" * 21, 10)])
    return bytes(11) + b"\1" * 21


@CASES.rejected("", "35 payouts")
def _(hub):
    received(hub, [1] * 35)


@CASES.accepted("34 payouts", credited)
def _(hub):
    return received(hub, [1] * 34)


@CASES.rejected("receipt expired", "a receipt after its expiry")
def _(hub):
    intent = hub.ask()
    receipt = hub.receipt(intent, [], expiry=hub.now + 10)
    hub.at(hub.now + 11)
    hub.settle(intent, [], receipt)


@CASES.accepted("a receipt at its expiry, after deadline and grace", credited)
def _(hub):
    intent = hub.ask()
    late = intent["deadline"] + 2 * hub.config["grace"]
    hub.at(late)
    hub.settle(intent, [], hub.receipt(intent, [], expiry=late))
    return intent, 0


@CASES.rejected("too few signatures", "a receipt with fewer signatures than the threshold")
def _(hub):
    intent = hub.ask()
    receipt = hub.receipt(intent, [])
    hub.settle(intent, [], receipt, hub.sign("Receipt", receipt)[:2])


@CASES.rejected("unknown signer", "an attestation's signatures on a receipt")
def _(hub):
    intent = hub.ask(destHub=hub.id)
    signatures = hub.sign("Attestation", hub.attestation(intent))
    hub.settle(intent, [], hub.receipt(intent, []), signatures)


@CASES.rejected("unknown signer", "a receipt that was signed for another hub")
def _(hub):
    intent = hub.ask()
    receipt = hub.receipt(intent, [])
    hub.settle(intent, [], receipt, hub.sign("Receipt", receipt, hub=FOREIGN))


@CASES.rejected("refund too early", "a refund at the end of the grace")
def _(hub):
    intent = hub.ask()
    hub.at(intent["deadline"] + hub.config["grace"])
    hub.refund(intent)


def refunded(hub: HubClient, intent: Message) -> None:
    """The requester has credit of the whole fee, whoever asked for the refund."""
    assert hub.intent_of(intent) == {
        "requester": intent["requester"],
        "deadline": intent["deadline"],
        "escrow": 0,
        "state": "refunded",
    }
    amount, requester = intent["maxFee"], intent["requester"]
    assert hub.owed(requester) == amount
    assert hub.owed(word(hub.bob)) == 0
    told = {"intentId": hub.intent_id(intent), "requester": requester, "amount": amount}
    assert hub.told("Refunded") == [told]


@CASES.accepted("a refund after the grace", refunded)
def _(hub):
    intent = hub.ask()
    hub.at(intent["deadline"] + hub.config["grace"] + 1)
    hub.refund(intent)
    return intent


@CASES.rejected("intent not open", "a refund of an unknown intent")
def _(hub):
    hub.refund(hub.intent())


@CASES.rejected("intent not open", "a refund after the settlement")
def _(hub):
    intent = hub.ask()
    hub.settle(intent, [])
    hub.at(intent["deadline"] + hub.config["grace"] + 1)
    hub.refund(intent)


@CASES.rejected("intent not open", "a settlement after the refund")
def _(hub):
    intent = hub.ask()
    hub.at(intent["deadline"] + hub.config["grace"] + 1)
    hub.refund(intent)
    hub.settle(intent, [], hub.receipt(intent, [], expiry=2**64 - 1))


@CASES.rejected("intent not open", "a second refund")
def _(hub):
    intent = hub.ask()
    hub.at(intent["deadline"] + hub.config["grace"] + 1)
    hub.refund(intent)
    hub.refund(intent)


@CASES.rejected("no credit", "a withdrawal without credit")
def _(hub):
    hub.send("withdraw", sender=hub.carol)


@CASES.rejected("no credit", "a second withdrawal")
def _(hub):
    hub.settle(hub.ask(), [(word(hub.carol), 10)])
    hub.send("withdraw", sender=hub.carol)
    hub.send("withdraw", sender=hub.carol)
