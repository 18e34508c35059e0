"""The life of one intent, from OBSERVED to its end, one journalled stage after the other.

`Pipeline.carry` takes an intent from whatever stage the journal has it at: a restart is no
special case. Each step does its work, and then moves the intent in one durable write; what a
crash in between lost is done again, except a transaction, which was journalled before it went out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import structlog

from vagus.adapters.base import CallbackState, Delivery, IntentState, Rejected, TxStage
from vagus.daemon.elsewhere import Deed, delivered_elsewhere, note, note_nonce
from vagus.daemon.execute import label
from vagus.daemon.failpoints import failpoint
from vagus.daemon.inheriting import Inheriting
from vagus.daemon.journal.base import DamagedError
from vagus.daemon.journal.records import IntentRecord, Kind, Stage
from vagus.daemon.network import heads_of
from vagus.daemon.others import EndedError, Others, end_of
from vagus.daemon.payouts import payouts
from vagus.daemon.work import IntentWork, decided_before
from vagus.protocol import (
    Attestation,
    Halt,
    Outcome,
    Receipt,
    Refuse,
    Retry,
    Status,
    payouts_hash,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from vagus.adapters.base import ChainAdapter
    from vagus.daemon.committee import Committee
    from vagus.daemon.committee.rosters import Rosters
    from vagus.daemon.execute import Executor
    from vagus.daemon.journal.base import Journal
    from vagus.daemon.network import Network
    from vagus.daemon.pauses import Pauses
    from vagus.daemon.sending import Sender
    from vagus.daemon.service.health import Health
    from vagus.protocol import Payout, SignerSet

__all__ = ["Pipeline"]

log = structlog.get_logger("vagus.pipeline")

# A delivery is not sent in the last seconds before the deadline: it would only be reverted.
SUBMIT_MARGIN = 10
RECEIPT_TTL = 30 * 24 * 3600
MAX_BACKOFF = 30.0
STUCK = 60.0


class Pipeline:
    """Carries intents. What it needs is handed in; it owns none of it."""

    def __init__(
        self,
        *,
        journal: Journal,
        network: Network,
        executor: Executor,
        committee: Committee,
        sender: Sender,
        rosters: Rosters,
        health: Health,
        pauses: Pauses,
    ) -> None:
        self._journal = journal
        self._network = network
        self._executor = executor
        self._committee = committee
        self._sender = sender
        self._rosters = rosters
        self._others = Others(network, committee)
        self._inheriting = Inheriting(journal, network, executor, rosters)
        self._health = health
        self._pauses = pauses

    async def carry(self, record: IntentRecord) -> None:
        """Take an intent to its end. Acts on the class of an error.

        Returns on a `Halt`, once it is durable: the intent waits in the journal.
        """
        attempt = 0
        while not record.stage.ended:
            stage = record.stage
            try:
                self._network.by_hub(record.origin)
                await self._health.require()
                await self._step(record, stage)
                attempt = 0
            except Retry as error:
                attempt += 1
                pause = min(error.after * 2 ** min(attempt - 1, 5), MAX_BACKOFF)
                if attempt in {1, 10, 100}:
                    _log(record).warning("waiting", reason=error.reason, pause=round(pause, 1))
                await self._pauses.sleep(record.id, pause, error.reason)
            except Halt as error:
                await self._network.halt(error)
                _log(record).warning("waiting for its chain", chain=error.chain)
                return
            except Refuse as error:
                # Refusals end in an outcome before EXECUTED; after it one can only mean the config.
                _log(record).error(
                    "stuck: the config forbids what was decided", reason=error.reason
                )
                await self._pauses.sleep(record.id, STUCK, error.reason)
            except DamagedError:
                raise  # the node ends: what the journal says cannot be trusted
            except Exception:  # noqa: BLE001 - a defect in one intent must not end the others
                _log(record).exception("stuck: a defect of this node")
                await self._pauses.sleep(record.id, STUCK, "a defect of this node: see its log")
        self._committee.ended(record)
        _log(record).info("ended", reason=record.reason or None)

    async def _step(self, record: IntentRecord, stage: Stage) -> None:
        try:
            await self._STEPS[stage](self, record)
        except EndedError as ended:
            await self._close(record, ended.state)
        except Retry:
            # What this member waits for, others may have done without it; a transaction of its own
            # is followed to its end all the same.
            if self._committee.alone or stage in {Stage.SUBMITTED, Stage.SETTLING}:
                raise
            end = await end_of(record, self._network.by_hub(record.origin))
            if end is not None:
                await self._close(record, end)
            elif stage not in {Stage.FINAL, Stage.ROUTED} or not await self._inheriting.take(
                record
            ):
                raise

    async def _observed(self, record: IntentRecord) -> None:
        origin = self._network.by_hub(record.origin)
        state = await origin.intent_state(record.id)
        if state == IntentState.NONE:
            raise Retry(f"{origin.hub} has the intent's event but not its state")
        if state == IntentState.OPEN:
            await self._journal.move(record, Stage.FINAL)
            failpoint("final")
        else:
            await self._close(record, state)

    async def _final(self, record: IntentRecord) -> None:
        dest = self._network.find(record.intent.dest_hub)
        if dest is None:
            reason = "its destination is no hub of this network: left to its refund"
            await self._journal.move(record, Stage.LEFT, note=reason, reason=reason)
            return
        try:
            state = await self._network.state(dest)
            current = await self._others.deciding(record, dest)
            self._committee.require(current, record.intent.min_signers)
            if record.intent.callback_gas > state.max_callback_gas:
                raise Refuse(f"callbackGas is over the destination's {state.max_callback_gas}")
            if self._seconds_left(dest, record) <= 0:
                raise Refuse("its deadline leaves no time to answer and deliver")
            self._own_payee(record)
            record.route = await self._executor.route(record, dest.chain)
        except Refuse as error:
            await self._journal.move(
                record, Stage.ROUTED, note=error.reason, status=Status.REFUSED, reason=error.reason
            )
        else:
            name = label(record.route)
            await self._journal.move(
                record, Stage.ROUTED, note=name or "asks no model", backend=name
            )
        failpoint("routed")

    async def _routed(self, record: IntentRecord) -> None:
        dest = self._dest(record)
        # Read before the run: a chain that falls silent meanwhile must not cost the answer. The
        # epoch is looked at again before it is signed.
        current = await self._others.deciding(record, dest)

        async def still() -> None:
            await self._others.still(record, dest, current)
            # Not after a rotation alone: who was away while its own set delivered learns it here too.
            await self._inheriting.still_undelivered(record, dest)

        if record.run is None:
            self._committee.require(current, 0)
            work = IntentWork(
                self._executor,
                record,
                dest.chain,
                lambda: self._seconds_left(dest, record),
                await decided_before(self._journal, record),
            )
            decided = await self._others.wait(
                record,
                self._committee.decide(record, current, work),
                still,
            )
            if await self._signed_another(record, decided.run.outcome):
                return
            if not self._committee.alone:
                work.decided(decided.run.outcome)
            # Kept until it is journalled: a full disk must not cost a second answer.
            record.run, record.leader = decided.run, decided.leader
        run, outcome = record.run, record.run.outcome
        attestation = Attestation(
            intent_id=record.id,
            origin_hub=record.intent.origin_hub,
            status=outcome.status,
            output_hash=outcome.output_hash,
            agent_digest=outcome.agent_digest,
            model_digest=outcome.model_digest,
            evidence_hash=outcome.evidence_hash,
            epoch=current.epoch,
            expiry=record.intent.deadline,
        )
        await self._journal.move(
            record,
            Stage.EXECUTED,
            note=run.reason,
            evidence=(outcome.evidence_hash, outcome.evidence),
            status=outcome.status,
            reason=run.reason,
            output=outcome.output,
            cost=run.cost,
            fee=run.fee,
            attestation=attestation,
            epoch=current.epoch,
            leader=record.leader,
        )
        record.run = None
        failpoint("executed")

    async def _signed_another(self, record: IntentRecord, outcome: Outcome) -> bool:
        """Leave an intent to the others where this member has signed another outcome of it."""
        if record.attestation is None:
            return False
        pledged, _ = await self._journal.pledged(record.id)
        if pledged in {None, outcome.value}:
            return False
        reason = "a later set decided another outcome than this member had signed"
        await self._journal.move(record, Stage.CLOSED, note=reason, reason=reason)
        return True

    async def _executed(self, record: IntentRecord) -> None:
        dest = self._dest(record)
        current = await self._others.deciding(record, dest)
        if current.epoch != record.epoch:
            await self._anew(record, dest, current)
            return
        # The requester's minimum is for answers: a refusal needs no more than a quorum.
        minimum = record.intent.min_signers if record.status == Status.FULFILLED else 0
        needed = self._committee.require(current, minimum)
        self._network.by_hub(record.origin)  # a chain that halted meanwhile
        signatures = await self._others.wait(
            record,
            self._committee.sign(record, _attestation(record), dest.hub_id, current, needed),
            lambda: self._others.still(record, dest, current),
        )
        await self._journal.move(record, Stage.ATTESTED, signatures=signatures)
        failpoint("attested")

    async def _attested(self, record: IntentRecord) -> None:
        if record.status == Status.FULFILLED:
            dest = self._dest(record)
            current = await self._others.deciding(record, dest)
            delivery = await self._others.turn(
                record, dest, current, lambda: dest.delivery(record.id)
            )
            if delivery is not None:
                await self._confirm(record, dest, delivery)
            elif current.epoch != record.epoch:
                await self._anew(record, dest, current)
            else:
                await self._deliver(record)
        else:
            # A refusal or failure is settled at once: it need not be delivered.
            await self._journal.move(record, Stage.CONFIRMED)
            failpoint("confirmed")

    async def _deliver(self, record: IntentRecord) -> None:
        """Build the delivery, unless the destination has one or its time is over."""
        dest = self._dest(record)
        attestation = _attestation(record)
        call = dest.deliver_call(record.intent, attestation, record.output, record.signatures)
        try:
            if self._seconds_left(dest, record) <= 0:
                raise Rejected("its deadline is too near")
            estimate = await dest.estimate(call)
        except Rejected as error:
            if delivery := await dest.delivery(record.id):
                await self._confirm(record, dest, delivery)
                return
            if heads_of(dest).final.time <= record.intent.deadline:
                raise Retry(
                    f"{dest.hub} rejects the delivery: {error.reason}", after=2.0
                ) from error
            reason = f"not delivered by its deadline: {error.reason}"
            await self._journal.move(record, Stage.LEFT, note=reason, reason=reason)
            return
        await self._sender.submit(dest, call, estimate, record, Stage.SUBMITTED, Kind.DELIVER)

    async def _submitted(self, record: IntentRecord) -> None:
        dest = self._dest(record)
        await self._follow(record, dest, Kind.DELIVER)
        if delivery := await dest.delivery(record.id):
            await self._confirm(record, dest, delivery)
        else:
            _require_no_success(record, dest)
            note_nonce(record)
            current = await self._others.deciding(record, dest)
            if current.epoch != record.epoch:
                await self._anew(record, dest, current)
            else:
                await self._deliver(record)

    async def _anew(self, record: IntentRecord, dest: ChainAdapter, current: SignerSet) -> None:
        """Have the current set decide what the one before has decided and not delivered in time."""
        if delivery := await dest.delivery(record.id):
            await self._confirm(record, dest, delivery)
            return
        note = f"epoch {record.epoch} counts no more: epoch {current.epoch} decides"
        await self._journal.move(record, Stage.ROUTED, note=note)

    async def _confirm(self, record: IntentRecord, dest: ChainAdapter, delivery: Delivery) -> None:
        """Fix the payouts by the delivery's record, if it is the outcome that was decided."""
        ours = _attestation(record)
        tx = record.tx or await self._journal.newest_tx(record.id, Kind.DELIVER)
        note(record, delivered_elsewhere(delivery, ours, dest.account, tx))
        decided = (ours.status, ours.output_hash, ours.evidence_hash)
        if (delivery.status, delivery.output_hash, delivery.evidence_hash) != decided:
            before = delivery.epoch != record.epoch and not self._committee.alone
            if before and await self._inheriting.take(record):
                return
            reason = "another outcome than this node's stands on the destination"
            await self._journal.move(record, Stage.CLOSED, note=reason, reason=reason)
            return
        # Of another member's delivery the callback may be on its way yet: on Solana it goes by itself.
        own = delivery.deliverer == dest.account
        failed = own and delivery.callback == CallbackState.FAILED
        await self._journal.move(
            record,
            Stage.CONFIRMED,
            note="the callback failed" if failed else "",
            callback_failed=failed,
            # What a receipt was signed over stays, should the roster have changed since.
            payouts=record.payouts
            if record.receipt
            else await self._payouts(record, dest, delivery),
        )
        failpoint("confirmed")

    async def _payouts(
        self, record: IntentRecord, dest: ChainAdapter, delivery: Delivery
    ) -> tuple[Payout, ...]:
        return payouts(
            record,
            self._network.by_hub(record.origin).chain,
            dest.chain,
            delivery,
            self._others.delivering(await self._network.state(dest), delivery.epoch),
            self._rosters.of(dest.hub_id, delivery.epoch),
            record.leader or self._committee.address,
        )

    async def _confirmed(self, record: IntentRecord) -> None:
        """Build the settlement, unless the origin has ended the intent already."""
        origin = self._network.by_hub(record.origin)
        state = await self._network.state(origin)
        needed = self._committee.require(state.current, 0)
        receipt = Receipt(
            intent_id=record.id,
            dest_hub=record.intent.dest_hub,
            status=_attestation(record).status,
            payouts_hash=payouts_hash(record.payouts),
            fee=sum(payout.amount for payout in record.payouts),
            epoch=state.current.epoch,
            expiry=record.intent.deadline + state.grace + RECEIPT_TTL,
        )
        signatures = await self._others.wait(
            record,
            self._committee.sign(record, receipt, origin.hub_id, state.current, needed),
            lambda: self._others.still_current(origin, state.current),
        )
        ended = await self._others.turn(
            record, origin, state.current, lambda: end_of(record, origin)
        )
        if ended == IntentState.SETTLED:
            by = "by another member"
            await self._journal.move(record, Stage.SETTLED, note=by, receipt=receipt)
            return
        if ended is not None:
            raise EndedError(ended)
        call = origin.settle_call(receipt, record.payouts, signatures)
        try:
            estimate = await origin.estimate(call)
        except Rejected as error:
            now = await origin.intent_state(record.id)
            if now in {IntentState.SETTLED, IntentState.REFUNDED}:
                await self._close(record, now)
                return
            raise Retry(
                f"{origin.hub} rejects the settlement: {error.reason}", after=2.0
            ) from error
        await self._sender.submit(
            origin, call, estimate, record, Stage.SETTLING, Kind.SETTLE, receipt=receipt
        )

    async def _settling(self, record: IntentRecord) -> None:
        origin = self._network.by_hub(record.origin)
        await self._follow(record, origin, Kind.SETTLE)
        state = await origin.intent_state(record.id)
        if state == IntentState.SETTLED:
            await self._journal.move(record, Stage.SETTLED)
        elif state == IntentState.REFUNDED:
            await self._close(record, state)
        else:
            _require_no_success(record, origin)
            note_nonce(record)
            await self._confirmed(record)

    async def _close(self, record: IntentRecord, state: IntentState) -> None:
        alone, settled = self._committee.alone, state == IntentState.SETTLED
        if settled and (
            record.receipt is not None or (record.stage >= Stage.EXECUTED and not alone)
        ):
            # By a receipt of this node's: after a halt, or sent by another member.
            by = "" if record.receipt else "by another member"
            await self._journal.move(record, Stage.SETTLED, note=by)
            return
        if settled and alone and record.stage == Stage.CONFIRMED:
            note(record, Deed.SETTLEMENT)
        by = "by someone else" if alone else "without this member"
        reason = f"{state.name.lower()} {by}"
        await self._journal.move(record, Stage.CLOSED, note=reason, reason=reason)

    async def _follow(self, record: IntentRecord, adapter: ChainAdapter, kind: Kind) -> None:
        record.tx = record.tx or await self._journal.newest_tx(record.id, kind)
        if record.tx is None:
            raise RuntimeError(
                f"intent 0x{record.id.hex()} is {record.stage.name} without a {kind}"
            )
        await self._sender.follow(adapter, record.tx)

    def _own_payee(self, record: IntentRecord) -> bytes:
        """Return where this node is paid for an intent; Refuse where its roster does not say."""
        origin = self._network.by_hub(record.origin)
        return self._rosters.own.member(self._committee.address).payee(origin.chain)

    def _dest(self, record: IntentRecord) -> ChainAdapter:
        dest = self._network.find(record.intent.dest_hub)
        if dest is None:
            raise Retry("its destination is not in the config any more", after=60.0)
        return dest

    def _seconds_left(self, dest: ChainAdapter, record: IntentRecord) -> int:
        """Return the seconds of the destination's time until it is too late to deliver."""
        return record.intent.deadline - SUBMIT_MARGIN - heads_of(dest).latest.time

    _STEPS: ClassVar[dict[Stage, Callable[[Pipeline, IntentRecord], Awaitable[None]]]] = {
        Stage.OBSERVED: _observed,
        Stage.FINAL: _final,
        Stage.ROUTED: _routed,
        Stage.EXECUTED: _executed,
        Stage.ATTESTED: _attested,
        Stage.SUBMITTED: _submitted,
        Stage.CONFIRMED: _confirmed,
        Stage.SETTLING: _settling,
    }


def _attestation(record: IntentRecord) -> Attestation:
    if record.attestation is None:
        raise RuntimeError(f"intent 0x{record.id.hex()} is {record.stage.name} without an outcome")
    return record.attestation


def _require_no_success(record: IntentRecord, adapter: ChainAdapter) -> None:
    """Raise Retry where the intent's transaction was seen final and its hub does not show it.

    Its block was replaced meanwhile: the same transaction is followed, and sent, again. Another one
    would leave its nonce unused, and all behind it waiting.
    """
    if record.tx is not None and record.tx.stage == TxStage.FINAL:
        raise Retry(f"{record.tx.tx_id} was final on {adapter.chain}, and its hub does not show it")


def _log(record: IntentRecord) -> structlog.typing.FilteringBoundLogger:
    bound: structlog.typing.FilteringBoundLogger = log.bind(
        intent="0x" + record.id.hex(),
        chain=record.origin.rpartition(":")[0],
        stage=record.stage.name.lower(),
    )
    return bound
