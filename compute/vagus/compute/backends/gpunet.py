"""A machine rented at GPU.net: an OpenAI-compatible server, and the market's word that it is ours still.

GPU.net has no API for renting or for inference: a machine is rented in its console, and a server is set
up on it. What ends such a rent is the market alone, and whoever rents the machine next has its
address: with `machine` set, nothing is sent there unless the market says that it is rented.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Self

import structlog
from pydantic import Field, SecretStr, StringConstraints, model_validator

from vagus.compute.backends.openai import OpenAIBackend, OpenAIConfig
from vagus.compute.base import Answer, Barred, Completion, Delta
from vagus.compute.chain import ContractChain, Readers
from vagus.compute.config import Label
from vagus.compute.leases.gpunet import Machine, Market
from vagus.protocol import Refuse, Retry

__all__ = ["GpuNetBackend", "GpuNetConfig"]

AGAIN = 15.0


class GpuNetConfig(OpenAIConfig):
    """`kind = "gpunet"`: `openai`'s settings for the machine's server, and where the market is read.

    machine: its number in the market. rpc: JSON-RPC endpoints of the chain, whose `quorum` (over half
    of them unless it is said) must agree. contract: the market's address. market_refresh, market_age:
    seconds between two looks at it, and for how long one counts.
    """

    kind: Label = "gpunet"
    network: Label = "gpu.net"
    machine: Annotated[int, Field(ge=1, lt=1 << 63)] | None = None
    contract: Annotated[str, StringConstraints(pattern="^0x[0-9a-fA-F]{40}$")] | None = None
    rpc: tuple[SecretStr, ...] = ()
    quorum: Annotated[int, Field(ge=1)] | None = None
    chain_id: Annotated[int, Field(ge=1, lt=1 << 53)] = 4048
    market_refresh: Annotated[float, Field(ge=1, le=3600)] = 60.0
    market_age: Annotated[float, Field(ge=10, le=86_400)] = 600.0

    @model_validator(mode="after")
    def _market_is_whole(self) -> Self:
        if self.machine is not None and not (self.contract and self.rpc):
            raise ValueError("machine is read from the market: contract and rpc are missing")
        for url in self.rpc:
            if not url.get_secret_value().startswith(("http://", "https://")):
                raise ValueError("rpc must be URLs that begin with http:// or https://")
        if self.quorum is not None and not len(self.rpc) < 2 * self.quorum <= 2 * len(self.rpc):
            raise ValueError(
                f"quorum is {self.quorum}: it must be over half of {len(self.rpc)} rpc"
            )
        return self


class GpuNetBackend(OpenAIBackend):
    """One machine's server. `seen` is the machine as the market had it last, None before it was read."""

    Config = GpuNetConfig

    def __init__(self, config: GpuNetConfig) -> None:
        super().__init__(config)
        self._settings = config
        self._readers: Readers | None = None
        self._market: Market | None = None
        self._seen_at = 0.0
        self._log = structlog.get_logger("vagus.compute").bind(backend=config.name)
        self.seen: Machine | None = None

    def read_by(self, readers: Readers) -> None:
        """Take what reads the market's contract."""
        self._readers = readers

    async def __aenter__(self) -> Self:
        config = self._settings
        if config.machine is not None and self._readers is None:
            raise Refuse(f"backend {self.name} reads a market, and nobody here reads chains")
        await super().__aenter__()
        if self._readers is not None and config.contract is not None and config.rpc:
            chain = ContractChain(config.chain_id, config.rpc, config.quorum)
            reader = await self._life.enter_async_context(self._readers(chain))
            self._market = Market(reader, config.contract)
            if config.machine is not None:
                group = await self._life.enter_async_context(asyncio.TaskGroup())
                task = group.create_task(self._watch(), name=f"market of {self.name}")
                self._life.callback(task.cancel)
                self._log.info("reads the market", machine=config.machine, trust=reader.trust)
        return self

    async def check(self, *, timeout: float) -> None:
        """Look at the market first, where a machine is named, and then ask each model."""
        if self._settings.machine is not None:
            await self.look()
        await super().check(timeout=timeout)

    async def complete(self, request: Completion, *, timeout: float) -> Answer:
        """Run one completion, on a machine that is rented."""
        self._check_rented()
        return await super().complete(request, timeout=timeout)

    async def stream(
        self, request: Completion, *, timeout: float
    ) -> AsyncGenerator[Delta | Answer, None]:
        """Stream one completion, from a machine that is rented."""
        self._check_rented()
        async with aclosing(super().stream(request, timeout=timeout)) as pieces:
            async for piece in pieces:
                yield piece

    def _check_rented(self) -> None:
        number = self._settings.machine
        if number is None:
            return
        now = asyncio.get_running_loop().time()
        if self.seen is None or now > self._seen_at + self._settings.market_age:
            raise Retry(
                f"whether machine {number} is rented is not known: the market is not read", AGAIN
            )
        if not self.seen.rented:
            raise Barred(
                f"GPU.net's market has machine {number} as not rented: it may be a stranger's"
            )

    async def offers(self) -> tuple[Machine, ...]:
        """Read what may be rented in the market now, cheapest first. Raises Retry, and Refuse."""
        if self._market is None:
            raise Refuse(f"backend {self.name} reads no market: contract and rpc are missing")
        return await self._market.offers()

    async def look(self) -> None:
        """Read the machine in the market now. Raises Retry."""
        number = self._settings.machine
        if self._market is None or number is None:
            raise Retry(f"backend {self.name} reads no market")
        self.seen = await self._market.machine(number)
        self._seen_at = asyncio.get_running_loop().time()

    async def _watch(self) -> None:
        failing = False
        while True:
            delay = self._settings.market_refresh
            try:
                await self.look()
                failing = False
            except Retry as error:
                if not failing:
                    self._log.warning("the market was not read", reason=error.reason)
                failing, delay = True, min(max(error.after, AGAIN), delay)
            await asyncio.sleep(delay)
