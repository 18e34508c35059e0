"""The node's own pipeline, from OBSERVED to SETTLED, with so many intents in flight.

Journal, watcher, carriers, pipeline, sender, agent and backend are those of a node; the chains and
the model's server behind them cost next to nothing. The next intent is asked when one has ended.
"""

from __future__ import annotations

import asyncio
import gc
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import msgspec
import uvloop
from coincurve import PrivateKey

from vagus.adapters.base import ChainEvent
from vagus.adapters.evm.codec import bytes_tail, word
from vagus.adapters.evm.hub import REQUESTED_TOPIC
from vagus.adapters.evm.wallet import Wallet
from vagus.adapters.signers import Guarded, SignedTable
from vagus.adapters.signers.local import LocalKey
from vagus.agents import AgentRegistry, Policy
from vagus.compute import PriceConfig
from vagus.compute.backends.openai import ModelConfig, OpenAIBackend, OpenAIConfig
from vagus.daemon.bench.stub_chain import StubChain
from vagus.daemon.carriers import Carriers
from vagus.daemon.committee import SoleSigner
from vagus.daemon.committee.rosters import Rosters
from vagus.daemon.execute import Executor
from vagus.daemon.journal.records import IntentRecord, Stage
from vagus.daemon.journal.sqlite import SqliteJournal
from vagus.daemon.metrics.registry import Metrics
from vagus.daemon.network import Network
from vagus.daemon.pauses import Pauses
from vagus.daemon.pipeline import Pipeline
from vagus.daemon.roster import Member, Roster
from vagus.daemon.sending import Sender
from vagus.daemon.service.health import Health
from vagus.daemon.watch import watch
from vagus.protocol import (
    ZERO32,
    Intent,
    VagusError,
    address_of,
    agent_id,
    hub_id,
    keccak256,
    unpack_address,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vagus.compute import Backend
    from vagus.daemon.committee import Committee
    from vagus.daemon.journal.base import Journal

__all__ = [
    "DEST",
    "ORIGIN",
    "Run",
    "Timed",
    "backend_config",
    "guarded",
    "measure",
    "requested",
    "roster_of",
]

ORIGIN = "eip155:31337:0x" + "11" * 20
DEST = "eip155:31338:0x" + "22" * 20
_WARM_UP = 32
# Seconds without a single intent's end after which something is wrong, and the log says what.
_PATIENCE = 20


@dataclass(frozen=True, slots=True)
class Run:
    """What one run gave: a latency is from the request to SETTLED in the journal."""

    in_flight: int
    intents: int
    intents_per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float


def measure(model_url: str, in_flight: int, intents: int, journal: Path) -> Run:
    """Carry `intents` intents with `in_flight` at once, journalled in a new file.

    Raises an ExceptionGroup with a VagusError where an intent ends in any other way than settled,
    or none ends at all.
    """
    return uvloop.run(_measure(model_url, in_flight, intents, journal))


async def _measure(model_url: str, in_flight: int, intents: int, path: Path) -> Run:
    key = PrivateKey(keccak256(b"a key for measuring only"))
    chains = [StubChain(hub, Wallet(key), [address_of(key)]) for hub in (ORIGIN, DEST)]
    async with AsyncExitStack() as stack:
        committee = SoleSigner(await guarded(key, path, stack))
        journal = await stack.enter_async_context(SqliteJournal(path))
        for chain in chains:
            await stack.enter_async_context(chain)
        network = Network(chains, journal)
        backend = await stack.enter_async_context(OpenAIBackend(backend_config(model_url)))
        roster = roster_of(chains, [committee.address])
        pipeline = Timed.over(journal, network, backend, roster, committee)
        async with asyncio.TaskGroup() as group:
            carriers = Carriers(group, pipeline, Metrics())
            watchers = [
                group.create_task(
                    watch(chain, journal, network, carriers.take), name=f"watch {chain.hub}"
                )
                for chain in chains
            ]
            logs = requested(_WARM_UP + intents, int(time.time()))
            await pipeline.run(chains[0], logs[:_WARM_UP], in_flight)
            # What is there by now lives to the end: the collector need not look at it again.
            gc.freeze()
            cpu, began = time.process_time(), time.perf_counter()
            seconds = await pipeline.run(chains[0], logs[_WARM_UP:], in_flight)
            took, cpu = time.perf_counter() - began, time.process_time() - cpu
            gc.unfreeze()
            for task in watchers:
                task.cancel()
    seconds.sort()
    return Run(
        in_flight=in_flight,
        intents=intents,
        intents_per_s=round(intents / took, 1),
        p50_ms=round(seconds[intents // 2] * 1e3, 2),
        p99_ms=round(seconds[intents * 99 // 100] * 1e3, 2),
        cpu_us=round(cpu / intents * 1e6, 1),
    )


async def guarded(key: PrivateKey, journal: Path, stack: AsyncExitStack) -> Guarded:
    """Return a key behind a node's policy, with a table of its own beside the journal."""
    table = await stack.enter_async_context(SignedTable(journal.with_suffix(".signed.sqlite")))
    return Guarded(LocalKey(key), table, {hub_id(ORIGIN), hub_id(DEST)})


class Timed(Pipeline):
    """A pipeline that tells when an intent has ended, as all have to."""

    end = Stage.SETTLED

    @classmethod
    def over(
        cls,
        journal: Journal,
        network: Network,
        backend: Backend,
        roster: Roster,
        committee: Committee,
    ) -> Self:
        """Return a node's pipeline that asks one backend, for one agent."""
        agents = AgentRegistry({"chat@1": {"fee": {"base": 1000}}})
        return cls(
            journal=journal,
            network=network,
            executor=Executor(
                agents, [backend], Policy(), roster, committee.address, journal=journal
            ),
            committee=committee,
            sender=Sender(journal, network),
            rosters=Rosters(roster),
            health=Health(journal, network.faults),
            pauses=Pauses(),
        )

    async def run(self, chain: StubChain, logs: list[ChainEvent], in_flight: int) -> list[float]:
        """Ask these, `in_flight` at a time; return how long each took, in seconds."""
        self._ended: asyncio.Queue[bytes] = asyncio.Queue()
        asked: dict[bytes, float] = {}
        seconds: list[float] = []
        waiting = iter(logs)

        def ask() -> None:
            for log in waiting:
                asked[log.topics[1]] = time.perf_counter()
                chain.request(log)
                break

        for _ in range(in_flight):
            ask()
        while len(seconds) < len(logs):
            try:
                async with asyncio.timeout(_PATIENCE):
                    intent = await self._ended.get()
            except TimeoutError:
                raise VagusError(f"no intent ended in {_PATIENCE} s: the log says why") from None
            seconds.append(time.perf_counter() - asked[intent])
            ask()
        return seconds

    async def carry(self, record: IntentRecord) -> None:
        """Carry, and say so; an intent that did not end well ends the run."""
        await super().carry(record)
        if record.stage != self.end or not record.output:
            raise VagusError(f"an intent ended as {record.stage.name}: {record.reason}")
        self._ended.put_nowait(record.id)


def backend_config(model_url: str) -> OpenAIConfig:
    """Return the config of the stub model's backend."""
    return OpenAIConfig(
        name="stub",
        base_url=model_url,
        models=(ModelConfig(name="stub"),),
        price=PriceConfig.model_validate({"input": "1000", "output": "2000"}),
    )


def roster_of(
    chains: Sequence[StubChain], signers: Sequence[bytes], transports: Sequence[bytes] = ()
) -> Roster:
    """Return the roster of these members, all paid into one account on each chain."""
    addresses = {chain.chain: unpack_address(chain.chain, chain.account) for chain in chains}
    keys: list[str | None] = ["0x" + each.hex() for each in transports] or [None]
    members = tuple(
        Member(signer="0x" + signer.hex(), transport=key, addresses=addresses)
        for signer, key in zip(signers, keys, strict=True)
    )
    return Roster(members=members, gas_allowance=dict.fromkeys(addresses, 10**9))


def requested(count: int, now: int) -> list[ChainEvent]:
    """Return IntentRequested logs as the origin's hub writes them at a time, with 300 letters to ask."""
    payload = msgspec.json.encode({"prompt": "x" * 300})
    tail = bytes_tail(payload)
    offsets = word(16 * 32) + word(16 * 32 + len(tail)) + tail + bytes_tail(b"")
    logs = []
    for seq in range(1, count + 1):
        intent = Intent(
            origin_hub=hub_id(ORIGIN),
            seq=seq,
            requester=b"\x33" * 20 + bytes(12),
            agent_id=agent_id("chat@1"),
            payload_hash=keccak256(payload),
            model_digest=ZERO32,
            terms_hash=ZERO32,
            min_signers=0,
            dest_hub=hub_id(DEST),
            callback=ZERO32,
            callback_gas=0,
            fee_asset=ZERO32,
            max_fee=10**16,
            deadline=now + 3600,
        )
        topics = (REQUESTED_TOPIC, intent.id, word(seq))
        data = intent.encode() + offsets
        logs.append(ChainEvent(ORIGIN, topics, data, 0, ZERO32, f"0x{seq:064x}", 0))
    return logs
