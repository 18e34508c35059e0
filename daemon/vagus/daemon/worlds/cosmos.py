"""A Cosmos chain: wasmd with one validator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coincurve import PrivateKey
from typing_extensions import override

from vagus.adapters.cosmos.deploy import deploy_hub, paying
from vagus.adapters.cosmos.devnet import DENOM, PREFIX, Wasmd, dev_wallet
from vagus.adapters.cosmos.protos import Coin, MsgSend
from vagus.adapters.cosmos.wallet import Wallet
from vagus.adapters.evm.devnet import DevnetError
from vagus.daemon.wasmd import wasmd_path
from vagus.daemon.worlds.base import World
from vagus.protocol.bech32 import encode

if TYPE_CHECKING:
    from collections.abc import Callable

    from vagus.adapters.base import HubParameters

__all__ = ["Chain"]

_FUNDS = 1000 * 10**6


class Chain(World):
    """The chain vagus-1 and, where there are several, those after it, with blocks of 200 ms."""

    label = "Cosmos"
    # In the smallest unit of a coin of which gas costs thousands.
    min_fee = 1_000
    can_warp = False

    def __init__(self, say: Callable[[str], None], index: int) -> None:
        super().__init__(say, index)
        self._node = self._wasmd = Wasmd(wasmd_path(say), f"vagus-{index + 1}")
        self._name = f"wasmd, chain {self._wasmd.chain_id}"

    @override
    @classmethod
    def fetch(cls, say: Callable[[str], None]) -> None:
        wasmd_path(say)

    @override
    def address(self, secret: bytes) -> str:
        return encode(PREFIX, Wallet(PrivateKey(secret)).address)

    @override
    async def fund(self, address: str) -> None:
        async with paying(self.rpc, dev_wallet(0), DENOM, "") as payer:
            coins = [Coin(denom=DENOM, amount=str(_FUNDS))]
            gift = MsgSend(from_address=payer.address, to_address=address, amount=coins)
            await payer.execute(gift)

    @override
    async def warp(self, seconds: int) -> None:
        raise DevnetError(
            f"wasmd's validator keeps its own time: {seconds} s have to be waited for"
        )

    @override
    async def _deploy(self, parameters: HubParameters) -> str:
        return (await deploy_hub(self.rpc, dev_wallet(0), parameters, denom=DENOM)).account

    @override
    def more(self) -> dict[str, str]:
        return {"fee_denom": DENOM}

    @override
    def show(self) -> dict[str, Any]:
        return {
            **super().show(),
            "grpc": self._wasmd.grpc,
            "rest": self._wasmd.rest,
            "prefix": PREFIX,
        }
