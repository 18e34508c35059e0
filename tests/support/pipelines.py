"""A node without its process: real journal, pipeline, agent and backend, between scripted ends."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from coincurve import PrivateKey

from support.chain import NOW, ScriptedChain
from support.signing import KeySigner
from vagus.adapters.base import Cursor, Requested
from vagus.adapters.evm.wallet import Wallet
from vagus.agents import AgentRegistry, Policy
from vagus.compute import Backend
from vagus.compute.backends.openai import ModelConfig, OpenAIBackend, OpenAIConfig
from vagus.compute.routing import Router, Tuning
from vagus.daemon import pauses as pauses_module
from vagus.daemon.committee import SoleSigner
from vagus.daemon.committee.rosters import Rosters
from vagus.daemon.execute import Executor
from vagus.daemon.journal.base import Journal
from vagus.daemon.journal.records import IntentRecord, Stage
from vagus.daemon.journal.sqlite import SqliteJournal
from vagus.daemon.network import Network
from vagus.daemon.pipeline import Pipeline
from vagus.daemon.roster import Member, Roster
from vagus.daemon.sealed import Opener
from vagus.daemon.sending import Sender
from vagus.daemon.service.health import Health
from vagus.protocol import (
    ZERO32,
    Intent,
    address_of,
    agent_id,
    hub_id,
    keccak256,
    unpack_address,
)

A = "eip155:31337:0x" + "11" * 20
B = "eip155:31338:0x" + "22" * 20
GAS = 1_000
PAYLOAD = b'{"prompt":"Which city is the capital of France?"}'


@dataclass
class Node:
    """Parts of a node; `start` puts new ones around the same chains and data folder."""

    folder: Path
    base_url: str
    key: PrivateKey
    a: ScriptedChain
    b: ScriptedChain
    journal: Journal = field(init=False)
    network: Network = field(init=False)
    pipeline: Pipeline = field(init=False)
    asked: int = 0
    agents: Mapping[str, Mapping[str, object]] = field(default_factory=lambda: {"chat@1": {}})
    policy: Policy = field(default_factory=Policy)
    others: Sequence[OpenAIConfig] = ()
    entered: Sequence[Backend] = ()
    opener: Opener | None = None
    # A call is tried once: pauses are then the pipeline's alone, which its tests pass by.
    router: Router = field(default_factory=lambda: Router(Tuning(tries=1)))

    @contextlib.asynccontextmanager
    async def start(self) -> AsyncIterator[None]:
        committee = SoleSigner(KeySigner(self.key))
        chains = [self.a, self.b]
        addresses = {chain.chain: unpack_address(chain.chain, chain.account) for chain in chains}
        member = Member(signer=f"0x{committee.address.hex()}", addresses=addresses)
        roster = Roster(members=(member,), gas_allowance=dict.fromkeys(addresses, GAS))
        model = OpenAIConfig(
            name="scripted", base_url=self.base_url, models=(ModelConfig(name="m"),)
        )
        async with (
            SqliteJournal(self.folder / "journal.sqlite") as self.journal,
            contextlib.AsyncExitStack() as stack,
        ):
            backends: list[Backend] = [
                await stack.enter_async_context(OpenAIBackend(each))
                for each in (model, *self.others)
            ]
            backends += self.entered
            agents = AgentRegistry(self.agents)
            self.network = Network(chains, self.journal)
            self.pipeline = Pipeline(
                journal=self.journal,
                network=self.network,
                executor=Executor(
                    agents,
                    backends,
                    self.policy,
                    roster,
                    committee.address,
                    self.router,
                    self.opener,
                    self.journal,
                ),
                committee=committee,
                sender=Sender(self.journal, self.network),
                rosters=Rosters(roster, self.network.sets, self.network.states),
                health=Health(self.journal, self.network.faults),
                pauses=pauses_module.Pauses(),
            )
            yield

    async def ask(
        self, payload: bytes = PAYLOAD, terms: bytes = b"", **changes: Any
    ) -> IntentRecord:
        """Record an intent of A for B as a final reading does."""
        self.asked += 1
        fields: dict[str, Any] = {
            "origin_hub": hub_id(A),
            "seq": self.asked,
            "requester": bytes(12) + b"\x44" * 20,
            "agent_id": agent_id("chat@1"),
            "payload_hash": keccak256(payload),
            "model_digest": ZERO32,
            "terms_hash": keccak256(terms) if terms else ZERO32,
            "min_signers": 0,
            "dest_hub": hub_id(B),
            "callback": ZERO32,
            "callback_gas": 0,
            "fee_asset": ZERO32,
            "max_fee": 10**15,
            "deadline": NOW + 600,
        }
        intent = Intent(**{**fields, **changes})
        found = Requested(intent, payload, terms, 1, ZERO32, f"0x{self.asked:064x}")
        [record] = await self.journal.observe(A, [found], Cursor(self.asked + 1, 1))
        return record

    async def carry(self, record: IntentRecord) -> None:
        async with asyncio.timeout(20):
            await self.pipeline.carry(record)

    async def carry_to(self, record: IntentRecord, stage: Stage) -> None:
        """Take the steps before a stage, and not those after it."""
        async with asyncio.timeout(20):
            while record.stage < stage:
                await Pipeline._STEPS[record.stage](self.pipeline, record)

    async def stages(self, record: IntentRecord) -> list[Stage]:
        return [each.stage for each in await self.journal.history(record.id)]


class Pauses(list[float]):
    """The pipeline's pauses: none takes any time, and after each `then` is called."""

    then: Callable[[], None] | None = None

    async def sleep(self, _intent_id: bytes, seconds: float, _reason: str = "") -> None:
        self.append(seconds)
        if self.then is not None:
            self.then()
        await asyncio.sleep(0)


def without_pauses(monkeypatch: pytest.MonkeyPatch) -> Pauses:
    """Have no intent wait for its next try, and hardly a call for backends that have all failed."""
    pauses = Pauses()
    monkeypatch.setattr(pauses_module.Pauses, "sleep", pauses.sleep)
    monkeypatch.setattr("vagus.compute.routing.call.PAUSE", 0.01)
    return pauses


@contextlib.asynccontextmanager
async def two_chains(key: PrivateKey) -> AsyncIterator[tuple[ScriptedChain, ScriptedChain]]:
    signer, wallet = address_of(key), Wallet(key)
    async with ScriptedChain(A, wallet, signer) as a, ScriptedChain(B, wallet, signer) as b:
        yield a, b
