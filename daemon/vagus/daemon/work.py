"""What a node does about one intent by itself: its own run, and its check of another member's."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from vagus.agents.document import read_evidence
from vagus.agents.modes import (
    CheckContext,
    Result,
    Verdict,
    check_result,
    combined,
)
from vagus.daemon.execute import Run, refused
from vagus.daemon.printable import printable
from vagus.daemon.sealed import UNTOLD, unquoted
from vagus.protocol import Outcome, Refuse, Retry, Status, Terms
from vagus.protocol.sealing import is_sealed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vagus.daemon.execute import Executor
    from vagus.daemon.journal.base import Journal
    from vagus.daemon.journal.records import IntentRecord

__all__ = ["IntentWork", "decided_before"]

_NOBODY = bytes(20)
# Where members compare what their own runs gave: who is outvoted has asked a wrong model, or a lying one.
_COMPARING = {"exact", "fields"}
_MAX_REASON = 1024


class IntentWork:
    """One intent on its way through this node; see `vagus.daemon.committee.base.Work`.

    `seconds_left` says how long there is until it is too late to deliver, by the destination's time.
    `before` is what an earlier set decided with this member: it stands by that.
    """

    def __init__(
        self,
        executor: Executor,
        record: IntentRecord,
        dest_chain: str,
        seconds_left: Callable[[], int],
        before: Run | None = None,
    ) -> None:
        self._executor = executor
        self._record = record
        self._dest_chain = dest_chain
        self._seconds_left = seconds_left
        self._before = before
        self._own: Run | None = None
        self._right: dict[bytes, bool] = {}
        refuses = record.status == Status.REFUSED
        self._question = None if refuses else executor.question(record)
        self._mode = None if self._question is None else executor.mode(self._question)

    @property
    def runs_again(self) -> bool:
        """Whether each member runs the agent; a refusal is each member's own in every mode."""
        return self._mode is None or self._mode.runs_again

    async def attempt(self) -> Run:
        """Run the agent: its answer, refused in words, or failed once time is over."""
        record, seconds = self._record, self._seconds_left()
        if self._before is not None:
            return self._before
        if self._question is None:
            return refused(record.id, Status.REFUSED, record.reason)
        if seconds <= 0:
            return refused(record.id, Status.FAILED, "no backend answered in time")
        try:
            self._own = await self._executor.run(self._question, self._dest_chain, seconds)
        except Refuse as error:
            return refused(record.id, Status.REFUSED, error.reason)
        return self._own

    @property
    def combines(self) -> bool:
        """Whether members reveal their results, of which the outcome is made.

        Who stands by an earlier set's outcome has none to reveal, and proposes that as it is.
        """
        return self._mode is not None and self._mode.combines and self._before is None

    async def check(
        self,
        own: Run | None,
        proposed: Outcome,
        leader: bytes,
        revealed: Mapping[bytes, Outcome],
    ) -> Verdict:
        """Check what a leader proposes by the agent's mode. Raises Refuse and Retry."""
        if self._before is not None and proposed.value == self._before.outcome.value:
            return Verdict(True, "this member has decided it before, in an earlier set")
        if proposed.status != Status.FULFILLED:
            return self._check_without_answer(own, proposed, revealed)
        question = self._question
        if question is None or self._mode is None:
            return Verdict(False, f"refused here: {self._record.reason}")
        if own is not None and own.outcome.status != Status.FULFILLED:
            return Verdict(False, f"this node has no answer: {own.reason}")
        document = read_evidence(proposed.evidence)
        if document.executor != "0x" + leader.hex():
            raise Refuse("the evidence names another executor than the member that proposes it")
        mine = None if own is None else read_evidence(own.outcome.evidence)
        self._executor.check_cost(question, self._dest_chain, document, mine)
        context = CheckContext(
            agent=question.agent,
            intent=self._record.intent,
            payload=question.payload,
            route=self._record.route,
            deadline=asyncio.get_running_loop().time() + self._seconds_left(),
            terms=self._terms(),
            member=self._executor.signer,
            revealed={member: _result(each) for member, each in revealed.items()},
            router=self._executor.router,
        )
        result = None if own is None else _result(own.outcome)
        with unquoted(self._record):
            verdict = await self._mode.check(context, result, _result(proposed))
        if not verdict.right and is_sealed(self._record.payload):
            # What its agent said, run again, may be in the reason.
            verdict = replace(verdict, reason=UNTOLD)
        self._right[proposed.value] = verdict.right
        if verdict.right:
            self._executor.screen(question, proposed.output)
        return verdict

    def decided(self, outcome: Outcome) -> None:
        """Tell the router whether this node's own answer agreed with what was decided.

        In modes where members compare their own runs' answers, and none is combined with others.
        """
        compares = self._mode is not None and self._mode.manifest.mode.name in _COMPARING
        if self._own is None or not compares or self.combines or outcome.status:
            return
        agreed = outcome.value == self._own.outcome.value or self._right.get(outcome.value)
        if agreed is not None:
            for backend, model in self._own.served:
                self._executor.router.compared(backend, model, agreed)

    def _check_without_answer(
        self, own: Run | None, proposed: Outcome, revealed: Mapping[bytes, Outcome]
    ) -> Verdict:
        """A refusal is voted for by who refuses too, a failure by who failed or has no time left."""
        reason = _reason(proposed, self._record.id)
        word = "refuses" if proposed.status == Status.REFUSED else "failed"
        if own is not None and own.outcome.status == proposed.status:
            return Verdict(True, f"this node {word} it too: {own.reason}")
        if proposed.status == Status.REFUSED and self.combines and revealed:
            again = self.combine(revealed, min(revealed))
            if again.outcome.status == Status.REFUSED:
                return Verdict(True, f"what members revealed makes no answer: {again.reason}")
        if proposed.status == Status.FAILED and self._seconds_left() <= 0:
            return Verdict(True, "its time is over here too")
        return Verdict(False, f"this node does not see why: {reason}")

    def reveals(self, member: bytes, result: Outcome) -> bool:
        """Whether a member's own result may be combined with others."""
        if result.status != Status.FULFILLED:
            return False
        intent, terms = self._record.intent, self._terms()
        manifest = self._executor.agent(self._record).manifest
        try:
            check_result(manifest, intent, terms, _result(result), executor=member)
        except Refuse:
            return False
        return True

    def combine(self, results: Mapping[bytes, Outcome], leader: bytes) -> Run:
        """Return what several members' results make: an answer, or refused where they make none."""
        if self._mode is None:
            raise RuntimeError("an intent that is refused here combines nothing")
        found = {member: _result(each) for member, each in results.items()}
        try:
            made = combined(self._mode, self._record.intent, found, leader)
        except Refuse as error:
            return refused(self._record.id, Status.REFUSED, error.reason)
        return self.read(
            Outcome(
                Status.FULFILLED, made.output, made.agent_digest, made.model_digest, made.evidence
            )
        )

    def combined_of(self, proposed: Outcome) -> tuple[bytes, ...]:
        """Return whose results a proposal says that it is made of. Raises Refuse."""
        if not self.combines or proposed.status != Status.FULFILLED:
            return ()
        results = read_evidence(proposed.evidence).results or ()
        return tuple(bytes.fromhex(each.signer[2:]) for each in results)

    def executor(self, decided: Outcome) -> bytes:
        """Return the signer's address of who ran it; zero for what nobody answered."""
        if decided.status != Status.FULFILLED:
            return _NOBODY
        return bytes.fromhex(read_evidence(decided.evidence).executor[2:])

    def read(self, decided: Outcome) -> Run:
        """Return an outcome's run as its evidence tells of it."""
        if decided.status != Status.FULFILLED:
            return Run(decided, _reason(decided, self._record.id))
        try:
            document = read_evidence(decided.evidence)
            manifest = self._executor.agent(self._record).manifest
        except Refuse as error:
            raise Retry(f"what was decided can't be read here: {error.reason}", 30.0) from error
        if manifest.digest != decided.agent_digest:
            raise Retry(f"{manifest.agent_id} is configured in another way here", 30.0)
        return Run(decided, cost=int(document.cost), fee=manifest.fee)

    def _terms(self) -> Terms:
        return Terms.check(self._record.intent.terms_hash, self._record.terms)


async def decided_before(journal: Journal, record: IntentRecord) -> Run | None:
    """Return what an earlier set decided of an intent, where this node was one of it."""
    if record.attestation is None or record.status is None:
        return None
    decided = record.attestation
    document = await journal.evidence(decided.evidence_hash)
    if document is None:
        raise RuntimeError(f"the evidence of intent 0x{record.id.hex()} is not in the journal")
    outcome = Outcome(
        record.status, record.output, decided.agent_digest, decided.model_digest, document
    )
    return Run(outcome, record.reason, record.cost, record.fee)


class _Refusal(msgspec.Struct, forbid_unknown_fields=True):
    version: int
    intent: str
    status: int
    reason: str


def _reason(outcome: Outcome, intent_id: bytes) -> str:
    """Return why there is no answer, from its document. Raises Refuse for another document."""
    try:
        found = msgspec.json.decode(outcome.evidence, type=_Refusal)
    except (msgspec.MsgspecError, RecursionError):
        raise Refuse("its document says of no refusal") from None
    about = (found.version, found.intent, found.status)
    if about != (1, "0x" + intent_id.hex(), int(outcome.status)):
        raise Refuse("its document is about something else")
    return printable(found.reason[:_MAX_REASON])


def _result(outcome: Outcome) -> Result:
    return Result(outcome.output, outcome.agent_digest, outcome.model_digest, outcome.evidence)
