"""The rule by which every hub and every node accepts a committee's signatures."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from vagus.protocol.errors import QuorumError, SignatureError
from vagus.protocol.hashing import keccak256
from vagus.protocol.limits import MAX_SIGNERS
from vagus.protocol.signatures import recover
from vagus.protocol.words import UINT64_MAX, require_uint

ADDRESS_SIZE = 20
_ZERO_ADDRESS = bytes(ADDRESS_SIZE)


@dataclass(frozen=True, slots=True)
class SignerSet:
    """A hub's signers in one epoch: 1 to 32 ascending addresses of which a majority signs.

    Raises QuorumError for a set that no hub would take, ValueError for an epoch outside uint64.
    """

    epoch: int
    signers: tuple[bytes, ...]
    threshold: int

    def __post_init__(self) -> None:
        require_uint("epoch", self.epoch, UINT64_MAX)
        _check_set(self.signers, self.threshold)
        if 2 * self.threshold <= len(self.signers):
            raise QuorumError(
                f"threshold {self.threshold} of {len(self.signers)} is no majority: "
                "two disjoint quorums could sign two answers"
            )


def verify_quorum(
    digest: bytes, signatures: Sequence[bytes], signers: Sequence[bytes], threshold: int
) -> tuple[bytes, ...]:
    """Return the signers found, ascending, or raise QuorumError.

    Each signature must be valid and by a member, the recovered signers strictly ascending: one
    bad signature spoils the lot, as it does on chain. At most `len(signers)` are looked at.
    """
    _check_set(signers, threshold)
    if len(signatures) > len(signers):
        raise QuorumError(f"{len(signatures)} signatures, but the set has {len(signers)} signers")
    if len(signatures) < threshold:
        raise QuorumError(f"{len(signatures)} signatures, the threshold is {threshold}")
    found: list[bytes] = []
    for position, signature in enumerate(signatures):
        try:
            signer = recover(digest, signature)
        except SignatureError as error:
            raise QuorumError(f"signature {position}: {error}") from error
        if signer not in signers:
            raise QuorumError(f"signature {position}: 0x{signer.hex()} is not in the set")
        if found and signer <= found[-1]:
            raise QuorumError(f"signature {position}: signers are not strictly ascending")
        found.append(signer)
    return tuple(found)


def signers_hash(signers: Iterable[bytes]) -> bytes:
    """Return the Keccak-256 of the addresses, each left-padded to 32 bytes, ascending."""
    addresses = tuple(signers)
    _check_set(addresses, 1)
    return keccak256(b"".join([bytes(12) + address for address in addresses]))


def _check_set(signers: Sequence[bytes], threshold: int) -> None:
    if not 1 <= len(signers) <= MAX_SIGNERS:
        raise QuorumError(f"a set has 1 to {MAX_SIGNERS} signers, not {len(signers)}")
    for signer in signers:
        if not isinstance(signer, bytes) or len(signer) != ADDRESS_SIZE:
            raise QuorumError(f"a signer is an address of {ADDRESS_SIZE} bytes")
    if signers[0] == _ZERO_ADDRESS:
        raise QuorumError("the zero address signs nothing")
    if not all(low < high for low, high in pairwise(signers)):
        raise QuorumError("the set's signers are not distinct and ascending")
    if not isinstance(threshold, int) or isinstance(threshold, bool):
        raise QuorumError("the threshold must be an int")
    if not 1 <= threshold <= len(signers):
        raise QuorumError(f"threshold {threshold} is outside 1..{len(signers)}")
