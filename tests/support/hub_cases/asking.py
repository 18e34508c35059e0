"""What request rejects, and what it takes."""

from web3 import Web3

from support.hub import FOREIGN, HubClient, Message
from support.hub_cases.table import Cases

CASES = Cases()


def opened(hub: HubClient, intent: Message) -> None:
    """It has the hub's first number, is open with all its fee in escrow, and nobody has credit yet."""
    assert hub.intent_of(intent) == {
        "requester": intent["requester"],
        "deadline": intent["deadline"],
        "escrow": intent["maxFee"],
        "state": "open",
    }
    assert intent["originHub"] == hub.id
    assert intent["seq"] == hub.settings["firstSeq"] == hub.settings["nextSeq"] - 1
    assert hub.owed(intent["requester"]) == 0


@CASES.rejected("fee under minimum", "a fee under the minimum")
def _(hub):
    hub.ask(fee=hub.config["minFee"] - 1)


@CASES.accepted("a fee of the minimum", opened)
def _(hub):
    return hub.ask(fee=hub.config["minFee"])


@CASES.rejected("deadline too early", "a deadline sooner than the shortest time to live")
def _(hub):
    soon = hub.now + 10
    hub.at(soon)
    hub.ask(deadline=soon + hub.config["minTtl"] - 1)


@CASES.accepted("a deadline at the shortest time to live", opened)
def _(hub):
    soon = hub.now + 10
    hub.at(soon)
    return hub.ask(deadline=soon + hub.config["minTtl"])


@CASES.rejected("deadline too late", "a deadline later than the longest time to live")
def _(hub):
    soon = hub.now + 10
    hub.at(soon)
    hub.ask(deadline=soon + hub.config["maxTtl"] + 1)


@CASES.accepted("a deadline at the longest time to live", opened)
def _(hub):
    soon = hub.now + 10
    hub.at(soon)
    return hub.ask(deadline=soon + hub.config["maxTtl"])


@CASES.rejected("deadline too late", "a deadline at the end of time")
def _(hub):
    hub.ask(deadline=2**64 - 1)


@CASES.rejected("callback gas over maximum", "more callback gas than this hub allows, to this hub")
def _(hub):
    hub.ask(destHub=hub.id, callbackGas=hub.config["maxCallbackGas"] + 1)


@CASES.accepted("more callback gas than this hub allows, to another hub", opened)
def _(hub):
    return hub.ask(destHub=FOREIGN, callbackGas=hub.config["maxCallbackGas"] + 1)


@CASES.rejected("", "a payload over 8,192 bytes")
def _(hub):
    hub.ask(payload=bytes(8193))


@CASES.rejected("", "terms over 1,024 bytes")
def _(hub):
    hub.ask(terms=bytes(1025))


def told_whole(hub: HubClient, intent: Message) -> None:
    """Nodes find the payload and the terms that the intent commits to."""
    opened(hub, intent)
    payload, terms = hub.words_of(intent)
    assert (payload, terms) == (bytes(8192), bytes(1024))
    assert intent["payloadHash"] == Web3.keccak(payload)
    assert intent["termsHash"] == Web3.keccak(terms)


@CASES.accepted("a payload of 8,192 bytes and terms of 1,024", told_whole)
def _(hub):
    return hub.ask(payload=bytes(8192), terms=bytes(1024))
