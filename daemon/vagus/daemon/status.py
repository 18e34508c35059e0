"""What a node knows of itself: why it is not ready, its chains, its backends, what waits.

Nothing here asks a chain or a backend: it shows what was last read.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vagus.daemon.journal.records import Stage
from vagus.daemon.survey import runway
from vagus.protocol import VagusError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from vagus.adapters.base import Block, ChainAdapter, Endpoint
    from vagus.compute import Price
    from vagus.daemon.committee import Committee
    from vagus.daemon.execute import Executor
    from vagus.daemon.journal.base import Journal
    from vagus.daemon.metrics.measured import Measured
    from vagus.daemon.network import Network
    from vagus.daemon.survey import Balance, Survey

__all__ = ["ChainView", "Status"]

# Seconds that a hub may be behind the newest final block before that is a fault: the block has
# to be read first, which takes some moments each time.
BEHIND = 30.0
# Seconds that a chain may make no block before that is a fault.
STILL = 300.0


@dataclass(frozen=True, slots=True)
class ChainView:
    """One chain as the node has it; heights in blocks, `runway` in transactions, None: not known."""

    adapter: ChainAdapter
    read: int | None
    halted: str | None
    fault: str | None
    endpoints: tuple[Endpoint, ...]
    balance: Balance | None
    runway: int | None


class Status:
    """Reads a node's parts; it owns none of them.

    `costs` is what a transaction costs at most by chain, `agents` names agents by their ids,
    `executor` is None until the node can run agents.
    """

    def __init__(
        self,
        journal: Journal,
        network: Network,
        survey: Survey,
        folder: Path,
        *,
        costs: Mapping[str, int],
        agents: Mapping[bytes, str],
        committee: Committee,
    ) -> None:
        self.journal = journal
        self.network = network
        self.survey = survey
        self.folder = folder
        self.agents = agents
        self.hubs = {adapter.hub_id: adapter.hub for adapter in network.adapters}
        self.listeners = 0
        self.committee = committee
        self.executor: Executor | None = None
        self._costs = costs

    def faults(self) -> dict[str, str]:
        """Return why the node is not ready, by what is at fault; empty where it is."""
        faults = self.network.faults | self.committee.faults()
        for adapter in self.network.adapters:
            state = self.network.known_state(adapter)
            if state is not None and (lacking := self.committee.lacking(state.current)):
                faults.setdefault("committee", f"{adapter.hub}: {lacking}")
        for view in self.chain_views():
            if view.fault is not None:
                faults.setdefault(view.adapter.hub, view.fault)
        failing = [each for each in self.survey.backends if each.fault is not None]
        if failing and len(failing) == len(self.survey.backends):
            faults |= {f"backend {each.name}": str(each.fault) for each in failing}
        return faults

    def chain_views(self) -> list[ChainView]:
        """Return the node's chains in the config's order."""
        return [self._view(adapter) for adapter in self.network.adapters]

    def _view(self, adapter: ChainAdapter) -> ChainView:
        balance = self.survey.balances.get(adapter.chain)
        halted = self.network.halts.get(adapter.chain)
        return ChainView(
            adapter=adapter,
            read=self.network.read.get(adapter.hub),
            halted=None if halted is None else halted.reason,
            fault=self._fault(adapter),
            endpoints=self.survey.endpoints.get(adapter.chain, ()),
            balance=balance,
            runway=runway(balance, self._costs.get(adapter.chain)),
        )

    def _fault(self, adapter: ChainAdapter) -> str | None:
        """Return why a chain cannot be served now; None where it can."""
        network, hub = self.network, adapter.hub
        if hub in network.faults:
            return network.faults[hub]
        if not adapter.healthy or adapter.heads is None:
            return "its chain does not answer"
        read, final = network.read.get(hub), adapter.heads.final.height
        if read is None:
            return f"not read yet: its final block is {final}"
        at_head = network.at_head.get(hub, float("-inf"))
        if read < final and time.monotonic() - at_head > BEHIND:
            return f"catching up: read to block {read} of {final}"
        return self._stands_still(hub)

    def _stands_still(self, hub: str) -> str | None:
        """Return that a chain makes no blocks, by two clocks: one that is set wrong is no fault."""
        if hub not in self.network.newest:
            return None
        block, seen_at = self.network.newest[hub]
        old, quiet = time.time() - block.time, time.monotonic() - seen_at
        if min(old, quiet) <= STILL:
            return None
        return (
            f"its chain stands still: block {block.height} is {old:.0f} s old, and none came for "
            f"{quiet:.0f} s; see a block explorer: if the chain goes on, its endpoints are stale"
        )

    # As JSON shows it

    async def whole(self) -> dict[str, Any]:
        """Return all of it at once, for a page that shows it all."""
        key, counts = await self.journal.counted()
        waiting = await self.journal.waiting_since()
        now = time.time()
        return {
            "time": round(now, 1),
            "key": key,
            "ready": not (faults := self.faults()),
            "faults": faults,
            "intents": {each.name.lower(): counts.get(each, 0) for each in Stage},
            "waiting": {each.name.lower(): round(now - at, 1) for each, at in waiting.items()},
            "chains": self.chains(),
            "backends": self.backends(),
            "agents": sorted(self.agents.values()),
        }

    def chains(self) -> list[dict[str, Any]]:
        """Return each chain: heads, how far its hub is read, endpoints, balance, committee, faults."""
        return [self._chain(view) for view in self.chain_views()]

    def _chain(self, view: ChainView) -> dict[str, Any]:
        adapter = view.adapter
        heads = adapter.heads
        needed, of = adapter.quorum
        state = self.network.known_state(adapter)
        return {
            "chain": adapter.chain,
            "hub": adapter.hub,
            "fault": view.fault,
            "halted": view.halted,
            "latest": None if heads is None else _block(heads.latest),
            "final": None if heads is None else _block(heads.final),
            "finality_seconds": None if heads is None else heads.latest.time - heads.final.time,
            "read": view.read,
            "quorum": {"needed": needed, "of": of},
            "endpoints": [
                {
                    "name": each.name,
                    "fault": each.fault,
                    "latest": None if each.latest is None else each.latest.height,
                    "seconds": round(each.seconds, 3),
                }
                for each in view.endpoints
            ],
            "account": {
                "balance": None if view.balance is None else str(view.balance.amount),
                "asked_at": None if view.balance is None else view.balance.at,
                "runway": view.runway,
            },
            "committee": None
            if state is None
            else {
                "epoch": state.current.epoch,
                "threshold": state.current.threshold,
                "signers": len(state.current.signers),
                "present": len(self.committee.present() & {*state.current.signers}),
                "lacking": self.committee.lacking(state.current),
                "paused": state.paused,
            },
        }

    def backends(self) -> list[dict[str, Any]]:
        """Return each backend with its models and their prices, as it last answered."""
        return [
            {
                "backend": each.name,
                "engine": each.engine,
                "region": each.region,
                "network": each.network,
                "fault": each.fault,
                "models": _models(each),
            }
            for each in self.survey.backends
        ]


def _block(block: Block) -> dict[str, Any]:
    return {"height": block.height, "time": block.time}


def _price(price: Price) -> dict[str, str]:
    return {"input": f"{price.input:f}", "output": f"{price.output:f}", "source": price.source}


def _models(backend: Measured) -> list[dict[str, Any]]:
    shown = []
    for model in backend.served:
        try:
            context = backend.context(model)
        except VagusError:
            continue  # it is not served any more
        price: Price | None = None
        with contextlib.suppress(VagusError):  # not known now
            price = backend.price(model)
        shown.append(
            {
                "model": model.name,
                "revision": model.revision,
                "quantization": model.quantization,
                "digest": "0x" + model.digest.hex(),
                "context": context,
                "price": None if price is None else _price(price),
            }
        )
    return shown
