"""The hub's calls and what is read of it: all at finality, and rejections in the hub's words."""

# ruff: noqa: S101 - a test kit asserts

from __future__ import annotations

import pytest

from vagus.adapters.base import (
    AlreadyDone,
    CallbackState,
    ChainAdapter,
    IntentState,
    Rejected,
    TxStage,
)
from vagus.adapters.conformance.driving import (
    final,
    made,
    payloads,
    question,
    ready,
    submit,
)
from vagus.adapters.conformance.harness import SIGNER, ChainHarness
from vagus.adapters.conformance.rules import ConformanceTests, needs
from vagus.adapters.conformance.statements import EVIDENCE, delivering, rotating, settling
from vagus.protocol import ZERO32, Intent, Payout, Refuse, address_of, keccak256, recover

__all__ = ["CallTests"]

_FEE = 10**6
_PAID = 4 * 10**5
# After the deadline: the hub's grace, an hour by default, and a little.
_GRACE = 3_600 + 60


class CallTests(ConformanceTests):
    """Request, deliver, settle, withdraw and the rest, by the adapter's own calls."""

    async def test_an_intent_is_asked_delivered_settled_and_paid_out(
        self, harness: ChainHarness
    ) -> None:
        """The whole way, each record read back at finality; the hub itself checks the signatures."""
        async with made(harness) as adapter:
            await ready(adapter, harness)
            intent = await _asked(adapter, harness)
            assert await adapter.intent_state(intent.id) is IntentState.OPEN
            assert await adapter.delivery(intent.id) is None

            output = b"an answer"
            await _done(adapter, harness, await delivering(adapter, intent, output))
            delivery = await adapter.delivery(intent.id)
            assert delivery is not None
            assert (delivery.output_hash, delivery.evidence_hash) == (keccak256(output), EVIDENCE)
            assert (delivery.status, delivery.signers) == (0, 1)
            assert (delivery.deliverer, delivery.callback) == (adapter.account, CallbackState.NONE)
            state = await adapter.hub_state()
            assert delivery.epoch == state.current.epoch
            assert delivery.time <= state.at.time

            before = await adapter.credit(adapter.account)
            # The requester is the payer here, and gets what is left of the escrow.
            payouts = [Payout(harness.nobody, _PAID)]
            others = await adapter.credit(harness.nobody)
            await _done(adapter, harness, await settling(adapter, intent, payouts))
            assert await adapter.intent_state(intent.id) is IntentState.SETTLED
            assert await adapter.credit(harness.nobody) == others + _PAID
            assert await adapter.credit(adapter.account) == before + _FEE - _PAID

            await _done(adapter, harness, adapter.withdraw_call())
            assert await adapter.credit(adapter.account) == 0

    @needs("deliveries")
    async def test_a_delivery_shows_what_was_signed(self, harness: ChainHarness) -> None:
        """Its own transaction has the whole statement, whether it is named or searched."""
        async with made(harness) as adapter:
            await ready(adapter, harness)
            intent = await _asked(adapter, harness)
            assert await adapter.delivered(intent.id) is None
            # One that fits a transaction everywhere, and one that does not.
            for asked, output in (intent, b"short"), (await _asked(adapter, harness), bytes(4_000)):
                call = await delivering(adapter, asked, output)
                step = await submit(adapter, harness, call)
                assert step.stage is TxStage.FINAL
                await ready(adapter, harness)
                found = await adapter.delivered(asked.id)
                assert found is not None
                assert found == await adapter.delivered(asked.id, found.tx_id)
                assert (found.intent, found.output) == (asked, output)
                epoch = (await adapter.hub_state()).current.epoch
                assert (found.attestation.output_hash, found.attestation.epoch) == (
                    keccak256(output),
                    epoch,
                )
                digest = found.attestation.digest(adapter.hub_id)
                assert [recover(digest, each) for each in found.signatures] == [address_of(SIGNER)]
                with pytest.raises(Refuse):
                    await adapter.delivered(asked.id, (await harness.ask(payloads(1)))[0].tx_id)
                await final(adapter, harness)

    async def test_the_hub_says_who_signs_for_it(self, harness: ChainHarness) -> None:
        """Its state is that of the final block."""
        async with made(harness) as adapter:
            heads = await ready(adapter, harness)
            state = await adapter.hub_state()
            assert state.at == heads.final
            assert state.current.signers == (address_of(SIGNER),)
            assert (state.current.threshold, state.min_fee, state.paused) == (1, 0, False)
            assert state.min_ttl < state.max_ttl
            assert await adapter.intent_state(ZERO32) is IntentState.NONE

    @needs("finality")
    async def test_nothing_is_said_of_what_is_not_final(self, harness: ChainHarness) -> None:
        """An intent, a delivery and a credit are there once their blocks are final, not before."""
        async with made(harness) as adapter:
            await ready(adapter, harness)
            (asked,) = await harness.ask(payloads(1))
            heads = await ready(adapter, harness)
            assert heads.final.height < asked.height
            assert await adapter.intent_state(asked.intent_id) is IntentState.NONE
            assert (await adapter.hub_state()).next_seq <= asked.seq
            await final(adapter, harness)
            assert await adapter.intent_state(asked.intent_id) is IntentState.OPEN

            (found,) = await adapter.requested(asked.tx_id)
            call = await delivering(adapter, found.intent, b"early")
            built = await adapter.build(
                call, await adapter.estimate(call), await adapter.open_lane(None)
            )
            (raw,) = (await adapter.advance(built.state)).send
            await adapter.broadcast(raw)
            await harness.advance()
            await ready(adapter, harness)
            assert (await adapter.advance(built.state)).stage is TxStage.INCLUDED
            assert await adapter.delivery(asked.intent_id) is None
            await final(adapter, harness)
            assert (await adapter.advance(built.state)).stage is TxStage.FINAL
            assert await adapter.delivery(asked.intent_id) is not None

    async def test_what_was_done_before_is_already_done(self, harness: ChainHarness) -> None:
        """Delivered, settled or rotated by anyone: a second time is told from any other rejection."""
        async with made(harness) as adapter:
            await ready(adapter, harness)
            intent = await _asked(adapter, harness)
            deliver = await delivering(adapter, intent, b"once")
            await _done(adapter, harness, deliver)
            await _rejected(adapter, deliver, AlreadyDone, "already delivered")
            settle = await settling(adapter, intent, [])
            await _done(adapter, harness, settle)
            await _rejected(adapter, settle, AlreadyDone, "intent not open")
            refund = adapter.refund_call(intent.id)
            await _rejected(adapter, refund, AlreadyDone, "intent not open")

    async def test_what_the_hub_rejects_is_said_in_its_words(self, harness: ChainHarness) -> None:
        """A call that no hub takes is `Rejected`, and not `AlreadyDone`."""
        async with made(harness) as adapter:
            await ready(adapter, harness)
            late = adapter.request_call(question(adapter, deadline=10**10))
            await _rejected(adapter, late, Rejected, "deadline too late")
            intent = await _asked(adapter, harness)
            early = adapter.refund_call(intent.id)
            await _rejected(adapter, early, Rejected, "refund too early")

    async def test_a_failed_callback_is_recorded_and_may_be_tried_again(
        self, harness: ChainHarness
    ) -> None:
        """The delivery stands."""
        async with made(harness) as adapter:
            await ready(adapter, harness)
            intent = await _asked(adapter, harness, callback=harness.nobody, callback_gas=50_000)
            await _done(adapter, harness, await delivering(adapter, intent, b"x"))
            delivery = await adapter.delivery(intent.id)
            assert delivery is not None
            assert delivery.callback is CallbackState.FAILED
            await _done(adapter, harness, adapter.retry_call(intent, b"x"))

    async def test_a_committee_names_the_next_one(self, harness: ChainHarness) -> None:
        """The next epoch counts once it is final, and it comes once."""
        async with made(harness) as adapter:
            await ready(adapter, harness)
            before = await adapter.hub_state()
            rotation, call = await rotating(adapter)
            step = await submit(adapter, harness, call)
            assert step.stage is TxStage.FINAL
            after = await adapter.hub_state()
            assert after.current.epoch == rotation.epoch
            assert after.roster_hash == rotation.roster_hash
            assert after.previous == before.current
            assert before.at.time <= after.rotated_at <= after.at.time
            await _rejected(adapter, call, AlreadyDone, "not the next epoch")

    async def test_the_set_before_counts_until_its_grace_is_over(
        self, harness: ChainHarness
    ) -> None:
        """An answer it has signed is taken after the rotation, one of two rotations ago is not."""
        async with made(harness) as adapter:
            await ready(adapter, harness)
            first = (await adapter.hub_state()).current.epoch
            intents = [await _asked(adapter, harness) for _ in range(2)]
            answers = [await delivering(adapter, intent, b"x") for intent in intents]
            await _done(adapter, harness, (await rotating(adapter))[1])
            await _done(adapter, harness, answers[0])
            delivery = await adapter.delivery(intents[0].id)
            assert delivery is not None
            assert delivery.epoch == first
            await _done(adapter, harness, (await rotating(adapter))[1])
            await _rejected(adapter, answers[1], Rejected, "epoch not in force")

    @needs("time")
    async def test_an_unanswered_intent_is_refunded_after_its_grace(
        self, harness: ChainHarness
    ) -> None:
        """By anyone."""
        async with made(harness) as adapter, made(harness, account=1) as anyone:
            await ready(adapter, harness)
            intent = await _asked(adapter, harness)
            now = (await harness.block()).time
            await harness.pass_time(intent.deadline + _GRACE - now)
            await ready(anyone, harness)
            await _done(anyone, harness, anyone.refund_call(intent.id))
            assert await anyone.intent_state(intent.id) is IntentState.REFUNDED
            assert await anyone.credit(intent.requester) >= _FEE

    async def test_nobody_can_change_the_hub_that_the_kit_deployed(
        self, harness: ChainHarness
    ) -> None:
        """A hub of this vagus is fixed for good."""
        async with made(harness) as adapter:
            await ready(adapter, harness)
            assert await adapter.upgradeable() is None


async def _asked(adapter: ChainAdapter, harness: ChainHarness, **changes: object) -> Intent:
    """Ask by the adapter's own account; the intent once it is final."""
    call = adapter.request_call(question(adapter, fee=_FEE, **changes))
    step = await submit(adapter, harness, call)
    assert step.stage is TxStage.FINAL
    (found,) = await adapter.requested(step.tx_id)
    assert found.intent.requester == adapter.account
    return found.intent


async def _done(adapter: ChainAdapter, harness: ChainHarness, call: object) -> None:
    assert (await submit(adapter, harness, call)).stage is TxStage.FINAL  # type: ignore[arg-type]


async def _rejected(adapter: ChainAdapter, call: object, kind: type[Rejected], words: str) -> None:
    with pytest.raises(Rejected) as raised:
        await adapter.estimate(call)  # type: ignore[arg-type]
    assert type(raised.value) is kind
    assert raised.value.reason == words
