"""The hubs that this node serves, each behind its adapter: their state, and which are halted.

A chain on which something was seen that must not happen is halted: durably, and until a person
resumes it. All that acts on a chain asks here first, so that nothing is signed for a halted one or
sent to it, whoever noticed.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import structlog

from vagus.daemon.journal.records import Halted
from vagus.protocol import Halt, Refuse, Retry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vagus.adapters.base import Block, ChainAdapter, Heads, HubState
    from vagus.daemon.journal.base import Journal

__all__ = ["Network", "advice", "heads_of"]

log = structlog.get_logger("vagus.network")


class Network:
    """Adapters by hub id and by CAIP-10, and each hub's state, read once a final block.

    A chain is served unless it is held (not looked at yet since the start) or halted.
    """

    def __init__(self, adapters: Iterable[ChainAdapter], journal: Journal) -> None:
        self._journal = journal
        self._by_chain = {adapter.chain: adapter for adapter in adapters}
        self._by_id = {adapter.hub_id: adapter.chain for adapter in self.adapters}
        self._by_hub = {adapter.hub: adapter.chain for adapter in self.adapters}
        self._held: set[str] = set()
        # Chains that a task of the node serves; it is busy but for the time it waits for a resume.
        self._owned: set[str] = set()
        self._busy: set[str] = set()
        self._moved = asyncio.Condition()
        self.states: dict[bytes, HubState] = {}
        """By hub id, each hub's state as it was last read."""
        self._reading: dict[str, asyncio.Future[None]] = {}
        self.halts: dict[str, Halted] = {}
        """By chain (CAIP-2), why it is halted and since when."""
        self.entered: set[str] = set()
        """The chains whose adapter can be asked: not before it is entered, nor in a halt."""
        self.faults: dict[str, str] = {}
        """By hub, why it cannot be served now: what /readyz says."""
        self.read: dict[str, int] = {}
        """By hub, the height of the final block that it is read to."""
        self.at_head: dict[str, float] = {}
        """By hub, when that was last the newest final block there is (`time.monotonic`)."""
        self.sets: dict[tuple[bytes, int], bytes] = {}
        """By hub id and epoch, the hash of the roster that the hub was seen with."""
        self.newest: dict[str, tuple[Block, float]] = {}
        """By hub, its chain's newest block and when this node first saw it (`time.monotonic`)."""

    @property
    def adapters(self) -> tuple[ChainAdapter, ...]:
        """The adapters in the config's order; a chain that was resumed has a new one."""
        return tuple(self._by_chain.values())

    def find(self, hub_id: bytes) -> ChainAdapter | None:
        """Return the adapter of a hub id; None for a hub outside this network.

        Raises Halt where its chain is halted, Retry where it is not served yet.
        """
        chain = self._by_id.get(hub_id)
        return None if chain is None else self._served(chain)

    def by_hub(self, hub: str) -> ChainAdapter:
        """Return the adapter of a hub named by its CAIP-10; Retry where the config dropped it.

        Raises Halt where its chain is halted, Retry where it is not served yet.
        """
        chain = self._by_hub.get(hub)
        if chain is None:
            raise Retry(f"{hub} is not in the config any more", after=60.0)
        return self._served(chain)

    def touches(self, chain: str, origin: str, dest_hub: bytes) -> bool:
        """Whether an intent's origin (CAIP-10) or destination (hub id) is on a chain."""
        return chain in {self._by_hub.get(origin), self._by_id.get(dest_hub)}

    def serves(self, origin: str, dest_hub: bytes) -> bool:
        """Whether nothing stops an intent now: none of its chains is held or halted."""
        stopped = self._held | self.halts.keys()
        return not any(self.touches(chain, origin, dest_hub) for chain in stopped)

    async def state(self, adapter: ChainAdapter) -> HubState:
        """Return a hub's state at its newest final block, read at most once for that block.

        Who asks while it is read waits for that reading. Raises as `by_hub` does, and as the read.
        """
        wanted = heads_of(adapter).final.height
        while True:
            self._served(adapter.chain)
            known = self.states.get(adapter.hub_id)
            if known is not None and known.at.height >= wanted:
                return known
            reading = self._reading.get(adapter.hub)
            if reading is None:
                await self._read(adapter)
            else:
                # Unlike an await, this leaves the reading to the others where this task is cancelled.
                await asyncio.wait((reading,))
                if not reading.cancelled():
                    reading.result()

    def read_to(self, adapter: ChainAdapter, height: int) -> None:
        """Note that a hub is read to a final block."""
        self.read[adapter.hub] = height
        if adapter.heads is not None:
            newest = adapter.heads.latest
            if self.newest.get(adapter.hub, (None,))[0] != newest:
                self.newest[adapter.hub] = newest, time.monotonic()
        if adapter.heads is not None and height >= adapter.heads.final.height:
            self.at_head[adapter.hub] = time.monotonic()

    def known_state(self, adapter: ChainAdapter) -> HubState | None:
        """Return a hub's state as it was last read, for people: nothing is asked."""
        return self.states.get(adapter.hub_id)

    async def _read(self, adapter: ChainAdapter) -> None:
        done = asyncio.get_running_loop().create_future()
        self._reading[adapter.hub] = done
        try:
            state = await adapter.hub_state()
            await self._note_set(adapter.hub_id, state)
            self.states[adapter.hub_id] = state
            done.set_result(None)
        except Exception as error:
            done.set_exception(error)
            done.exception()  # who reads it has it; that nobody else waits is no fault
            raise
        finally:
            done.cancel()
            del self._reading[adapter.hub]

    async def _note_set(self, hub_id: bytes, state: HubState) -> None:
        """Remember the roster of a set: once another one follows, the hub does not say it any more."""
        key, roster = (hub_id, state.current.epoch), state.roster_hash
        if self.sets.get(key) != roster:
            await self._journal.note_set(*key, roster)
            self.sets[key] = roster

    # Halts

    async def load(self) -> None:
        """Take up the halts that the journal has, and the rosters that hubs were seen with.

        A chain that left the config stays halted there.
        """
        self.sets.update(await self._journal.sets())
        for halted in await self._journal.halts():
            self._stop(halted)

    async def halt(self, error: Halt) -> None:
        """Stop acting on a chain until a person resumes it; returns once that is durable."""
        if error.chain in self.halts:
            return
        # In memory first: nothing is signed while the journal is written to.
        self._stop(Halted(error.chain, error.reason, time.time()))
        while True:
            try:
                await self._journal.halt(error.chain, error.reason)
                break
            except Retry as fault:
                log.error("halt not journalled yet", chain=error.chain, reason=fault.reason)  # noqa: TRY400 - no defect of ours
                await asyncio.sleep(fault.after)
        await self._wake()

    def _stop(self, halted: Halted) -> None:
        self.halts[halted.chain] = halted
        todo = advice(halted.chain)
        log.error("chain halted", chain=halted.chain, reason=halted.reason, todo=todo)
        if adapter := self._by_chain.get(halted.chain):
            self.faults[adapter.hub] = f"halted: {halted.reason}; {todo}"

    async def resume(self, chain: str) -> Halted | None:
        """Serve a halted chain again; returns what had halted it, None where nothing had.

        Returns once that is durable and all that was under way on the chain has ended. Raises
        Refuse for a chain that the config does not have.
        """
        if chain not in self._by_chain:
            known = ", ".join(self._by_chain)
            raise Refuse(f"{chain} is not in the config, which has {known}")
        async with self._moved:
            await self._moved.wait_for(lambda: chain not in self.halts or chain not in self._busy)
        halted = await self._journal.resume(chain)
        if self.halts.pop(chain, None):
            hub = self._by_chain[chain].hub
            self.faults.pop(hub, None)
            self.read.pop(hub, None)
            self.at_head.pop(hub, None)
            self.newest.pop(hub, None)
            self._held |= {chain} & self._owned
            log.warning("chain resumed", chain=chain)
            await self._wake()
        return halted

    # For whoever owns the chains' adapters

    def hold(self, chain: str) -> None:
        """Serve nobody on a chain until `release`: its task has not looked at it yet."""
        self._held.add(chain)
        self._owned.add(chain)
        self._busy.add(chain)

    def release(self, chain: str) -> None:
        """Serve a chain from now on."""
        self._held.discard(chain)

    def replace(self, adapter: ChainAdapter) -> None:
        """Have a new adapter of a chain in the place of the old one."""
        self._by_chain[adapter.chain] = adapter

    async def halted(self, chain: str) -> None:
        """Wait until a chain is halted, durably."""
        async with self._moved:
            await self._moved.wait_for(lambda: chain in self.halts)

    async def resumed(self, chain: str) -> None:
        """Wait until a chain is not halted; says that nothing is under way on it meanwhile."""
        self._busy.discard(chain)
        await self._wake()
        async with self._moved:
            await self._moved.wait_for(lambda: chain not in self.halts)
        self._busy.add(chain)

    async def _wake(self) -> None:
        async with self._moved:
            self._moved.notify_all()

    def _served(self, chain: str) -> ChainAdapter:
        if halted := self.halts.get(chain):
            raise Halt(chain, halted.reason)
        if chain in self._held:
            raise Retry(f"{chain} was not looked at yet")
        return self._by_chain[chain]


def heads_of(adapter: ChainAdapter) -> Heads:
    """Return an adapter's heads; Retry before the first."""
    if adapter.heads is None:
        raise Retry(f"{adapter.chain} has not answered yet")
    return adapter.heads


def advice(chain: str) -> str:
    """Say what to do about a halted chain."""
    return (
        "look at the chain and its endpoints; once you trust them: stop the node, correct rpc if that "
        f"was wrong, vagus resume {chain}, start the node (or, where the config is right, while it "
        f"runs: POST /v1/chains/{chain}/resume). A restart alone changes nothing"
    )
