"""An EVM chain: anvil."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coincurve import PrivateKey
from typing_extensions import override

from vagus.adapters.evm.deploy import deploy_hub
from vagus.adapters.evm.devnet import DEV_KEYS, Anvil
from vagus.adapters.evm.wallet import Wallet
from vagus.daemon.fetch import anvil_path
from vagus.daemon.worlds.base import World
from vagus.protocol import address_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from vagus.adapters.base import HubParameters

__all__ = ["Chain"]

_FIRST_ID = 31337
_FUNDS = 1000 * 10**18


class Chain(World):
    """The chain 31337 and, where there are several, those after it."""

    label = "EVM"
    min_fee = 10**12

    def __init__(self, say: Callable[[str], None], index: int) -> None:
        super().__init__(say, index)
        self._node = self._anvil = Anvil(anvil_path(say), _FIRST_ID + index)
        self._name = f"anvil, chain {self._anvil.chain_id}"

    @override
    @classmethod
    def fetch(cls, say: Callable[[str], None]) -> None:
        anvil_path(say)

    @override
    def address(self, secret: bytes) -> str:
        return f"0x{address_of(PrivateKey(secret)).hex()}"

    @override
    async def fund(self, address: str) -> None:
        await self._anvil.fund(bytes.fromhex(address.removeprefix("0x")), _FUNDS)

    @override
    async def warp(self, seconds: int) -> None:
        await self._anvil.warp(seconds)

    @override
    async def _deploy(self, parameters: HubParameters) -> str:
        deployer = Wallet(PrivateKey(bytes.fromhex(DEV_KEYS[0].removeprefix("0x"))))
        return (await deploy_hub(self.rpc, deployer, parameters)).account
