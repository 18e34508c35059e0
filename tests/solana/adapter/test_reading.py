"""Reading intents where accounts were closed, logs cut off, addresses spammed and slots skipped."""

import pytest
from solana.rpc.commitment import Confirmed
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer

from support.solana_harness import GRACE, TTL, LitesvmHarness
from vagus.adapters.base import ChainAdapter, Cursor, EventFilter, Requested
from vagus.adapters.conformance.driving import (
    as_asked,
    caught_up,
    final,
    made,
    patiently,
    payloads,
    proxied,
    read_all,
    ready,
    submit,
)
from vagus.adapters.conformance.faults import Lie, Only
from vagus.adapters.conformance.solana import result
from vagus.protocol import keccak256

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("solana_reading"),
]

MEMO = Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr")


async def read(adapter: ChainAdapter, harness: LitesvmHarness, begin: Cursor) -> list[Requested]:
    await final(adapter, harness)
    return (await read_all(adapter, begin))[0]


async def test_closed_intents_are_passed_and_those_between_them_read(
    harness: LitesvmHarness,
) -> None:
    """By a node that comes when their accounts are gone: their numbers have nothing to read."""
    async with made(harness) as adapter:
        begin = await caught_up(adapter, harness)
        asked = []
        for count in (2, 1, 3):
            asked += await harness.ask(payloads(count))
        await harness.pass_time(TTL + GRACE + 60)
        await ready(adapter, harness)
        over = [asked[0], asked[1], asked[3]]
        for each in over:
            await submit(adapter, harness, adapter.refund_call(each.intent_id))
            await harness.close(each)
        later = await harness.ask(payloads(2))
    async with made(harness) as fresh:
        await final(fresh, harness)
        found, cursors = await read_all(fresh, begin)
        assert as_asked(found) == [each for each in asked if each not in over] + later
        assert cursors[-1].next_seq == later[-1].seq + 1
        # From the hub's very first intent on, too.
        found, cursors = await read_all(fresh)
        assert as_asked(found)[-5:] == [asked[2], *asked[4:], *later]


async def test_logs_that_were_cut_off_lose_no_intent(harness: LitesvmHarness) -> None:
    """Nothing is read of them: neither of none, nor of what another program printed."""
    async with proxied(harness) as proxy, made(harness, proxy) as adapter:
        begin = await caught_up(adapter, harness)
        asked = await harness.ask(payloads(3))
        proxy.faults = (result("getTransaction", _cut_off),)
        assert as_asked(await read(adapter, harness, begin)) == asked


async def test_logs_that_the_runtime_itself_cuts_off_lose_no_intent(
    harness: LitesvmHarness,
) -> None:
    """Forty-five memos fill the 10,000 bytes: of the request behind them nothing is in the logs."""
    async with made(harness) as adapter:
        begin = await caught_up(adapter, harness)
        config = harness.program.record("Config", await harness.data(harness.config_key))
        deadline = (await harness.block()).time + TTL
        quiet = harness.request(b"behind the memos", config["hub_id"], deadline, 2 * 10**9)
        signature = await harness.sent(*[Instruction(MEMO, b"m", [])] * 45, quiet)
        await harness.advance()
        sent = (
            await harness.client.get_transaction(
                signature, "json", Confirmed, max_supported_transaction_version=0
            )
        ).value
        assert sent is not None
        assert sent.transaction.meta is not None
        assert sent.transaction.meta.err is None
        logs = sent.transaction.meta.log_messages or []
        # A shorter line may still fit behind the one that did not.
        assert "Log truncated" in logs
        assert sum(len(line) for line in logs if line != "Log truncated") <= 10_000
        assert not any(line.startswith("Program data: ") for line in logs)
        found = await read(adapter, harness, begin)
        assert [each.payload for each in found] == [b"behind the memos"]
        assert found[0].tx_id == str(signature)


async def test_a_request_that_failed_on_chain_is_neither_an_intent_nor_an_event(
    harness: LitesvmHarness,
) -> None:
    """A right one, of which the logs tell: what failed is an instruction behind it."""
    async with made(harness) as adapter:
        begin = await caught_up(adapter, harness)
        config = harness.program.record("Config", await harness.data(harness.config_key))
        deadline = (await harness.block()).time + TTL
        asking = harness.request(b"taken back", config["hub_id"], deadline, 3 * 10**9)
        me = harness.requester.pubkey()
        too_much = transfer(TransferParams(from_pubkey=me, to_pubkey=me, lamports=10**18))
        failed = await harness.sent(asking, too_much)
        await harness.advance()
        sent = (
            await harness.client.get_transaction(
                failed, "json", Confirmed, max_supported_transaction_version=0
            )
        ).value
        assert sent is not None
        assert sent.transaction.meta is not None
        assert sent.transaction.meta.err is not None
        told = harness.program.events(sent.transaction.meta.log_messages or [])
        assert [name for name, _ in told] == ["IntentRequested"]
        # The same number again, by a request that succeeds.
        await harness.done(asking)
        (found,) = await read(adapter, harness, begin)
        assert (found.payload, found.intent.seq) == (b"taken back", begin.next_seq)
        assert found.tx_id != str(failed)
        assert await adapter.requested(str(failed)) == []
        last = (await harness.block()).height
        events = await patiently(lambda: adapter.events(harness.requested, begin.height, last))
        ids = [each.tx_id for each in events]
        assert found.tx_id in ids
        assert str(failed) not in ids


async def test_transactions_that_only_name_the_hub_are_no_intents(harness: LitesvmHarness) -> None:
    """Failed ones, other programs' with the hub as an account, and calls of other instructions."""
    async with made(harness) as adapter:
        begin = await caught_up(adapter, harness)
        hub, me = AccountMeta(harness.program.id, False, False), harness.requester.pubkey()
        named = transfer(TransferParams(from_pubkey=me, to_pubkey=me, lamports=1))
        named = Instruction(named.program_id, named.data, [*named.accounts, hub])
        await harness.done(named, Instruction(MEMO, b"Program data: " + b"A" * 300, []))
        await harness.sent(Instruction(harness.program.id, b"\x01" + b"x" * 40, [hub] * 7))
        accounts = {
            "payer": me,
            "owner": Pubkey(keccak256(b"an owner")),
            "credit": harness.program.address(b"credit", keccak256(b"an owner")),
        }
        await harness.done(harness.program.call("open_credit", accounts))
        asked = await harness.ask(payloads(1))
        assert as_asked(await read(adapter, harness, begin)) == asked


async def test_several_requests_in_one_transaction_are_read_in_their_order(
    harness: LitesvmHarness,
) -> None:
    """With another program's instruction between them."""
    async with made(harness) as adapter:
        begin = await caught_up(adapter, harness)
        config = harness.program.record("Config", await harness.data(harness.config_key))
        deadline = (await harness.block()).time + TTL
        requests = [
            harness.request(b"of many %d" % at, config["hub_id"], deadline, 10**9 + at)
            for at in range(2)
        ]
        await harness.done(requests[0], Instruction(MEMO, b"between", []), requests[1])
        found = await read(adapter, harness, begin)
        assert [each.payload for each in found] == [b"of many 0", b"of many 1"]
        assert len({each.tx_id for each in found}) == 1


async def test_slots_without_a_block_are_passed(harness: LitesvmHarness) -> None:
    """Before, between and after those that hold intents."""
    async with made(harness) as adapter:
        begin = await caught_up(adapter, harness)
        asked = []
        for _ in range(3):
            await harness.net.call("devnet_skip", 2)
            asked += await harness.ask(payloads(1))
        await harness.net.call("devnet_skip", 5)
        await harness.advance(harness.finality + 1)
        assert as_asked(await read(adapter, harness, begin)) == asked


async def test_an_intent_whose_transaction_was_forgotten_is_found_by_its_account(
    harness: LitesvmHarness,
) -> None:
    """A node without its history's beginning still has the account; the transaction others may know."""
    async with proxied(harness) as proxy, made(harness, proxy) as adapter:
        begin = await caught_up(adapter, harness)
        asked = await harness.ask(payloads(3))
        hidden = asked[1].tx_id
        program = str(harness.program.id)

        def forget(request: dict, answer: dict) -> dict:
            if request["params"][0] == program:
                found = answer["result"]
                answer["result"] = [each for each in found if each["signature"] != hidden]
            return answer

        proxy.faults = (Only(("getSignaturesForAddress",), Lie(forget)),)
        assert as_asked(await read(adapter, harness, begin)) == asked


async def test_a_history_of_many_pages_is_read_whole(
    harness: LitesvmHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Walked down once, then read upwards window by window; the same whatever a page holds."""
    monkeypatch.setattr("vagus.adapters.solana.listing._PAGE", 7)
    monkeypatch.setattr("vagus.adapters.solana.listing._WINDOW", 3)
    async with made(harness) as adapter:
        begin = await caught_up(adapter, harness)
        asked = []
        for _ in range(30):
            asked += await harness.ask(payloads(3))
        assert as_asked(await read(adapter, harness, begin)) == asked


async def test_a_block_after_the_one_that_is_asked_for_is_not_read(
    harness: LitesvmHarness,
) -> None:
    """Intents that are newer count, since the hub has numbered them, and are read later."""
    async with proxied(harness) as proxy, made(harness, proxy, poll=600.0) as adapter:
        begin = await caught_up(adapter, harness)
        await harness.advance(5)
        until = (await final(adapter, harness)).final
        asked = await harness.ask(payloads(2))
        await final(adapter, harness)
        proxy.calls.clear()
        found, cursor = await adapter.intents(begin, until)
        assert found == []
        assert (cursor.next_seq, cursor.height) == (begin.next_seq, until.height)
        assert proxy.calls["getTransaction"] == 2
        assert proxy.calls["getBlock"] == 0
        assert as_asked(await read(adapter, harness, cursor)) == asked


async def test_an_event_of_another_program_that_looks_alike_is_not_the_hubs(
    harness: LitesvmHarness,
) -> None:
    """The memo program prints a hub's line: no event of either."""
    async with made(harness) as adapter:
        await ready(adapter, harness)
        (asked,) = await harness.ask(payloads(1))
        line = f"Program {harness.program.id} invoke [2]\nProgram data: AAAA".encode()
        me = harness.requester.pubkey()
        credit = harness.program.address(b"credit", bytes(me))
        accounts = {"payer": me, "owner": me, "credit": credit}
        await harness.done(
            Instruction(MEMO, line, []), harness.program.call("open_credit", accounts)
        )
        await ready(adapter, harness)
        last = (await harness.block()).height
        for address in (str(harness.program.id), str(MEMO)):
            wanted = EventFilter(address, "IntentRequested")
            found = await patiently(
                lambda wanted=wanted: adapter.events(wanted, asked.height, last)
            )  # type: ignore[misc]
            assert [each.tx_id for each in found] == ([asked.tx_id] if address != str(MEMO) else [])


def _cut_off(transaction: dict) -> dict:
    transaction["meta"]["logMessages"] = ["Log truncated"]
    return transaction
