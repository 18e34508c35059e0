"""What a hub keeps and tells: intents in a row without gaps, and deliveries with who signed."""

from typing import Any

import pytest
from web3 import Web3

from support.contracts import RevertError
from support.hub import AGENT, DAY, FOREIGN, ZERO, HubClient, Message, word
from support.hub_cases.delivering import delivered
from support.hub_cases.table import Cases

CASES = Cases()
ANSWER = b"answer"


def told_whole(hub: HubClient, made: tuple[Message, Message, tuple[bytes, bytes]]) -> None:
    """The event has the whole intent under its id, nodes find its words, and it is open."""
    intent, expected, words = made
    assert intent == expected
    (event,) = hub.told("IntentRequested")
    assert event["intent"] == expected
    assert hub.words_of(intent) == words
    state = hub.intent_of(intent)
    assert (state["state"], state["escrow"]) == ("open", expected["maxFee"])


def asked(hub: HubClient, payload: bytes, terms: bytes, terms_hash: bytes) -> Any:
    """Ask with every field different from every other."""
    fields: Message = {
        "agentId": AGENT,
        "modelDigest": b"\1" * 32,
        "minSigners": 2,
        "destHub": FOREIGN,
        "callback": b"\2" * 32,
        "callbackGas": 90_000,
        "deadline": hub.now + 500,
    }
    first = hub.settings["firstSeq"]
    intent = hub.ask(fee=7000, payload=payload, terms=terms, **fields)
    expected = fields | {
        "originHub": hub.id,
        "seq": first,
        "requester": word(hub.alice),
        "payloadHash": bytes(Web3.keccak(payload)),
        "termsHash": terms_hash,
        "feeAsset": ZERO,
        "maxFee": 7000,
    }
    return intent, expected, (payload, terms)


@CASES.accepted("a request with all its fields", told_whole)
def _(hub):
    return asked(hub, b"question", b"{}", bytes(Web3.keccak(b"{}")))


@CASES.accepted("a request with empty terms and an empty payload", told_whole)
def _(hub):
    return asked(hub, b"", b"", ZERO)


def in_a_row(hub: HubClient, seqs: list[int]) -> None:
    """The first number is the hub's first, each is the next, and so is the next one's."""
    first = hub.settings["firstSeq"]
    assert seqs == [first, first + 1, first + 2]
    assert hub.settings["nextSeq"] == first + 3


@CASES.accepted("requests between requests that fail", in_a_row)
def _(hub):
    seqs = []
    for who in (hub.alice, hub.bob, hub.alice):
        seqs.append(hub.ask(who)["seq"])
        with pytest.raises(RevertError, match="fee under minimum"):
            hub.ask(fee=hub.config["minFee"] - 1)
    return seqs


def two_intents(hub: HubClient, made: tuple[Message, Message]) -> None:
    """They differ in their number, so in their id, and both are open."""
    first, second = made
    assert second == first | {"seq": first["seq"] + 1}
    assert hub.intent_id(first) != hub.intent_id(second)
    assert {hub.intent_of(each)["state"] for each in made} == {"open"}


@CASES.accepted("the same request twice", two_intents)
def _(hub):
    deadline = hub.now + 500
    return hub.ask(deadline=deadline), hub.ask(deadline=deadline)


def unknown(hub: HubClient, intent: Message) -> None:
    """Of what never was there is no record, and nobody has credit."""
    assert hub.intent_of(intent) is None
    assert hub.delivery_of(intent) is None
    assert hub.owed(word(hub.alice)) == 0


@CASES.accepted("a question about an intent that never was", unknown)
def _(hub):
    return hub.intent()


# Deliveries.


def told_of_all(hub: HubClient, intent: Message) -> None:
    """The record has who signed, of the whole set, and when; the event has all of the attestation."""
    delivered(signers=0b1110)(hub, intent)
    attestation = hub.attestation(intent)
    (event,) = hub.told("Delivered")
    names = ("intentId", "originHub", "status", "outputHash", "agentDigest", "modelDigest")
    names += ("evidenceHash", "epoch")
    assert {name: event[name] for name in names} == {name: attestation[name] for name in names}
    assert (event["signers"], event["deliverer"]) == (0b1110, word(hub.node))
    assert hub.told("CallbackResult") == []


@CASES.accepted("a delivery by all members but the first", told_of_all)
def _(hub):
    intent = hub.intent()
    attestation = hub.attestation(intent)
    hub.at(hub.now + 77)
    assert hub.delivery_of(intent) is None
    signatures = hub.sign("Attestation", attestation, hub.keys[1:])
    hub.deliver(intent, attestation, ANSWER, signatures)
    return intent


@CASES.accepted("a delivery by all members", delivered(signers=0b1111))
def _(hub):
    intent = hub.intent()
    attestation = hub.attestation(intent)
    hub.deliver(intent, attestation, ANSWER, hub.sign("Attestation", attestation, hub.keys))
    return intent


@CASES.accepted("a delivery of a refusal", delivered(b"", 1))
def _(hub):
    intent = hub.intent()
    hub.deliver(intent, hub.attestation(intent, b"", 1), b"")
    return intent


@CASES.accepted("a delivery of a failure", delivered(b"", 2))
def _(hub):
    intent = hub.intent()
    hub.deliver(intent, hub.attestation(intent, b"", 2), b"")
    return intent


@CASES.rejected("record full", "a delivery 136 years after the deployment", delivered())
def _(hub):
    last = hub.settings["firstSeq"] >> 20  # the deployment's time
    last += 2**32 - 1
    first, second = (hub.intent(seq=seq, deadline=last + DAY) for seq in (7, 8))
    hub.at(last)
    hub.deliver(first)
    assert hub.delivery_of(first)["deliveredAt"] == last
    hub.at(last + 1)
    hub.deliver(second)
    return second
