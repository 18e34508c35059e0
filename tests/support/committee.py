"""A committee without processes: real members with real journals over a wire in memory."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from coincurve import PrivateKey

from support.signing import KeySigner
from vagus.adapters.base import Cursor, Requested
from vagus.agents.modes import Verdict
from vagus.compute.mqtt import Traffic
from vagus.daemon.committee.inbox import Inbox
from vagus.daemon.committee.outbox import Outbox
from vagus.daemon.committee.peers import Peers
from vagus.daemon.committee.rosters import Rosters
from vagus.daemon.committee.session import Times
from vagus.daemon.committee.transport.base import Topic, Transport
from vagus.daemon.execute import Run, refused
from vagus.daemon.journal.records import IntentRecord
from vagus.daemon.journal.sqlite import SqliteJournal
from vagus.daemon.roster import Member, Roster
from vagus.protocol import (
    ZERO32,
    Attestation,
    Intent,
    Outcome,
    SignerSet,
    Status,
    address_of,
    hub_id,
    keccak256,
)
from vagus.protocol.envelope import Kind, network_id, open_envelope

A = "eip155:31337:0x" + "11" * 20
B = "eip155:31338:0x" + "22" * 20
NETWORK = network_id("test")
FAST = Times(leader=1.0, least=0.6, vote=0.1, more=0.1, again=0.2, slowest=0.4)


class Wire:
    """Carries each frame to all others that are there, unless `lost` says no."""

    def __init__(self) -> None:
        self.ends: list[End] = []
        self.lost: Callable[[Kind, bytes, bytes], bool] = lambda kind, sender, to: False
        self.frames: list[bytes] = []

    def carry(self, frame: bytes, sender: bytes) -> None:
        self.frames.append(frame)
        kind = open_envelope(frame)[0].kind
        for end in self.ends:
            if end.member != sender and not self.lost(kind, sender, end.member):
                end.queue.put_nowait(frame)


class End(Transport):
    """A member's end of a wire."""

    name = "memory"
    connected = True

    def __init__(self, wire: Wire, member: bytes) -> None:
        self.wire, self.member = wire, member
        self.queue: asyncio.Queue[bytes] = asyncio.Queue()
        self.traffic = Traffic()

    async def until_connected(self) -> None:
        return

    def send(self, frame: bytes, topic: Topic) -> None:
        self.wire.carry(frame, self.member)

    async def receive(self) -> bytes:
        return await self.queue.get()

    async def __aenter__(self) -> Self:
        self.wire.ends.append(self)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.wire.ends.remove(self)


@dataclass
class Said:
    """What a member's agent does: its answer, and which answers it finds right."""

    answer: bytes | None
    runs_again: bool = True
    runs: int = 0
    right: Callable[[bytes], bool] | None = None

    def outcome(self) -> Outcome:
        return Outcome(Status.FULFILLED, self.answer or b"", b"a" * 32, b"m" * 32, b"{}")

    async def attempt(self) -> Run:
        self.runs += 1
        if self.answer is None:
            return refused(ZERO32, Status.REFUSED, "not by me")
        return Run(self.outcome())

    combines: bool = False

    def reveals(self, member: bytes, result: Outcome) -> bool:
        return True

    def combine(self, results: Mapping[bytes, Outcome], leader: bytes) -> Run:
        shown = b",".join(results[member].output for member in sorted(results))
        who = b" ".join(member.hex().encode() for member in sorted(results))
        return Run(Outcome(Status.FULFILLED, shown, b"a" * 32, b"m" * 32, who))

    def combined_of(self, proposed: Outcome) -> tuple[bytes, ...]:
        if not self.combines:
            return ()
        return tuple(bytes.fromhex(each.decode()) for each in proposed.evidence.split())

    async def check(
        self, own: Run | None, proposed: Outcome, leader: bytes, revealed: Mapping[bytes, Outcome]
    ) -> Verdict:
        if self.combines:
            right = self.combine(revealed, leader).outcome == proposed
            return Verdict(right, "what was revealed")
        right = self.right or (lambda output: output == self.answer)
        good = right(proposed.output)
        return Verdict(good, "the same" if good else "another answer")

    def executor(self, decided: Outcome) -> bytes:
        return bytes(20)

    def read(self, decided: Outcome) -> Run:
        return Run(decided)


@dataclass
class Committee:
    """Keys, rosters, a wire, and where the members' journals are."""

    folder: Path
    size: int
    threshold: int
    wire: Wire = field(default_factory=Wire)
    keys: list[PrivateKey] = field(init=False)
    transport_keys: list[PrivateKey] = field(init=False)

    def __post_init__(self) -> None:
        draw = random.Random(self.size)
        keys = [PrivateKey(draw.randbytes(32)) for _ in range(self.size)]
        self.keys = sorted(keys, key=address_of)
        self.transport_keys = [PrivateKey(draw.randbytes(32)) for _ in range(self.size)]

    @property
    def signers(self) -> tuple[bytes, ...]:
        return tuple(address_of(key) for key in self.keys)

    @property
    def roster(self) -> Roster:
        keys = zip(self.signers, self.transport_keys, strict=True)
        members = tuple(
            Member(signer=f"0x{signer.hex()}", transport=f"0x{address_of(key).hex()}")
            for signer, key in keys
        )
        return Roster(name="test", members=members)

    @property
    def current(self) -> SignerSet:
        return SignerSet(7, self.signers, self.threshold)

    def record(self, journal: SqliteJournal, seq: int = 1) -> Requested:
        intent = Intent(
            origin_hub=hub_id(A),
            seq=seq,
            requester=bytes(32),
            agent_id=ZERO32,
            payload_hash=keccak256(b"?"),
            model_digest=ZERO32,
            terms_hash=ZERO32,
            min_signers=0,
            dest_hub=hub_id(B),
            callback=ZERO32,
            callback_gas=0,
            fee_asset=ZERO32,
            max_fee=1,
            deadline=1_800_000_000,
        )
        return Requested(intent, b"?", b"", 1, b"b" * 32, "0x01")

    @contextlib.asynccontextmanager
    async def member(self, at: int) -> AsyncIterator["Place"]:
        """Start a member, or start it again on its journal."""
        me = self.signers[at]
        rosters = Rosters(self.roster)
        async with (
            SqliteJournal(self.folder / f"{at}.sqlite") as journal,
            End(self.wire, me) as end,
            asyncio.TaskGroup() as group,
        ):
            inbox = Inbox(NETWORK, rosters)
            outbox = Outbox(self.transport_keys[at], me, NETWORK, rosters, journal, [end])
            peers = Peers(
                KeySigner(self.keys[at]),
                rosters,
                inbox=inbox,
                outbox=outbox,
                journal=journal,
                transports=[end],
                beat=lambda: {"chains": {}},
                times=FAST,
            )
            running = group.create_task(peers.run())
            try:
                yield Place(self, peers, journal)
            finally:
                running.cancel()


@dataclass
class Place:
    """One running member."""

    committee: Committee
    peers: Peers
    journal: SqliteJournal

    async def observe(self, seq: int = 1) -> IntentRecord:
        found = self.committee.record(self.journal, seq)
        known = await self.journal.observe(A, [found], Cursor(seq + 1, seq))
        return known[0] if known else await self._known(found.intent.id)

    async def _known(self, intent_id: bytes) -> IntentRecord:
        record = await self.journal.intent(intent_id)
        assert record is not None
        return record

    async def decide(self, work: Said, seq: int = 1) -> Outcome:
        record = await self.observe(seq)
        decided = await self.peers.decide(record, self.committee.current, work)
        return decided.run.outcome


def attested(record: IntentRecord, outcome: Outcome) -> Attestation:
    """What the committee's set signs once an outcome is decided."""
    return Attestation(
        intent_id=record.id,
        origin_hub=record.intent.origin_hub,
        status=outcome.status,
        output_hash=outcome.output_hash,
        agent_digest=outcome.agent_digest,
        model_digest=outcome.model_digest,
        evidence_hash=outcome.evidence_hash,
        epoch=7,
        expiry=record.intent.deadline,
    )
