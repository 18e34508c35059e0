"""A member that came after a rotation settles what the set before had decided and delivered."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from coincurve import PrivateKey

from support.chain import NOW, ScriptedChain
from support.committee import FAST, End, Wire
from support.pipelines import A, B, Pauses, without_pauses
from support.scripted import GOOD, response, scripted, sending
from support.served import requested, serving
from support.signing import KeySigner
from vagus.adapters.base import Cursor
from vagus.adapters.delivered import Delivered
from vagus.adapters.evm.wallet import Wallet
from vagus.agents import AgentRegistry, Policy
from vagus.compute.backends.openai import ModelConfig, OpenAIBackend, OpenAIConfig
from vagus.daemon import others
from vagus.daemon.committee.inbox import Inbox
from vagus.daemon.committee.outbox import Outbox
from vagus.daemon.committee.peers import Peers
from vagus.daemon.committee.rosters import Rosters
from vagus.daemon.execute import Executor
from vagus.daemon.journal.records import IntentRecord, Stage
from vagus.daemon.journal.sqlite import SqliteJournal
from vagus.daemon.network import Network
from vagus.daemon.pauses import Pauses as RealPauses
from vagus.daemon.pipeline import Pipeline
from vagus.daemon.roster import AgentEntry, Roster
from vagus.daemon.sending import Sender
from vagus.daemon.service.health import Health
from vagus.protocol import SignerSet, Status, address_of, hub_id

# The one who stays, one who comes, and one who comes and is away.
STAYS, COMES, AWAY = (PrivateKey(bytes([at]) * 32) for at in (1, 2, 3))
THEN, NOW_PAID = "0x" + "c1" * 20, "0x" + "c2" * 20
GAS, BASE, GRACE = 1_000, 500, 3_600
WITHIN = 30.0
CHAT = "chat@1"


class Seen(ScriptedChain):
    """A chain on which others' deliveries can be read whole."""

    def __init__(self, hub: str, key: PrivateKey) -> None:
        super().__init__(hub, Wallet(key), address_of(key))
        self.told: dict[bytes, Delivered] = {}

    async def delivered(self, intent_id: bytes, tx_id: str | None = None) -> Delivered | None:
        return self.told.get(intent_id)


@dataclass
class Member:
    a: Seen
    b: Seen
    journal: SqliteJournal
    pipeline: Pipeline

    async def ask(self) -> IntentRecord:
        """Record the one intent, as a final reading does."""
        found = requested(1, origin_hub=hub_id(A), dest_hub=hub_id(B), deadline=NOW + 6_000)
        [record] = await self.journal.observe(A, [found], Cursor(2, 1))
        return record


def roster(base: int, paid: str, *keys: PrivateKey, **changes: Any) -> Roster:
    """Members that serve `chat@1` for a base fee; the one who stays is paid at an address of then."""
    members = [
        {
            "signer": f"0x{address_of(key).hex()}",
            "transport": f"0x{address_of(transport_key(key)).hex()}",
            "addresses": {
                "eip155:31337": paid if key is STAYS else f"0x{address_of(key).hex()}",
                "eip155:31338": f"0x{address_of(key).hex()}",
            },
            "url": changes.get("urls", {}).get(key),
        }
        for key in keys
    ]
    agent = AgentRegistry({CHAT: {"fee": {"base": base}}}).get(CHAT).manifest
    entry = AgentEntry(version=agent.version, config=agent.config.model_dump(mode="json"))
    return Roster(
        name="test",
        members=members,  # type: ignore[arg-type]
        agents={CHAT: entry},
        gas_allowance=dict.fromkeys(["eip155:31337", "eip155:31338"], GAS),
        before=changes.get("before"),
    )


def transport_key(key: PrivateKey) -> PrivateKey:
    return PrivateKey(key.secret[:-1] + b"\xff")


def rotate(chain: Seen, new: Roster, *, until: int = NOW + GRACE) -> None:
    """The set of one gave way to the set of three, of which two sign."""
    chain.changes = {
        "roster_hash": new.digest(),
        "previous": SignerSet(1, (address_of(STAYS),), 1),
        "current": SignerSet(2, new.signers, 2),
        "previous_until": until,
        "grace": GRACE - 60,
    }


@contextlib.asynccontextmanager
async def member(
    folder: Path, key: PrivateKey, wire: Wire, new: Roster, base_url: str, fee: int
) -> AsyncIterator[Member]:
    """A node of the new roster, without its process."""
    me = address_of(key)
    model = OpenAIConfig(name="m", base_url=base_url, models=(ModelConfig(name="m"),))
    async with (
        Seen(A, key) as a,
        Seen(B, key) as b,
        SqliteJournal(folder / "journal.sqlite") as journal,
        OpenAIBackend(model) as backend,
        End(wire, me) as end,
        asyncio.TaskGroup() as group,
    ):
        for chain in (a, b):
            rotate(chain, new)
        network = Network([a, b], journal)
        rosters = Rosters(new, network.sets, network.states)
        outbox = Outbox(transport_key(key), me, new.network, rosters, journal, [end])
        committee = Peers(
            KeySigner(key),
            rosters,
            inbox=Inbox(new.network, rosters),
            outbox=outbox,
            journal=journal,
            transports=[end],
            beat=lambda: {"chains": {}},
            times=FAST,
        )
        agents = AgentRegistry({CHAT: {"fee": {"base": fee}}})
        pipeline = Pipeline(
            journal=journal,
            network=network,
            executor=Executor(agents, [backend], Policy(), new, me, journal=journal),
            committee=committee,
            sender=Sender(journal, network),
            rosters=rosters,
            health=Health(journal, network.faults),
            pauses=RealPauses(),
        )
        running = group.create_task(committee.run())
        try:
            yield Member(a, b, journal, pipeline)
        finally:
            running.cancel()


@dataclass
class Scene:
    stays: Member
    comes: Member
    old: Roster
    new: Roster
    pauses: Pauses


@pytest.fixture
async def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    """Two of the new three run; the one who stays serves documents, and has delivered by the old set."""
    for name in ("STAGGER", "LOOK"):
        monkeypatch.setattr(others, name, 0.02)
    folders = [tmp_path / each for each in ("stays", "comes", "served")]
    for folder in folders:
        folder.mkdir()
    wire = Wire()
    async with (
        scripted(sending(response(GOOD))) as model,
        serving(folders[2]) as served,
        contextlib.AsyncExitStack() as stack,
    ):
        old = roster(BASE, THEN, STAYS)
        urls = {STAYS: served.root}
        before = f"0x{old.digest().hex()}"
        new = roster(BASE + 7, NOW_PAID, STAYS, COMES, AWAY, urls=urls, before=before)
        stays, comes = [
            await stack.enter_async_context(member(folder, key, wire, new, model.base_url, fee))
            for folder, key, fee in zip(folders, (STAYS, COMES), (BASE, BASE + 7), strict=False)
        ]
        network = stays.pipeline._network
        network.sets[hub_id(B), 1] = stays.pipeline._rosters.learn(old)
        pauses = without_pauses(monkeypatch)
        async with asyncio.timeout(WITHIN):
            record = await stays.ask()
            while record.stage < Stage.CONFIRMED:
                await stays.pipeline._step(record, record.stage)
            delivery = await stays.b.delivery(record.id)
            assert delivery is not None
            assert record.attestation is not None
            comes.b.delivered_by_others[record.id] = delivery
            told = (record.attestation, record.output, record.signatures)
            comes.b.told[record.id] = Delivered("0x01", 1, record.intent, *told)
            for document in (await stays.journal.evidence(delivery.evidence_hash), old.document()):
                assert document is not None
                digest = delivery.evidence_hash if document != old.document() else old.digest()
                await served.journal.keep_evidence(digest, document)
        yield Scene(stays, comes, old, new, pauses)


async def settled(scene: Scene) -> tuple[IntentRecord, IntentRecord]:
    [first] = [await scene.stays.journal.intent(each.id) for each in await _unfinished(scene)]
    assert first is not None
    second = await scene.comes.ask()
    async with asyncio.timeout(WITHIN):
        await asyncio.gather(scene.stays.pipeline.carry(first), scene.comes.pipeline.carry(second))
    return first, second


async def carried_until(scene: Scene, done: Callable[[], bool]) -> IntentRecord:
    """Have the one who came carry it until something is so, and no longer."""
    record = await scene.comes.ask()
    carrying = asyncio.create_task(scene.comes.pipeline.carry(record))
    async with asyncio.timeout(WITHIN):
        while not done():
            await asyncio.sleep(0)
    carrying.cancel()
    return record


async def _unfinished(scene: Scene) -> list[IntentRecord]:
    return list(await scene.stays.journal.unfinished())


async def test_one_who_came_after_the_decision_signs_the_receipt_and_the_fee_is_paid(
    scene: Scene,
) -> None:
    first, second = await settled(scene)
    assert (first.stage, second.stage) == (Stage.SETTLED, Stage.SETTLED)
    assert second.output == b"Paris"
    assert (second.status, second.epoch) == (Status.FULFILLED, 1)
    receipt = second.receipt
    assert receipt is not None
    assert receipt == first.receipt
    # By hand: the agent's base fee of then and the gas allowance, all to who ran, delivered and signed,
    # at the address of then.
    assert (receipt.fee, receipt.epoch) == (BASE + GAS, 2)
    paid = {payout.payee[12:].hex() for payout in second.payouts}
    assert paid == {THEN[2:]}
    assert sum(payout.amount for payout in second.payouts) == BASE + GAS
    notes = [each.note for each in await scene.comes.journal.history(second.id)]
    assert "decided and delivered by epoch 1, without this node" in notes


async def test_after_the_grace_too_and_nothing_is_decided_anew(scene: Scene) -> None:
    for each in (scene.stays, scene.comes):
        for chain in (each.a, each.b):
            rotate(chain, scene.new, until=NOW - 1)
            chain.pass_time(1)
    first, second = await settled(scene)
    assert (first.stage, second.stage, second.epoch) == (Stage.SETTLED, Stage.SETTLED, 1)
    assert first.receipt == second.receipt
    assert (await scene.comes.journal.pledged(second.id))[0] is None


async def test_without_the_documents_nothing_is_signed_and_it_is_said_what_is_missing(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scene.comes.pipeline._rosters, "urls", lambda me: set())
    record = await carried_until(scene, lambda: len(scene.pauses) >= 3)
    assert record.stage == Stage.FINAL
    assert await scene.comes.journal.said(record.id) == []


async def test_a_document_that_is_another_is_not_believed(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    async def lying(url: str, digest: bytes) -> bytes:
        nonlocal asked
        asked += 1
        return scene.new.document()

    monkeypatch.setattr("vagus.daemon.inheriting.fetch_document", lying)
    record = await carried_until(scene, lambda: asked >= 2)
    assert record.stage == Stage.FINAL
    assert await scene.comes.journal.said(record.id) == []
