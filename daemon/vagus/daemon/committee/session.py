"""One intent's agreement, as a member runs it: its own run, its votes, and what it hears.

`vagus.protocol.agreement` says what follows from what; here are its clock, its journal and its wire.
One task handles one event after the other, so that nothing is said before what leads to it is
journalled, and a restart goes on from the journal: what was said is said again, in the same bytes.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from vagus.agents.modes import Verdict
from vagus.daemon.committee.base import Decided
from vagus.daemon.committee.checks import check_body, commitment, opening, read_check
from vagus.daemon.committee.early import ROOM
from vagus.daemon.committee.outbox import Saying
from vagus.daemon.committee.revealing import Revealing
from vagus.daemon.committee.votes import Votes
from vagus.protocol import Outcome, Refuse, Retry
from vagus.protocol.agreement import Agreement, Check, Propose, Send, Step, Wait
from vagus.protocol.agreement import Decided as Ended
from vagus.protocol.envelope import Kind
from vagus.protocol.votes import Proposal

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from typing import Any

    from vagus.daemon.committee.base import Work
    from vagus.daemon.committee.inbox import Inbox
    from vagus.daemon.committee.outbox import Case, Outbox
    from vagus.daemon.execute import Run
    from vagus.daemon.journal.base import Journal
    from vagus.protocol.agreement import Effect
    from vagus.protocol.envelope import Envelope
    from vagus.protocol.votes import Members

__all__ = ["Session", "Times"]

# Seconds until a run is tried again, at most, unless what failed asks for more; doubled each time.
LONGEST = 30.0


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds that a member waits; docs/committee.md derives them.

    `leader` is how long a round's leader may take where nobody else runs the agent; else each waits
    as long as its own run took, and `least` at least. `vote` is for the last votes of a step, and
    `more` is added a round. What may be lost is sent again after `again` seconds, then less often.
    """

    leader: float = 30.0
    least: float = 3.0
    vote: float = 1.0
    more: float = 0.5
    again: float = 2.0
    slowest: float = 10.0


class Session:
    """A member's part in one intent, until it is decided; afterwards what it tells others of it."""

    def __init__(
        self,
        case: Case,
        members: Members,
        work: Work,
        inbox: Inbox,
        outbox: Outbox,
        journal: Journal,
        times: Times,
    ) -> None:
        self.case = case
        self.members = members
        self.agreement = Agreement(members)
        self.waiting = ""
        """Why this member has no result of its own yet, in words."""
        self.verdicts: dict[bytes, tuple[bool, str]] = {}
        """By member, what it found of a leader's proposal, and why, as far as it said so."""
        self.heard: dict[bytes, Kind] = {}
        """By member, the kind of what it said last."""
        self.own: Run | None = None
        self.said: Kind | None = None
        """The kind of what this member said last."""
        self._work = work
        self._votes = Votes(case, members, inbox)
        self._revealing = Revealing(work, case, members, self._votes, outbox)
        self._inbox = inbox
        self._outbox = outbox
        self._journal = journal
        self._times = times
        self._events: asyncio.Queue[Callable[[], Coroutine[Any, Any, None]]] = asyncio.Queue()
        # By member, the bytes of its envelopes that wait to be handled.
        self._waiting: Counter[bytes] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timers: set[asyncio.TimerHandle] = set()
        self._repeating: asyncio.TimerHandle | None = None
        self._propose_in: int | None = None
        self._ran = 0.0
        self._salt = b""
        self._pledged: bytes | None = None
        self.decided: bytes | None = None
        """The decision's envelope, for those who have not seen it."""
        self._found = 0
        self._running = False
        self._hurried = False
        # Proposals of a value whose documents this member has not got yet.
        self._owed: list[Send] = []
        # What this member stands for beside its votes, sent again with them.
        self._beside: list[bytes] = []

    # For whoever owns it

    async def decide(self) -> Decided:
        """Take part until the intent is decided. Raises what is wrong with this node itself."""
        try:
            await self._restore()
            self._again(self._times.again)
            while self._outcome is None:
                handle = await self._events.get()
                await handle()
        finally:
            for timer in self._timers:
                timer.cancel()
            for task in self._tasks:
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks)
        outcome = self._outcome
        await self._keep_decision()
        own = self.own is not None and self.own.outcome.value == outcome.value
        run = self.own if own and self.own else self._work.read(outcome)
        return Decided(run, self._work.executor(outcome))

    def receive(self, envelope: Envelope, frame: bytes) -> None:
        """Take an envelope of another member about this intent; dropped where too much of it waits."""
        if self._waiting[envelope.sender] + len(frame) > ROOM:
            self._inbox.counts["too much"] += 1
            return
        self._waiting[envelope.sender] += len(frame)
        self._events.put_nowait(partial(self._received, envelope, frame))

    @property
    def _uncommitted(self) -> bool:
        return self.committed < self.members.votes

    @property
    def committed(self) -> int:
        """How many members have a result of their own, where each runs the agent; else all."""
        return len(self._votes.commits) if self._work.runs_again else self.members.votes

    async def _keep_decision(self) -> None:
        """Journal the decision with what proves it: members that are behind ask for it, also later."""
        decision = self.agreement.decision
        if decision is not None:
            body = self._votes.decision(decision)
            saying = Saying(Kind.DECISION, 0, decision.value, body)
            said = [self._outbox.seal(self.case, saying)]
            (self.decided,) = await self._outbox.say(self.case, said, asked=True)

    @property
    def _outcome(self) -> Outcome | None:
        """What was decided, once its documents are here: votes may come without them."""
        decision = self.agreement.decision
        return None if decision is None else self._votes.outcomes.get(decision.value)

    # Events

    async def _restore(self) -> None:
        """Take up what this member has said, and go on behind it."""
        said = await self._journal.said(self.case.intent)
        self._pledged = (await self._journal.pledged(self.case.intent))[0]
        here = [row for row in said if (row.hub, row.epoch) == (self.case.hub, self.case.epoch)]
        for row in here:
            if row.kind == Kind.COMMIT:
                self._salt, outcome = opening(row.private)
                self.own = self._work.read(outcome)
                self._votes.hold(outcome)
                self._revealing.own(outcome, self._salt)
                self._beside.append(row.envelope)
                self._votes.commits[self.members.me] = row.envelope
            elif row.kind == Kind.CHECK:
                self._beside.append(row.envelope)
                self._found += 1
        self.agreement.restore(self._votes.restore(here))
        if self._work.runs_again and self.own is None:
            self._spawn(self._attempt(), "run")
        else:
            await self._begin()

    async def _attempt(self) -> None:
        began, more = time.monotonic(), 1.0
        while True:
            try:
                run = await self._work.attempt()
                break
            except Retry as error:
                self.waiting = error.reason
                await asyncio.sleep(max(error.after, min(error.after * more, LONGEST)))
                more = min(more * 2, LONGEST)
        self._ran = time.monotonic() - began
        self._events.put_nowait(lambda: self._attempted(run))

    async def _attempted(self, run: Run) -> None:
        """Commit to the own result; it is kept, so that a restart costs no second run."""
        self.own, self.waiting = run, ""
        self._votes.hold(run.outcome)
        if self._work.runs_again:
            body, private = commitment(run.outcome)
            self._salt, _ = opening(private)
            saying = Saying(Kind.COMMIT, 0, body, body, private)
            frames = await self._outbox.say(self.case, [self._outbox.seal(self.case, saying)])
            self._beside += frames
            self._votes.commits[self.members.me] = frames[0]
            self._revealing.own(run.outcome, self._salt)
            await self._begin()
        await self._lead()

    async def _begin(self) -> None:
        await self._act(self.agreement.start())

    async def _received(self, envelope: Envelope, frame: bytes) -> None:
        self._waiting[envelope.sender] -= len(frame)
        self.heard[envelope.sender] = envelope.kind
        if envelope.kind == Kind.CHECK:
            await self._note_check(envelope, frame)
            return
        if envelope.kind == Kind.REVEAL:
            self._revealing.note(envelope, frame)
            await self._lead()
            return
        self._votes.round = max(self.agreement.round, 0)
        self._votes.held |= self.agreement.held
        message = self._votes.read(envelope, frame)
        if isinstance(message, Proposal) and message.valid_round < 0 and self._uncommitted:
            # Its leader may have waited for others' results to choose its own by.
            self._inbox.counts["without commitments"] += 1
            return
        if message is not None:
            await self._act(self.agreement.receive(message))
        await self._pay()
        if envelope.kind in {Kind.COMMIT, Kind.PROPOSAL}:
            self._revealing.show()
            await self._lead()

    async def _pay(self) -> None:
        """Propose what this member is locked on, once its documents have come."""
        owed, self._owed = self._owed, []
        for each in owed:
            if each.message.value not in self._votes.outcomes:
                self._owed.append(each)
            elif each.message.round == self.agreement.round:
                await self._act([each])

    async def _waited(self) -> None:
        """Wait for slower members no longer: enough have shown their results."""
        self._revealing.patient = False
        await self._lead()

    async def _note_check(self, envelope: Envelope, frame: bytes) -> None:
        found = read_check(envelope.body)
        if found is not None and envelope.sender not in self.verdicts:
            self.verdicts[envelope.sender] = found
            await self._journal.keep_check(self.case.intent, envelope.sender, frame)

    async def _lead(self) -> None:
        """Propose, once this member leads, has a result, and a quorum has committed to theirs."""
        if self._propose_in is None or self.own is None:
            return
        if self._uncommitted:
            return
        run = self._revealing.combined(self.own)
        if run is None and self._revealing.enough and not self._hurried:
            self._hurried = True
            self._after(self._times.vote, self._waited)
        if run is None or self._pledged not in (None, run.outcome.value):
            return
        self._votes.hold(run.outcome)
        for frame in self._revealing.frames():
            # Whoever lacks a result that is combined could not check.
            self._outbox.send(frame, self.case)
        round_, self._propose_in = self._propose_in, None
        await self._act(self.agreement.propose(round_, run.outcome.value))

    async def _check(self, proposed: Outcome, leader: bytes) -> None:
        """Find out whether a proposal is right, and say so with what it was compared with."""
        value, final = proposed.value, True
        if self._pledged not in (None, value):
            verdict = Verdict(False, "this member has signed another outcome", {})
        else:
            try:
                named = self._work.combined_of(proposed)
                results = await self._revealing.of(named, self._times.least)
                verdict = await self._work.check(self.own, proposed, leader, results)
            except Refuse as error:
                verdict = Verdict(False, error.reason, {})
            except Retry as error:
                verdict = Verdict(False, f"it could not be checked: {error.reason}", {})
                final = False
        self._events.put_nowait(lambda: self._checked(value, verdict, final=final))

    async def _checked(self, value: bytes, verdict: Verdict, *, final: bool) -> None:
        own = None if self.own is None else self.own.outcome
        body = check_body(self.case, value, verdict, own, self._salt)
        self.verdicts[self.members.me] = verdict.right, verdict.reason
        effects = self.agreement.checked(value, right=verdict.right, final=final)
        self._found += 1
        await self._act(effects, [Saying(Kind.CHECK, self._found, value, body)])

    async def _expired(self, wait: Wait) -> None:
        await self._act(self.agreement.expired(wait))

    async def _repeat(self, seconds: float) -> None:
        # Who has decided without the documents asks for them by what it said before.
        lacking = self.agreement.decision is not None
        for message in self._votes.own() if lacking else self.agreement.standing():
            if frame := self._votes.frames.get(message):
                self._outbox.send(frame, self.case)
        for frame in (*self._beside, *self._votes.voted()):
            self._outbox.send(frame, self.case)
        self._revealing.again()
        self._again(min(seconds * 1.5, self._times.slowest))

    # Effects

    async def _act(self, effects: Sequence[Effect], beside: Sequence[Saying] = ()) -> None:
        """Do what follows: first of all journal and send what is said."""
        sends: list[Send] = []
        for effect in effects:
            if isinstance(effect, Send):
                lacking = isinstance(effect.message, Proposal) and (
                    effect.message.value not in self._votes.outcomes
                )
                (self._owed if lacking else sends).append(effect)
        said = [self._outbox.seal(self.case, each) for each in beside]
        for sent in sends:
            # One by one: a precommit is proven by this member's own prevote too.
            said.append(self._outbox.seal(self.case, self._votes.saying(sent)))
            self._votes.frames[sent.message] = said[-1].envelope
        if said:
            frames = await self._outbox.say(self.case, said)
            self.said = Kind(said[-1].kind)
            self._beside += frames[: len(beside)]
            for sent, frame in zip(sends, frames[len(beside) :], strict=True):
                self._votes.frames[sent.message] = frame
            # What is new is what the others lack most likely.
            self._again(self._times.again)
        for effect in effects:
            match effect:
                case Wait():
                    self._after(self._seconds(effect), partial(self._expired, effect))
                case Propose(round_):
                    self._propose_in = round_
                    if self.own is None and not self._work.runs_again and not self._running:
                        self._running = True
                        self._spawn(self._attempt(), "run")
                    await self._lead()
                case Check(value):
                    leader = self.members.leader(self.agreement.round)
                    self._spawn(self._check(self._votes.outcomes[value], leader), "check")
                case Ended() | Send():
                    pass

    def _seconds(self, wait: Wait) -> float:
        more = wait.round * self._times.more
        if wait.step is not Step.PROPOSE:
            return self._times.vote + more
        if not self._work.runs_again:
            return self._times.leader + more
        return max(self._times.least, self._ran) + more

    def _again(self, seconds: float) -> None:
        """Send what stands again after so long, and no sooner."""
        if self._repeating is not None:
            self._repeating.cancel()
            self._timers.discard(self._repeating)
        self._repeating = self._after(seconds, lambda: self._repeat(seconds))

    def _after(
        self, seconds: float, handle: Callable[[], Coroutine[Any, Any, None]]
    ) -> asyncio.TimerHandle:
        def fire() -> None:
            self._timers.discard(timer)
            self._events.put_nowait(handle)

        timer = asyncio.get_running_loop().call_later(seconds, fire)
        self._timers.add(timer)
        return timer

    def _spawn(self, work: Coroutine[Any, Any, None], what: str) -> None:
        task = asyncio.create_task(work, name=f"{what} 0x{self.case.intent.hex()}")
        self._tasks.add(task)

        def done(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if not task.cancelled() and (error := task.exception()):
                self._events.put_nowait(lambda: _raise(error))

        task.add_done_callback(done)


async def _raise(error: BaseException) -> None:
    raise error
