"""Solana's JSON-RPC: bounded, typed and never tried twice, as `vagus.adapters.evm.rpc` has it."""

from typing import ClassVar

from vagus.adapters.evm.rpc import Rpc as JsonRpc

__all__ = ["Rpc"]


class Rpc(JsonRpc):
    """One endpoint, as an async context manager."""

    chain_id: ClassVar[frozenset[str]] = frozenset({"getGenesisHash"})
    at_once: ClassVar[frozenset[str]] = frozenset(
        {"getGenesisHash", "getSlot", "getBlock", "getLatestBlockhash"}
    )
    long: ClassVar[frozenset[str] | None] = None
