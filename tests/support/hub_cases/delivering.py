"""What deliver and retry reject of the intent, the attestation and the output."""

from web3 import Web3

from support.hub import DAY, FOREIGN, ZERO, HubClient, Message, hub_id, word
from support.hub_cases.table import Cases, Then

CASES = Cases()
ANSWER = b"answer"


def delivered(
    output: bytes = ANSWER, status: int = 0, signers: int = 0b0111, callback: str = "none"
) -> Then:
    """The record of a delivery just now, by the first three members unless told otherwise."""

    def then(hub: HubClient, intent: Message) -> None:
        assert hub.delivery_of(intent) == {
            "deliveredAt": hub.now,
            "status": status,
            "outputHash": Web3.keccak(output),
            "evidenceHash": Web3.keccak(b"evidence"),
            "epoch": hub.epoch,
            "signers": signers,
            "deliverer": word(hub.node),
            "callback": callback,
        }

    return then


def attested(hub: HubClient, changes: dict[str, object], output: bytes = ANSWER, status: int = 0):
    """Deliver an intent with a rightly signed attestation that was changed before it was signed."""
    intent = hub.intent()
    hub.deliver(intent, hub.attestation(intent, output, status, **changes), output)
    return intent


@CASES.rejected("another hub's intent", "an intent for another hub")
def _(hub):
    hub.deliver(hub.intent(destHub=FOREIGN))


@CASES.rejected("fee asset unknown", "a fee asset that is not the native coin")
def _(hub):
    hub.deliver(hub.intent(feeAsset=b"\1" * 32))


@CASES.rejected("another intent", "an attestation of another intent")
def _(hub):
    attested(hub, {"intentId": b"\1" * 32})


@CASES.rejected("another intent", "an intent changed after it was attested")
def _(hub):
    intent = hub.intent()
    attestation = hub.attestation(intent)
    hub.deliver(intent | {"callbackGas": 1}, attestation)


@CASES.rejected("another origin", "an attestation with another origin")
def _(hub):
    attested(hub, {"originHub": b"\1" * 32})


@CASES.rejected("output differs", "a tampered output")
def _(hub):
    intent = hub.intent()
    hub.deliver(intent, hub.attestation(intent, b"answer"), b"Answer")


@CASES.rejected("", "an output over 8,192 bytes")
def _(hub):
    hub.deliver(hub.intent(), output=bytes(8193))


@CASES.accepted("an output of 8,192 bytes", delivered(b"\xff" * 8192))
def _(hub):
    intent = hub.intent()
    hub.deliver(intent, output=b"\xff" * 8192)
    return intent


@CASES.rejected("another model", "another model than the one asked for")
def _(hub):
    intent = hub.intent(modelDigest=b"\1" * 32)
    hub.deliver(intent, hub.attestation(intent, modelDigest=b"\2" * 32))


@CASES.rejected("another model", "no model where one was asked for")
def _(hub):
    intent = hub.intent(modelDigest=b"\1" * 32)
    hub.deliver(intent, hub.attestation(intent, modelDigest=ZERO))


@CASES.accepted("the model that was asked for", delivered())
def _(hub):
    intent = hub.intent(modelDigest=b"\1" * 32)
    hub.deliver(intent)
    return intent


@CASES.accepted("a refusal where a model was asked for", delivered(b"", 1))
def _(hub):
    intent = hub.intent(modelDigest=b"\1" * 32)
    hub.deliver(intent, hub.attestation(intent, b"", 1), b"")
    return intent


@CASES.rejected("unknown status", "status 3")
def _(hub):
    attested(hub, {}, b"", 3)


@CASES.rejected("output without fulfilment", "an output with status 1")
def _(hub):
    attested(hub, {}, b"answer", 1)


@CASES.rejected("output without fulfilment", "an output with status 2")
def _(hub):
    attested(hub, {}, b"answer", 2)


@CASES.rejected("digest without fulfilment", "an agent's digest with status 1")
def _(hub):
    attested(hub, {"agentDigest": b"\1" * 32}, b"", 1)


@CASES.rejected("digest without fulfilment", "a model's digest with status 2")
def _(hub):
    attested(hub, {"modelDigest": b"\1" * 32}, b"", 2)


@CASES.accepted("a fulfilment with an empty output", delivered(b""))
def _(hub):
    return attested(hub, {}, b"")


@CASES.rejected("attestation expired", "an attestation after its expiry")
def _(hub):
    intent = hub.intent()
    attestation = hub.attestation(intent, expiry=hub.now + 10)
    hub.at(hub.now + 11)
    hub.deliver(intent, attestation)


@CASES.accepted("an attestation at its expiry", delivered())
def _(hub):
    intent = hub.intent()
    attestation = hub.attestation(intent, expiry=hub.now + 10)
    hub.at(hub.now + 10)
    hub.deliver(intent, attestation)
    return intent


@CASES.rejected("deadline passed", "a delivery after the deadline")
def _(hub):
    intent = hub.intent()
    hub.at(intent["deadline"] + 1)
    hub.deliver(intent, hub.attestation(intent, expiry=2**64 - 1))


@CASES.accepted("a delivery at the deadline", delivered())
def _(hub):
    intent = hub.intent()
    hub.at(intent["deadline"])
    hub.deliver(intent)
    return intent


@CASES.rejected("already delivered", "a second delivery")
def _(hub):
    intent = hub.intent()
    hub.deliver(intent)
    hub.deliver(intent)


@CASES.rejected("already delivered", "another outcome after a delivery")
def _(hub):
    intent = hub.intent()
    hub.deliver(intent)
    hub.deliver(intent, hub.attestation(intent, b"", 2), b"")


@CASES.rejected("unknown signer", "a replay of what was signed for another hub")
def _(hub):
    intent = hub.intent()
    attestation = hub.attestation(intent)
    elsewhere = hub.sign("Attestation", attestation, hub=hub_id(1, hub.contract.address))
    hub.deliver(intent, attestation, ANSWER, elsewhere)


@CASES.rejected("not delivered", "a retry without a delivery")
def _(hub):
    hub.retry(hub.intent(callback=word(hub.carol)))


@CASES.rejected("no failed callback", "a retry where there is nothing to call")
def _(hub):
    intent = hub.intent()
    hub.deliver(intent)
    hub.retry(intent)


@CASES.rejected("output differs", "a retry with another output")
def _(hub):
    intent = hub.intent(callback=word(hub.carol))
    hub.deliver(intent)
    hub.retry(intent, b"Answer")


@CASES.rejected("not delivered", "a retry with another callback than was delivered")
def _(hub):
    intent = hub.intent(callback=word(hub.carol))
    hub.deliver(intent)
    hub.retry(intent | {"callback": word(hub.bob)})


@CASES.rejected("retry too late", "a retry after the retry window")
def _(hub):
    intent = hub.intent(callback=word(hub.carol))
    hub.deliver(intent)
    hub.at(hub.now + 7 * DAY + 1)
    hub.retry(intent)


def as_it_was(hub: HubClient, made: tuple[Message, Message | None]) -> None:
    """A retry that fails again leaves the record as it was."""
    intent, record = made
    assert record
    assert record["callback"] == "failed"
    assert hub.delivery_of(intent) == record


@CASES.accepted("a retry at the end of the retry window", as_it_was)
def _(hub):
    intent = hub.intent(callback=word(hub.carol))
    hub.deliver(intent)
    record = hub.delivery_of(intent)
    hub.at(hub.now + 7 * DAY)
    hub.retry(intent)
    return intent, record
