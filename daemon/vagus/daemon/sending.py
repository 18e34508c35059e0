"""Sending: a transaction is journalled with its nonce, then broadcast, then followed to its end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from vagus.adapters.base import TxStage
from vagus.daemon.failpoints import failpoint

if TYPE_CHECKING:
    from vagus.adapters.base import Call, ChainAdapter, Estimate
    from vagus.daemon.journal import Journal
    from vagus.daemon.records import IntentRecord, Kind, Stage, TxRecord

__all__ = ["Sender"]


class Sender:
    """The lanes of a node: for each chain and account one sequence of nonces."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._lanes: dict[str, bytes] = {}
        self._opening = asyncio.Lock()

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
        if adapter.lane not in self._lanes:
            async with self._opening:
                if adapter.lane not in self._lanes:
                    journalled = await self._journal.lane(adapter.lane)
                    self._lanes[adapter.lane] = await adapter.open_lane(journalled)
        # No await from here to the journal's queue: no other build may come between.
        built = adapter.build(call, estimate, self._lanes[adapter.lane])
        self._lanes[adapter.lane] = built.lane
        try:
            return await self._journal.submit(record, to, kind, adapter.lane, built, **changes)
        except BaseException:
            # Not journalled, or not known to be: the lane is read again before its next nonce.
            self._lanes.pop(adapter.lane, None)
            raise

    async def follow(self, adapter: ChainAdapter, tx: TxRecord) -> None:
        """Broadcast a journalled transaction and follow it until it ends; `tx` has how."""
        while True:
            # Taken before the look at the chain: a block that comes meanwhile is looked at again.
            heads = adapter.heads
            step = await adapter.advance(tx.state)
            # That it was sent needs no record: what is journalled and not included is sent again.
            if step.state != tx.state or step.stage not in {tx.stage, TxStage.BROADCAST}:
                await self._journal.follow(tx, step)
            if step.stage.ended:
                return
            if step.send:
                failpoint(f"{tx.kind}-built")
                for raw in step.send:
                    await adapter.broadcast(raw)
                failpoint(f"{tx.kind}-broadcast")
            await adapter.next_heads(heads)
