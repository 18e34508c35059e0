# pragma version 0.4.3
# SPDX-License-Identifier: Apache-2.0
"""
@title  Quorum
@license Apache-2.0
@notice The signer sets of a hub: who may sign, how many must, and how one set names the next.
@dev    Two sets count at most: the current one, and the one before it until a time. The signers of
        older epochs stay readable, so that the bitmap of an old delivery keeps its meaning.
"""

from interfaces import IVagusHub
from modules import identity
from modules import messages
from modules import settings

uses: identity
uses: settings

MAX_SIGNERS: constant(uint256) = 32
ROTATION_WINDOW: constant(uint256) = 7 * 86400
# Half the order of secp256k1: a higher s is the malleated twin of a lower one (EIP-2).
HALF_ORDER: constant(uint256) = 57896044618658097711785492504343953926418782139537452191302581570759080747168
U8: constant(uint256) = 2**8 - 1
U16: constant(uint256) = 2**16 - 1
U64: constant(uint256) = 2**64 - 1

# One word, which every check of signatures reads: epoch 64 | the previous set counts until 64
# | threshold 8 | size 8 | the previous set's threshold 8 | its size 8
_head: uint256
# By epoch, ascending; the rest is zero.
_signers: HashMap[uint256, address[MAX_SIGNERS]]
_roster_hash: bytes32


@deploy
def __init__(signers: DynArray[address, MAX_SIGNERS], threshold: uint64, rosterHash: bytes32):
    """
    @notice Installs the first set.
    """
    self._install(identity.FIRST_EPOCH, signers, threshold, rosterHash, 0, 0)


@external
@nonreentrant
def rotate(
    rotation: IVagusHub.Rotation,
    signers: DynArray[address, MAX_SIGNERS],
    signatures: DynArray[Bytes[65], MAX_SIGNERS],
):
    """
    @notice Installs the next set at once; works while paused. The set that signed goes on counting
            for the grace, and the one before it ends now.
    @param rotation What the current set signed for this hub.
    @param signers What its signersHash commits to: one to 32 addresses, ascending.
    @param signatures Of the rotation's digest, by ascending signers of the current set.
    """
    identity._check_chain()
    epoch: uint256 = self._head >> 192
    current: uint256 = (self._head >> 112) & U16
    valid_from: uint256 = convert(rotation.validFrom, uint256)
    assert convert(rotation.epoch, uint256) == epoch + 1, "not the next epoch"
    assert valid_from <= block.timestamp, "rotation too early"
    assert block.timestamp <= valid_from + ROTATION_WINDOW, "rotation too late"
    assert messages._signers_hash(signers) == rotation.signersHash, "signers differ"
    self._verify_by(
        messages._rotation_digest(identity.DOMAIN, rotation),
        epoch,
        current & U8,
        current >> 8,
        signatures,
    )
    until: uint256 = block.timestamp + convert(settings.GRACE, uint256)
    self._install(
        epoch + 1, signers, rotation.threshold, rotation.rosterHash, current, until
    )


@internal
def _install(
    epoch: uint256,
    signers: DynArray[address, MAX_SIGNERS],
    threshold: uint64,
    roster_hash: bytes32,
    previous: uint256,
    until: uint256,
):
    """
    @notice Makes a set the current one, if it is one to 32 distinct signers in ascending order and
            any two quorums of it share a signer.
    @param previous Threshold and size of the set before, as in the head.
    @param until When the set before stops counting.
    """
    size: uint256 = len(signers)
    needed: uint256 = convert(threshold, uint256)
    assert size != 0, "no signers"
    assert needed <= size, "threshold over size"
    assert 2 * needed > size, "threshold too low"
    last: uint256 = 0
    for i: uint256 in range(size, bound=MAX_SIGNERS):
        signer: uint256 = convert(signers[i], uint256)
        # Zero is never above the one before: no set has it.
        assert signer > last, "set not ascending"
        last = signer
        self._signers[epoch][i] = signers[i]
    self._roster_hash = roster_hash
    self._head = (
        (epoch << 192) | (until << 128) | (((needed << 8) | size) << 112) | (previous << 96)
    )
    log IVagusHub.Rotated(
        epoch=convert(epoch, uint64),
        threshold=threshold,
        signers=signers,
        rosterHash=roster_hash,
        previousUntil=convert(until, uint64),
    )


@internal
@view
def _verify(
    digest: bytes32, epoch: uint64, least: uint64, signatures: DynArray[Bytes[65], MAX_SIGNERS]
) -> uint256:
    """
    @notice Verifies signatures by the current set, or by the previous one while it still counts.
    @param least What the requester asks for if that is more than the threshold.
    @return Who signed: bit i is the set's signer i.
    """
    head: uint256 = self._head
    signing: uint256 = convert(epoch, uint256)
    counts: uint256 = head >> 112
    if signing != head >> 192:
        assert signing + 1 == head >> 192, "epoch not in force"
        assert block.timestamp <= (head >> 128) & U64, "epoch ended"
        counts = head >> 96
    needed: uint256 = max((counts >> 8) & U8, convert(least, uint256))
    return self._verify_by(digest, signing, counts & U8, needed, signatures)


@internal
@view
def _verify_by(
    digest: bytes32,
    epoch: uint256,
    size: uint256,
    needed: uint256,
    signatures: DynArray[Bytes[65], MAX_SIGNERS],
) -> uint256:
    """
    @notice Verifies that enough signatures are given and that each is by another signer of a set.
    @return Who signed: bit i is the set's signer i.
    """
    assert len(signatures) >= needed, "too few signatures"
    next: uint256 = 0
    last: uint256 = 0
    bitmap: uint256 = 0
    for signature: Bytes[65] in signatures:
        signer: address = self._recover(digest, signature)
        word: uint256 = convert(signer, uint256)
        assert word > last, "signatures not ascending"
        last = word
        # Both lists ascend, so each search goes on where the last one ended.
        found: bool = False
        for i: uint256 in range(next, size, bound=MAX_SIGNERS):
            if self._signers[epoch][i] == signer:
                bitmap |= 1 << i
                next = i + 1
                found = True
                break
        assert found, "unknown signer"
    return bitmap


@internal
@pure
def _recover(digest: bytes32, signature: Bytes[65]) -> address:
    """
    @notice The signer of a digest by r || s || v, with v 27 or 28 and the lower s.
    """
    assert len(signature) == 65, "signature length"
    r: uint256 = extract32(signature, 0, output_type=uint256)
    s: uint256 = extract32(signature, 32, output_type=uint256)
    # The last 32 bytes end in v: an extract cannot reach past the end.
    v: uint256 = extract32(signature, 33, output_type=uint256) & 255
    assert v == 27 or v == 28, "signature v"
    assert s <= HALF_ORDER, "signature high s"
    signer: address = ecrecover(digest, v, r, s)
    assert signer != empty(address), "signature invalid"
    return signer


@internal
@view
def _list(epoch: uint256) -> DynArray[address, MAX_SIGNERS]:
    """
    @notice The signers of an epoch, whether or not it still counts; empty if there was none.
    """
    answer: DynArray[address, MAX_SIGNERS] = []
    for i: uint256 in range(MAX_SIGNERS):
        signer: address = self._signers[epoch][i]
        if signer == empty(address):
            break
        answer.append(signer)
    return answer


@internal
@view
def _view() -> IVagusHub.Committee:
    """
    @notice Both sets as the view answers them; the previous one is empty before the first rotation.
    """
    head: uint256 = self._head
    answer: IVagusHub.Committee = empty(IVagusHub.Committee)
    answer.epoch = convert(head >> 192, uint64)
    answer.threshold = convert((head >> 120) & U8, uint64)
    answer.signers = self._list(head >> 192)
    answer.rosterHash = self._roster_hash
    if (head >> 128) & U64 != 0:
        answer.previousEpoch = answer.epoch - 1
        answer.previousThreshold = convert((head >> 104) & U8, uint64)
        answer.previousSigners = self._list((head >> 192) - 1)
        answer.previousUntil = convert((head >> 128) & U64, uint64)
    return answer
