"""A requester's side: send one call from an account that no node uses, and see it included."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from vagus.adapters.base import TxStage
from vagus.protocol import Refuse, VagusError

if TYPE_CHECKING:
    from vagus.adapters.base import Call, ChainAdapter, Heads, Question, Requested

__all__ = ["ask", "first_heads", "send"]

ANSWER_SECONDS = 10.0


async def first_heads(adapter: ChainAdapter) -> Heads:
    """Wait for a chain's first answer; `VagusError` where none comes in ten seconds."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await adapter.next_heads(None)
    except TimeoutError:
        faults = [f"{each.name}: {each.fault}" for each in await adapter.endpoints() if each.fault]
        what = f"{adapter.chain} does not answer ({'; '.join(faults) or 'too slow'})"
        raise VagusError(f"{what}: check rpc under [[chains]], and that it is up") from None


async def send(adapter: ChainAdapter, call: Call, *, final: bool = False) -> str:
    """Send a call and return its transaction's id once it is included, or `final`.

    Nothing is journalled: whoever is killed in between looks the account up on the chain. Raises
    `Rejected` in the hub's words, `Refuse` for a transaction that reverted, `Retry`.
    """
    heads: Heads | None = await first_heads(adapter)
    estimate = await adapter.estimate(call)
    built = await adapter.build(call, estimate, await adapter.open_lane(None))
    state = built.state
    while True:
        step = await adapter.advance(state)
        state = step.state
        if step.stage is TxStage.FINAL or (step.stage is TxStage.INCLUDED and not final):
            return step.tx_id
        if step.stage.ended:
            raise Refuse(f"transaction {step.tx_id} ended {step.stage}")
        for raw in step.send:
            await adapter.broadcast(raw)
        heads = await adapter.next_heads(heads)


async def ask(adapter: ChainAdapter, question: Question) -> Requested:
    """Send a question to an adapter's hub and return the intent that it became."""
    tx_id = await send(adapter, adapter.request_call(question))
    found = await adapter.requested(tx_id)
    if len(found) != 1:
        raise Refuse(f"transaction {tx_id} asked {len(found)} intents instead of one")
    return found[0]
