"""What an intent waits for that is not this node's alone: which set acts, whose turn it is, its end."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, TypeVar

from vagus.adapters.base import IntentState
from vagus.protocol import Retry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from vagus.adapters.base import ChainAdapter, HubState
    from vagus.daemon.committee import Committee
    from vagus.daemon.journal.records import IntentRecord
    from vagus.daemon.network import Network
    from vagus.protocol import SignerSet

__all__ = ["EndedError", "Others", "end_of"]

# How long each member waits for those who send before it, and how often one that waits for others
# looks whether the intent has ended without it: seconds.
STAGGER = 10.0
LOOK = 10.0

T = TypeVar("T")


class EndedError(Exception):
    """The origin has ended an intent while this node waited for other members."""

    def __init__(self, state: IntentState) -> None:
        super().__init__(state)
        self.state = state


class Others:
    """Reads of the hubs what the other members, and the set before or after this one, have done."""

    def __init__(self, network: Network, committee: Committee) -> None:
        self._network = network
        self._committee = committee

    async def deciding(self, record: IntentRecord, dest: ChainAdapter) -> SignerSet:
        """Return the destination's set that decides an intent, or has decided it and still counts."""
        state = await self._network.state(dest)
        previous = state.previous
        if previous is None or state.at.time > state.previous_until:
            return state.current
        if record.epoch is not None:
            return previous if previous.epoch == record.epoch else state.current
        if record.requested_at is None:
            origin = self._network.by_hub(record.origin)
            record.requested_at = (await origin.block(record.height)).time
        return state.deciding(record.requested_at)

    async def still(self, record: IntentRecord, dest: ChainAdapter, current: SignerSet) -> None:
        """Raise Retry where another of the destination's sets is to decide an intent by now."""
        if (now := await self.deciding(record, dest)).epoch != current.epoch:
            raise Retry(f"epoch {current.epoch} has given way to {now.epoch}", after=0.0)

    async def still_current(self, adapter: ChainAdapter, current: SignerSet) -> None:
        """Raise Retry where a hub has another set by now."""
        if (now := (await self._network.state(adapter)).current).epoch != current.epoch:
            raise Retry(f"epoch {current.epoch} has given way to {now.epoch}", after=0.0)

    @staticmethod
    def delivering(state: HubState, epoch: int) -> SignerSet:
        """Return the set of the epoch that a delivery's record names, whether it counts or not."""
        for each in (state.current, state.previous):
            if each is not None and each.epoch == epoch:
                return each
        raise Retry(f"who was in the set of epoch {epoch} is not to be read any more", after=30.0)

    async def wait(
        self,
        record: IntentRecord,
        work: Coroutine[Any, Any, T],
        still: Callable[[], Awaitable[None]],
    ) -> T:
        """Wait for what other members have a part in, unless the intent ends without this one.

        `still` raises Retry where another set acts by now.
        """
        if self._committee.alone:
            return await work
        task = asyncio.ensure_future(work)
        try:
            while not task.done():
                await asyncio.wait((task,), timeout=LOOK)
                origin = self._network.by_hub(record.origin)
                if not task.done() and (ended := await end_of(record, origin)) is not None:
                    raise EndedError(ended)
                if not task.done():
                    await still()
            return task.result()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait((task,))

    async def turn(
        self,
        record: IntentRecord,
        adapter: ChainAdapter,
        current: SignerSet,
        done: Callable[[], Awaitable[T | None]],
    ) -> T | None:
        """Wait for the members who send before this one; return what they have done, if they have."""
        until = time.monotonic() + STAGGER * self._committee.rank(record, current)
        heads = adapter.heads
        while (left := until - time.monotonic()) > 0:
            if (found := await done()) is not None:
                return found
            try:
                async with asyncio.timeout(left):
                    heads = await adapter.next_heads(heads)
            except TimeoutError:
                break
        return None


async def end_of(record: IntentRecord, origin: ChainAdapter) -> IntentState | None:
    """Return how the origin has ended an intent at finality; None while it is open."""
    state = await origin.intent_state(record.id)
    return state if state in {IntentState.SETTLED, IntentState.REFUNDED} else None
