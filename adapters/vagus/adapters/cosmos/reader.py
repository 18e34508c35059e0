"""The hub's intents, read without a gap: its state lists them, and blocks give their events.

The list is state at finality, agreed by a quorum: number, intent id and height of each request. So
no block is read that holds none, and nothing that a node's index leaves out is missed. The event of
each must be in the block at its height, from the hub's own frame, and hash to the listed id; else
the answer is a node's fault and a `Retry`.
"""

import asyncio

from vagus.adapters.base import Block, Cursor, Requested
from vagus.adapters.cosmos import hub
from vagus.adapters.cosmos.blocks import Event, read_events, read_inclusion
from vagus.adapters.cosmos.config import CosmosConfig
from vagus.adapters.cosmos.contracts import read_contract
from vagus.adapters.cosmos.heads import HeadTracker
from vagus.adapters.cosmos.rpc import Rpc
from vagus.adapters.cosmos.views import HubViews
from vagus.adapters.errors import BadAnswer
from vagus.adapters.quorum import Quorum
from vagus.protocol import VagusError, hub_id

__all__ = ["IntentReader"]

# Blocks that are read at once: each may be some megabytes long.
_AT_ONCE = 16
# Blocks by which an index of transactions may be behind.
_NEWEST = 3


class IntentReader:
    """Reads requests page by page."""

    def __init__(
        self, quorum: Quorum[Rpc], tracker: HeadTracker, views: HubViews, config: CosmosConfig
    ) -> None:
        self._quorum = quorum
        self._tracker = tracker
        self._views = views
        self._chain = config.id
        self._address = config.account.address
        self._hub_id = hub_id(str(config.account))
        # What was asked in blocks, by its id. Of a page that failed halfway: whoever comes again needs
        # only what is missing. Of the last block of a page: the next one may begin in it.
        self._kept: dict[int, dict[bytes, Requested]] = {}
        # The heights and hashes of cursors that came from here: the chain had those blocks.
        self._known: set[tuple[int, bytes]] = set()

    async def start(self, final: Block) -> Cursor:
        """Return the cursor before the hub's first request: the block before its instantiation."""
        config = await self._views.config(final)
        contract = await self._quorum.agree(
            lambda rpc: read_contract(rpc, self._address, final.height), "the hub", fixed=True
        )
        # Old blocks may be gone from nodes, so that block's hash is not asked for.
        return Cursor(config.first_seq, max(0, contract.created - 1))

    async def intents(self, cursor: Cursor, until: Block) -> tuple[list[Requested], Cursor]:
        """Read one page from the cursor on; see `ChainAdapter.intents`."""
        await self._check(cursor, until)
        if cursor.height >= until.height:
            return [], cursor
        end = (await self._views.config(until)).next_seq
        if cursor.next_seq >= end:
            return [], self._cursor(cursor.next_seq, until)
        places = await self._views.requests(cursor.next_seq, until)
        if not places or places[-1].seq >= end or places[-1].height > until.height:
            raise BadAnswer(f"{self._quorum.name}: the hub counts other requests than it lists")
        batch = await self._read(places)
        if (after := places[-1].seq + 1) == end:
            self._kept.clear()
            return batch, self._cursor(after, until)
        # More may stand in the last block: it is not done with.
        last = places[-1].height
        self._kept = {last: self._kept[last]}
        return batch, Cursor(after, max(cursor.height, last - 1))

    async def requested(self, tx_id: str) -> list[Requested]:
        """Read what a transaction asked of the hub; a failed one asked nothing."""
        found = await self._quorum.agree(lambda rpc: read_inclusion(rpc, tx_id), "a transaction")
        if found is None:
            return await self._newly_requested(tx_id)
        block = await self._tracker.agreed(found.height)
        events = found.events if found.success else ()
        return [self._decoded(event, block) for event in events if self._is_request(event)]

    async def _newly_requested(self, tx_id: str) -> list[Requested]:
        """Look into the newest blocks: a node's index of transactions is behind its blocks."""
        newest = self._tracker.heads.latest.height if self._tracker.heads else 0
        for height in range(newest, max(0, newest - _NEWEST), -1):
            block, events = await self._events_of(height)
            if found := [self._decoded(event, block) for event in events if event.tx_id == tx_id]:
                return found
        return []

    async def _check(self, cursor: Cursor, until: Block) -> None:
        """Halt where a cursor of an earlier process stands on a block that the chain has not."""
        at = cursor.height, cursor.hash
        self._known = {each for each in self._known if each[0] >= cursor.height}
        if not cursor.hash or at in self._known or cursor.height > until.height:
            return
        block = until
        if cursor.height < until.height:
            block = await self._tracker.agreed(cursor.height)
        if block.hash != cursor.hash:
            self._tracker.halt(
                f"block {cursor.height} was final and is another one now: the chain was replaced "
                "while the node was down"
            )
        self._known.add(at)

    def _cursor(self, next_seq: int, block: Block) -> Cursor:
        self._known.add((block.height, block.hash))
        return Cursor(next_seq, block.height, block.hash)

    async def _read(self, places: list[hub.Place]) -> list[Requested]:
        await self._read_blocks({place.height for place in places} - self._kept.keys())
        batch = [self._kept[place.height].get(place.intent_id) for place in places]
        if (missing := batch.count(None)) or any(
            each is not None and each.intent.seq != place.seq
            for each, place in zip(batch, places, strict=True)
        ):
            self._kept.clear()  # it is what lacks them
            raise BadAnswer(f"{self._quorum.name}: {missing} requests of the hub lack their event")
        return [each for each in batch if each is not None]

    async def _read_blocks(self, heights: set[int]) -> None:
        """Read what was asked in these blocks, and keep those that came where others fail."""
        turns, faults = asyncio.Semaphore(_AT_ONCE), list[VagusError]()

        async def read(height: int) -> None:
            async with turns:
                try:
                    block, events = await self._events_of(height)
                    found = [self._decoded(event, block) for event in events]
                    self._kept[height] = {each.intent.id: each for each in found}
                except VagusError as error:
                    faults.append(error)

        async with asyncio.TaskGroup() as group:
            for height in sorted(heights):
                group.create_task(read(height), name=f"{self._chain} events of {height}")
        if faults:
            raise faults[0]

    async def _events_of(self, height: int) -> tuple[Block, tuple[Event, ...]]:
        return await self._quorum.agree(
            lambda rpc: self._requests_in(rpc, height),
            "the hub's events",
            fixed=self._tracker.is_final(height),
        )

    async def _requests_in(self, rpc: Rpc, height: int) -> tuple[Block, tuple[Event, ...]]:
        block, events = await read_events(rpc, height, hub.REQUESTED)
        return block, tuple(each for each in events if self._is_request(each))

    def _is_request(self, event: Event) -> bool:
        return event.type == hub.REQUESTED and event.of(self._address)

    def _decoded(self, event: Event, block: Block) -> Requested:
        try:
            intent, payload, terms = hub.decode_requested(event.attributes, self._hub_id)
        except ValueError as error:
            raise BadAnswer(
                f"{self._quorum.name}: an intent in block {block.height}: {error}"
            ) from None
        return Requested(intent, payload, terms, block.height, block.hash, event.tx_id)
