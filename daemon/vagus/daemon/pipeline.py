"""The life of one intent, from OBSERVED to its end, one journalled stage after the other.

`Pipeline.carry` takes an intent from whatever stage the journal has it at: a restart is no
special case. Each step does its work, and then moves the intent in one durable write; what a
crash in between lost is done again, except a transaction, which was journalled before it went out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import structlog

from vagus.adapters.base import CallbackState, Delivery, IntentState, Rejected, TxStage
from vagus.daemon.elsewhere import Deed, delivered_elsewhere, note
from vagus.daemon.execute import Outcome, label, refused
from vagus.daemon.failpoints import failpoint
from vagus.daemon.journal.base import DamagedError
from vagus.daemon.journal.records import IntentRecord, Kind, Stage
from vagus.daemon.network import heads_of
from vagus.protocol import (
    Attestation,
    Halt,
    Receipt,
    Refuse,
    Retry,
    Status,
    payouts_hash,
    settlement,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from vagus.adapters.base import ChainAdapter
    from vagus.daemon.committee import SoleSigner
    from vagus.daemon.execute import Executor
    from vagus.daemon.journal.base import Journal
    from vagus.daemon.network import Network
    from vagus.daemon.pauses import Pauses
    from vagus.daemon.roster import Roster
    from vagus.daemon.sending import Sender
    from vagus.daemon.service.health import Health
    from vagus.protocol import Payout

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
        committee: SoleSigner,
        sender: Sender,
        roster: Roster,
        health: Health,
        pauses: Pauses,
    ) -> None:
        self._journal = journal
        self._network = network
        self._executor = executor
        self._committee = committee
        self._sender = sender
        self._roster = roster
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
                await self._STEPS[stage](self, record)
                attempt = 0
            except Retry as error:
                attempt += 1
                pause = min(error.after * 2 ** min(attempt - 1, 5), MAX_BACKOFF)
                if attempt in {1, 10, 100}:
                    _log(record).warning("waiting", reason=error.reason, pause=round(pause, 1))
                await self._pauses.sleep(record.id, pause)
            except Halt as error:
                await self._network.halt(error)
                _log(record).warning("waiting for its chain", chain=error.chain)
                return
            except Refuse as error:
                # Refusals end in an outcome before EXECUTED; after it one can only mean the config.
                _log(record).error(
                    "stuck: the config forbids what was decided", reason=error.reason
                )
                await self._pauses.sleep(record.id, STUCK)
            except DamagedError:
                raise  # the node ends: what the journal says cannot be trusted
            except Exception:  # noqa: BLE001 - a defect in one intent must not end the others
                _log(record).exception("stuck: a defect of this node")
                await self._pauses.sleep(record.id, STUCK)
        _log(record).info("ended", reason=record.reason or None)

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
            self._committee.require(state.current, record.intent.min_signers)
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
            await self._journal.move(record, Stage.ROUTED, note=name, backend=name)
        failpoint("routed")

    async def _routed(self, record: IntentRecord) -> None:
        dest = self._dest(record)
        # Read before the run: a chain that falls silent meanwhile must not cost the answer. The
        # epoch is looked at again before it is signed.
        state = await self._network.state(dest)
        if record.outcome is None:
            if record.status == Status.REFUSED:
                record.outcome = refused(record, Status.REFUSED, record.reason)
            else:
                record.outcome = await self._run(record, dest)
        # Kept until it is journalled: a full disk must not cost a second answer.
        outcome = record.outcome
        attestation = Attestation(
            intent_id=record.id,
            origin_hub=record.intent.origin_hub,
            status=outcome.status,
            output_hash=outcome.output_hash,
            agent_digest=outcome.agent_digest,
            model_digest=outcome.model_digest,
            evidence_hash=outcome.evidence_hash,
            epoch=state.current.epoch,
            expiry=record.intent.deadline,
        )
        await self._journal.move(
            record,
            Stage.EXECUTED,
            note=outcome.reason,
            evidence=(outcome.evidence_hash, outcome.evidence),
            status=outcome.status,
            reason=outcome.reason,
            output=outcome.output,
            cost=outcome.cost,
            fee=outcome.fee,
            attestation=attestation,
        )
        record.outcome = None
        failpoint("executed")

    async def _run(self, record: IntentRecord, dest: ChainAdapter) -> Outcome:
        """Return the agent's outcome: refused in words, or failed once time is over."""
        seconds = self._seconds_left(dest, record)
        try:
            if seconds <= 0:
                return refused(record, Status.FAILED, "no backend answered in time")
            return await self._executor.run(record, dest.chain, seconds)
        except Refuse as error:
            return refused(record, Status.REFUSED, error.reason)

    async def _executed(self, record: IntentRecord) -> None:
        dest = self._dest(record)
        current = (await self._network.state(dest)).current
        # The requester's minimum is for answers: a refusal needs no more than a quorum.
        minimum = record.intent.min_signers if record.status == Status.FULFILLED else 0
        self._committee.require(current, minimum)
        changes: dict[str, Any] = {}
        attestation = _attestation(record)
        if attestation.epoch != current.epoch:
            attestation = changes["attestation"] = replace(attestation, epoch=current.epoch)
        self._network.by_hub(record.origin)  # a chain that halted meanwhile
        changes["signatures"] = await self._committee.sign(attestation, dest.hub_id, current)
        await self._journal.move(record, Stage.ATTESTED, **changes)
        failpoint("attested")

    async def _attested(self, record: IntentRecord) -> None:
        if record.status == Status.FULFILLED:
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
            _note_nonce(record)
            await self._deliver(record)

    async def _confirm(self, record: IntentRecord, dest: ChainAdapter, delivery: Delivery) -> None:
        """Fix the payouts by the delivery's record, if it is the outcome that was decided."""
        ours = _attestation(record)
        tx = record.tx or await self._journal.newest_tx(record.id, Kind.DELIVER)
        note(record, delivered_elsewhere(delivery, ours, dest.account, tx))
        decided = (ours.status, ours.output_hash, ours.evidence_hash)
        if (delivery.status, delivery.output_hash, delivery.evidence_hash) != decided:
            reason = "another outcome than this node's stands on the destination"
            await self._journal.move(record, Stage.CLOSED, note=reason, reason=reason)
            return
        failed = delivery.callback == CallbackState.FAILED
        await self._journal.move(
            record,
            Stage.CONFIRMED,
            note="the callback failed" if failed else "",
            callback_failed=failed,
            # What a receipt was signed over stays, should the roster have changed since.
            payouts=record.payouts if record.receipt else self._payouts(record, dest, delivery),
        )
        failpoint("confirmed")

    def _payouts(
        self, record: IntentRecord, dest: ChainAdapter, delivery: Delivery
    ) -> tuple[Payout, ...]:
        origin = self._network.by_hub(record.origin)
        deliverer = self._roster.deliverer(dest.chain, delivery.deliverer)
        own = self._own_payee(record)
        if record.fee is None:
            raise RuntimeError(f"intent 0x{record.id.hex()} is {record.stage.name} without a fee")
        _, payouts = settlement(
            self._roster.fee(record.fee, origin.chain),
            status=delivery.status,
            max_fee=record.intent.max_fee,
            compute_cost=self._roster.to_coin(origin.chain, record.cost),
            gas_allowance=self._roster.allowance(dest.chain, origin.chain),
            executor=own,
            deliverer=deliverer.payee(origin.chain) if deliverer else None,
            signers=[own],
        )
        return payouts

    async def _confirmed(self, record: IntentRecord) -> None:
        """Build the settlement, unless the origin has ended the intent already."""
        origin = self._network.by_hub(record.origin)
        state = await self._network.state(origin)
        self._committee.require(state.current, 0)
        receipt = Receipt(
            intent_id=record.id,
            dest_hub=record.intent.dest_hub,
            status=_attestation(record).status,
            payouts_hash=payouts_hash(record.payouts),
            fee=sum(payout.amount for payout in record.payouts),
            epoch=state.current.epoch,
            expiry=record.intent.deadline + state.grace + RECEIPT_TTL,
        )
        signatures = await self._committee.sign(receipt, origin.hub_id, state.current)
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
            _note_nonce(record)
            await self._confirmed(record)

    async def _close(self, record: IntentRecord, state: IntentState) -> None:
        if state == IntentState.SETTLED and record.receipt is not None:
            # Looked at again after a halt: this node's own receipt has settled it.
            await self._journal.move(record, Stage.SETTLED)
            return
        if state == IntentState.SETTLED and record.stage == Stage.CONFIRMED:
            note(record, Deed.SETTLEMENT)
        reason = f"{state.name.lower()} by someone else"
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
        return self._roster.member(self._committee.address).payee(origin.chain)

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


def _note_nonce(record: IntentRecord) -> None:
    if record.tx is not None and record.tx.stage == TxStage.LOST:
        note(record, Deed.NONCE)


def _log(record: IntentRecord) -> structlog.typing.FilteringBoundLogger:
    bound: structlog.typing.FilteringBoundLogger = log.bind(
        intent="0x" + record.id.hex(),
        chain=record.origin.rpartition(":")[0],
        stage=record.stage.name.lower(),
    )
    return bound
