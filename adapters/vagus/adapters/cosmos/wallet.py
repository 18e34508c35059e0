"""The key that pays for transactions: it signs, and it shows nothing but its address."""

import hashlib
from pathlib import Path
from typing import NoReturn, Self

from coincurve import PrivateKey
from Crypto.Hash import RIPEMD160

from vagus.adapters.evm.keystore import load_keystore, read_password
from vagus.protocol import SignatureError

__all__ = ["Wallet"]

_HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0


class Wallet:
    """A secp256k1 key that signs a Cosmos chain's transactions, and nothing else.

    Attestations are signed by the node's committee key, which no adapter holds.
    """

    __slots__ = ("_key", "address", "public_key")

    def __init__(self, key: PrivateKey) -> None:
        self._key = key
        self.public_key = key.public_key.format(compressed=True)
        """33 bytes."""
        self.address = RIPEMD160.new(hashlib.sha256(self.public_key).digest()).digest()
        """20 bytes (ADR-028's form of a secp256k1 key)."""

    @classmethod
    def load(cls, keystore: Path, password_file: Path) -> Self:
        """Open a V3 keystore. Raises `WalletError` for files that others can read, or do not fit."""
        return cls(load_keystore(keystore, read_password(password_file)))

    @property
    def account(self) -> bytes:
        """The address, packed into 32 bytes."""
        return self.address.rjust(32, b"\0")

    def sign(self, document: bytes) -> bytes:
        """Return r‖s, 64 bytes, of the document's sha256. Equal inputs give equal bytes."""
        signature = self._key.sign_recoverable(hashlib.sha256(document).digest(), hasher=None)[:64]
        if int.from_bytes(signature[32:]) > _HALF_ORDER:
            raise SignatureError("this transaction has no low-s signature under this key")
        return signature

    def __repr__(self) -> str:
        return f"<Wallet {self.address.hex()}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a wallet is never pickled or copied: its key stays where it is")
