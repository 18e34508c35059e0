"""How a committee agrees on one value: prevote, precommit and locking, once an intent.

This is Tendermint's consensus for a single height (Buchman, Kwon, Milosevic: "The latest gossip on
BFT consensus", arXiv:1807.04938), as a pure state machine: messages and expired timeouts go in,
effects come out. It reads no clock and checks no signature; who runs it hands in what is proven to
be of its sender, and writes an effect's messages to the journal before it sends them.

It differs from the paper in three places:

- A quorum is `votes` of n members, any number over half, and not 2f + 1 of 3f + 1. Two quorums
  share more than f members, and n - f members are a quorum, for f = `faulty`.
- Nothing is gossiped. What another member may lack to come along travels with the message that
  needs it: the prevotes with the proposal that relies on them, the precommits with a decision, and
  those that ended a round with what is sent again (`standing`).
- Whoever sees a quorum of prevotes for a value precommits it, whatever its own check found: models
  differ from run to run, and a quorum has one honest check at least.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum

from vagus.protocol.votes import MAX_ROUND, Ballot, Decision, Members, Message, Proposal, Vote

__all__ = ["Agreement", "Check", "Decided", "Effect", "Propose", "Send", "Step", "Wait"]

# Of rounds further away than this, only who is there is kept: what is sent again is of this one.
_NEAR = 2


class Step(IntEnum):
    """Where a member stands in a round."""

    PROPOSE = 0
    PREVOTE = 1
    PRECOMMIT = 2


_BALLOTS = ((Step.PREVOTE, Ballot.PREVOTE), (Step.PRECOMMIT, Ballot.PRECOMMIT))


@dataclass(frozen=True, slots=True)
class Send:
    """To be journalled, then sent to all; `because` is journalled with it: see `Agreement.restore`."""

    message: Proposal | Vote
    because: tuple[Vote, ...] = ()


@dataclass(frozen=True, slots=True)
class Wait:
    """Call `expired` with this after the step's time, which grows with the round."""

    step: Step
    round: int


@dataclass(frozen=True, slots=True)
class Propose:
    """Call `propose` with a value of one's own for this round."""

    round: int


@dataclass(frozen=True, slots=True)
class Check:
    """Call `checked` once it is known whether the value is right."""

    value: bytes


@dataclass(frozen=True, slots=True)
class Decided:
    """The end: nothing else is ever decided."""

    decision: Decision


Effect = Send | Wait | Propose | Check | Decided


@dataclass(slots=True)
class _Round:
    """What was heard of a round: the first that each member said, which is all that counts."""

    proposal: Proposal | None = None
    votes: dict[Ballot, dict[bytes, Vote]] = field(
        default_factory=lambda: {Ballot.PREVOTE: {}, Ballot.PRECOMMIT: {}}
    )
    # How many have voted for which value.
    tallies: dict[Ballot, dict[bytes | None, int]] = field(
        default_factory=lambda: {Ballot.PREVOTE: {}, Ballot.PRECOMMIT: {}}
    )
    # Timeouts that run: each starts once.
    waits: set[Step] = field(default_factory=set)

    def note(self, vote: Vote) -> bool:
        """Keep a member's vote if it is its first; whether it was."""
        cast, tally = self.votes[vote.ballot], self.tallies[vote.ballot]
        if vote.sender in cast:
            return False
        cast[vote.sender] = vote
        tally[vote.value] = tally.get(vote.value, 0) + 1
        return True

    def count(self, ballot: Ballot, value: bytes | None) -> int:
        return self.tallies[ballot].get(value, 0)

    def quorum(self, ballot: Ballot, votes: int) -> tuple[bytes | None, tuple[Vote, ...]]:
        """Return the one value that as many have voted for, and their votes; None for no such one."""
        for value, count in self.tallies[ballot].items():
            if value is not None and count >= votes:
                cast = self.votes[ballot].values()
                return value, tuple(vote for vote in cast if vote.value == value)
        return None, ()


class Agreement:
    """One member's part in the agreement on one value."""

    def __init__(self, members: Members) -> None:
        self.members = members
        self.round, self.step = -1, Step.PROPOSE
        self.decision: Decision | None = None
        # What this member may vote against only with newer prevotes, and since which round.
        self._locked: bytes | None = None
        self._locked_round = -1
        # The newest value that a quorum has prevoted, the round, and these prevotes.
        self._valid: bytes | None = None
        self._valid_round = -1
        self._proof: tuple[Vote, ...] = ()
        self._rounds: dict[int, _Round] = {}
        # By value, whether it is right; None while that is being found out.
        self._verdicts: dict[bytes, bool | None] = {}
        # By member, the highest round that it was heard of in.
        self._reached: dict[bytes, int] = {}
        # The precommits that ended the round before this one.
        self._ended: tuple[Vote, ...] = ()

    def restore(self, journalled: Iterable[Send]) -> None:
        """Take up, before `start`, all that this member had journalled in earlier lives, oldest first."""
        for sent in journalled:
            message = sent.message
            if message.round > self.round:
                self.round, self.step = message.round, Step.PROPOSE
            self._note(message)
            if isinstance(message, Proposal):
                self._verdicts[message.value] = True
                continue
            self.step = Step(message.ballot)
            if message.ballot is Ballot.PRECOMMIT and message.value is not None:
                self._lock(message.value, sent.because)

    def start(self) -> list[Effect]:
        """Begin, or go on behind what was restored."""
        begun = self._enter(max(self.round, 0)) if self.step is Step.PROPOSE else []
        return begun + self._progress()

    def receive(self, message: Message) -> list[Effect]:
        """Take a message that is proven to be of its sender, as are all votes in it.

        What is of nobody here, of another round's leader or not proven by its votes is dropped.
        """
        if self.decision is not None:
            return []
        if isinstance(message, Decision):
            return self._decide(message) if self._decides(message) else []
        if message.sender not in self.members.leaders or not 0 <= message.round <= MAX_ROUND:
            return []
        further = message.round > self._reached.get(message.sender, -1)
        if further:
            self._reached[message.sender] = message.round
        near = abs(message.round - self.round) <= _NEAR
        # Most of what comes was sent again.
        news = (near and self._note(message)) or further
        return self._progress() if news else []

    def propose(self, round_: int, value: bytes) -> list[Effect]:
        """Lead a round with a value of one's own; too late if its time is over."""
        if self.decision is not None or (round_, Step.PROPOSE) != (self.round, self.step):
            return []
        self._verdicts[value] = True
        return self._lead(Proposal(self.members.me, round_, value)) + self._progress()

    def checked(self, value: bytes, *, right: bool, final: bool = True) -> list[Effect]:
        """Take what was found out of a proposed value; not final: it is asked again in a later round."""
        self._verdicts[value] = right
        effects = self._progress()
        if not final:
            self._verdicts.pop(value, None)
        return effects

    def expired(self, wait: Wait) -> list[Effect]:
        """Take the end of a step's time, which means nothing once the step is over."""
        if self.decision is not None or wait.round != self.round:
            return []
        if wait.step is Step.PRECOMMIT:
            ended = tuple(self._known(self.round).votes[Ballot.PRECOMMIT].values())
            return self._enter(self.round + 1, ended) + self._progress()
        if wait.step is not self.step:
            return []
        return self._vote(Ballot(self.step + 1), None) + self._progress()

    def standing(self) -> tuple[Message, ...]:
        """Return what to send again now and then, since others may have lost it; votes of others too."""
        if self.decision is not None:
            return (self.decision,)
        me, known = self.members.me, self._known(self.round)
        own = [votes[me] for votes in known.votes.values() if me in votes]
        led = known.proposal is not None and known.proposal.sender == me
        before = self._rounds.get(self.round - 1)
        ended = self._ended or tuple(
            [] if before is None else before.votes[Ballot.PRECOMMIT].values()
        )
        # Others may not have the prevotes that this member's precommit rests upon.
        rests = self._proof if self._locked_round == self.round else ()
        return (*ended, *([known.proposal] if known.proposal and led else []), *rests, *own)

    @property
    def held(self) -> frozenset[bytes]:
        """The values that this member may have to propose or to vote for again."""
        kept = {self._locked, self._valid}
        if self.decision is not None:
            kept.add(self.decision.value)
        if (known := self._rounds.get(self.round)) is not None and known.proposal is not None:
            kept.add(known.proposal.value)
        return frozenset(value for value in kept if value is not None)

    # What was heard

    def _known(self, round_: int) -> _Round:
        known = self._rounds.get(round_)
        if known is None:
            known = self._rounds[round_] = _Round()
        return known

    def _note(self, message: Proposal | Vote) -> bool:
        """Keep the first that a member says of each; whether this was it."""
        known = self._known(message.round)
        if isinstance(message, Vote):
            return known.note(message)
        if known.proposal is None and self._leads(message):
            known.proposal = message
            return True
        return False

    def _leads(self, proposal: Proposal) -> bool:
        """Whether it is its round's leader's, and an earlier round's value comes with its prevotes."""
        since = proposal.valid_round
        return proposal.sender == self.members.leader(proposal.round) and (
            since == -1
            or (
                since in range(proposal.round)
                and self.members.proves(proposal.proof, since, Ballot.PREVOTE, proposal.value)
            )
        )

    def _decides(self, decision: Decision) -> bool:
        rounds = {vote.round for vote in decision.proof}
        return len(rounds) == 1 and self.members.proves(
            decision.proof, rounds.pop(), Ballot.PRECOMMIT, decision.value
        )

    # What follows: the paper's rules, until none applies

    def _progress(self) -> list[Effect]:
        effects: list[Effect] = []
        while self.decision is None and self.round >= 0:
            found = self._settled() or self._overtaken() or self._answered() or self._timed()
            if not found:
                break
            effects += found
        return effects

    def _settled(self) -> list[Effect]:
        """Decide what a quorum has precommitted, in whatever round."""
        for known in self._rounds.values():
            value, proof = known.quorum(Ballot.PRECOMMIT, self.members.votes)
            if value is not None:
                return self._decide(Decision(value, proof))
        return []

    def _overtaken(self) -> list[Effect]:
        """Follow to a round where more members are than can be faulty."""
        if max(self._reached.values(), default=-1) <= self.round:
            return []
        faulty = self.members.faulty
        reached = sorted(self._reached.values(), reverse=True)
        if len(reached) <= faulty or reached[faulty] <= self.round:
            return []
        return self._enter(reached[faulty])

    def _answered(self) -> list[Effect]:
        """Vote, where there is something to vote on; None is prevoted in time, and precommitted here."""
        known = self._known(self.round)
        if self._valid_round < self.round:
            value, proof = known.quorum(Ballot.PREVOTE, self.members.votes)
            if value is not None:
                return self._prevoted(value, proof)
        if self.step is Step.PROPOSE and known.proposal is not None:
            return self._considered(known.proposal)
        if self.step is Step.PREVOTE and known.count(Ballot.PREVOTE, None) >= self.members.votes:
            return self._vote(Ballot.PRECOMMIT, None)
        return []

    def _prevoted(self, value: bytes, proof: tuple[Vote, ...]) -> list[Effect]:
        if self.step is Step.PRECOMMIT:
            # Too late to vote for it: but from now on this member proposes nothing else.
            self._valid, self._valid_round, self._proof = value, self.round, proof
            return self._settled() or self._timed()
        # Who is still waiting for a proposal says both: without its prevote others may lack a quorum.
        said = self._vote(Ballot.PREVOTE, value) if self.step is Step.PROPOSE else []
        self._lock(value, proof)
        return said + self._vote(Ballot.PRECOMMIT, value, proof)

    def _considered(self, proposal: Proposal) -> list[Effect]:
        value, since = proposal.value, proposal.valid_round
        if self._locked not in (None, value) and since < self._locked_round:
            return self._vote(Ballot.PREVOTE, None)
        # A quorum of prevotes has an honest check in it.
        if since >= 0 or self._locked == value:
            return self._vote(Ballot.PREVOTE, value)
        if value not in self._verdicts:
            self._verdicts[value] = None
            return [Check(value)]
        if (right := self._verdicts[value]) is None:
            return []
        return self._vote(Ballot.PREVOTE, value if right else None)

    def _timed(self) -> list[Effect]:
        """Start the time in which the last votes of a step may come."""
        known = self._known(self.round)
        for step, ballot in _BALLOTS:
            due = step is Step.PRECOMMIT or self.step is Step.PREVOTE
            full = len(known.votes[ballot]) >= self.members.votes
            if due and full and step not in known.waits:
                known.waits.add(step)
                return [Wait(step, self.round)]
        return []

    # What this member does

    def _enter(self, round_: int, ended: tuple[Vote, ...] = ()) -> list[Effect]:
        if round_ > MAX_ROUND:
            return []
        self.round, self.step, self._ended = round_, Step.PROPOSE, ended
        for old in [known for known in self._rounds if known < round_ - _NEAR]:
            del self._rounds[old]
        effects: list[Effect] = [Wait(Step.PROPOSE, round_)]
        me = self.members.me
        if self.members.leader(round_) != me or self._known(round_).proposal is not None:
            return effects
        if self._valid is None:
            return [*effects, Propose(round_)]
        led = Proposal(me, round_, self._valid, self._valid_round, self._proof)
        return effects + self._lead(led)

    def _lead(self, proposal: Proposal) -> list[Effect]:
        if self._known(proposal.round).proposal is not None:
            return []
        self._note(proposal)
        return [Send(proposal)]

    def _vote(
        self, ballot: Ballot, value: bytes | None, because: tuple[Vote, ...] = ()
    ) -> list[Effect]:
        vote = Vote(self.members.me, self.round, ballot, value)
        self.step = Step(ballot)
        self._note(vote)
        return [Send(vote, because)]

    def _lock(self, value: bytes, proof: tuple[Vote, ...]) -> None:
        """Hold on to what a quorum has prevoted in this round."""
        self._locked = self._valid = value
        self._locked_round = self._valid_round = self.round
        self._proof = proof

    def _decide(self, decision: Decision) -> list[Effect]:
        self.decision = decision
        self._rounds.clear()
        return [Decided(decision)]
