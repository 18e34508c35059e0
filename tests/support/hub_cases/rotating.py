"""What rotate rejects, and whose signatures count after it."""

from eth_account.signers.local import LocalAccount
from web3 import Web3

from support.hub import DAY, HubClient, Message, hub_id, members
from support.hub_cases.delivering import delivered
from support.hub_cases.table import Cases

CASES = Cases()
NEXT = members(3, "next")
LAST = members(1, "last")


def turned(hub: HubClient, size: int, threshold: int, **changes: object):
    """Rotate to a set of this size, with a rightly signed rotation that was changed before."""
    keys = members(size, "next")
    epoch = hub.epoch
    hub.rotate(keys, threshold, hub.rotation(keys, threshold, **changes))
    return epoch, keys, threshold


def in_force(hub: HubClient, made: tuple[int, list[LocalAccount], int]) -> None:
    """The next set is there and told, at once; the one before it counts for the grace."""
    epoch, keys, threshold = made
    signers = [bytes.fromhex(key.address[2:]) for key in keys]
    set_now = {
        "epoch": epoch + 1,
        "threshold": threshold,
        "signers": signers,
        "rosterHash": Web3.keccak(text="next roster"),
        "previousUntil": hub.now + hub.config["grace"],
    }
    assert hub.told("Rotated") == [set_now]
    found = hub.committee
    assert {name: found[name] for name in set_now} == set_now
    assert hub.set_of(epoch + 1) == signers
    assert hub.set_of(epoch) == [bytes.fromhex(key.address[2:]) for key in hub.keys]
    assert hub.set_of(epoch - 1) == hub.set_of(epoch + 2) == []


def rotated(hub: HubClient) -> tuple[int, int]:
    """Rotate from the first set to the next; the first epoch and the rotation's time."""
    epoch = hub.epoch
    hub.rotate(NEXT, 2)
    return epoch, hub.now


@CASES.rejected("not the next epoch", "a rotation that skips an epoch")
def _(hub):
    turned(hub, 3, 2, epoch=hub.epoch + 2)


@CASES.rejected("not the next epoch", "a rotation to the epoch in force")
def _(hub):
    turned(hub, 3, 2, epoch=hub.epoch)


@CASES.rejected("not the next epoch", "a rotation replayed")
def _(hub):
    rotation = hub.rotation(NEXT, 2)
    hub.rotate(NEXT, 2, rotation)
    hub.rotate(NEXT, 2, rotation)


@CASES.rejected("unknown signer", "a rotation by the old set")
def _(hub):
    rotated(hub)
    hub.rotate(LAST, 1)


@CASES.rejected("unknown signer", "a rotation that was signed for another hub")
def _(hub):
    rotation = hub.rotation(NEXT, 2)
    elsewhere = hub.sign("Rotation", rotation, hub=hub_id(1, hub.contract.address))
    hub.rotate(NEXT, 2, rotation, elsewhere)


@CASES.rejected("too few signatures", "a rotation by fewer than the threshold")
def _(hub):
    rotation = hub.rotation(NEXT, 2)
    hub.rotate(NEXT, 2, rotation, hub.sign("Rotation", rotation)[:2])


@CASES.rejected("rotation too early", "a rotation before it is valid")
def _(hub):
    rotation = hub.rotation(NEXT, 2, validFrom=hub.now + 10)
    hub.at(hub.now + 9)
    hub.rotate(NEXT, 2, rotation)


@CASES.accepted("a rotation when it becomes valid", in_force)
def _(hub):
    epoch, rotation = hub.epoch, hub.rotation(NEXT, 2, validFrom=hub.now + 10)
    hub.at(hub.now + 10)
    hub.rotate(NEXT, 2, rotation)
    return epoch, NEXT, 2


@CASES.rejected("rotation too late", "a rotation more than seven days after it became valid")
def _(hub):
    rotation = hub.rotation(NEXT, 2)
    hub.at(rotation["validFrom"] + 7 * DAY + 1)
    hub.rotate(NEXT, 2, rotation)


@CASES.accepted("a rotation seven days after it became valid", in_force)
def _(hub):
    epoch, rotation = hub.epoch, hub.rotation(NEXT, 2)
    hub.at(rotation["validFrom"] + 7 * DAY)
    hub.rotate(NEXT, 2, rotation)
    return epoch, NEXT, 2


@CASES.rejected("signers differ", "a rotation to other signers than were signed")
def _(hub):
    hub.rotate(NEXT, 2, hub.rotation(LAST, 2))


@CASES.rejected("no signers", "a rotation to nobody")
def _(hub):
    turned(hub, 0, 0)


@CASES.rejected("threshold too low", "a threshold of zero")
def _(hub):
    turned(hub, 1, 0)


@CASES.rejected("threshold too low", "a set of four with threshold two")
def _(hub):
    turned(hub, 4, 2)


@CASES.accepted("a set of 32 with threshold 17", in_force)
def _(hub):
    return turned(hub, 32, 17)


@CASES.rejected("", "a set of 33")
def _(hub):
    turned(hub, 33, 17)


@CASES.rejected("threshold over size", "a threshold over the set's size")
def _(hub):
    turned(hub, 3, 4)


@CASES.rejected("threshold over size", "a threshold of which the double overflows")
def _(hub):
    turned(hub, 3, 2**63 + 1)


@CASES.rejected("set not ascending", "a set out of order")
def _(hub):
    keys = NEXT[::-1]
    hub.rotate(keys, 2, hub.rotation(keys, 2))


@CASES.rejected("set not ascending", "a set with a member twice")
def _(hub):
    keys = [NEXT[0], NEXT[0], NEXT[1]]
    hub.rotate(keys, 2, hub.rotation(keys, 2))


@CASES.rejected("set not ascending", "a set with the zero signer")
def _(hub):
    nobody = Nobody()
    hub.rotate([nobody, NEXT[0]], 2, hub.rotation([nobody, NEXT[0]], 2))


class Nobody:
    """A member whose address is zero."""

    address = "0x" + "00" * 20


def by_first(hub: HubClient, epoch: int) -> tuple[Message, Message]:
    """An intent, and its attestation for an epoch of the first set."""
    intent = hub.intent()
    return intent, hub.attestation(intent, epoch=epoch, expiry=2**64 - 1)


def by_the_old(hub: HubClient, made: tuple[Message, int]) -> None:
    """The record names the old epoch, whose signers stay readable."""
    intent, epoch = made
    record = hub.delivery_of(intent)
    assert (record["epoch"], record["signers"], record["deliveredAt"]) == (epoch, 0b0111, hub.now)
    assert hub.epoch == epoch + 1
    assert hub.set_of(epoch) == [bytes.fromhex(key.address[2:]) for key in hub.keys]


@CASES.accepted("an attestation by the previous set at the end of the grace", by_the_old)
def _(hub):
    epoch, now = rotated(hub)
    intent, attestation = by_first(hub, epoch)
    hub.at(now + hub.config["grace"])
    hub.deliver(intent, attestation)
    return intent, epoch


@CASES.rejected("epoch ended", "an attestation by the previous set after the grace")
def _(hub):
    epoch, now = rotated(hub)
    intent = hub.intent(deadline=now + 2 * hub.config["grace"])
    hub.at(now + hub.config["grace"] + 1)
    hub.deliver(intent, hub.attestation(intent, epoch=epoch))


def settled_by_the_old(hub: HubClient, made: tuple[Message, int]) -> None:
    """It is settled, in the old epoch's name."""
    intent, epoch = made
    assert hub.intent_of(intent)["state"] == "settled"
    assert hub.told("Settled")[0]["epoch"] == epoch == hub.epoch - 1
    assert hub.owed(intent["requester"]) == intent["maxFee"]


@CASES.accepted("a receipt by the previous set within the grace", settled_by_the_old)
def _(hub):
    intent = hub.ask()
    epoch, _ = rotated(hub)
    hub.settle(intent, [], hub.receipt(intent, [], epoch=epoch))
    return intent, epoch


@CASES.accepted("an attestation by the new set", delivered(signers=0b110))
def _(hub):
    rotated(hub)
    intent, attestation = by_first(hub, hub.epoch)
    signatures = hub.sign("Attestation", attestation, NEXT[1:])
    hub.deliver(intent, attestation, b"answer", signatures)
    return intent


@CASES.rejected("epoch ended", "a receipt by the previous set after the grace")
def _(hub):
    intent = hub.ask()
    epoch, now = rotated(hub)
    hub.at(now + hub.config["grace"] + 1)
    hub.settle(intent, [], hub.receipt(intent, [], epoch=epoch, expiry=2**64 - 1))


@CASES.rejected("unknown signer", "the previous set's signatures under the new epoch")
def _(hub):
    rotated(hub)
    intent, attestation = by_first(hub, hub.epoch)
    hub.deliver(intent, attestation)


@CASES.rejected("unknown signer", "the new set's signatures under the previous epoch")
def _(hub):
    epoch, _ = rotated(hub)
    intent, attestation = by_first(hub, epoch)
    hub.deliver(intent, attestation, b"answer", hub.sign("Attestation", attestation, NEXT))


@CASES.rejected("too few signatures", "a threshold of the new set for the previous one")
def _(hub):
    epoch, _ = rotated(hub)
    intent, attestation = by_first(hub, epoch)
    hub.deliver(intent, attestation, b"answer", hub.sign("Attestation", attestation)[:2])


def twice_rotated(hub: HubClient) -> int:
    """Rotate to the next set, which rotates to the last one at once; the first epoch."""
    epoch, _ = rotated(hub)
    rotation = hub.rotation(LAST, 1)
    hub.rotate(LAST, 1, rotation, hub.sign("Rotation", rotation, NEXT[:2]))
    return epoch


@CASES.rejected(
    "epoch not in force", "an attestation by the set before the previous one, within the grace"
)
def _(hub):
    intent, attestation = by_first(hub, twice_rotated(hub))
    hub.deliver(intent, attestation)


@CASES.rejected(
    "epoch not in force", "a receipt by the set before the previous one, within the grace"
)
def _(hub):
    intent = hub.ask()
    receipt = hub.receipt(intent, [], epoch=twice_rotated(hub))
    hub.settle(intent, [], receipt)
