"""Sending: lanes without a hole over any crash, and transactions followed to their end."""

# ruff: noqa: S101 - a test kit asserts

from __future__ import annotations

import pytest

from vagus.adapters.base import Built, Call, ChainAdapter, Estimate, TxStage
from vagus.adapters.conformance.driving import (
    driven,
    made,
    proxied,
    question,
    ready,
    submit,
)
from vagus.adapters.conformance.faults import Delay, Drop, Half, Sometimes, Status
from vagus.adapters.conformance.harness import ACCOUNTS, ChainHarness
from vagus.adapters.conformance.rules import ConformanceTests, needs
from vagus.adapters.conformance.statements import delivering
from vagus.protocol import Retry

__all__ = ["SendingTests"]

_POOR = ACCOUNTS
# Each test that breaks off a lane has an account of its own.
_CRASHED, _FLAPPING, _LATE, _RIVAL = 2, 3, 4, 5
_FUNDS = 10**18


class SendingTests(ConformanceTests):
    """Build, journal, broadcast, advance."""

    async def test_a_transaction_goes_from_broadcast_to_final(self, harness: ChainHarness) -> None:
        """Each stage as the chain has it, none skipped and none taken back."""
        async with made(harness) as adapter:
            await ready(adapter, harness)
            built = await _built(adapter)
            step = await adapter.advance(built.state)
            assert (step.stage, step.tx_id) == (TxStage.BROADCAST, built.tx_id)
            (raw,) = step.send
            await adapter.broadcast(raw)
            stages = []
            for _ in range(harness.finality + 2):
                await harness.advance()
                await ready(adapter, harness)
                step = await adapter.advance(built.state)
                stages.append(step.stage)
                if step.stage.ended:
                    break
            assert stages == [TxStage.INCLUDED] * harness.finality + [TxStage.FINAL]
            assert step.tx_id == built.tx_id

    async def test_building_neither_reads_nor_sends(self, harness: ChainHarness) -> None:
        """The same lane, call and estimate give the same bytes, and the next lane another nonce."""
        async with proxied(harness) as proxy:
            async with made(harness, proxy, poll=600.0) as adapter:
                await adapter.next_heads(None)
                call = adapter.request_call(question(adapter))
                estimate, lane = await adapter.estimate(call), await adapter.open_lane(None)
                seen = proxy.seen["http"]
                one, same = [await adapter.build(call, estimate, lane) for _ in range(2)]
                after = await adapter.build(call, estimate, one.lane)
                assert proxy.seen["http"] == seen
            assert one == same
            assert one.lane != lane
            assert (after.lane, after.tx_id) != (one.lane, one.tx_id)

    async def test_a_crash_leaves_no_hole_in_the_lane(self, harness: ChainHarness) -> None:
        """Of three that were journalled one was sent: another process ends all, and goes on."""
        async with made(harness, account=_CRASHED) as before:
            await ready(before, harness)
            lane, journal = await before.open_lane(None), []
            for _ in range(3):
                built = await _built(before, lane)
                lane = built.lane
                journal.append(built.state)
            (raw,) = (await before.advance(journal[0])).send
            await before.broadcast(raw)
        async with made(harness, account=_CRASHED) as after:
            await ready(after, harness)
            again = await after.open_lane(lane)
            assert again == lane
            fourth = await _built(after, again)
            # The last one first: it waits for those before it, and none is lost.
            for state in (fourth.state, *reversed(journal)):
                for each in (await after.advance(state)).send:
                    await after.broadcast(each)
            ends = [await driven(after, harness, state) for state in (*journal, fourth.state)]
            assert [end.stage for end in ends] == [TxStage.FINAL] * 4
            if "nonces" not in self.lacks:
                assert await after.open_lane(None) == fourth.lane

    @needs("nonces")
    async def test_a_journal_behind_the_chain_is_led_by_the_chain(
        self, harness: ChainHarness
    ) -> None:
        """A journal that was restored from a copy takes no nonce a second time."""
        async with made(harness) as adapter:
            await ready(adapter, harness)
            old = await adapter.open_lane(None)
            built = await _built(adapter, old)
            assert (await driven(adapter, harness, built.state)).stage is TxStage.FINAL
            assert await adapter.open_lane(old) == await adapter.open_lane(None) == built.lane

    async def test_the_same_bytes_sent_twice_are_a_success(self, harness: ChainHarness) -> None:
        """Before the inclusion, after it, and once it is final."""
        async with made(harness) as adapter:
            await ready(adapter, harness)
            built = await _built(adapter)
            (raw,) = (await adapter.advance(built.state)).send
            for _ in range(2):
                await adapter.broadcast(raw)
            for _ in range(harness.finality + 1):
                await harness.advance()
                await ready(adapter, harness)
                await adapter.broadcast(raw)
            step = await adapter.advance(built.state)
            assert (step.stage, step.tx_id) == (TxStage.FINAL, built.tx_id)

    async def test_what_was_journalled_and_never_sent_is_sent(self, harness: ChainHarness) -> None:
        """The journalled bytes alone are enough, for a process that never saw the call."""
        async with made(harness, account=_LATE) as before:
            await ready(before, harness)
            built = await _built(before)
        async with made(harness, account=_LATE) as after:
            await ready(after, harness)
            assert (await driven(after, harness, built.state)).stage is TxStage.FINAL

    @needs("mempool")
    async def test_a_transaction_that_the_node_forgot_is_sent_again(
        self, harness: ChainHarness
    ) -> None:
        """Nothing but the chain says that it is in."""
        async with made(harness) as adapter:
            await ready(adapter, harness)
            built = await _built(adapter)
            (raw,) = (await adapter.advance(built.state)).send
            await adapter.broadcast(raw)
            await harness.forget(built.tx_id)
            await harness.advance()
            await ready(adapter, harness)
            step = await adapter.advance(built.state)
            assert step.stage is TxStage.BROADCAST
            assert step.send
            assert (await driven(adapter, harness, step.state)).stage is TxStage.FINAL

    async def test_of_two_who_deliver_one_is_final_and_one_reverted(
        self, harness: ChainHarness
    ) -> None:
        """Both were right when they were simulated; the chain takes the first."""
        async with made(harness) as one, made(harness, account=_RIVAL) as other:
            await ready(one, harness)
            await ready(other, harness)
            asked = await submit(one, harness, one.request_call(question(one)))
            (found,) = await one.requested(asked.tx_id)
            pair = []
            for adapter in (one, other):
                call = await delivering(adapter, found.intent, b"mine")
                pair.append(await _built(adapter, call=call))
            for adapter, built in zip((one, other), pair, strict=True):
                (raw,) = (await adapter.advance(built.state)).send
                await adapter.broadcast(raw)
            ends = [
                (await driven(adapter, harness, built.state)).stage
                for adapter, built in zip((one, other), pair, strict=True)
            ]
            assert sorted(ends) == [TxStage.FINAL, TxStage.REVERTED]

    @pytest.mark.parametrize(
        "fault",
        [Sometimes(0.3, Drop()), Sometimes(0.3, Half()), Sometimes(0.3, Status(503)), Delay(0.02)],
        ids=["dropped", "answers broken off", "503", "late"],
    )
    async def test_a_transaction_is_included_once_over_a_bad_network(
        self, harness: ChainHarness, fault: Drop
    ) -> None:
        """Answers that were lost after the node took the bytes make no second transaction."""
        async with proxied(harness) as proxy, made(harness, proxy, account=_FLAPPING) as adapter:
            await ready(adapter, harness)
            lane, states = await adapter.open_lane(None), []
            for _ in range(2):
                built = await _built(adapter, lane)
                lane = built.lane
                states.append(built.state)
            proxy.faults = (fault,)
            ends = [await driven(adapter, harness, state) for state in states]
            proxy.faults = ()
            assert [end.stage for end in ends] == [TxStage.FINAL] * 2
            assert len({end.tx_id for end in ends}) == 2
            if "nonces" not in self.lacks:
                assert await adapter.open_lane(None) == lane

    async def test_an_account_without_money_is_a_retry(self, harness: ChainHarness) -> None:
        """It names the account, and all goes on once somebody has paid."""
        async with made(harness, account=_POOR) as adapter:
            await ready(adapter, harness)
            assert await adapter.balance() == 0
            call = adapter.request_call(question(adapter))
            with pytest.raises(Retry) as raised:
                await adapter.estimate(call)
            assert "cannot pay" in raised.value.reason
            await harness.fund(adapter.account, _FUNDS)
            await harness.advance()
            await ready(adapter, harness)
            assert await adapter.balance() == _FUNDS
            assert (await submit(adapter, harness, call)).stage is TxStage.FINAL


async def _built(
    adapter: ChainAdapter, lane: bytes | None = None, call: Call | None = None
) -> Built:
    call = call or adapter.request_call(question(adapter))
    estimate: Estimate = await adapter.estimate(call)
    return await adapter.build(
        call, estimate, await adapter.open_lane(None) if lane is None else lane
    )
