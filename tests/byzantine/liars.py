"""A node that lies: our own, with one thing replaced, as `BYZANTINE` in its environment names it.

    BYZANTINE="withholds" PYTHONPATH=tests python -m byzantine.liars run --config vagus.toml

Each time that it does what an honest one does not, its log has a line `byzantine`.
"""

import asyncio
import os
import random
import signal
from collections import deque
from typing import Any

import structlog
from coincurve import PrivateKey

from vagus.agents.modes import Verdict
from vagus.daemon.cli import main
from vagus.daemon.committee.outbox import Case, Outbox, Saying
from vagus.daemon.committee.peers import Peers
from vagus.daemon.committee.session import Session
from vagus.daemon.config import SignerConfig
from vagus.daemon.pipeline import Pipeline
from vagus.daemon.work import IntentWork
from vagus.protocol import Attestation, Outcome, Receipt, sign
from vagus.protocol.agreement import Agreement, Effect
from vagus.protocol.bodies import ProposalBody, SignatureBody, VoteBody
from vagus.protocol.envelope import DURABLE, Envelope, Kind
from vagus.protocol.votes import Ballot, Proposal

log = structlog.get_logger("byzantine")

# Rounds for which a liar votes beforehand.
ROUNDS = 4
# By the intent: what is never said of it.
WITHHELD = (
    frozenset(Kind) - {Kind.HEARTBEAT, Kind.HELLO, Kind.REPORT},
    {Kind.PROPOSAL, Kind.PREVOTE, Kind.PRECOMMIT, Kind.DECISION},
    {Kind.PRECOMMIT, Kind.DECISION},
    {Kind.SIGNATURE, Kind.DECISION},
)


def lies() -> None:
    """Vote for and sign its own answer, whatever the others say; its model makes it a wrong one."""
    attempted = Session._attempted

    async def told(self: Session, run: Any) -> None:
        await attempted(self, run)
        _shout(self, run.outcome)

    async def never(self: Peers, *_: Any) -> Any:
        await asyncio.Event().wait()

    Session._attempted = told
    Peers.sign = never


def signs_everything() -> None:
    """Find everything right, vote for every value in every round, and sign whatever anyone signs.

    Of two answers it proposes both, a wrong one and a right one.
    """
    attempt, take = Session._attempt, Peers.take

    async def twice(self: Session) -> None:
        other = await self._work.attempt()
        await attempt(self)
        _shout(self, other.outcome)

    async def right(self: IntentWork, *_: Any) -> Verdict:
        _did("found right")
        return Verdict(True, "why not", {})

    def taken(self: Peers, frame: bytes) -> None:
        take(self, frame)
        envelope = self.inbox.open(frame)
        if envelope is not None and envelope.sender != self.address:
            _echo(self, envelope)

    Session._attempt = twice
    IntentWork.check = right
    Peers.take = taken


def withholds() -> None:
    """Say some of what it should not at all, and carry out no transaction when it is its turn."""
    send = Outbox.send

    def held(self: Outbox, frame: bytes, case: Case) -> None:
        if any(case.intent) and frame[1] in WITHHELD[case.intent[0] % len(WITHHELD)]:
            _did("withheld")
            return
        send(self, frame, case)

    async def idle(self: Pipeline, record: Any) -> None:
        _did("left undelivered")
        await asyncio.Event().wait()

    Outbox.send = held
    Pipeline._deliver = idle


def replays() -> None:
    """Send what others have said, and itself, again and again, as its own messages and as theirs."""
    run, take = Peers.run, Peers.take
    heard: deque[tuple[bytes, Case]] = deque(maxlen=20_000)
    dice = random.Random(1)

    def kept(self: Peers, frame: bytes) -> None:
        if envelope := self.inbox.open(frame):
            heard.append((frame, Case(envelope.intent, envelope.hub, envelope.epoch)))
        take(self, frame)

    async def repeated(self: Peers) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(run(self), name="peers")
            while True:
                await asyncio.sleep(0.1)
                for frame, case in dice.sample(heard, min(5, len(heard))):
                    _did("replayed")
                    self._outbox.send(frame, case)
                    envelope = self.inbox.open(frame)
                    if envelope is not None and envelope.kind in DURABLE:
                        # The same words in another's mouth.
                        _raw(self._outbox, envelope.kind, case, envelope.body)

    Peers.take = kept
    Peers.run = repeated


def signs_before_lock() -> None:
    """Precommit whatever is proposed: the bug that the judge has to find, and no lie."""

    def considered(self: Agreement, proposal: Proposal) -> list[Effect]:
        _did("precommitted before a quorum had prevoted")
        self._lock(proposal.value, ())
        return [
            *self._vote(Ballot.PREVOTE, proposal.value),
            *self._vote(Ballot.PRECOMMIT, proposal.value),
        ]

    Agreement._considered = considered


def dies(kind: str, moment: str) -> None:
    """End as by `kill -9` where it leads and says this: once that is journalled, or once it is sent."""
    wanted, say, sign_ = Kind[kind], Outbox.say, Peers.sign
    leads: set[bytes] = set()
    act, attempted = Session._act, Session._attempted

    def note(session: Session) -> None:
        if session.members.leader(max(session.agreement.round, 0)) == session.members.me:
            leads.add(session.case.intent)

    async def told(self: Session, run: Any) -> None:
        note(self)
        await attempted(self, run)

    async def acted(self: Session, *given: Any) -> None:
        note(self)
        await act(self, *given)

    async def signed(self: Peers, record: Any, *given: Any) -> Any:
        if record.leader == self.address:
            leads.add(record.id)
        return await sign_(self, record, *given)

    async def said(self: Outbox, case: Case, words: Any, **pledges: Any) -> list[bytes]:
        hit = case.intent in leads and any(each.kind == wanted for each in words)
        if hit and moment == "journalled":
            await self._journal.say(case.intent, case.hub, case.epoch, words, **pledges)
            _die(kind, moment)
        frames = await say(self, case, words, **pledges)
        if hit:
            # So that the broker has it.
            asyncio.get_running_loop().call_later(0.1, _die, kind, moment)
        return frames

    Session._attempted = told
    Session._act = acted
    Peers.sign = signed
    Outbox.say = said


BEHAVIOURS = {
    "lies": lies,
    "signs everything": signs_everything,
    "withholds": withholds,
    "replays": replays,
    "signs before lock": signs_before_lock,
    "dies": dies,
}


def _die(kind: str, moment: str) -> None:
    _did(f"died as {kind} was {moment}")
    os.kill(os.getpid(), signal.SIGKILL)


def _did(what: str) -> None:
    log.warning("byzantine", did=what)


def _raw(outbox: Outbox, kind: Kind, case: Case, body: bytes) -> None:
    """Say something without writing it down."""
    outbox.send(outbox.seal(case, Saying(kind, 0, b"", body)).envelope, case)


def _shout(session: Session, outcome: Outcome) -> None:
    """Propose, vote for and sign an outcome, round after round, before anybody asks."""
    _did("shouted")
    outbox, case, value = session._outbox, session.case, outcome.value
    for round_ in range(ROUNDS):
        if session.members.leader(round_) == session.members.me:
            commits = tuple(session._votes.commits.values())
            proposal = ProposalBody(round_, -1, (), commits, outcome)
            _raw(outbox, Kind.PROPOSAL, case, proposal.encode())
        for kind in (Kind.PREVOTE, Kind.PRECOMMIT):
            _raw(outbox, kind, case, VoteBody(round_, value).encode())
    intent = session._work._record.intent
    _sign(
        session._outbox,
        case,
        Attestation(
            intent_id=case.intent,
            origin_hub=intent.origin_hub,
            status=outcome.status,
            output_hash=outcome.output_hash,
            agent_digest=outcome.agent_digest,
            model_digest=outcome.model_digest,
            evidence_hash=outcome.evidence_hash,
            epoch=case.epoch,
            expiry=intent.deadline,
        ),
    )


def _sign(outbox: Outbox, case: Case, message: Attestation | Receipt) -> None:
    signature = sign(message.digest(case.hub), _KEYS[0])
    _raw(outbox, Kind.SIGNATURE, case, SignatureBody(message, signature).encode())


def _echo(peers: Peers, envelope: Envelope) -> None:
    """Agree with what a member said, whatever it is, once."""
    case = Case(envelope.intent, envelope.hub, envelope.epoch)
    key = (envelope.intent, envelope.kind, envelope.body)
    if key in _ECHOED:
        return
    try:
        if envelope.kind == Kind.SIGNATURE:
            _ECHOED.add(key)
            _did("signed for another")
            _sign(peers._outbox, case, SignatureBody.decode(envelope.body).message)
        elif envelope.kind == Kind.PROPOSAL:
            _ECHOED.add(key)
            proposal = ProposalBody.decode(envelope.body)
            vote = VoteBody(proposal.round, proposal.outcome.value).encode()
            for kind in (Kind.PREVOTE, Kind.PRECOMMIT):
                _did("voted for another")
                _raw(peers._outbox, kind, case, vote)
    except ValueError:
        pass  # a liar's own words, which say nothing


_ECHOED: set[tuple[bytes, Kind, bytes]] = set()
# The committee key as it is, without the policy that keeps it from signing two things.
_KEYS: list[PrivateKey] = []


def _keep_key() -> None:
    opened = SignerConfig.open_signer

    def kept(self: SignerConfig) -> Any:
        _KEYS.append(self.open())
        return opened(self)

    SignerConfig.open_signer = kept


if __name__ == "__main__":
    name, *details = os.environ["BYZANTINE"].split(":")
    _keep_key()
    BEHAVIOURS[name](*details)
    main()
