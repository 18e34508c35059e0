"""The key that pays for transactions: it signs, and it shows nothing but its address."""

import hashlib
from pathlib import Path
from typing import NoReturn, Self

from coincurve import PrivateKey
from Crypto.Hash import RIPEMD160
from google.protobuf.message import DecodeError

from vagus.adapters.cosmos.protos import MsgExecuteContract, SignDoc, TxBody
from vagus.adapters.evm.keystore import load_keystore, read_password
from vagus.adapters.signers.base import Scheme, Signer
from vagus.adapters.signers.config import KeyConfig
from vagus.adapters.signers.local import LocalKey
from vagus.protocol import Refuse

__all__ = ["Wallet"]

_EXECUTE = "/cosmwasm.wasm.v1.MsgExecuteContract"


class Wallet:
    """A secp256k1 key that signs a Cosmos chain's transactions, and nothing else.

    Those to one hub alone, if told which. Attestations are signed by the node's committee key, which
    no adapter holds.
    """

    __slots__ = ("_hub", "_signer", "address", "public_key")

    def __init__(self, key: PrivateKey | Signer, hub: tuple[str, str] | None = None) -> None:
        self._signer = LocalKey(key) if isinstance(key, PrivateKey) else key
        self._hub = hub
        self.public_key = self._signer.public_key
        """33 bytes."""
        self.address = RIPEMD160.new(hashlib.sha256(self.public_key).digest()).digest()
        """20 bytes (ADR-028's form of a secp256k1 key)."""

    @classmethod
    def load(cls, keystore: Path, password_file: Path) -> Self:
        """Open a V3 keystore. Raises `WalletError` for files that others can read, or do not fit."""
        return cls(load_keystore(keystore, read_password(password_file)))

    @classmethod
    def configured(cls, config: KeyConfig) -> Self | None:
        """Open the key that a table of the config names; None without one. Raises `WalletError`, `Retry`."""
        signer = config.open_key(Scheme.SECP256K1)
        return None if signer is None else cls(signer)

    def bound(self, chain_id: str, hub: str) -> Self:
        """Return the same wallet, which signs calls of this hub (bech32) and nothing else."""
        return type(self)(self._signer, (chain_id, hub))

    @property
    def account(self) -> bytes:
        """The address, packed into 32 bytes."""
        return self.address.rjust(32, b"\0")

    async def sign(self, document: bytes) -> bytes:
        """Return r‖s, 64 bytes, of a SignDoc's sha256.

        Raises Refuse for a transaction that is not to the hub alone, Retry.
        """
        if self._hub is not None and not self._allowed(document, *self._hub):
            raise Refuse(f"the account signs calls of {self._hub[1]} alone, and this is none")
        signature = await self._signer.sign_digest(hashlib.sha256(document).digest())
        return signature[:64]

    def _allowed(self, document: bytes, chain_id: str, hub: str) -> bool:
        """Whether a document executes the hub and does nothing else; who pays is the chain's to check."""
        try:
            read = SignDoc.FromString(document)
            messages = TxBody.FromString(read.body_bytes).messages
            if read.chain_id != chain_id or [each.type_url for each in messages] != [_EXECUTE]:
                return False
            called: str = MsgExecuteContract.FromString(messages[0].value).contract
        except DecodeError:
            return False
        return called == hub

    def __repr__(self) -> str:
        return f"<Wallet {self.address.hex()}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a wallet is never pickled or copied: its key stays where it is")
