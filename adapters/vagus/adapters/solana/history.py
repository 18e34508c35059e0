"""Any program's events over a range of slots, the same from a quorum of endpoints."""

from __future__ import annotations

from solders.pubkey import Pubkey

from vagus.adapters.base import ChainEvent, EventFilter
from vagus.adapters.errors import BadAnswer
from vagus.adapters.quorum import Quorum
from vagus.adapters.solana.blocks import read_block, read_executed, read_slot
from vagus.adapters.solana.events import discriminator, logged
from vagus.adapters.solana.heads import HeadTracker
from vagus.adapters.solana.listing import Listed, Listing
from vagus.adapters.solana.rpc import Rpc

__all__ = ["EventReader"]

_NAME = 8


class EventReader:
    """Reads events of programs that nothing counts: k endpoints must have the same whole list."""

    def __init__(self, quorum: Quorum[Rpc], tracker: HeadTracker) -> None:
        self._quorum = quorum
        self._tracker = tracker

    async def events(self, wanted: EventFilter, first: int, last: int) -> list[ChainEvent]:
        """Read a program's events of one name in the slots first..last, in the chain's order."""
        program, name = Pubkey.from_string(wanted.address), discriminator(wanted.event)
        commitment = "finalized" if self._tracker.is_final(last) else "confirmed"
        found: list[ChainEvent] = []
        after = first - 1
        while after < last:
            listed, reached = await self._listed(program, after, last, commitment)
            for each in listed:
                found += await self._of(each, str(program), name, commitment)
            after = reached
        return found

    async def _listed(
        self, program: Pubkey, after: int, last: int, commitment: str
    ) -> tuple[list[Listed], int]:
        async def ask(rpc: Rpc) -> tuple[list[Listed], int]:
            # Nothing counts events: an endpoint that is behind must not be heard at all.
            if (newest := await read_slot(rpc, commitment)) < last:
                raise BadAnswer(f"{rpc.name} is at slot {newest}, and {last} was asked for")
            listing = Listing(rpc, program)
            return await listing.between(after, last, commitment), listing.reached

        return await self._quorum.agree(
            ask, "a program's transactions", fixed=commitment == "finalized"
        )

    async def _of(
        self, listed: Listed, program: str, name: bytes, commitment: str
    ) -> list[ChainEvent]:
        fixed = commitment == "finalized"
        executed = await self._quorum.agree(
            lambda rpc: read_executed(rpc, listed.signature, commitment),
            "a transaction",
            fixed=fixed,
        )
        if executed is None or executed.slot != listed.slot:
            raise BadAnswer(f"{self._quorum.name} has not the transaction {listed.signature}")
        try:
            data = logged(executed.logs, program)
        except ValueError as error:
            raise BadAnswer(f"{self._quorum.name}: {listed.signature}: {error}") from None
        if not any(each[:_NAME] == name for each in data):
            return []
        block = await self._quorum.agree(
            lambda rpc: read_block(rpc, listed.slot, commitment), "a final block", fixed=fixed
        )
        return [
            ChainEvent(
                address=program,
                topics=(name,),
                data=each[_NAME:],
                height=listed.slot,
                block_hash=block.hash,
                tx_id=listed.signature,
                index=index,
            )
            for index, each in enumerate(data)
            if each[:_NAME] == name
        ]
