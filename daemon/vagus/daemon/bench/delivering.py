"""Delivering answers: by the adapter as the node does, and by a bare client that looks at nothing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from vagus.adapters.base import TxStage
from vagus.adapters.evm.tx import EvmTx
from vagus.daemon.bench.backlog import (
    GWEI,
    SIGNER,
    adapter_over,
    funded,
    quorum_of,
    timed,
)
from vagus.protocol import ZERO32, Attestation, VagusError, keccak256, sign

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from vagus.adapters.base import Call, ChainAdapter, Requested
    from vagus.daemon.bench.backlog import Backlog

__all__ = ["Deliveries", "deliver"]

_IN_FLIGHT = 64
_GAS = 400_000
_SOON = 0.01
_OUTPUT = b"y" * 600


@dataclass(frozen=True, slots=True)
class Deliveries:
    """Deliveries in a second: by the adapter, and the same requests by a bare client."""

    quorum: str
    adapter_per_s: float
    chain_per_s: float
    node_ms: float


async def deliver(
    asked: Backlog, rounds: int, say: Callable[[str], None]
) -> tuple[Deliveries, ...]:
    """Take turns over intents of the backlog, each of which can be delivered once."""
    async with adapter_over(asked, 1) as adapter:
        final = (await adapter.next_heads(None)).final
        cursor = await adapter.start()
        intents: list[Requested] = []
        while cursor.height < final.height:
            batch, cursor = await adapter.intents(cursor, final)
            intents += batch
        epoch = (await adapter.hub_state()).current.epoch
        calls = [_delivery(adapter, each, epoch) for each in intents]
    each = len(calls) // (4 * rounds)
    parts = iter([calls[at : at + each] for at in range(0, len(calls), each)])
    bare: dict[int, list[float]] = {1: [], 3: []}
    ours: dict[int, list[float]] = {1: [], 3: []}
    for number in range(rounds):
        for endpoints in (1, 3):
            ours[endpoints].append(await _deliver_adapter(asked, endpoints, next(parts)))
            bare[endpoints].append(await _deliver_bare(asked, endpoints, next(parts)))
        say(f"  round {number + 1} of {rounds}, {each} deliveries each")
    return tuple(
        Deliveries(
            quorum=quorum_of(endpoints),
            adapter_per_s=round(each / median(ours[endpoints]), 1),
            chain_per_s=round(each / median(bare[endpoints]), 1),
            node_ms=round((median(ours[endpoints]) - median(bare[endpoints])) / each * 1e3, 2),
        )
        for endpoints in (1, 3)
    )


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


async def _deliver_adapter(asked: Backlog, endpoints: int, calls: Sequence[Call]) -> float:
    """Estimate, build, broadcast and follow to inclusion, as the node does, so many at once."""
    async with adapter_over(asked, endpoints, account=2 if endpoints == 1 else 3) as adapter:
        await adapter.next_heads(None)
        lane = await adapter.open_lane(None)

        async def carry(call: Call) -> None:
            nonlocal lane
            estimate = await adapter.estimate(call)
            built = adapter.build(call, estimate, lane)
            lane, state = built.lane, built.state
            while True:
                heads = adapter.heads
                step = await adapter.advance(state)
                if step.stage in {TxStage.INCLUDED, TxStage.FINAL}:
                    return
                if step.stage.ended:
                    raise VagusError(f"a delivery ended {step.stage}")
                state = step.state
                for raw in step.send:
                    await adapter.broadcast(raw)
                await adapter.next_heads(heads)

        return await timed(_all([carry(call) for call in calls]))


async def _deliver_bare(asked: Backlog, endpoints: int, calls: Sequence[Call]) -> float:
    """The same simulations, signed transactions and receipts, and nothing done with the answers."""
    wallet = funded(4)
    sender = _hex(wallet.address)
    first = int(await asked.bare.ask("eth_getTransactionCount", sender, "latest"), 16)

    async def everywhere(method: str, *params: object) -> bytes:
        posts = [asked.bare.post((method, list(params))) for _ in range(endpoints)]
        return (await asyncio.gather(*posts))[0]

    async def carry(call: dict[str, str], raw: bytes) -> None:
        await everywhere("eth_estimateGas", call, "latest")
        await everywhere("eth_sendRawTransaction", _hex(raw))
        # A block comes with each transaction, so a receipt is seldom asked for twice.
        receipt = keccak256(raw)
        while b'"result":null' in await everywhere("eth_getTransactionReceipt", _hex(receipt)):  # noqa: ASYNC110 - a node is asked, no event is set
            await asyncio.sleep(_SOON)

    work = []
    for nonce, call in enumerate(calls, first):
        simulated = {"from": sender, "to": call.to, "data": _hex(call.data)}
        to = bytes.fromhex(call.to[2:])
        tx = EvmTx(asked.anvil.chain_id, nonce, GWEI, 10 * GWEI, _GAS, to, 0, call.data)
        work.append(carry(simulated, wallet.sign(tx)))
    return await timed(_all(work))


async def _all(work: Sequence[Awaitable[None]]) -> None:
    waiting = iter(work)

    async def worker() -> None:
        for each in waiting:
            await each

    async with asyncio.TaskGroup() as group:
        for number in range(min(_IN_FLIGHT, len(work))):
            group.create_task(worker(), name=f"deliver {number}")


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
