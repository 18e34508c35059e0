"""What deliver rejects of the signatures."""

from collections.abc import Callable

from support.hub import HubClient, members
from support.hub_cases.delivering import delivered
from support.hub_cases.table import Cases

CASES = Cases()
ANSWER = b"answer"
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141  # secp256k1's


def signed(hub: HubClient, change: Callable[[list[bytes]], list[bytes]]):
    """Deliver an intent with a right attestation and changed signatures."""
    intent = hub.intent()
    attestation = hub.attestation(intent)
    return hub.deliver(intent, attestation, ANSWER, change(hub.sign("Attestation", attestation)))


@CASES.rejected("too few signatures", "fewer signatures than the threshold")
def _(hub):
    signed(hub, lambda s: s[:2])


@CASES.rejected("too few signatures", "no signatures")
def _(hub):
    signed(hub, lambda _: [])


@CASES.rejected("too few signatures", "fewer signatures than the requester asked for")
def _(hub):
    hub.deliver(hub.intent(minSigners=4))


@CASES.accepted("as many signatures as the requester asked for", delivered(signers=0b1111))
def _(hub):
    intent = hub.intent(minSigners=4)
    attestation = hub.attestation(intent)
    hub.deliver(intent, attestation, ANSWER, hub.sign("Attestation", attestation, hub.keys))
    return intent


@CASES.rejected("too few signatures", "more signatures asked for than the set has")
def _(hub):
    intent = hub.intent(minSigners=5)
    attestation = hub.attestation(intent)
    hub.deliver(intent, attestation, ANSWER, hub.sign("Attestation", attestation, hub.keys))


@CASES.accepted(
    "a refusal by the threshold where the requester asked for more signatures", delivered(b"", 1)
)
def _(hub):
    intent = hub.intent(minSigners=4)
    hub.deliver(intent, hub.attestation(intent, b"", 1), b"")
    return intent


@CASES.rejected("signatures not ascending", "a doubled signature")
def _(hub):
    signed(hub, lambda s: [s[0], s[1], s[1]])


@CASES.rejected("signatures not ascending", "signatures out of order")
def _(hub):
    signed(hub, lambda s: [s[1], s[0], s[2]])


@CASES.rejected("unknown signer", "a signer who is no member")
def _(hub):
    intent = hub.intent()
    attestation = hub.attestation(intent)
    outsider = members(1, "outsider")
    keys = sorted(hub.keys[:3] + outsider, key=lambda key: int(key.address, 16))
    hub.deliver(intent, attestation, ANSWER, hub.sign("Attestation", attestation, keys))


@CASES.rejected("signature invalid", "a signature of nobody: the zero signer")
def _(hub):
    signed(hub, lambda s: [bytes(64) + b"\x1b", *s])


@CASES.rejected("signature high s", "a signature with the higher s")
def _(hub):
    def malleate(signature: bytes) -> bytes:
        twin = ORDER - int.from_bytes(signature[32:64])
        return signature[:32] + twin.to_bytes(32) + bytes([55 - signature[64]])

    signed(hub, lambda s: [malleate(s[0]), *s[1:]])


@CASES.rejected("signature v", "a recovery id of 0 or 1")
def _(hub):
    signed(hub, lambda s: [s[0][:64] + bytes([s[0][64] - 27]), *s[1:]])


@CASES.rejected("signature v", "a recovery id of 29")
def _(hub):
    signed(hub, lambda s: [s[0][:64] + b"\x1d", *s[1:]])


@CASES.rejected("signature length", "a signature of 64 bytes")
def _(hub):
    signed(hub, lambda s: [s[0][:64], *s[1:]])


@CASES.rejected("", "a signature of 66 bytes")
def _(hub):
    signed(hub, lambda s: [s[0] + b"\0", *s[1:]])


@CASES.rejected("", "33 signatures")
def _(hub):
    signed(hub, lambda s: s * 11)


@CASES.rejected("epoch not in force", "an attestation of a later epoch")
def _(hub):
    intent = hub.intent()
    hub.deliver(intent, hub.attestation(intent, epoch=hub.epoch + 1))


@CASES.rejected("epoch ended", "an attestation of the epoch before the first")
def _(hub):
    intent = hub.intent()
    hub.deliver(intent, hub.attestation(intent, epoch=hub.epoch - 1))
