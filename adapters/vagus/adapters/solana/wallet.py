"""The key that pays for transactions: it signs, and it shows nothing but its address."""

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn, Self

from solders.compute_budget import ID as COMPUTE_BUDGET
from solders.hash import Hash
from solders.instruction import Instruction
from solders.message import MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from vagus.adapters.evm.keystore import load_keystore, read_password
from vagus.adapters.signers.base import Scheme, Signer
from vagus.adapters.signers.config import KeyConfig
from vagus.adapters.signers.local import LocalSeed
from vagus.protocol import Refuse, Retry

__all__ = ["Wallet"]


class Wallet:
    """An ed25519 key that signs Solana transactions, and nothing else: those of one hub, if told which.

    Attestations are signed by the node's committee key, which no adapter holds.
    """

    __slots__ = ("_hub", "_signer", "key")

    def __init__(self, key: bytes | Signer, hub: Pubkey | None = None) -> None:
        self._signer = LocalSeed(key) if isinstance(key, bytes) else key
        self._hub = hub
        self.key = Pubkey(self._signer.public_key)
        """The public key, which is the address."""

    @classmethod
    def load(cls, keystore: Path, password_file: Path) -> Self:
        """Open a V3 keystore around an ed25519 seed of 32 bytes. Raises `WalletError`."""
        return cls(load_keystore(keystore, read_password(password_file)).secret)

    @classmethod
    def configured(cls, config: KeyConfig) -> Self | None:
        """Open the key that a table of the config names; None without one. Raises `WalletError`, `Retry`."""
        signer = config.open_key(Scheme.ED25519)
        return None if signer is None else cls(signer)

    def bound(self, hub: Pubkey) -> Self:
        """Return the same wallet, which signs calls of this hub and nothing else."""
        return type(self)(self._signer, hub)

    @property
    def account(self) -> bytes:
        """The address in 32 bytes."""
        return bytes(self.key)

    def unsigned(
        self, instructions: Sequence[Instruction], blockhash: bytes
    ) -> VersionedTransaction:
        """Return a transaction with an empty signature, to be simulated: nobody can send it."""
        message = MessageV0.try_compile(self.key, instructions, [], Hash(blockhash))
        signatures = [Signature.default()] * message.header.num_required_signatures
        return VersionedTransaction.populate(message, signatures)

    async def sign(
        self, instructions: Sequence[Instruction], blockhash: bytes
    ) -> VersionedTransaction:
        """Return a signed transaction (version 0). Equal inputs give equal bytes.

        Raises Refuse for one that is not the hub's alone, Retry.
        """
        message = MessageV0.try_compile(self.key, instructions, [], Hash(blockhash))
        if self._hub is not None and not self._allowed(message, self._hub):
            raise Refuse(f"the account signs calls of {self._hub} alone, and this is none")
        document = to_bytes_versioned(message)
        signature = Signature(await self._signer.sign_message(document))
        if not signature.verify(self.key, document):
            raise Retry(f"{self._signer.where}: what came back is no signature of its key", 30)
        return VersionedTransaction.populate(message, [signature])

    def _allowed(self, message: MessageV0, hub: Pubkey) -> bool:
        """Whether all that a message does is done by the hub, beside setting what a unit may cost."""
        called = {message.account_keys[each.program_id_index] for each in message.instructions}
        return hub in called and called <= {hub, COMPUTE_BUDGET}

    def __repr__(self) -> str:
        return f"<Wallet {self.key}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a wallet is never pickled or copied: its key stays where it is")
