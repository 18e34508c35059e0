"""The hubs that this node serves, each behind its adapter, and what they say at finality."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vagus.protocol import Retry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vagus.adapters.base import ChainAdapter, Heads, HubState

__all__ = ["Network"]


class Network:
    """Adapters by hub id and by CAIP-10, and each hub's state, read once a final block."""

    def __init__(self, adapters: Iterable[ChainAdapter]) -> None:
        self.adapters = tuple(adapters)
        self._by_id = {adapter.hub_id: adapter for adapter in self.adapters}
        self._by_hub = {adapter.hub: adapter for adapter in self.adapters}
        self._states: dict[str, HubState] = {}
        self.faults: dict[str, str] = {}
        """By hub, why it cannot be served now: what /readyz says."""

    def find(self, hub_id: bytes) -> ChainAdapter | None:
        """Return the adapter of a hub id; None for a hub outside this network."""
        return self._by_id.get(hub_id)

    def by_hub(self, hub: str) -> ChainAdapter:
        """Return the adapter of a hub named by its CAIP-10; Retry where the config dropped it."""
        adapter = self._by_hub.get(hub)
        if adapter is None:
            raise Retry(f"{hub} is not in the config any more", after=60.0)
        return adapter

    async def state(self, adapter: ChainAdapter) -> HubState:
        """Return a hub's state at its newest final block, read at most once for that block."""
        final = heads_of(adapter).final
        known = self._states.get(adapter.hub)
        if known is None or known.at.height < final.height:
            known = self._states[adapter.hub] = await adapter.hub_state()
        return known


def heads_of(adapter: ChainAdapter) -> Heads:
    """Return an adapter's heads; Retry before the first."""
    if adapter.heads is None:
        raise Retry(f"{adapter.chain} has not answered yet")
    return adapter.heads
