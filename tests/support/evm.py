"""A development chain with a hub on it, for tests of what stands on the adapter."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from coincurve import PrivateKey
from pydantic import SecretStr

from vagus.adapters.base import Call, ChainAdapter, Heads, HubParameters, Question, Step
from vagus.adapters.evm.adapter import EvmAdapter
from vagus.adapters.evm.config import EvmConfig
from vagus.adapters.evm.deploy import Deployment, deploy_hub
from vagus.adapters.evm.devnet import DEV_KEYS, Anvil
from vagus.adapters.evm.wallet import Wallet
from vagus.daemon.fetch import anvil_path
from vagus.protocol import ZERO32, address_of, agent_id

SIGNER = PrivateKey(bytes([7]) * 32)


@dataclass
class Chain:
    """A running node with a hub; after `manual` its blocks come by `anvil.mine` alone."""

    anvil: Anvil
    hub: Deployment

    def config(self, **changes: Any) -> EvmConfig:
        values = {
            "id": self.anvil.chain,
            "hub": self.hub.account,
            "rpc": SecretStr(self.anvil.rpc),
            "poll_interval": 0.05,
        }
        return EvmConfig(**(values | changes))

    def adapter(self, key: int = 0, **changes: Any) -> EvmAdapter:
        return EvmAdapter(self.config(**changes), wallet(key))


def wallet(key: int = 0) -> Wallet:
    """One of the funded keys, each of which tests use for themselves."""
    return Wallet(PrivateKey.from_hex(DEV_KEYS[key].removeprefix("0x")))


@contextlib.asynccontextmanager
async def chain(manual: bool = True, **options: Any) -> AsyncIterator[Chain]:
    async with Anvil(anvil_path(), **options) as anvil:
        parameters = HubParameters(signers=(address_of(SIGNER),), threshold=1)
        hub = await deploy_hub(anvil.rpc, wallet(), parameters)
        if manual:
            await anvil.call("evm_setIntervalMining", 0)
        await anvil.mine(3)
        yield Chain(anvil, hub)


def question(adapter: ChainAdapter, **changes: Any) -> Question:
    """A request that the hub takes."""
    assert adapter.heads is not None
    values: dict[str, Any] = {
        "agent_id": agent_id("chat@1"),
        "payload": b'{"prompt":"hello"}',
        "model_digest": ZERO32,
        "terms": b"",
        "min_signers": 0,
        "dest_hub": adapter.hub_id,
        "callback": ZERO32,
        "callback_gas": 0,
        "deadline": adapter.heads.latest.time + 3600,
        "fee": 10**15,
    }
    return Question(**(values | changes))


async def until_height(adapter: ChainAdapter, height: int, final: bool = False) -> Heads:
    """Wait until the adapter has seen a block."""
    heads = await adapter.next_heads(None)
    while (heads.final if final else heads.latest).height < height:
        heads = await adapter.next_heads(heads)
    return heads


async def height(anvil: Anvil) -> int:
    return int(await anvil.call("eth_blockNumber"), 16)


async def send(adapter: ChainAdapter, anvil: Anvil, call: Call) -> Step:
    """Send one call to its end, mining what that needs."""
    built = await adapter.build(call, await adapter.estimate(call), await adapter.open_lane(None))
    return await finish(adapter, anvil, built.state)


async def finish(adapter: ChainAdapter, anvil: Anvil, state: bytes) -> Step:
    """Drive a transaction to its end, as the daemon does."""
    for _ in range(20):
        step = await adapter.advance(state)
        if step.stage.ended:
            return step
        state = step.state
        for raw in step.send:
            await adapter.broadcast(raw)
        await anvil.mine(1)
        await until_height(adapter, await height(anvil))
    raise AssertionError(f"the transaction does not end: {step.stage}")
