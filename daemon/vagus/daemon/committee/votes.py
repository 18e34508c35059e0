"""The votes of one intent, between the agreement's messages and the envelopes that carry them.

The agreement is told only what is proven to be of its sender: so is each vote inside of a proposal
or a decision. What is kept is bounded: a member has two different votes of a kind in a round at
most, the second of which shows that it lies; of each round there is one proposal; of rounds far from
the agreement's own nothing is kept.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from vagus.daemon.committee.outbox import Saying
from vagus.protocol.agreement import Send
from vagus.protocol.bodies import DecisionBody, ProposalBody, VoteBody
from vagus.protocol.envelope import Envelope, Kind, open_envelope
from vagus.protocol.reader import Reader, listed
from vagus.protocol.votes import Ballot, Decision, Proposal, Vote

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vagus.daemon.committee.inbox import Inbox
    from vagus.daemon.committee.outbox import Case
    from vagus.daemon.journal.records import SaidRow
    from vagus.protocol import Outcome
    from vagus.protocol.votes import Members, Message

__all__ = ["Votes"]

_BALLOTS = {Kind.PREVOTE: Ballot.PREVOTE, Kind.PRECOMMIT: Ballot.PRECOMMIT}
_KINDS = {ballot: kind for kind, ballot in _BALLOTS.items()}
# Rounds whose envelopes are kept around the agreement's own: it looks at no others.
_NEAR = 2


class Votes:
    """Reads and writes the envelopes of one intent's agreement."""

    def __init__(self, case: Case, members: Members, inbox: Inbox) -> None:
        self._case = case
        self._members = members
        self._inbox = inbox
        self._seen: Counter[tuple[bytes, int, Ballot]] = Counter()
        self._proposed: dict[int, Proposal] = {}
        self.round = 0
        """The round that the agreement is in."""
        self.held: frozenset[bytes] = frozenset()
        """Values whose outcomes are kept whatever comes."""
        self.frames: dict[Message, bytes] = {}
        """The envelope of each message that was heard or said."""
        self.outcomes: dict[bytes, Outcome] = {}
        """The outcomes that were proposed or are this member's own, by their value."""
        self.commits: dict[bytes, bytes] = {}
        """By member, the envelope of its commitment to its own result."""

    # From the wire

    def read(self, envelope: Envelope, frame: bytes) -> Message | None:
        """Return an envelope's message for the agreement; None for what is none or is wrong."""
        try:
            match envelope.kind:
                case Kind.PREVOTE | Kind.PRECOMMIT:
                    return self._cast(envelope, frame)
                case Kind.PROPOSAL:
                    return self._proposal(envelope, frame)
                case Kind.DECISION:
                    return self._decision(envelope)
                case Kind.COMMIT:
                    if len(envelope.body) == 32 and envelope.sender in self._members.leaders:
                        self.commits.setdefault(envelope.sender, frame)
                case _:
                    pass
        except ValueError:
            self._inbox.counts["malformed"] += 1
        return None

    def _cast(self, envelope: Envelope, frame: bytes) -> Vote | None:
        """Return a vote that came by itself; None for the third different one of its kind and round."""
        vote = _vote_of(envelope)
        key = (vote.sender, vote.round, vote.ballot)
        if vote not in self.frames and abs(vote.round - self.round) <= _NEAR:
            if self._seen[key] == 2:
                return None
            self._seen[key] += 1
            self.frames[vote] = frame
        return vote

    def _proposal(self, envelope: Envelope, frame: bytes) -> Proposal | None:
        body = ProposalBody.decode(envelope.body)
        if envelope.sender != self._members.leader(body.round):
            raise ValueError("another member leads that round")
        if abs(body.round - self.round) > _NEAR:
            return None
        value = body.outcome.value
        proof = self._votes_of(body.proof, Kind.PREVOTE)
        votes = tuple(vote for vote, _ in proof)
        proposal = Proposal(envelope.sender, body.round, value, body.valid_round, votes)
        if self._proposed.setdefault(body.round, proposal) != proposal:
            return None
        for commit in body.commits:
            if inner := self._inner(commit, Kind.COMMIT):
                self.read(inner, commit)
        self._prune()
        self.frames.update(proof)
        self.frames[proposal] = frame
        self.keep(body.outcome)
        return proposal

    def _decision(self, envelope: Envelope) -> Decision | None:
        body = DecisionBody.decode(envelope.body)
        proof = self._votes_of(body.proof, Kind.PRECOMMIT)
        votes = tuple(vote for vote, _ in proof)
        rounds = {vote.round for vote in votes}
        value = body.outcome.value
        if len(rounds) != 1 or not self._members.proves(
            votes, rounds.pop(), Ballot.PRECOMMIT, value
        ):
            raise ValueError("it is not proven by a quorum of one round's precommits")
        self.frames.update(proof)
        self.hold(body.outcome)
        return Decision(value, votes)

    def _votes_of(self, frames: Iterable[bytes], kind: Kind) -> list[tuple[Vote, bytes]]:
        """Return the votes of a proof with their envelopes; whether they are enough, is counted later."""
        inner = [(self._inner(frame, kind), frame) for frame in frames]
        return [(_vote_of(envelope), frame) for envelope, frame in inner if envelope]

    def _inner(self, frame: bytes, kind: Kind) -> Envelope | None:
        """Return an envelope that came inside of another, if it is of this case and a member's."""
        envelope = self._inbox.open(frame)
        if envelope is None or envelope.kind != kind:
            return None
        about = (envelope.intent, envelope.hub, envelope.epoch)
        return envelope if about == (self._case.intent, self._case.hub, self._case.epoch) else None

    def keep(self, outcome: Outcome) -> None:
        """Keep an outcome's documents, until its round is over and nobody here holds on to it."""
        self.outcomes[outcome.value] = outcome

    def hold(self, outcome: Outcome) -> None:
        """Keep an outcome's documents whatever comes."""
        self.keep(outcome)
        self.held |= {outcome.value}

    def _prune(self) -> None:
        """Let go of the proposals of rounds that are over."""
        for old in [each for each in self._proposed if each < self.round - _NEAR]:
            proposal = self._proposed.pop(old)
            wanted = self.held | {each.value for each in self._proposed.values()}
            if proposal.value not in wanted:
                self.frames.pop(proposal, None)
                self.outcomes.pop(proposal.value, None)

    def voted(self) -> list[bytes]:
        """Return the envelopes of the newest proposals that this member has voted for.

        Others may have the votes and not the documents, which the leader alone sent them.
        """
        me = self._members.me
        mine = {each.value for each in self.frames if isinstance(each, Vote) and each.sender == me}
        found = [each for each in self._proposed.values() if each.value in mine]
        return [self.frames[each] for each in found[-2:] if each in self.frames]

    def commitment(self, member: bytes) -> bytes | None:
        """Return the hash that a member has committed to; None while it is not known."""
        frame = self.commits.get(member)
        envelope = None if frame is None else self._inbox.open(frame)
        return None if envelope is None else envelope.body

    def own(self) -> list[Proposal | Vote]:
        """Return what this member has said, the newest last."""
        me = self._members.me
        return [
            each for each in self.frames if not isinstance(each, Decision) and each.sender == me
        ][-4:]

    # To the wire

    def saying(self, send: Send) -> Saying:
        """Return what this member says of its own message, with what it may need after a restart."""
        message = send.message
        if isinstance(message, Vote):
            body = VoteBody(message.round, message.value).encode()
            because = listed(tuple(self.frames[vote] for vote in send.because))
            return Saying(
                _KINDS[message.ballot], message.round, message.value or b"", body, because
            )
        body = ProposalBody(
            message.round,
            message.valid_round,
            tuple(self.frames[vote] for vote in message.proof),
            tuple(self.commits.values()),
            self.outcomes[message.value],
        ).encode()
        return Saying(Kind.PROPOSAL, message.round, message.value, body)

    def decision(self, decision: Decision) -> bytes:
        """Return the body that hands a decision on."""
        proof = tuple(self.frames[vote] for vote in decision.proof)
        return DecisionBody(proof, self.outcomes[decision.value]).encode()

    # From the journal

    def restore(self, rows: Iterable[SaidRow]) -> list[Send]:
        """Return what this member said in earlier lives, for the agreement.

        The journal is trusted, whatever roster counts by now: a vote forgotten is a lock forgotten.
        """
        sends: list[Send] = []
        for row in rows:
            envelope, _ = open_envelope(row.envelope)
            if envelope.kind == Kind.PROPOSAL:
                body = ProposalBody.decode(envelope.body)
                self.keep(body.outcome)
                proof = self._votes_of(body.proof, Kind.PREVOTE)
                votes = tuple(vote for vote, _ in proof)
                value, since = body.outcome.value, body.valid_round
                proposal = Proposal(envelope.sender, body.round, value, since, votes)
                self._proposed[body.round] = proposal
                self.frames.update(proof)
                self.frames[proposal] = row.envelope
                sends.append(Send(proposal))
            elif envelope.kind in _BALLOTS:
                vote = _vote_of(envelope)
                frames = Reader(row.private).list(32) if row.private else ()
                proof = self._votes_of(frames, Kind.PREVOTE)
                self.frames.update(proof)
                self.frames[vote] = row.envelope
                sends.append(Send(vote, tuple(each for each, _ in proof)))
        return sends


def _vote_of(envelope: Envelope) -> Vote:
    body = VoteBody.decode(envelope.body)
    return Vote(envelope.sender, body.round, _BALLOTS[envelope.kind], body.value)
