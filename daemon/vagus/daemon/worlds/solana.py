"""A Solana chain: LiteSVM behind Solana's JSON-RPC."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import override

from vagus.adapters.solana.deploy import deploy_hub
from vagus.adapters.solana.devnet import Litesvm, dev_wallet
from vagus.adapters.solana.wallet import Wallet
from vagus.daemon.worlds.base import World
from vagus.protocol import pack_address

if TYPE_CHECKING:
    from collections.abc import Callable

    from vagus.adapters.base import HubParameters

__all__ = ["Chain"]

_FUNDS = 1000 * 10**9


class Chain(World):
    """A chain whose id is the same each time."""

    label = "Solana"
    # Two signatures' worth of lamports.
    min_fee = 10_000

    def __init__(self, say: Callable[[str], None], index: int) -> None:
        super().__init__(say, index)
        self._node = self._litesvm = Litesvm(seed=f"vagus {index}")
        self._name = "LiteSVM, a Solana chain"

    @override
    @classmethod
    def fetch(cls, say: Callable[[str], None]) -> None:
        pass  # a package of this installation brings it

    @override
    def address(self, secret: bytes) -> str:
        return str(Wallet(secret).key)

    @override
    async def fund(self, address: str) -> None:
        await self._litesvm.fund(pack_address(self.caip2, address), _FUNDS)

    @override
    async def warp(self, seconds: int) -> None:
        await self._litesvm.warp(seconds)

    @override
    async def _deploy(self, parameters: HubParameters) -> str:
        return (await deploy_hub(self.rpc, dev_wallet(0), parameters)).account
