"""Payouts: who is paid what from an intent's escrow, as the origin hub is handed them."""

from collections.abc import Iterable
from dataclasses import dataclass

from vagus.protocol.hashing import keccak256
from vagus.protocol.words import UINT256_MAX, WORD, require_bytes, require_uint


@dataclass(frozen=True, slots=True)
class Payout:
    """One payee (an address packed into 32 bytes) and its amount in the smallest unit."""

    payee: bytes
    amount: int

    def __post_init__(self) -> None:
        require_bytes("payee", self.payee, WORD)
        require_uint("amount", self.amount, UINT256_MAX)


def encode_payouts(payouts: Iterable[Payout]) -> bytes:
    """Return 64 bytes for each payout, payee then big-endian amount, in the order given."""
    return b"".join([payout.payee + payout.amount.to_bytes(WORD, "big") for payout in payouts])


def payouts_hash(payouts: Iterable[Payout]) -> bytes:
    """Return the receipt's payoutsHash; no payouts hash as the Keccak-256 of nothing."""
    return keccak256(encode_payouts(payouts))
