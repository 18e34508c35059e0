"""A delivery's arguments, read from the instructions that were executed: its own, and those that staged them.

Arguments that do not fit a transaction were written into a staging account before, which is closed in the
delivery's own transaction: what was written is in that account's history.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

from solders.pubkey import Pubkey

from vagus.adapters.delivered import Delivered
from vagus.adapters.errors import BadAnswer
from vagus.adapters.quorum import Quorum
from vagus.adapters.solana import codec
from vagus.adapters.solana.blocks import Executed, Ran, read_executed, signature_text
from vagus.adapters.solana.hub import (
    DELIVER,
    DELIVERS_DELIVERY,
    STAGE_CLOSE,
    STAGE_OPEN,
    STAGE_WRITE,
    STAGED,
)
from vagus.adapters.solana.listing import Listed, Listing
from vagus.adapters.solana.rpc import Rpc
from vagus.adapters.solana.views import At, HubViews
from vagus.protocol import MAX_OUTPUT, MAX_SIGNERS, Attestation, Intent, Refuse

__all__ = ["DeliveryReader"]

_SIGNATURE = 65
_COMMITMENT = "finalized"
_MAX_STAGED = 1 << 15


class DeliveryReader:
    """Finds deliveries of one hub by the history of their accounts, by a quorum of endpoints."""

    def __init__(self, quorum: Quorum[Rpc], views: HubViews) -> None:
        self._quorum = quorum
        self._views = views
        self._program = bytes(views.program)

    async def read(self, intent_id: bytes, tx_id: str | None, at: At) -> Delivered | None:
        """Read a delivery; see `ChainAdapter.delivered`."""
        if await self._views.delivery(intent_id, at) is None:
            return None
        account = self._views.places.delivery(intent_id)
        if tx_id is None:
            tx_id, executed = await self._search(account, at.slot)
        else:
            executed = await self._named(tx_id)
        ran = self._delivering(executed, account)
        if ran is None:
            raise Refuse(f"transaction {tx_id} did not deliver this intent")
        try:
            staging = Pubkey(ran.accounts[STAGED])
            arguments = ran.data[1:] or await self._staged(staging, tx_id, at.slot)
            found = Delivered(tx_id, executed.slot, *_decoded(arguments))
        except ValueError as error:
            raise BadAnswer(f"{self._quorum.name}: the delivery {tx_id}: {error}") from None
        if found.intent.id != intent_id:
            raise BadAnswer(f"{self._quorum.name}: {tx_id} delivers another intent")
        return found

    async def _search(self, account: Pubkey, slot: int) -> tuple[str, Executed]:
        """Find the transaction that made a delivery's account; anyone may name that account too."""
        async for listed in self._history(account, slot):
            executed = await self._executed(listed.signature)
            if executed is not None and self._delivering(executed, account) is not None:
                return listed.signature, executed
        raise BadAnswer(f"{self._quorum.name}: no delivery is in the history of {account}")

    async def _named(self, tx_id: str) -> Executed:
        try:
            signature_text(tx_id)
        except ValueError:
            raise Refuse(f"{tx_id[:100]!r} is no transaction's id: a signature in base58") from None
        executed = await self._executed(tx_id)
        if executed is None or not executed.success:
            raise Refuse(f"transaction {tx_id} did not deliver this intent")
        return executed

    def _delivering(self, executed: Executed, account: Pubkey) -> Ran | None:
        """Return the instruction that delivered into an account, called by a program perhaps."""
        for ran in self._own(executed):
            delivers = ran.data[:1] == DELIVER and len(ran.accounts) > DELIVERS_DELIVERY
            if delivers and ran.accounts[DELIVERS_DELIVERY] == bytes(account):
                return ran
        return None

    async def _staged(self, staging: Pubkey, tx_id: str, slot: int) -> bytes:
        """Return what a staging account held when a transaction delivered from it."""
        held = bytearray()
        async for listed in self._history(staging, slot):
            if listed.signature == tx_id:
                return bytes(held)
            executed = await self._executed(listed.signature)
            for ran in self._own(executed) if executed is not None else ():
                if bytes(staging) in ran.accounts:
                    _stage(held, ran.data)
        raise BadAnswer(f"{self._quorum.name}: the history of {staging} lacks {tx_id}")

    def _own(self, executed: Executed) -> list[Ran]:
        return [each for each in executed.ran if each.program == self._program]

    async def _history(self, account: Pubkey, slot: int) -> AsyncIterator[Listed]:
        """Yield the final transactions that name an account, the oldest first."""
        listings = {rpc: Listing(rpc, account) for rpc in self._quorum.endpoints}
        after = -1
        while after < slot:

            async def ask(rpc: Rpc, first: int = after) -> tuple[list[Listed], int]:
                listing = listings[rpc]
                return await listing.between(first, slot, _COMMITMENT), listing.reached

            found, after = await self._quorum.agree(ask, "an account's transactions", fixed=True)
            for each in found:
                yield each

    async def _executed(self, signature: str) -> Executed | None:
        return await self._quorum.agree(
            partial(read_executed, signature=signature, commitment=_COMMITMENT),
            "a transaction",
            fixed=True,
        )


def _stage(held: bytearray, data: bytes) -> None:
    """Do to a staging account's bytes what an instruction did; what it cannot have done is left out."""
    if data[:1] == STAGE_OPEN:
        # A number of eight bytes, and the size; an account is opened step by step.
        size = min(int.from_bytes(data[9:13], "little"), _MAX_STAGED)
        held += bytes(max(0, size - len(held)))
    elif data[:1] == STAGE_CLOSE:
        held.clear()
    elif data[:1] == STAGE_WRITE:
        offset = int.from_bytes(data[1:5], "little")
        written, _ = codec.read_string(data, 5, len(data))
        if offset + len(written) <= len(held):
            held[offset : offset + len(written)] = written


def _decoded(data: bytes) -> tuple[Intent, Attestation, bytes, tuple[bytes, ...]]:
    attested = codec.INTENT_SIZE + codec.ATTESTATION_SIZE
    intent = codec.read_intent(data[: codec.INTENT_SIZE])
    attestation = codec.read_attestation(data[codec.INTENT_SIZE : attested])
    output, end = codec.read_string(data, attested, MAX_OUTPUT)
    joined, _ = codec.read_string(data, end, MAX_SIGNERS * _SIGNATURE)
    if len(joined) % _SIGNATURE:
        raise ValueError("signatures that are not 65 bytes each")
    parts = [joined[at : at + _SIGNATURE] for at in range(0, len(joined), _SIGNATURE)]
    return intent, attestation, output, tuple(parts)
