"""A key in this process, opened from an encrypted keystore."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import override

from vagus.adapters.signers.base import Scheme, Signer
from vagus.protocol import sign

if TYPE_CHECKING:
    from coincurve import PrivateKey
    from solders.keypair import Keypair

__all__ = ["LocalKey", "LocalSeed"]

_HERE = "a key in this process"


class LocalKey(Signer):
    """A secp256k1 key. Equal digests give equal signatures (RFC 6979)."""

    scheme = Scheme.SECP256K1

    def __init__(self, key: PrivateKey, where: str = _HERE) -> None:
        self._key = key
        self.public_key = key.public_key.format(compressed=True)
        self.where = where

    @override
    async def sign_digest(self, digest: bytes) -> bytes:
        return sign(digest, self._key)

    @override
    async def _sign(self, data: bytes) -> bytes:
        return sign(data, self._key)[:64]


class LocalSeed(Signer):
    """An ed25519 key, made of its seed of 32 bytes. Needs the extra `solana`."""

    scheme = Scheme.ED25519

    def __init__(self, seed: bytes, where: str = _HERE) -> None:
        from solders.keypair import Keypair  # noqa: PLC0415 - an extra, which such a chain has

        self._key: Keypair = Keypair.from_seed(seed)
        self.public_key = bytes(self._key.pubkey())
        self.where = where

    @override
    async def _sign(self, data: bytes) -> bytes:
        return bytes(self._key.sign_message(data))
