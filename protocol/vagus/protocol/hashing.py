"""Keccak-256, the one hash function of the protocol."""

import sha3


def keccak256(data: bytes) -> bytes:
    """Return the 32-byte Keccak-256 of `data` (the original padding, not FIPS 202's SHA3-256)."""
    digest: bytes = sha3.keccak_256(data).digest()
    return digest


ZERO32 = bytes(32)
"""The word that stands for "none": any model, no callback, the native coin."""

EMPTY_HASH = keccak256(b"")
"""The hash of an empty output and of no payouts."""
