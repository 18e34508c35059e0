"""Development chains that are no EVM chains, each with a hub: what `vagus devnet up --chains` starts."""

from __future__ import annotations

import contextlib
import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from vagus.adapters.base import HubParameters

    Starting = Callable[
        [HubParameters, Callable[[str], None]], AbstractAsyncContextManager["World"]
    ]

__all__ = ["WORLDS", "World"]

# In the smallest unit of a coin of which gas costs thousands.
_COSMOS_MIN_FEE = 1_000
# Two signatures' worth of lamports.
_SOLANA_MIN_FEE = 10_000


@dataclass(frozen=True)
class World:
    """A running chain with a hub, and a funded private key that everyone knows.

    `more` is what a client of this kind of chain needs besides.
    """

    caip2: str
    rpc: str
    ws: str
    hub: str
    private_key: str
    more: dict[str, Any]

    def show(self) -> dict[str, Any]:
        """Return the chain as `vagus devnet up --json` prints it."""
        return {
            "caip2": self.caip2,
            "rpc": self.rpc,
            "ws": self.ws,
            "hub": self.hub,
            "private_key": self.private_key,
            **self.more,
        }


@contextlib.asynccontextmanager
async def _cosmos(parameters: HubParameters, say: Callable[[str], None]) -> AsyncIterator[World]:
    from vagus.adapters.cosmos import deploy, devnet  # noqa: PLC0415 - their packages are an extra
    from vagus.daemon.wasmd import wasmd_path  # noqa: PLC0415 - as above

    binary = wasmd_path(say)
    say("Starting wasmd, chain vagus-1, and deploying a hub on it")
    async with devnet.Wasmd(binary) as wasmd:
        parameters = dataclasses.replace(parameters, min_fee=_COSMOS_MIN_FEE)
        payer, denom = devnet.dev_wallet(0), devnet.DENOM
        hub = await deploy.deploy_hub(wasmd.rpc, payer, parameters, denom=denom)
        more = {
            "grpc": wasmd.grpc,
            "rest": wasmd.rest,
            "fee_denom": denom,
            "prefix": devnet.PREFIX,
        }
        yield World(wasmd.chain, wasmd.rpc, wasmd.ws, hub.account, devnet.DEV_KEYS[1], more)


@contextlib.asynccontextmanager
async def _solana(parameters: HubParameters, say: Callable[[str], None]) -> AsyncIterator[World]:
    from vagus.adapters.solana import deploy, devnet  # noqa: PLC0415 - their packages are an extra

    say("Starting LiteSVM and deploying a hub on it")
    async with devnet.Litesvm() as litesvm:
        parameters = dataclasses.replace(parameters, min_fee=_SOLANA_MIN_FEE)
        hub = await deploy.deploy_hub(litesvm.rpc, devnet.dev_wallet(0), parameters)
        key = devnet.DEV_KEYS[1]
        yield World(litesvm.chain, litesvm.rpc, litesvm.ws, hub.account, key, {})


WORLDS: dict[str, Starting] = {"solana": _solana, "cosmos": _cosmos}
"""By CAIP-2 namespace, what starts a chain and deploys a hub with these parameters."""
