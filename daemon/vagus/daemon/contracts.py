"""Reads contracts for backends, by the EVM adapter's endpoints: k of n of them agree, or one's word counts."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Self

from vagus.adapters.errors import BadAnswer
from vagus.adapters.evm.rpc import Rpc
from vagus.adapters.quorum import Quorum
from vagus.adapters.urls import endpoint_names

if TYPE_CHECKING:
    from types import TracebackType

    from vagus.compute.chain import ContractChain

__all__ = ["ContractCalls"]

TIMEOUT = 10.0
MAX_ANSWER = 1 << 20


class ContractCalls:
    """The views of contracts on one chain, as an async context manager: a `ContractReader`."""

    def __init__(self, chain: ContractChain) -> None:
        self._chain = chain
        needed = chain.quorum or len(chain.rpc) // 2 + 1
        rpcs = [
            Rpc(url, TIMEOUT, MAX_ANSWER, name)
            for url, name in zip(chain.rpc, endpoint_names(chain.rpc), strict=True)
        ]
        self._quorum = Quorum(f"eip155:{chain.chain_id}", rpcs, needed)
        self._known: set[str] = set()
        self._life = AsyncExitStack()

    @property
    def trust(self) -> str:
        """Whose word an answer is."""
        total = len(self._quorum.endpoints)
        return "one endpoint" if total == 1 else f"{self._quorum.needed} of {total} endpoints"

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            for rpc in self._quorum.endpoints:
                await stack.enter_async_context(rpc)
            await stack.enter_async_context(self._quorum)
            self._life = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._life.aclose()

    async def head(self) -> int:
        """Return the newest block that so many endpoints have."""
        return await self._quorum.floor(self._height, "the newest block")

    async def call(self, address: str, data: bytes, height: int) -> bytes:
        """Return what so many endpoints say a view returns."""
        params: list[object] = [{"to": address, "data": "0x" + data.hex()}, hex(height)]
        return await self._quorum.agree(lambda rpc: rpc.data("eth_call", params), "a view")

    async def _height(self, rpc: Rpc) -> int:
        if rpc.name not in self._known:
            found = await rpc.quantity("eth_chainId", [])
            if found != self._chain.chain_id:
                raise BadAnswer(f"{rpc.name} serves eip155:{found}, not {self._chain.chain_id}")
            self._known.add(rpc.name)
        return await rpc.quantity("eth_blockNumber", [], bits=64)
