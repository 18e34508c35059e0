"""Sending: a transaction is journalled with its nonce, then broadcast, then followed to its end."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from vagus.daemon.failpoints import failpoint

if TYPE_CHECKING:
    from vagus.adapters.base import Call, ChainAdapter, Estimate
    from vagus.daemon.journal.base import Journal
    from vagus.daemon.journal.records import IntentRecord, Kind, Stage, TxRecord
    from vagus.daemon.network import Network

__all__ = ["Sender"]


class Sender:
    """The lanes of a node: for each chain and account one sequence of nonces."""

    def __init__(self, journal: Journal, network: Network) -> None:
        self._journal = journal
        self._network = network
        # Each lane as the journal has it once all writes are through, and where the next nonce is.
        self._lanes: dict[str, tuple[bytes | None, bytes]] = {}
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.costs: dict[str, int] = {}
        """By chain (CAIP-2), what its newest transaction may cost, in the chain's smallest unit."""

    async def submit(
        self,
        adapter: ChainAdapter,
        call: Call,
        estimate: Estimate,
        record: IntentRecord,
        to: Stage,
        kind: Kind,
        **changes: Any,
    ) -> TxRecord:
        """Sign a call under the lane's next nonce and journal both with the intent's move.

        Nothing is broadcast yet: `follow` does that.
        """
        lane = adapter.lane
        # A key may be elsewhere: from its nonce to the journal's queue, one call of a lane is under way.
        async with self._turns[lane]:
            after, state = await self._opened(adapter)
            self._network.by_hub(adapter.hub)  # a chain that halted meanwhile
            built = await adapter.build(call, estimate, state)
            # Queued by the call itself: the next build may follow before it is on disk.
            written = self._journal.submit(record, to, kind, lane, after, built, **changes)
            self.costs[adapter.chain] = estimate.cost
            self._lanes[lane] = built.lane, built.lane
        try:
            return await written
        except BaseException:
            # Not journalled, or not known to be: the lane is read again before its next nonce.
            self._lanes.pop(lane, None)
            raise

    async def _opened(self, adapter: ChainAdapter) -> tuple[bytes | None, bytes]:
        """Return a lane as the journal has it, and where its next nonce is."""
        if (found := self._lanes.get(adapter.lane)) is not None:
            return found
        journalled = await self._journal.lane(adapter.lane)
        found = self._lanes[adapter.lane] = journalled, await adapter.open_lane(journalled)
        return found

    async def follow(self, adapter: ChainAdapter, tx: TxRecord) -> None:
        """Broadcast a journalled transaction and follow it until it ends; `tx` has how.

        A state that changed is journalled before it is sent. The end is not: the intent's next
        move takes it along, and a node that ends before that asks the chain again.
        """
        while True:
            # Taken before the look at the chain: a block that comes meanwhile is looked at again.
            heads = adapter.heads
            step = await adapter.advance(tx.state)
            if step.state != tx.state:
                await self._journal.follow(tx, step)
            if step.stage.ended:
                tx.stage, tx.tx_id = step.stage, step.tx_id
                return
            if step.send:
                failpoint(f"{tx.kind}-built")
                for raw in step.send:
                    self._network.by_hub(adapter.hub)  # a chain that halted meanwhile
                    await adapter.broadcast(raw)
                failpoint(f"{tx.kind}-broadcast")
            await adapter.next_heads(heads)
