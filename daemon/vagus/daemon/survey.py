"""What a node asks its chains and backends for people's sake: no decision rests upon it.

It is asked at a pace of its own and kept: a page or a scraper that asks often costs an endpoint
nothing.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from vagus.protocol import VagusError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from vagus.adapters.base import ChainAdapter, Endpoint
    from vagus.daemon.metrics.measured import Measured
    from vagus.daemon.network import Network

__all__ = ["Balance", "Survey", "runway"]

log = structlog.get_logger("vagus.survey")

# Seconds between two looks at everything, and for how long one of them may take.
EVERY = 30.0
# The same while a chain's adapter is not entered yet.
SOON = 1.0
PATIENCE = 20.0


@dataclass(frozen=True, slots=True)
class Balance:
    """What an account has, in its chain's smallest unit, and when that was so (node's clock)."""

    amount: int
    at: float


def runway(balance: Balance | None, cost: int | None) -> int | None:
    """Return how many transactions of a cost a balance pays for; None where one is not known."""
    return balance.amount // cost if balance is not None and cost else None


class Survey:
    """Balances and endpoints by chain (CAIP-2), and the backends, each as it last answered."""

    def __init__(self, network: Network, backends: Sequence[Measured] = ()) -> None:
        self._network = network
        self.backends = tuple(backends)
        self.balances: dict[str, Balance] = {}
        self.endpoints: dict[str, tuple[Endpoint, ...]] = {}

    async def run(self) -> None:
        """Ask again and again; one that does not answer leaves what it said before."""
        while True:
            await self.ask()
            starting = {each.chain for each in self._network.adapters} - self._network.entered
            await asyncio.sleep(SOON if starting - self._network.halts.keys() else EVERY)

    async def ask(self) -> None:
        """Ask all once, at the same time."""
        asked: list[Awaitable[None]] = []
        for adapter in self._network.adapters:
            if adapter.chain in self._network.entered:
                asked += [self._balance(adapter), self._endpoints(adapter), self._hub(adapter)]
        asked += [_ask_backend(backend) for backend in self.backends]
        async with asyncio.TaskGroup() as group:
            for at, each in enumerate(asked):
                group.create_task(_quietly(each), name=f"survey {at}")

    async def _balance(self, adapter: ChainAdapter) -> None:
        self.balances[adapter.chain] = Balance(await adapter.balance(), time.time())

    async def _hub(self, adapter: ChainAdapter) -> None:
        # A rotation is noticed too where nothing is asked.
        await self._network.state(adapter)

    async def _endpoints(self, adapter: ChainAdapter) -> None:
        self.endpoints[adapter.chain] = await adapter.endpoints()


async def _ask_backend(backend: Measured) -> None:
    """Ask a backend for its models until it has answered; one that fails, for one token."""
    if not backend.served:
        await backend.models()
    elif backend.fault:
        await backend.check(timeout=PATIENCE)


async def _quietly(asked: Awaitable[None]) -> None:
    """Wait for an answer, not for ever; who does not give one is seen by its age, or by its fault."""
    try:
        async with asyncio.timeout(PATIENCE):
            await asked
    except (VagusError, TimeoutError):
        return
    except Exception:
        log.exception("survey: a defect of a plugin")
