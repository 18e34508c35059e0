"""A Surfpool node for the adapters' conformance kit: the judge of LiteSVM's devnet, and of the adapter."""

import asyncio
import contextlib
from typing import Any, Self

import aiohttp
from solana.rpc.commitment import Commitment, Confirmed, Processed
from solders.pubkey import Pubkey
from typing_extensions import override

from support.solana_harness import LACKS, SolanaHarness
from support.surfpool import running_surfpool
from vagus.adapters.base import Block

__all__ = ["SURFPOOL_LACKS", "SurfpoolHarness"]

SLOT_MS = 40
SURFPOOL_LACKS = LACKS | {
    "finality": "Surfpool has no state but the newest: it answers a finalized account with that",
    "reorg": "Surfpool has one chain of slots, of which none is ever taken back",
    "mempool": "Surfpool executes a transaction when it comes: there is nothing to forget",
}


class SurfpoolHarness(SolanaHarness):
    """A node with slots by order alone, once the hub is deployed."""

    finality = 30

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            self.surfpool = await stack.enter_async_context(running_surfpool(SLOT_MS))
            await self.begin(stack, self.surfpool.rpc, self.surfpool.ws)
            # Without this a slot comes now and then, whatever is ordered: blockhashes expire by the clock.
            await self.call("surfnet_pauseClock")
            await self.advance(2 * self.finality)
            self._stack = stack.pop_all()
        return self

    @override
    async def started(self) -> None:
        # Until its first slot is final it has no final block at all.
        await self.advance(2 * self.finality)
        await self.surfpool.run()

    async def call(self, method: str, *params: Any) -> Any:
        """Call one of Surfpool's own methods."""
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        async with (
            aiohttp.ClientSession() as session,
            session.post(self.node.rpc, json=request) as response,
        ):
            answer = await response.json()
        assert "error" not in answer, answer
        return answer["result"]

    @override
    async def advance(self, blocks: int = 1) -> None:
        wanted = await self._slot(Processed) + blocks
        await self.surfpool.slots(blocks)
        async with asyncio.timeout(60):
            while await self._slot(Processed) < wanted:
                await asyncio.sleep(0.005)

    async def _slot(self, commitment: Commitment) -> int:
        return (await self.client.get_slot(commitment)).value

    @override
    async def block(self, height: int | None = None) -> Block:
        slot = await self._slot(Confirmed) if height is None else height
        found = await super().block(slot)
        # A block's own time is a thousandth of what it is; this call has it right.
        time = (await self.client.get_block_time(slot)).value
        assert time is not None
        return Block(found.height, found.hash, time)

    @override
    async def fund(self, account: bytes, amount: int) -> None:
        await self.call("surfnet_setAccount", str(Pubkey(account)), {"lamports": amount})

    @override
    async def pass_time(self, seconds: int) -> None:
        now = (await self.block()).time
        await self.call("surfnet_timeTravel", {"absoluteTimestamp": (now + seconds) * 1000})
        await self.advance(2 * self.finality)
