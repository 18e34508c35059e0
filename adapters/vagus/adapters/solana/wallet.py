"""The key that pays for transactions: it signs, and it shows nothing but its address."""

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn, Self

from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from vagus.adapters.evm.keystore import load_keystore, read_password

__all__ = ["Wallet"]


class Wallet:
    """An ed25519 key that signs Solana transactions, and nothing else.

    Attestations are signed by the node's committee key, which no adapter holds.
    """

    __slots__ = ("_key", "key")

    def __init__(self, seed: bytes) -> None:
        self._key = Keypair.from_seed(seed)
        self.key: Pubkey = self._key.pubkey()
        """The public key, which is the address."""

    @classmethod
    def load(cls, keystore: Path, password_file: Path) -> Self:
        """Open a V3 keystore around an ed25519 seed of 32 bytes. Raises `WalletError`."""
        return cls(load_keystore(keystore, read_password(password_file)).secret)

    @property
    def account(self) -> bytes:
        """The address in 32 bytes."""
        return bytes(self.key)

    def sign(self, instructions: Sequence[Instruction], blockhash: bytes) -> VersionedTransaction:
        """Return a signed transaction (version 0). Equal inputs give equal bytes."""
        message = MessageV0.try_compile(self.key, instructions, [], Hash(blockhash))
        return VersionedTransaction(message, [self._key])

    def __repr__(self) -> str:
        return f"<Wallet {self.key}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a wallet is never pickled or copied: its key stays where it is")
