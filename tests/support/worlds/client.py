"""A requester and an observer on several kinds of chains at once."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from web3 import Web3

from support.client import until
from support.node_devnet import Devnet
from support.worlds.base import Chain, Delivered, Settled
from support.worlds.cosmos import CosmosChain
from support.worlds.eip155 import EvmChain
from support.worlds.solana import SolanaChain

__all__ = ["KINDS", "Asked", "Worlds", "hurried_worlds_of"]

_CLASSES: dict[str, type[Chain]] = {
    "eip155": EvmChain,
    "solana": SolanaChain,
    "cosmos": CosmosChain,
}
KINDS = tuple(_CLASSES)


@dataclass(frozen=True)
class Asked:
    """An intent: its id, what was asked, and the chains that it goes from and to."""

    id: bytes
    prompt: str
    origin: Chain
    dest: Chain

    @property
    def hex(self) -> str:
        return "0x" + self.id.hex()


class Worlds:
    """One chain of each kind."""

    def __init__(self, chains: Sequence[Chain]) -> None:
        self.chains = {chain.kind: chain for chain in chains}

    async def ask(self, prompt: str, origin: str, dest: str, callback: bytes = bytes(32)) -> Asked:
        """Ask from one kind of chain to another, or to the same."""
        here, there = self.chains[origin], self.chains[dest]
        intent_id = await here.ask(json.dumps({"prompt": prompt}).encode(), there.hub, callback)
        return Asked(intent_id, prompt, here, there)

    async def ask_round(self, prompt: str) -> list[Asked]:
        """Ask once from each chain to the next, all at the same time."""
        pairs = zip(KINDS, KINDS[1:] + KINDS[:1], strict=True)
        asking = (self.ask(f"{prompt}, {each[0]} to {each[1]}", *each) for each in pairs)
        return list(await asyncio.gather(*asking))

    async def once(self, asked: Asked, answer: str) -> tuple[Delivered, Settled]:
        """The one delivery and the one settlement of an intent: fulfilled, with this answer."""
        # An index of events may be behind the state.
        (delivered,) = await until(lambda: asked.dest.deliveries(asked.id), bool)
        (settled,) = await until(lambda: asked.origin.settlements(asked.id), bool)
        for other in self.chains.values():
            assert other is asked.dest or await other.deliveries(asked.id) == []
        assert (delivered.status, settled.status) == (0, 0)
        assert delivered.output_hash == Web3.keccak(text=answer)
        assert settled.fee > 0
        return delivered, settled

    async def sent(self) -> dict[str, int]:
        """By kind, how many transactions the node's account has in blocks."""
        return {kind: await chain.sent() for kind, chain in self.chains.items()}


@contextlib.asynccontextmanager
async def hurried_worlds_of(net: Devnet) -> AsyncIterator[Worlds]:
    """The chains of a devnet, with blocks mined all the while where they come by the second."""
    async with contextlib.AsyncExitStack() as stack:
        chains = []
        for shown in net.chains:
            kind = shown["caip2"].partition(":")[0]
            chains.append(_CLASSES[kind](shown, net.payer(shown["caip2"])))
            stack.push_async_callback(chains[-1].close)
        found = Worlds(chains)
        slow = found.chains["eip155"]
        assert isinstance(slow, EvmChain)
        miner = asyncio.create_task(slow.client.hurry(), name="miner")
        yield found
        miner.cancel()
        await asyncio.wait([miner])
        assert miner.cancelled()
