"""One member of a committee that is measured, as a process of its own.

    python -m vagus.daemon.bench.member

It reads its `Order` as one line of JSON, prints what it came to as another, and ends. It is a node's
pipeline up to a quorum of signatures; its chains and its model cost next to nothing.
"""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import msgspec
import uvloop
from coincurve import PrivateKey
from typing_extensions import override

from vagus.adapters.evm.wallet import Wallet
from vagus.compute.backends.openai import OpenAIBackend
from vagus.daemon.bench.pipeline import (
    DEST,
    ORIGIN,
    Timed,
    backend_config,
    guarded,
    requested,
    roster_of,
)
from vagus.daemon.bench.stub_chain import StubChain
from vagus.daemon.carriers import Carriers
from vagus.daemon.committee import Committee, SoleSigner
from vagus.daemon.committee.inbox import Inbox
from vagus.daemon.committee.outbox import Outbox
from vagus.daemon.committee.peers import Peers
from vagus.daemon.committee.rosters import Rosters
from vagus.daemon.committee.transport.config import BrokerConfig
from vagus.daemon.committee.transport.mqtt import MqttTransport
from vagus.daemon.journal.records import IntentRecord, Stage
from vagus.daemon.journal.sqlite import SqliteJournal
from vagus.daemon.metrics.registry import Metrics
from vagus.daemon.network import Network
from vagus.daemon.service.logs import set_up
from vagus.daemon.watch import watch
from vagus.protocol import ZERO32, address_of, keccak256

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from vagus.daemon.journal.base import Journal
    from vagus.daemon.pipeline import Pipeline
    from vagus.daemon.roster import Roster

__all__ = ["Order", "Result", "keys"]

_WARM_UP = 32


class Order(msgspec.Struct):
    """What a member is to do: `at` of `size` members, of which `threshold` sign."""

    at: int
    size: int
    threshold: int
    broker: str
    model: str
    in_flight: int
    intents: int
    now: int
    journal: str


class Result(msgspec.Struct):
    """What it came to: a latency in ms is from the request to a quorum of signatures in the journal."""

    intents_per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    envelopes: float
    bytes: float


class _UntilSigned(Timed):
    """Ends an intent once it has a quorum of signatures: there is no chain behind to deliver to."""

    end = Stage.CLOSED

    @override
    async def carry(self, record: IntentRecord) -> None:
        # Each member has chains of its own here, and all must agree on who leads.
        record.block_hash = ZERO32
        await super().carry(record)

    async def _signed(self, record: IntentRecord) -> None:
        await self._journal.move(record, Stage.CLOSED)

    _STEPS: ClassVar[dict[Stage, Callable[[Pipeline, IntentRecord], Awaitable[None]]]] = {
        **Timed._STEPS,  # noqa: SLF001 - one step of its own parent is another
        Stage.ATTESTED: _signed,  # type: ignore[dict-item]
    }


class _Remembering(Peers):
    """Goes on telling slower members what was decided: nothing on a chain tells them."""

    @override
    def ended(self, record: IntentRecord) -> None:
        pass


def keys(size: int, what: str) -> list[PrivateKey]:
    """Return the members' keys of a kind, in the order of their addresses."""
    made = [
        PrivateKey(keccak256(f"a {what} for measuring only {at}".encode())) for at in range(size)
    ]
    return sorted(made, key=address_of)


async def _measure(order: Order) -> None:
    signers = keys(order.size, "signer")
    addresses = [address_of(each) for each in signers]
    key = signers[order.at]
    # One roster for all: each has chains of its own, and is paid into the same account on them.
    wallet = Wallet(keys(1, "account")[0])
    chains = [StubChain(hub, wallet, addresses, order.threshold) for hub in (ORIGIN, DEST)]
    transports = keys(order.size, "transport key") if order.size > 1 else []
    roster = roster_of(chains, addresses, [address_of(each) for each in transports])
    async with AsyncExitStack() as stack:
        journal = await stack.enter_async_context(SqliteJournal(Path(order.journal)))
        for chain in chains:
            await stack.enter_async_context(chain)
        committee, outbox = await _committee(order, key, transports, roster, journal, stack)
        network = Network(chains, journal)
        backend = await stack.enter_async_context(OpenAIBackend(backend_config(order.model)))
        pipeline = _UntilSigned.over(journal, network, backend, roster, committee)
        async with asyncio.TaskGroup() as group:
            carriers = Carriers(group, pipeline, Metrics())
            tasks = [group.create_task(committee.run(), name="committee")]
            await committee.joined()
            for chain in chains:
                watching = watch(chain, journal, network, carriers.take)
                tasks.append(group.create_task(watching, name=f"watch {chain.hub}"))
            logs = requested(_WARM_UP + order.intents, order.now)
            await pipeline.run(chains[0], logs[:_WARM_UP], order.in_flight)
            sent = (outbox.sent, outbox.bytes_sent) if outbox else (0, 0)
            cpu, began = time.process_time(), time.perf_counter()
            seconds = await pipeline.run(chains[0], logs[_WARM_UP:], order.in_flight)
            took, cpu = time.perf_counter() - began, time.process_time() - cpu
            said = (outbox.sent, outbox.bytes_sent) if outbox else (0, 0)
            # The others may still ask for what was decided last.
            print(
                _line(order, seconds, took, cpu, said[0] - sent[0], said[1] - sent[1]), flush=True
            )
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
            for task in tasks:
                task.cancel()


def _line(
    order: Order, seconds: list[float], took: float, cpu: float, envelopes: int, size: int
) -> str:
    seconds.sort()
    count = order.intents
    result = Result(
        intents_per_s=round(count / took, 1),
        p50_ms=round(seconds[count // 2] * 1e3, 2),
        p99_ms=round(seconds[count * 99 // 100] * 1e3, 2),
        cpu_us=round(cpu / count * 1e6, 1),
        envelopes=round(envelopes / count, 2),
        bytes=round(size / count, 1),
    )
    return msgspec.json.encode(result).decode()


async def _committee(
    order: Order,
    key: PrivateKey,
    transports: list[PrivateKey],
    roster: Roster,
    journal: Journal,
    stack: AsyncExitStack,
) -> tuple[Committee, Outbox | None]:
    signer = await guarded(key, Path(order.journal), stack)
    if not transports:
        return SoleSigner(signer), None
    transport = await stack.enter_async_context(
        MqttTransport(BrokerConfig(url=order.broker, qos=1), roster.network)
    )
    own, me = transports[order.at], address_of(key)
    rosters = Rosters(roster)
    outbox = Outbox(own, me, roster.network, rosters, journal, [transport])
    peers = _Remembering(
        signer,
        rosters,
        inbox=Inbox(roster.network, rosters),
        outbox=outbox,
        journal=journal,
        transports=[transport],
        beat=lambda: {"chains": {}},
    )
    return peers, outbox


def main() -> None:
    """Read the order, and do it."""
    set_up("warning", "json")
    order = msgspec.json.decode(sys.stdin.readline(), type=Order)
    uvloop.run(_measure(order))


if __name__ == "__main__":
    main()
