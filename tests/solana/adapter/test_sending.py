"""Calls that take several transactions: staged, prepared, called back, expired, and killed between."""

import contextlib
import random
from base64 import b64decode
from typing import Any

import pytest
from solana.rpc.models import MemcmpOpts
from solders.hash import Hash
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from support.solana_harness import GRACE, LitesvmHarness
from vagus.adapters.base import Built, Call, ChainAdapter, IntentState, Step, TxStage
from vagus.adapters.conformance.driving import (
    driven,
    final,
    made,
    patiently,
    proxied,
    question,
    ready,
    submit,
)
from vagus.adapters.conformance.faults import Lie, Only
from vagus.adapters.conformance.harness import Urls
from vagus.adapters.conformance.solana import result
from vagus.adapters.conformance.statements import delivering, settling
from vagus.protocol import Intent, Payout, Refuse, keccak256

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("solana_sending"),
]

LONGEST = bytes(range(256)) * 32  # 8,192 bytes
DELIVERY_RENT = (168 + 128) * 6_960
FEE = 5_000
STAGING = "7"  # the byte 6 in base58: a staging account's kind


async def asked(adapter: ChainAdapter, harness: LitesvmHarness, **changes: object) -> Intent:
    """An intent that is final, asked by the adapter's own account."""
    step = await submit(adapter, harness, adapter.request_call(question(adapter, **changes)))
    assert step.stage is TxStage.FINAL
    (found,) = await adapter.requested(step.tx_id)
    return found.intent


async def stagings(harness: LitesvmHarness) -> list[object]:
    """The hub's staging accounts."""
    found = await harness.client.get_program_accounts(
        harness.program.id, filters=[MemcmpOpts(offset=0, bytes=STAGING)]
    )
    return [each.pubkey for each in found.value]


async def counted(adapter: ChainAdapter, harness: LitesvmHarness, call: Call) -> tuple[Step, int]:
    """Send a call to its end; also how many transactions of the account were included for it."""
    key = Pubkey(adapter.account)
    before = len((await harness.client.get_signatures_for_address(key, limit=1_000)).value)
    step = await submit(adapter, harness, call)
    after = len((await harness.client.get_signatures_for_address(key, limit=1_000)).value)
    return step, after - before


async def test_a_delivery_over_one_transaction_is_staged_and_its_rent_comes_back(
    harness: LitesvmHarness,
) -> None:
    """8,192 bytes: eleven pieces and the call; nothing is paid but fees and the delivery's rent."""
    async with made(harness) as adapter:
        await ready(adapter, harness)
        intent = await asked(adapter, harness)
        before = await adapter.balance()
        call = await delivering(adapter, intent, LONGEST)
        step, transactions = await counted(adapter, harness, call)
        assert step.stage is TxStage.FINAL
        delivery = await adapter.delivery(intent.id)
        assert delivery is not None
        assert delivery.output_hash == keccak256(LONGEST)
        assert transactions == 12
        spent = before - await adapter.balance() - DELIVERY_RENT
        assert FEE * transactions <= spent < FEE * transactions + 1_000
        assert await stagings(harness) == []


async def test_the_longest_question_is_staged_and_read_back(harness: LitesvmHarness) -> None:
    """Payload and terms lie in the intent's account, whatever the logs hold."""
    terms = b'{"a":"' + b"t" * 1_016 + b'"}'
    async with made(harness) as adapter:
        await ready(adapter, harness)
        call = adapter.request_call(question(adapter, payload=LONGEST, terms=terms))
        step = await submit(adapter, harness, call)
        assert step.stage is TxStage.FINAL
        (found,) = await adapter.requested(step.tx_id)
        assert (found.payload, found.terms) == (LONGEST, terms)
        assert await stagings(harness) == []


@pytest.mark.parametrize("draw", range(6))
async def test_a_process_that_is_killed_between_any_two_steps_delivers_once(
    harness: LitesvmHarness, draw: int
) -> None:
    """Killed before the journal's write, before a broadcast, in the middle of one: the next goes on."""
    source = random.Random(draw)
    async with made(harness) as adapter:
        await ready(adapter, harness)
        intent = await asked(adapter, harness)
        before = await adapter.balance()
        call = await delivering(adapter, intent, LONGEST[: source.randrange(1_000, 8_192)])
        lane = await adapter.open_lane(None)
        built: Built = await adapter.build(call, await adapter.estimate(call), lane)
    journal, stage = built.state, TxStage.BUILT
    for _ in range(60):
        async with made(harness) as adapter:  # each look is another process's
            await ready(adapter, harness)
            step = await patiently(lambda adapter=adapter, state=journal: adapter.advance(state))  # type: ignore[misc]
            stage = step.stage
            if stage.ended:
                break
            killed = source.choice(["never", "never", "before the journal", "sending"])
            if killed != "before the journal":
                journal = step.state
                sent = step.send[: source.randrange(len(step.send) + 1)]
                for raw in step.send if killed == "never" else sent:
                    await adapter.broadcast(raw)
            await harness.advance()
    assert stage is TxStage.FINAL
    async with made(harness) as adapter:
        await ready(adapter, harness)
        assert await adapter.delivery(intent.id) is not None
        assert await stagings(harness) == []
        # Fees of twice as many transactions as an undisturbed delivery has, and no rent.
        assert before - await adapter.balance() < DELIVERY_RENT + 30 * FEE


async def test_who_comes_second_ends_lost_and_gets_the_staging_rent_back(
    harness: LitesvmHarness,
) -> None:
    """Another delivers while the arguments are written: the call is never sent."""
    async with made(harness) as adapter, made(harness, account=1) as rival:
        await ready(adapter, harness)
        await ready(rival, harness)
        intent = await asked(adapter, harness)
        before = await adapter.balance()
        call = await delivering(adapter, intent, LONGEST)
        built = await adapter.build(
            call, await adapter.estimate(call), await adapter.open_lane(None)
        )
        step = await adapter.advance(built.state)
        for raw in step.send:
            await adapter.broadcast(raw)
        await harness.advance()
        other = await submit(rival, harness, await delivering(rival, intent, b"first"))
        assert other.stage is TxStage.FINAL
        await ready(adapter, harness)
        end = await driven(adapter, harness, step.state)
        assert end.stage is TxStage.LOST
        await final(adapter, harness)
        delivery = await adapter.delivery(intent.id)
        assert delivery is not None
        assert delivery.output_hash == keccak256(b"first")
        assert await stagings(harness) == []
        assert before - await adapter.balance() < 20 * FEE


async def test_a_settlement_opens_the_credits_that_it_needs(harness: LitesvmHarness) -> None:
    """In its own transaction while they fit it, before it where they don't."""
    async with made(harness) as adapter:
        await ready(adapter, harness)
        for count, transactions in ((2, 1), (20, 6)):
            intent = await asked(adapter, harness)
            await submit(adapter, harness, await delivering(adapter, intent, b"x"))
            payees = [keccak256(b"payee %d of %d" % (each, count)) for each in range(count)]
            payouts = [Payout(each, 1_000 + at) for at, each in enumerate(payees)]
            call = await settling(adapter, intent, payouts)
            step, took = await counted(adapter, harness, call)
            assert step.stage is TxStage.FINAL
            assert took == transactions, f"{count} payees"
            assert await adapter.intent_state(intent.id) is IntentState.SETTLED
            for payout in payouts:
                assert await adapter.credit(payout.payee) == payout.amount


async def test_a_settlement_with_more_payees_than_a_transaction_names_is_refused(
    harness: LitesvmHarness,
) -> None:
    """In words, and before anything is sent."""
    async with made(harness) as adapter:
        await ready(adapter, harness)
        intent = await asked(adapter, harness)
        payouts = [Payout(keccak256(b"one of many %d" % each), 1) for each in range(34)]
        call = await settling(adapter, intent, payouts)
        with pytest.raises(Refuse, match="names 40 accounts, more than a transaction holds"):
            await adapter.estimate(call)


async def test_a_transaction_that_expired_unseen_is_signed_again(harness: LitesvmHarness) -> None:
    """Only once the final block is past its last one: until then the same bytes are sent again."""
    async with made(harness) as adapter:
        await ready(adapter, harness)
        call = adapter.request_call(question(adapter))
        built = await adapter.build(
            call, await adapter.estimate(call), await adapter.open_lane(None)
        )
        (raw,) = (await adapter.advance(built.state)).send
        await adapter.broadcast(raw)
        await harness.forget(built.tx_id)
        state = built.state
        for slots in (100, 60):
            await harness.advance(slots)
            await ready(adapter, harness)
            step = await adapter.advance(state)
            assert (step.state, step.send) == (state, (raw,))
        await harness.advance()
        await ready(adapter, harness)
        step = await adapter.advance(state)
        assert step.tx_id != built.tx_id
        (again,) = step.send
        assert again != raw
        end = await driven(adapter, harness, step.state)
        assert (end.stage, end.tx_id) == (TxStage.FINAL, step.tx_id)
        # Of the first bytes nothing ever comes: the chain forgot their blockhash.
        await adapter.broadcast(raw)
        await harness.advance()
        assert await adapter.requested(built.tx_id) == []


async def test_one_endpoint_cannot_have_a_blockhash_signed_that_nobody_takes(
    harness: LitesvmHarness,
) -> None:
    """Of three, whichever it is: transactions go on at once."""

    def bend(found: dict[str, Any]) -> dict[str, Any]:
        return found | {"value": found["value"] | {"blockhash": str(Hash(b"\x55" * 32))}}

    for liar in range(3):
        async with contextlib.AsyncExitStack() as stack:
            proxies = [await stack.enter_async_context(proxied(harness)) for _ in range(3)]
            proxies[liar].faults = (result("getLatestBlockhash", bend),)
            urls = [Urls(proxy.rpc, proxy.ws) for proxy in proxies]
            adapter = await stack.enter_async_context(harness.adapter(urls, quorum=2))
            await ready(adapter, harness)
            step = await submit(adapter, harness, adapter.request_call(question(adapter)))
            assert step.stage is TxStage.FINAL


async def test_nobody_is_shown_a_signed_transaction_before_it_is_journalled(
    harness: LitesvmHarness,
) -> None:
    """Simulations carry an empty signature: an endpoint could send what it is shown."""
    shown: list[VersionedTransaction] = []

    def look(request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        shown.append(VersionedTransaction.from_bytes(b64decode(request["params"][0])))
        return answer

    async with proxied(harness) as proxy, made(harness, proxy) as adapter:
        await ready(adapter, harness)
        proxy.faults = (Only(("simulateTransaction",), Lie(look)),)
        intent = await asked(adapter, harness)
        await submit(adapter, harness, await delivering(adapter, intent, LONGEST))
    assert len(shown) >= 3
    assert {bytes(each) for tx in shown for each in tx.signatures} == {bytes(64)}


async def test_two_calls_alike_are_two_transactions(harness: LitesvmHarness) -> None:
    """Of one blockhash, too: the lane's counter tells them apart."""
    async with made(harness) as adapter:
        await ready(adapter, harness)
        await submit(adapter, harness, adapter.request_call(question(adapter)))
        call = adapter.request_call(question(adapter, payload=b"the same"))
        lane, ends = await adapter.open_lane(None), []
        for _ in range(2):
            built = await adapter.build(call, await adapter.estimate(call), lane)
            lane = built.lane
            ends.append(await driven(adapter, harness, built.state))
        assert [end.stage for end in ends] == [TxStage.FINAL] * 2
        found = [await adapter.requested(end.tx_id) for end in ends]
        assert len({each.intent.id for one in found for each in one}) == 2


async def test_lamports_sent_to_an_address_beforehand_change_nothing(
    harness: LitesvmHarness,
) -> None:
    """Dust where a delivery, a credit and a staging account will be."""
    async with made(harness) as adapter:
        await ready(adapter, harness)
        intent = await asked(adapter, harness)
        payee = keccak256(b"a payee with dust")
        for key in (
            harness.program.address(b"delivery", intent.id),
            harness.program.address(b"credit", payee),
        ):
            await harness.fund(bytes(key), 1_000_000)
        await final(adapter, harness)
        assert await adapter.delivery(intent.id) is None
        assert await adapter.credit(payee) == 0
        await submit(adapter, harness, await delivering(adapter, intent, b"x"))
        assert await adapter.delivery(intent.id) is not None
        await submit(adapter, harness, await settling(adapter, intent, [Payout(payee, 5)]))
        assert await adapter.credit(payee) == 5


async def test_a_refund_comes_after_the_grace(harness: LitesvmHarness) -> None:
    """And a second one is already done."""
    async with made(harness) as adapter:
        await ready(adapter, harness)
        intent = await asked(adapter, harness)
        await harness.pass_time(3_600 + GRACE + 60)
        await ready(adapter, harness)
        step = await submit(adapter, harness, adapter.refund_call(intent.id))
        assert step.stage is TxStage.FINAL
        assert await adapter.intent_state(intent.id) is IntentState.REFUNDED
