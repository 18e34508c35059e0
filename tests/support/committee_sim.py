"""Committees of 4 to 7 in one process, over a network that a seed makes bad, some of them liars.

Until its calm the network drops, doubles and delays, and members crash: what they had not
journalled is gone then. Afterwards everything arrives. A liar says what it likes to whom it likes,
but can't speak in another's name.
"""

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from vagus.protocol.agreement import Agreement, Check, Decided, Effect, Propose, Send, Wait
from vagus.protocol.votes import Ballot, Decision, Members, Message, Proposal, Vote

__all__ = ["Outcome", "simulate"]

# Of n members, the votes that are a quorum, and how many liars it stands.
SIZES = ((4, 3, 1), (5, 4, 1), (6, 4, 1), (6, 5, 1), (7, 5, 1), (7, 5, 2))
CALM, END = 40.0, 4_000.0
# In the sim's seconds: a step's time in round 0, and how much each further round adds.
STEP, MORE, RESEND = 1.0, 0.5, 3.0


@dataclass
class Outcome:
    """How one run ended: what each honest member decided, and how it came there."""

    decided: dict[bytes, bytes]
    honest: int
    rounds: int
    crashes: int
    seconds: float


@dataclass
class _Member:
    machine: Agreement
    journal: list[Send] = field(default_factory=list)
    decision: Decision | None = None
    # Effects of a life that is over come to nothing.
    life: int = 0


class _Run:
    def __init__(self, random: Random, make: Callable[[Members], Agreement]) -> None:
        self.random, self.make = random, make
        size, votes, liars = random.choice(SIZES)
        self.names = [bytes([at + 1]) * 20 for at in range(size)]
        self.leaders = tuple(random.sample(self.names, size))
        self.votes = votes
        self.liars = random.sample(self.names, random.randint(0, liars))
        self.honest = {n: _Member(self._machine(n)) for n in self.names if n not in self.liars}
        # Values of 32 bytes: those that begin with 1 are right.
        self.values = [bytes([kind]) + random.randbytes(31) for kind in (0, 0, 1, 1)]
        # How many of the honest have not decided yet, and all votes that were heard.
        self.open = len(self.honest)
        self.said: list[Vote] = []
        self.now, self.crashes = 0.0, 0
        self.loss, self.delay = random.choice((0, 0, 0.1, 0.3)), random.choice((0.1, 0.3, 1))
        # How many of the links are cut at a time, and how often a member dies as it speaks.
        self.cut, self.death = random.choice((0, 0, 0.2, 0.5)), random.choice((0, 0.02, 0.2))
        self.links: set[tuple[bytes, bytes]] = set()
        # Whom nobody hears until the calm: what it decides first, the others must not contradict.
        self.mute = random.choice([None, *self.honest])
        self.queue: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self.order = itertools.count()

    def _machine(self, name: bytes) -> Agreement:
        return self.make(Members(name, self.leaders, self.votes))

    def at(self, delay: float, call: Callable[..., None], *given: Any) -> None:
        heapq.heappush(self.queue, (self.now + delay, next(self.order), call, given))

    def run(self) -> Outcome:
        for name, member in self.honest.items():
            self.at(self.random.uniform(0, 1), self.begin, name, member.life)
            self.at(self.random.uniform(0, RESEND), self.resend, name)
            for _ in range(self.random.choice((0, 0, 1, 2))):
                self.at(self.random.uniform(0, CALM), self.crash, name)
        for name in self.liars:
            self.at(self.random.uniform(0, 2), self.lie, name)
        self.at(0, self.weather)
        while self.queue and self.open:
            self.now, _, call, given = heapq.heappop(self.queue)
            if self.now > END:
                break
            call(*given)
        decided = {n: m.decision.value for n, m in self.honest.items() if m.decision}
        rounds = max(member.machine.round for member in self.honest.values())
        return Outcome(decided, len(self.honest), rounds, self.crashes, self.now)

    # The honest

    def begin(self, name: bytes, life: int) -> None:
        member = self.honest[name]
        if member.life == life and member.decision is None:
            self.follow(name, member.machine.start())

    def follow(self, name: bytes, effects: list[Effect]) -> None:
        member = self.honest[name]
        for effect in effects:
            match effect:
                case Send(message):
                    if self.dies():
                        return self.crash(name)
                    member.journal.append(effect)
                    if isinstance(message, Vote):
                        self.said.append(message)
                    if self.dies():
                        return self.crash(name)
                    self.tell(name, message)
                case Wait(_, round_):
                    self.at(STEP + MORE * round_, self.call, name, member.life, "expired", effect)
                case Propose(round_):
                    value = self.random.choice([v for v in self.values if v[0]])
                    self.at(self.takes(), self.call, name, member.life, "propose", round_, value)
                case Check(value):
                    self.at(self.takes(), self.check, name, member.life, value)
                case Decided(decision):
                    self.open -= member.decision is None
                    member.decision = decision
        return None

    def call(self, name: bytes, life: int, event: str, *given: Any) -> None:
        member = self.honest[name]
        if member.life == life:
            self.follow(name, getattr(member.machine, event)(*given))

    def check(self, name: bytes, life: int, value: bytes) -> None:
        member = self.honest[name]
        if member.life == life:
            self.follow(name, member.machine.checked(value, right=value[0] == 1))

    def crash(self, name: bytes) -> None:
        member = self.honest[name]
        member.life += 1
        self.crashes += 1
        if member.decision is None:
            member.machine = self._machine(name)
            member.machine.restore(member.journal)
            self.at(self.random.choice((0.1, 2, 10)), self.begin, name, member.life)

    def resend(self, name: bytes) -> None:
        member = self.honest[name]
        if member.machine.round >= 0 or member.decision:
            for message in member.machine.standing():
                self.tell(name, message)
        self.at(RESEND, self.resend, name)

    def dies(self) -> bool:
        return self.now < CALM and self.random.random() < self.death

    def takes(self) -> float:
        return self.random.uniform(0, STEP if self.now >= CALM else 1.3 * STEP)

    # The network

    def weather(self) -> None:
        """Cut other links, one way each, until the calm."""
        pairs = itertools.permutations(self.honest, 2)
        calm = self.now >= CALM
        self.links = set() if calm else {p for p in pairs if self.random.random() < self.cut}
        if not calm:
            self.at(self.random.uniform(2, 15), self.weather)

    def tell(self, sender: bytes, message: Message) -> None:
        for name in self.honest:
            heard = sender != self.mute or self.now >= CALM
            if name != sender and heard and (sender, name) not in self.links:
                self.send(name, message)

    def send(self, name: bytes, message: Message) -> None:
        calm = self.now >= CALM
        for _ in range(1 if calm or self.random.random() > 0.1 else 2):
            if calm or self.random.random() >= self.loss:
                late = self.random.uniform(0.01, 0.3 if calm else self.delay)
                self.at(late, self.receive, name, message)

    def receive(self, name: bytes, message: Message) -> None:
        member = self.honest[name]
        # Who has not begun hears nothing.
        if member.machine.round >= 0:
            self.follow(name, member.machine.receive(message))

    # The liars

    def lie(self, name: bytes) -> None:
        for to in self.honest:
            if self.random.random() < 0.6:
                for message in self.flatters(name, to):
                    self.at(0.01, self.receive, to, message)
            elif self.random.random() < 0.3:
                self.send(to, self.lies(name))
        self.at(self.random.uniform(0.2, 1), self.lie, name)

    def flatters(self, name: bytes, to: bytes) -> list[Message]:
        """What brings the mute member to a decision first, and the others to another one after it."""
        machine, random = self.honest[to].machine, self.random
        round_ = max(machine.round, 0)
        found: list[Message] = []
        value: bytes | None
        cast = [v for v in self.said if v.round == round_ and v.value is not None]
        if name == self.leaders[round_ % len(self.leaders)]:
            value = random.choice(self.values)
            since = random.choice((-1, round_ - 1))
            proof = tuple(Vote(each, since, Ballot.PREVOTE, value) for each in self.liars)
            found.append(Proposal(name, round_, value, since, proof))
        elif cast:
            value = random.choice(cast).value
        else:
            value = None
        behind = self.mute in (None, to) or self.honest[self.mute].decision is not None
        last = value if behind else None
        return [
            *found,
            Vote(name, round_, Ballot.PREVOTE, value),
            Vote(name, round_, Ballot.PRECOMMIT, last),
        ]

    def lies(self, name: bytes) -> Message:
        random = self.random
        rounds = [max(member.machine.round, 0) for member in self.honest.values()]
        round_ = max(0, random.choice(rounds) + random.choice((-1, 0, 0, 0, 0, 1, 1, 5, 900)))
        value = random.choice([*self.values, None])
        kind = random.random()
        if kind < 0.75:
            vote = Vote(name, round_, random.choice(tuple(Ballot)), value)
            if value is not None:
                self.said.append(vote)
            return vote
        value = value or random.choice(self.values)
        # What it has heard, as if it were a quorum: at times it is.
        earlier = random.choice([-1, max(-1, round_ - 1), random.randint(-1, round_)])
        ballot = Ballot.PREVOTE if kind < 0.95 else Ballot.PRECOMMIT
        heard = [v for v in self.said if (v.ballot, v.value) == (ballot, value)]
        own = [Vote(liar, earlier, ballot, value) for liar in self.liars]
        if kind < 0.95:
            proof = tuple([v for v in heard if v.round == earlier] + own)
            return Proposal(name, round_, value, earlier, proof)
        return Decision(value, tuple([v for v in heard if v.round == round_] + own[:1]))


def simulate(seed: int, make: Callable[[Members], Agreement] = Agreement) -> Outcome:
    """Run one committee to its end; the same seed gives the same run."""
    return _Run(Random(seed), make).run()
