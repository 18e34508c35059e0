"""The key that pays for transactions: it signs, and it shows nothing but its address."""

from pathlib import Path
from typing import NoReturn, Self

from coincurve import PrivateKey

from vagus.adapters.evm.keystore import load_keystore, read_password
from vagus.adapters.evm.tx import EvmTx
from vagus.adapters.signers.base import Scheme, Signer
from vagus.adapters.signers.config import KeyConfig
from vagus.adapters.signers.local import LocalKey
from vagus.protocol import Refuse

__all__ = ["Wallet"]


class Wallet:
    """A secp256k1 key that signs EIP-1559 transactions, and nothing else: those to one hub, if told which.

    Attestations are signed by the node's committee key, which no adapter holds.
    """

    __slots__ = ("_hub", "_signer", "address")

    def __init__(self, key: PrivateKey | Signer, hub: tuple[int, bytes] | None = None) -> None:
        self._signer = LocalKey(key) if isinstance(key, PrivateKey) else key
        self._hub = hub
        self.address = self._signer.address
        """20 bytes."""

    @classmethod
    def load(cls, keystore: Path, password_file: Path) -> Self:
        """Open a V3 keystore. Raises `WalletError` for files that others can read, or do not fit."""
        return cls(load_keystore(keystore, read_password(password_file)))

    @classmethod
    def configured(cls, config: KeyConfig) -> Self | None:
        """Open the key that a table of the config names; None without one. Raises `WalletError`, `Retry`."""
        signer = config.open_key(Scheme.SECP256K1)
        return None if signer is None else cls(signer)

    def bound(self, chain_id: int, hub: bytes) -> Self:
        """Return the same wallet, which signs calls of this hub (20 bytes) and nothing else."""
        return type(self)(self._signer, (chain_id, hub))

    @property
    def account(self) -> bytes:
        """The address, packed into 32 bytes."""
        return self.address.rjust(32, b"\0")

    async def sign(self, tx: EvmTx) -> bytes:
        """Return the signed raw transaction. Raises Refuse for one that is not to the hub, Retry."""
        if self._hub is not None and not self._allowed(tx, *self._hub):
            raise Refuse(f"the account signs calls of {self._hub[1].hex()} alone, and this is none")
        return await tx.sign(self._signer)

    def _allowed(self, tx: EvmTx, chain_id: int, hub: bytes) -> bool:
        # A transfer of nothing to the account itself uses a nonce up.
        nothing = tx.to == self.address and not tx.value and not tx.data
        return tx.chain_id == chain_id and (tx.to == hub or nothing)

    def __repr__(self) -> str:
        return f"<Wallet 0x{self.address.hex()}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a wallet is never pickled or copied: its key stays where it is")
