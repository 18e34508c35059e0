"""What a key does for a node, wherever it is kept: it says who it is, and it signs.

A signer signs whatever it is handed. What a node may sign is decided before: statements by `Guarded`
(policy.py), transactions by each chain's `Wallet`. Nobody else holds a signer.
"""

from __future__ import annotations

import abc
import enum
from functools import cached_property
from typing import NoReturn

from coincurve import PublicKey

from vagus.protocol import Retry, SignatureError, keccak256, recover

__all__ = ["Scheme", "Signer"]

_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_SIGNATURE = 64


class Scheme(enum.StrEnum):
    """The kind of a key: chains of EVM and Cosmos and the committee take one, Solana the other."""

    SECP256K1 = "secp256k1"
    ED25519 = "ed25519"


class Signer(abc.ABC):
    """One key. `public_key`: 33 compressed bytes of secp256k1, 32 of ed25519.

    `where` says where the key is kept, in words that may be shown. Signing raises Retry in words
    where the key cannot be reached or its keeper refuses: nothing is decided by that.
    """

    scheme: Scheme
    public_key: bytes
    where: str

    @cached_property
    def address(self) -> bytes:
        """The 20-byte Ethereum address of a secp256k1 key."""
        self._require(Scheme.SECP256K1)
        return keccak256(PublicKey(self.public_key).format(compressed=False)[1:])[12:]

    async def sign_digest(self, digest: bytes) -> bytes:
        """Sign 32 bytes as they are with secp256k1: 65 bytes r‖s‖v, low s, v 27 or 28."""
        self._require(Scheme.SECP256K1)
        if len(digest) != 32:
            raise SignatureError(f"a digest is 32 bytes, not {len(digest)}")
        return self._recoverable(digest, await self._sign(digest))

    async def sign_message(self, message: bytes) -> bytes:
        """Sign a message of any length with ed25519 (RFC 8032, pure): 64 bytes."""
        self._require(Scheme.ED25519)
        signature = await self._sign(message)
        if len(signature) != _SIGNATURE:
            raise Retry(f"{self.where}: a signature of {len(signature)} bytes came back", 30)
        return signature

    @abc.abstractmethod
    async def _sign(self, data: bytes) -> bytes:
        """Return 64 bytes: r‖s of a digest, s of any size, or ed25519's signature of a message."""

    def _recoverable(self, digest: bytes, signature: bytes) -> bytes:
        """Return r‖s‖v of r‖s, with the low one of both s, and the v by which this key is recovered."""
        r, s = signature[:32], int.from_bytes(signature[32:])
        low = min(s, _ORDER - s)
        if len(signature) == _SIGNATURE and low > 0:
            for v in (27, 28):
                found = r + low.to_bytes(32) + bytes((v,))
                try:
                    if recover(digest, found) == self.address:
                        return found
                except SignatureError:
                    continue
        raise Retry(f"{self.where}: what came back is no signature of its key", 30)

    def _require(self, scheme: Scheme) -> None:
        if self.scheme is not scheme:
            raise TypeError(f"{self.where} is a key of {self.scheme}, and {scheme} is wanted")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.where}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a signer is never pickled or copied: its key stays where it is")
