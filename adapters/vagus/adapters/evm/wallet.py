"""The key that pays for transactions: it signs, and it shows nothing but its address."""

from pathlib import Path
from typing import NoReturn, Self

from coincurve import PrivateKey

from vagus.adapters.evm.keystore import load_keystore, read_password
from vagus.adapters.evm.tx import EvmTx
from vagus.protocol import address_of

__all__ = ["Wallet"]


class Wallet:
    """A secp256k1 key that signs EIP-1559 transactions, and nothing else.

    Attestations are signed by the node's committee key, which no adapter holds.
    """

    __slots__ = ("_key", "address")

    def __init__(self, key: PrivateKey) -> None:
        self._key = key
        self.address = address_of(key)
        """20 bytes."""

    @classmethod
    def load(cls, keystore: Path, password_file: Path) -> Self:
        """Open a V3 keystore. Raises `WalletError` for files that others can read, or do not fit."""
        return cls(load_keystore(keystore, read_password(password_file)))

    @property
    def account(self) -> bytes:
        """The address, packed into 32 bytes."""
        return self.address.rjust(32, b"\0")

    def sign(self, tx: EvmTx) -> bytes:
        """Return the signed raw transaction."""
        return tx.sign(self._key)

    def __repr__(self) -> str:
        return f"<Wallet 0x{self.address.hex()}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a wallet is never pickled or copied: its key stays where it is")
