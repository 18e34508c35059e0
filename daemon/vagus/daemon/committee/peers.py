"""The committee of many, as one member runs it: envelopes in, each to whom it concerns; answers out.

Nothing relies on an envelope that comes once. A member sends again what it stands for until the
intent is decided and signed; who is further along answers with the decision and its signature.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import structlog

from vagus.daemon.committee.base import Committee, Decided
from vagus.daemon.committee.checks import read_check
from vagus.daemon.committee.early import Early
from vagus.daemon.committee.gate import Gate
from vagus.daemon.committee.gathering import Gathering
from vagus.daemon.committee.leaders import leaders, most_faulty, rank
from vagus.daemon.committee.members import Members
from vagus.daemon.committee.outbox import Case, Saying
from vagus.daemon.committee.rotations import Rotations
from vagus.daemon.committee.session import Session, Times
from vagus.daemon.committee.standing import agreeing, signing
from vagus.daemon.committee.tally import Tally
from vagus.daemon.journal.records import Stage
from vagus.protocol import (
    Attestation,
    Receipt,
    Refuse,
    Retry,
    canonical,
    keccak256,
    outcome_value,
    verify_quorum,
)
from vagus.protocol.bodies import SignatureBody
from vagus.protocol.envelope import Kind
from vagus.protocol.votes import Members as Voters

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aiohttp import web

    from vagus.daemon.committee.base import Signing, Work
    from vagus.daemon.committee.inbox import Inbox
    from vagus.daemon.committee.outbox import Outbox
    from vagus.daemon.committee.rosters import Rosters
    from vagus.daemon.committee.transport.base import Transport
    from vagus.daemon.journal.base import Journal
    from vagus.daemon.journal.records import IntentRecord
    from vagus.protocol import Json, SignerSet
    from vagus.protocol.envelope import Envelope

__all__ = ["Peers"]

log = structlog.get_logger("vagus.committee")

# How often a member says that it is there, how often it keeps what it heard, and how long it waits at
# first, and at most, until it answers a member about an intent again: all seconds.
_BEAT = 5.0
# So many beats are the last ten minutes.
_LATELY = 120
_KEEP = 1.0
_ANSWER = 0.5
_SELDOM = 8.0

_DECISION, _ATTESTATION, _RECEIPT = 0, 1, 2
# Intents that others speak of and that may be looked up in the journal, at most so many at once.
_RECALLED = 256


@dataclass(slots=True)
class _Intent:
    """What is kept of an intent while this node carries it."""

    session: Session | None = None
    gatherings: dict[int, Gathering] = field(default_factory=dict)
    # What was said for good, to be said again to who has not come as far.
    spoken: dict[int, tuple[Case, list[bytes]]] = field(default_factory=dict)
    # By member, when it may be answered again, and how long it waits after that.
    answers: dict[bytes, tuple[float, float]] = field(default_factory=dict)
    # Before that nobody is answered: who votes a moment after a decision is on the way to it.
    answering: float = 0.0


class Peers(Committee):
    """Decides and signs with the other members of the roster."""

    alone = False

    def __init__(
        self,
        signer: Signing,
        rosters: Rosters,
        *,
        inbox: Inbox,
        outbox: Outbox,
        journal: Journal,
        transports: Sequence[Transport],
        beat: Callable[[], dict[str, Json]],
        routes: Sequence[web.RouteDef] = (),
        times: Times | None = None,
    ) -> None:
        self._signer = signer
        self.address = signer.address
        self.inbox = inbox
        self._outbox = outbox
        self._journal = journal
        self._transports = transports
        self._beat = beat
        self._http = list(routes)
        self._times = times or Times()
        self._rosters = rosters
        self.rotations = Rotations(rosters.signers)
        # What had come at each of the newest beats, the oldest first.
        self._beats = deque([Counter[str]()], maxlen=_LATELY + 1)
        self.tally = Tally()
        others = [each for each in rosters.own.signers if each != self.address]
        self.members = Members(others)
        self._early = Early()
        # Intents that others speak of and this node has not come to since its start.
        self._spoken_of: set[bytes] = set()
        self._intents: dict[bytes, _Intent] = {}
        # What members found of a proposal that came after it was decided: still evidence.
        self._checks: deque[tuple[bytes, bytes, bytes]] = deque(maxlen=1024)
        self.gate = Gate(
            self.address,
            most_faulty(len(others) + 1) + 1,
            rosters=rosters,
            outbox=outbox,
            journal=journal,
            members=self.members,
        )

    def __repr__(self) -> str:
        return f"<Peers 0x{self.address.hex()} of {self._rosters.own.name}>"

    # The committee's contract

    def reach(self, current: SignerSet) -> int:
        """Return of how many of a set's members this node's rosters have the transport key."""
        return len(self._rosters.signers() & {*current.signers})

    async def decide(self, record: IntentRecord, current: SignerSet, work: Work) -> Decided:
        """Agree with the others; see `Committee.decide`."""
        await self.gate.open.wait()
        case = Case(record.id, record.intent.dest_hub, current.epoch)
        order = leaders(record.id, record.block_hash, current.signers)
        minimum = record.intent.min_signers
        votes = max(current.threshold, minimum if minimum <= len(order) else 0)
        voters = Voters(self.address, order, votes)
        session = Session(case, voters, work, self.inbox, self._outbox, self._journal, self._times)
        kept = self._intents.setdefault(record.id, _Intent())
        kept.session = session
        for envelope, frame in self._early.take(record.id):
            self._route(kept, envelope, frame)
        began = time.monotonic()
        decided = await session.decide()
        self._agreed(session, time.monotonic() - began)
        if session.decided is not None:
            kept.spoken[_DECISION] = case, [session.decided]
            kept.answering = time.monotonic() + self._times.again
        return decided

    async def sign(
        self,
        record: IntentRecord,
        message: Attestation | Receipt,
        hub_id: bytes,
        current: SignerSet,
        needed: int,
    ) -> Sequence[bytes]:
        """Sign, say so, and wait for the others' signatures; see `Committee.sign`."""
        await self.gate.open.wait()
        case, digest = Case(record.id, hub_id, current.epoch), message.digest(hub_id)
        kept = self._intents.setdefault(record.id, _Intent())
        if _DECISION not in kept.spoken:
            await self._recall(kept, record.id)
        which = _ATTESTATION if isinstance(message, Attestation) else _RECEIPT
        gathering = kept.gatherings[which] = Gathering(digest, current.signers, needed)
        signature = await self._signer.sign(message, hub_id)
        body = SignatureBody(message, signature).encode()
        frames = await self._outbox.say(
            case,
            [self._outbox.seal(case, Saying(Kind.SIGNATURE, which, digest, body))],
            outcome=outcome_value(message) if isinstance(message, Attestation) else None,
            receipt=_receipt_value(message) if isinstance(message, Receipt) else None,
        )
        kept.spoken[which] = case, frames
        gathering.add(digest, signature)
        for envelope, frame in self._early.take(record.id):
            self._route(kept, envelope, frame)
        pause, began = self._times.again, time.monotonic()
        while not gathering.full.is_set():
            try:
                async with asyncio.timeout(pause):
                    await gathering.full.wait()
            except TimeoutError:
                self._say_again(kept)
                pause = min(pause * 1.5, self._times.slowest)
        self.tally.signing.observe(time.monotonic() - began)
        signatures = gathering.quorum()
        verify_quorum(digest, signatures, current.signers, max(needed, current.threshold))
        return signatures

    def _agreed(self, session: Session, seconds: float) -> None:
        self.tally.agreement.observe(seconds)
        self.tally.rounds.observe(max(session.agreement.round, 0) + 1)
        wrong = sum(not right for right, _ in session.verdicts.values())
        self.tally.disagreements["proposal"] += wrong

    def rank(self, record: IntentRecord, current: SignerSet) -> int:
        """Return how many present members are to send before this one; see `Committee.rank`."""
        order = leaders(record.id, record.block_hash, current.signers)
        return rank(order, record.leader or b"", self.address, self.members.present())

    def ended(self, record: IntentRecord) -> None:
        """Forget an intent: what it came to is on the chains."""
        kept = self._intents.pop(record.id, None)
        if kept is not None and (kept.session or kept.gatherings):
            heard = set(kept.session.heard) if kept.session else set()
            signed = [each.signers for each in kept.gatherings.values()]
            self.members.took_part(heard.union(*signed))
        self._early.take(record.id)

    async def joined(self) -> None:
        """Wait for the gate: what the journal is to be had from others must come first."""
        await self.gate.open.wait()

    def present(self) -> set[bytes]:
        """Return who was heard of lately, and this node."""
        return self.members.present() | {self.address}

    def faults(self) -> dict[str, str]:
        """Return why no quorum can be reached: the gate, and transports that are all away."""
        found: dict[str, str] = {}
        if words := self.gate.words():
            found["committee"] = words
        elif not any(each.connected for each in self._transports):
            away = ", ".join(each.name for each in self._transports)
            found["committee"] = f"nobody can be reached: {away} is away"
        return found

    def view(self) -> dict[str, Any]:
        """Return the committee as this member sees it; see `Committee.view`."""
        return {
            "signer": "0x" + self.address.hex(),
            "waits": self.gate.words(),
            "rosters": ["0x" + each.hex() for each in self._rosters.counting()],
            "envelopes": dict(self.inbox.counts),
            "lately": dict(self.inbox.counts - self._beats[0]),
            "sent": {"envelopes": self._outbox.sent, "bytes": self._outbox.bytes_sent},
            "transports": [
                {
                    "name": each.name,
                    "connected": each.connected,
                    "received": each.traffic.received,
                    "dropped": dict(each.traffic.dropped),
                    "reconnects": each.traffic.reconnects,
                }
                for each in self._transports
            ],
            "members": self.members.view(self._beat(), self._rosters.signers() - {self.address}),
        }

    def routes(self) -> list[web.RouteDef]:
        """Return what transports serve for the other members."""
        return self._http

    def standing(self, record: IntentRecord) -> dict[str, Any] | None:
        """Say where an intent stands; see `Committee.standing`."""
        kept = self._intents.get(record.id)
        if kept is None:
            return None
        for which, what in ((_RECEIPT, "receipt"), (_ATTESTATION, "answer")):
            if gathering := kept.gatherings.get(which):
                return signing(gathering, self.members, self.address, what)
        if kept.session is None:
            return None
        return agreeing(kept.session, self.members, record)

    # Its tasks

    async def run(self) -> None:
        """Serve the wire until cancelled."""
        await self.members.load(self._journal)
        async with asyncio.TaskGroup() as group:
            for transport in self._transports:
                group.create_task(self._receive(transport), name=f"committee {transport.name}")
            group.create_task(self._heartbeats(), name="heartbeats")
            group.create_task(self._remember(), name="what was heard")
            group.create_task(self.gate.run(), name="committee's gate")

    async def _receive(self, transport: Transport) -> None:
        while True:
            self.take(await transport.receive())

    def take(self, frame: bytes) -> None:
        """Take what came from the wire: whatever it is, it raises nothing."""
        try:
            self._take(frame)
        except Exception:
            # One envelope, whoever made it, ends no node.
            self.inbox.counts["defect"] += 1
            log.exception("an envelope was dropped: a defect of this node")

    def _take(self, frame: bytes) -> None:
        envelope = self.inbox.open(frame)
        if envelope is None:
            return
        if envelope.sender == self.address:
            self.inbox.counts["own"] += 1
            return
        self.members.note(envelope, frame)
        match envelope.kind:
            case Kind.HEARTBEAT:
                taken = self.members.beat(envelope)
                self.inbox.counts["late"] += not taken
            case Kind.HELLO:
                self.gate.hello(envelope)
            case Kind.REPORT:
                self.gate.report(envelope)
            case Kind.ROTATION:
                self._approved(envelope)
            case _:
                kept = self._intents.get(envelope.intent)
                if kept is None:
                    self._early.put(envelope, frame)
                    if len(self._spoken_of) < _RECALLED:
                        self._spoken_of.add(envelope.intent)
                else:
                    self._route(kept, envelope, frame)

    def _approved(self, envelope: Envelope) -> None:
        try:
            self.rotations.take(envelope.body)
        except (ValueError, Refuse):
            self.inbox.counts["malformed"] += 1

    def _route(self, kept: _Intent, envelope: Envelope, frame: bytes) -> None:
        """Hand an envelope about an intent to whoever waits for it here."""
        if envelope.kind == Kind.SIGNATURE:
            self._signed(kept, envelope, frame)
            return
        session = kept.session
        if session is None:
            self._answer(kept, envelope.sender)
        elif session.decided is not None:
            if envelope.kind == Kind.CHECK and read_check(envelope.body) is not None:
                self._checks.append((envelope.intent, envelope.sender, frame))
            elif envelope.kind != Kind.DECISION:
                self._answer(kept, envelope.sender)
        elif (envelope.hub, envelope.epoch) == (session.case.hub, session.case.epoch):
            session.receive(envelope, frame)
        else:
            self.inbox.counts["stale"] += 1

    def _signed(self, kept: _Intent, envelope: Envelope, frame: bytes) -> None:
        try:
            body = SignatureBody.decode(envelope.body)
        except ValueError:
            self.inbox.counts["malformed"] += 1
            return
        which = _ATTESTATION if isinstance(body.message, Attestation) else _RECEIPT
        gathering = kept.gatherings.get(which)
        if gathering is None:
            self._early.put(envelope, frame)
            self._answer(kept, envelope.sender)
            return
        if gathering.full.is_set() and envelope.sender in gathering.signers:
            self._answer(kept, envelope.sender)
        elif not gathering.add(body.message.digest(envelope.hub), body.signature):
            self.inbox.counts["other message signed"] += 1
            self.tally.disagreements["message"] += 1

    def _answer(self, kept: _Intent, sender: bytes) -> None:
        """Tell a member that is behind how far this one has come, each time later than before.

        An answer looks like a question: two that are as far would answer each other for ever.
        """
        now = time.monotonic()
        due, pause = kept.answers.get(sender, (kept.answering, _ANSWER))
        if now < due:
            return
        kept.answers[sender] = now + pause, min(2 * pause, _SELDOM)
        self._say_again(kept)

    def _say_again(self, kept: _Intent) -> None:
        for case, frames in kept.spoken.values():
            for frame in frames:
                self._outbox.send(frame, case)

    async def _heartbeats(self) -> None:
        while True:
            self._outbox.tell(Kind.HEARTBEAT, canonical(self._beat()))
            if (body := self.rotations.next()) is not None:
                self._outbox.tell(Kind.ROTATION, body)
            await self._rosters.complete(self.rotations, self._journal)
            await asyncio.sleep(_BEAT)
            self._beats.append(self.inbox.counts.copy())

    async def _remember(self) -> None:
        while True:
            await asyncio.sleep(_KEEP)
            try:
                await self._catch_up()
            except Retry as error:
                # What is kept here is for others' sake: a full disk is said by whoever must write.
                log.debug("not kept yet", reason=error.reason)

    async def _catch_up(self) -> None:
        """Keep what was heard, and look up intents that others still speak of."""
        await self.members.keep(self._journal)
        while self._checks:
            await self._journal.keep_check(*self._checks.popleft())
        while self._spoken_of:
            intent = self._spoken_of.pop()
            record = await self._journal.intent(intent)
            if record is None or record.stage.ended or record.stage < Stage.EXECUTED:
                continue
            if intent not in self._intents:
                kept = _Intent()
                await self._recall(kept, intent)
                self._intents.setdefault(intent, kept)

    async def _recall(self, kept: _Intent, intent: bytes) -> None:
        """Take up from the journal what this member has decided and signed, to say it to who is behind."""
        for row in await self._journal.said(intent):
            case = Case(intent, row.hub, row.epoch)
            if row.kind == Kind.DECISION:
                kept.spoken[_DECISION] = case, [row.envelope]
            elif row.kind == Kind.SIGNATURE:
                kept.spoken[row.round] = case, [row.envelope]


def _receipt_value(receipt: Receipt) -> bytes:
    """Return what a member signs once an intent, whatever the epoch: status, fee and payouts."""
    fields = receipt.status.to_bytes(8, "big") + receipt.fee.to_bytes(32, "big")
    return keccak256(fields + receipt.payouts_hash)
