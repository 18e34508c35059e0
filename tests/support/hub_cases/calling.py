"""What a callback is given, and that a delivery stands however it ends."""

from web3 import Web3

from support.hub import AGENT, FOREIGN, ZERO, HubClient, Message, word
from support.hub_cases.delivering import delivered
from support.hub_cases.table import Cases, Then

CASES = Cases()
ANSWER = b"answer"
GAS = 400_000
LONG = bytes(range(256)) * 32


def told(output: bytes = ANSWER, status: int = 0) -> Then:
    """The callback was called once, with who asked whom where, and the output; the hub noted that."""

    def then(hub: HubClient, made: tuple[Message, object]) -> None:
        intent, puppet = made
        assert puppet.told == {
            "intentId": hub.intent_id(intent),
            "originHub": FOREIGN,
            "requester": word(hub.alice),
            "agentId": AGENT,
            "payloadHash": Web3.keccak(b"question"),
            "status": status,
            "outputHash": Web3.keccak(output),
        }
        event = {"intentId": hub.intent_id(intent), "callback": puppet.word, "success": True}
        assert hub.told("CallbackResult") == [event]
        delivered(output, status, callback="succeeded")(hub, intent)

    return then


@CASES.accepted("a callback", told())
def _(hub):
    puppet = hub.puppet()
    intent = hub.intent(callback=puppet.word, callbackGas=GAS)
    assert hub.delivery_of(intent) is None
    assert hub.answer(intent)
    return intent, puppet


@CASES.accepted("a callback with the longest output", told(LONG))
def _(hub):
    puppet = hub.puppet()
    intent = hub.intent(callback=puppet.word, callbackGas=10**6)
    assert hub.answer(intent, output=LONG)
    return intent, puppet


@CASES.accepted("a callback with a refusal", told(b"", 1))
def _(hub):
    puppet = hub.puppet()
    intent = hub.intent(callback=puppet.word, callbackGas=GAS)
    assert hub.answer(intent, hub.attestation(intent, b"", 1), b"")
    return intent, puppet


@CASES.accepted("a callback with a failure", told(b"", 2))
def _(hub):
    puppet = hub.puppet()
    intent = hub.intent(callback=puppet.word, callbackGas=GAS)
    assert hub.answer(intent, hub.attestation(intent, b"", 2), b"")
    return intent, puppet


@CASES.accepted("no callback where none was asked for", delivered())
def _(hub):
    intent = hub.intent(callback=ZERO, callbackGas=2**64 - 1)
    hub.deliver(intent)
    assert hub.told("CallbackResult") == []
    return intent


# A callback that fails.


@CASES.accepted("a callback that fails", delivered(callback="failed"))
def _(hub):
    consumer = hub.consumer()
    intent = hub.intent(callback=consumer.word, callbackGas=GAS)
    assert not hub.answer(intent)
    assert consumer.answered(intent) is None
    return intent


@CASES.accepted("a callback that burns all its gas", delivered(b"spin", callback="failed"))
def _(hub):
    puppet = hub.puppet("burn")
    intent = hub.intent(callback=puppet.word, callbackGas=GAS)
    assert not hub.answer(intent, output=b"spin")
    return intent


@CASES.accepted("a callback to an account without code", delivered(callback="failed"))
def _(hub):
    intent = hub.intent(callback=word(hub.carol), callbackGas=GAS)
    assert not hub.answer(intent)
    return intent


@CASES.accepted("a callback to a word that is nobody's address", delivered(callback="failed"))
def _(hub):
    intent = hub.intent(callback=b"\xff" * 32, callbackGas=GAS)
    assert not hub.answer(intent)
    return intent


@CASES.accepted("a callback to the hub itself", delivered(callback="failed"))
def _(hub):
    intent = hub.intent(callback=hub.word, callbackGas=GAS)
    hub.deliver(intent)
    return intent


def uncalled(hub: HubClient, made: tuple[Message, object]) -> None:
    """Nobody was called, and that is recorded as a failure."""
    intent, puppet = made
    assert puppet.told is None
    (event,) = hub.told("CallbackResult")
    assert not event["success"]
    delivered(callback="failed")(hub, intent)


@CASES.accepted("a callback with one unit of gas over the maximum", uncalled)
def _(hub):
    puppet = hub.puppet()
    intent = hub.intent(callback=puppet.word, callbackGas=hub.config["maxCallbackGas"] + 1)
    assert not hub.answer(intent)
    return intent, puppet


@CASES.accepted("a callback with all the gas that a number holds", uncalled)
def _(hub):
    puppet = hub.puppet()
    intent = hub.intent(callback=puppet.word, callbackGas=2**64 - 1)
    assert not hub.answer(intent)
    return intent, puppet


@CASES.accepted("a callback with the maximum of gas", told())
def _(hub):
    puppet = hub.puppet()
    intent = hub.intent(callback=puppet.word, callbackGas=hub.config["maxCallbackGas"])
    assert hub.answer(intent)
    return intent, puppet


@CASES.rejected("too little gas for callback", "a delivery with too little gas for its callback")
def _(hub):
    puppet = hub.puppet("burn")
    hub.starve(hub.intent(callback=puppet.word, callbackGas=10**6))
