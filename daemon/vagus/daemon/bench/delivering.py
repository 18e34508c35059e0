"""Delivering answers: by the adapter as the node does, and by a bare client that looks at nothing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, TypeVar

from vagus.adapters.base import TxStage
from vagus.daemon.bench.backlog import SIGNER, in_turns, quorum_of, timed
from vagus.protocol import ZERO32, Attestation, Retry, VagusError, keccak256, sign

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from vagus.adapters.base import Call, ChainAdapter, Requested
    from vagus.daemon.bench.backlog import Backlog

__all__ = ["Deliveries", "deliver"]

T = TypeVar("T")

_ENDPOINTS = (1, 3)
_TRIES = 30
_IN_FLIGHT = 64
# As long as the gas tables' output, which fits one transaction on every chain.
_OUTPUT = b"y" * 144


@dataclass(frozen=True, slots=True)
class Deliveries:
    """Deliveries in a second: by the adapter, and the same transactions by a bare client."""

    quorum: str
    adapter_per_s: float
    chain_per_s: float
    node_ms: float


async def deliver(
    asked: Backlog, rounds: int, say: Callable[[str], None]
) -> tuple[Deliveries, ...]:
    """Take turns over intents of the backlog, each of which can be delivered once."""
    calls = await _calls(asked)
    each = len(calls) // (2 * len(_ENDPOINTS) * rounds)
    parts = iter([calls[at : at + each] for at in range(0, len(calls), each)])
    bare: dict[int, list[float]] = {each: [] for each in _ENDPOINTS}
    ours: dict[int, list[float]] = {each: [] for each in _ENDPOINTS}
    for number in range(rounds):
        for account, endpoints in enumerate(_ENDPOINTS, 2):
            ours[endpoints].append(await _deliver_adapter(asked, endpoints, account, next(parts)))
            work = await asked.deliver_bare(next(parts), endpoints)
            bare[endpoints].append(await timed(in_turns(_IN_FLIGHT, work)))
        say(f"  round {number + 1} of {rounds}, {each} deliveries each")
    return tuple(
        Deliveries(
            quorum=quorum_of(endpoints),
            adapter_per_s=round(each / median(ours[endpoints]), 1),
            chain_per_s=round(each / median(bare[endpoints]), 1),
            node_ms=round((median(ours[endpoints]) - median(bare[endpoints])) / each * 1e3, 2),
        )
        for endpoints in _ENDPOINTS
    )


async def _calls(asked: Backlog) -> list[Call]:
    async with asked.adapter(1) as adapter:
        final = (await adapter.next_heads(None)).final
        cursor = await adapter.start()
        intents: list[Requested] = []
        while cursor.height < final.height:
            batch, cursor = await adapter.intents(cursor, final)
            intents += batch
        epoch = (await adapter.hub_state()).current.epoch
        return [_delivery(adapter, each, epoch) for each in intents]


def _delivery(adapter: ChainAdapter, asked: Requested, epoch: int) -> Call:
    attestation = Attestation(
        intent_id=asked.intent.id,
        origin_hub=asked.intent.origin_hub,
        status=0,
        output_hash=keccak256(_OUTPUT),
        agent_digest=asked.intent.agent_id,
        model_digest=ZERO32,
        evidence_hash=asked.intent.id,
        epoch=epoch,
        expiry=asked.intent.deadline,
    )
    signature = sign(attestation.digest(adapter.hub_id), SIGNER)
    return adapter.deliver_call(asked.intent, attestation, _OUTPUT, [signature])


async def _deliver_adapter(
    asked: Backlog, endpoints: int, account: int, calls: Sequence[Call]
) -> float:
    """Estimate, build, broadcast and follow to inclusion, as the node does, so many at once."""
    async with asked.adapter(endpoints, account) as adapter:
        await adapter.next_heads(None)
        lane, turn = await adapter.open_lane(None), asyncio.Lock()

        async def carry(call: Call) -> None:
            nonlocal lane
            estimate = await _answered(partial(adapter.estimate, call))
            async with turn:
                built = await adapter.build(call, estimate, lane)
                lane, state = built.lane, built.state
            while True:
                heads = adapter.heads
                step = await _answered(partial(adapter.advance, state))
                if step.stage in {TxStage.INCLUDED, TxStage.FINAL}:
                    return
                if step.stage.ended:
                    raise VagusError(f"a delivery ended {step.stage}")
                state = step.state
                for raw in step.send:
                    await _answered(partial(adapter.broadcast, raw))
                await adapter.next_heads(heads)

        return await timed(in_turns(_IN_FLIGHT, [partial(carry, call) for call in calls]))


async def _answered(ask: Callable[[], Awaitable[T]]) -> T:
    """Return the answer; where it is a Retry, ask again after the pause that it wants, as a node does."""
    for _ in range(_TRIES):
        try:
            return await ask()
        except Retry as error:
            await asyncio.sleep(error.after)
    return await ask()
