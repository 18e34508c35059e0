"""Reading contracts of chains that are no hub's: what a backend may ask for, and who does it.

This package has no endpoints of chains. A backend that wants a contract read names the chain, and
whoever opens the backend hands in how it is read.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from pydantic import SecretStr

__all__ = ["ContractChain", "ContractReader", "Readers"]


@dataclass(frozen=True, slots=True)
class ContractChain:
    """An EVM chain and its JSON-RPC endpoints, of which `quorum` must agree; None for over half."""

    chain_id: int
    rpc: tuple[SecretStr, ...]
    quorum: int | None = None


class ContractReader(Protocol):
    """Reads views of contracts on one chain, used as `async with`."""

    @property
    def trust(self) -> str:
        """Whose word an answer is: `one endpoint`, or `2 of 3 endpoints`."""
        ...

    async def head(self) -> int:
        """Return the height of a block at which the views of one look are read. Raises Retry."""
        ...

    async def call(self, address: str, data: bytes, height: int) -> bytes:
        """Return what a view returns at a height. Raises Retry, also where it reverts."""
        ...


Readers: TypeAlias = Callable[[ContractChain], AbstractAsyncContextManager[ContractReader]]
