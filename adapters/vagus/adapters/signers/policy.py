"""What a committee key agrees to sign: statements of the protocol, and of each intent one outcome.

The caller hands over the message and no digest: what is signed is what was looked at. So whoever talks a
node into something gets no signature over a transfer, an approval or a login, which are digests too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from vagus.adapters.signers.table import Kind, SignedTable
from vagus.protocol import (
    EMPTY_HASH,
    MAX_SIGNERS,
    ZERO32,
    Attestation,
    Receipt,
    Refuse,
    Rotation,
    Status,
)

if TYPE_CHECKING:
    from collections.abc import Collection

    from vagus.adapters.signers.base import Signer

__all__ = ["Guarded"]

_WORD = 32
_OUTCOME = ("status", "outputHash", "agentDigest", "modelDigest", "evidenceHash")
_RECEIPT = ("status", "fee", "payoutsHash")


class Guarded:
    """A committee key behind its policy. `hubs`: the 32-byte ids of those that it signs for."""

    def __init__(self, signer: Signer, table: SignedTable, hubs: Collection[bytes]) -> None:
        self.address = signer.address
        """20 bytes."""
        self.where = signer.where
        self._signer = signer
        self._table = table
        self._hubs = frozenset(hubs)

    async def sign(self, message: Attestation | Receipt | Rotation, hub_id: bytes) -> bytes:
        """Sign a statement for a hub: 65 bytes r‖s‖v, low s. What it states is on disk before.

        The same outcome or receipt may be signed again, also with another epoch and expiry. Raises
        Refuse for anything that the policy is against, Retry where the key or the table is out of
        reach, `WalletError` for a table that is damaged.
        """
        # By its very type: a message of a class derived from these could have any digest.
        if type(message) not in (Attestation, Receipt, Rotation):
            raise Refuse("a committee key signs attestations, receipts and rotations alone")
        if hub_id not in self._hubs:
            raise Refuse(f"0x{hub_id.hex()} is no hub of this node's config")
        if isinstance(message, Attestation):
            await self._one_outcome(message)
        elif isinstance(message, Receipt):
            await self._one_receipt(message)
        else:
            _check_rotation(message)
        return await self._signer.sign_digest(message.digest(hub_id))

    async def _one_outcome(self, message: Attestation) -> None:
        none = (EMPTY_HASH, ZERO32, ZERO32)
        answer = (message.output_hash, message.agent_digest, message.model_digest)
        if message.status not in tuple(Status) or (message.status and answer != none):
            raise Refuse(f"status {message.status} with this answer is no outcome")
        words = (_word(message.status), *answer, message.evidence_hash)
        await self._one(Kind.OUTCOME, message.intent_id, words, _OUTCOME)

    async def _one_receipt(self, message: Receipt) -> None:
        if message.status not in tuple(Status) or (message.status and message.fee):
            raise Refuse(f"status {message.status} with a fee of {message.fee} is no receipt")
        words = (_word(message.status), _word(message.fee), message.payouts_hash)
        await self._one(Kind.RECEIPT, message.intent_id, words, _RECEIPT)

    async def _one(
        self, kind: Kind, intent: bytes, words: tuple[bytes, ...], names: tuple[str, ...]
    ) -> None:
        first = await self._table.first(kind, intent, b"".join(words))
        parts = [first[at : at + _WORD] for at in range(0, len(first), _WORD)]
        if parts != list(words):
            other = [name for name, a, b in zip(names, parts, words, strict=True) if a != b]
            raise Refuse(
                f"another {kind.name.lower()} of intent 0x{intent.hex()} was signed: "
                f"its {', '.join(other)} differ"
            )

    def __repr__(self) -> str:
        return f"<Guarded 0x{self.address.hex()}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a signer is never pickled or copied: its key stays where it is")


def _check_rotation(message: Rotation) -> None:
    if not (message.epoch and 1 <= message.threshold <= MAX_SIGNERS):
        raise Refuse(
            f"a rotation to epoch {message.epoch} with a threshold of {message.threshold}: no hub "
            "takes it"
        )


def _word(number: int) -> bytes:
    return number.to_bytes(_WORD)
