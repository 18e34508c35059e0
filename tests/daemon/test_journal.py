"""What every journal promises. An implementation joins by a line in JOURNALS (support/journals.py)."""

import asyncio
from collections import Counter
from collections.abc import Awaitable

import pytest

from support.journals import DEST, HUB, LANE, Open, attestation, built, lane, request
from vagus.adapters.base import Cursor, Step, TxStage
from vagus.daemon.journal.base import Journal
from vagus.daemon.journal.records import IntentRecord, Kind, Stage
from vagus.protocol import (
    FeeFormula,
    Payout,
    Receipt,
    Retry,
    Status,
    hub_id,
    keccak256,
    payouts_hash,
)


async def final(journal: Journal, seq: int, height: int = 1) -> IntentRecord:
    """An intent that was just read at finality."""
    [record] = await journal.observe(HUB, [request(seq, height)], Cursor(seq + 1, height))
    return record


async def moved(journal: Journal, seq: int, to: Stage) -> IntentRecord:
    record = await final(journal, seq)
    for stage in Stage:
        if Stage.OBSERVED < stage <= to:
            await journal.move(record, stage)
    return record


async def stages(journal: Journal, record: IntentRecord) -> list[Stage]:
    return [each.stage for each in await journal.history(record.id)]


async def test_a_record_is_the_same_after_a_restart(opened: Open) -> None:
    async with opened() as journal:
        record = await final(journal, 1, height=5)
        await journal.move(record, Stage.FINAL)
        await journal.move(record, Stage.ROUTED, note="local/m", backend="local/m")
        await journal.move(
            record,
            Stage.EXECUTED,
            evidence=(keccak256(b"{}"), b"{}"),
            status=Status.FULFILLED,
            reason="",
            output=b"Paris",
            cost=1 << 200,
            fee=FeeFormula(1 << 255, 15_000),
            attestation=attestation(record.id, b"Paris"),
            epoch=7,
            leader=b"\x0a" * 20,
        )
        await journal.spend(record, 1 << 201)
        await journal.move(record, Stage.ATTESTED, signatures=(b"\x01" * 65, b"\x02" * 65))
        await journal.submit(record, Stage.SUBMITTED, Kind.DELIVER, LANE, None, built(0))
        payouts = (Payout(keccak256(b"a"), 1 << 255), Payout(keccak256(b"b"), 2))
        await journal.move(record, Stage.CONFIRMED, callback_failed=True, payouts=payouts)
        paid = payouts_hash(payouts)
        receipt = Receipt(record.id, hub_id(DEST), 0, paid, 3, 7, 2_000_000_000)
        await journal.submit(
            record, Stage.SETTLING, Kind.SETTLE, LANE, lane(1), built(1), receipt=receipt
        )
        record.tx = None  # what this process sent is no part of what the journal gives back
    async with opened() as journal:
        read = await journal.intent(record.id)
        assert read is not None
        read.updated_at = record.updated_at
        assert read == record
        assert (read.block_hash, read.epoch) == (request(1, 5).block_hash, 7)
        assert read.spent == 1 << 201
        assert await journal.evidence(keccak256(b"{}")) == b"{}"
        assert await journal.evidence(keccak256(b"else")) is None


async def test_the_history_has_each_move_in_order_with_its_note(opened: Open) -> None:
    async with opened() as journal:
        record = await final(journal, 1)
        await journal.move(record, Stage.FINAL)
        await journal.move(record, Stage.ROUTED, note="local/m")
        history = await journal.history(record.id)
    assert [(each.stage, each.note) for each in history] == [
        (Stage.OBSERVED, ""),
        (Stage.FINAL, ""),
        (Stage.ROUTED, "local/m"),
    ]
    assert [each.at for each in history] == sorted(each.at for each in history)


async def test_a_write_that_was_called_is_durable_once_the_journal_is_closed(opened: Open) -> None:
    async with opened() as journal:
        for seq in range(1, 40):
            journal.observe(HUB, [request(seq)], Cursor(seq + 1, seq))
    async with opened() as journal:
        assert await journal.cursor(HUB) == Cursor(40, 39)
        assert len(await journal.unfinished()) == 39


async def test_a_write_that_nobody_awaits_any_more_is_still_made(opened: Open) -> None:
    async with opened() as journal:
        record = await final(journal, 1)
        waiting = asyncio.ensure_future(journal.move(record, Stage.FINAL))
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await journal.move(await final(journal, 2, 2), Stage.FINAL)
        assert record.stage == Stage.FINAL
        assert await stages(journal, record) == [Stage.OBSERVED, Stage.FINAL]


async def test_writes_are_durable_in_the_order_of_their_calls(opened: Open) -> None:
    done: list[int] = []

    async def wait(number: int, write: Awaitable[object]) -> None:
        await write
        done.append(number)

    async with opened() as journal, asyncio.TaskGroup() as group:
        writes = [journal.observe(HUB, [request(seq)], None) for seq in range(1, 200)]
        for number in reversed(range(len(writes))):
            group.create_task(wait(number, writes[number]))
    assert sorted(done) == list(range(199))
    async with opened() as journal:
        newest = await journal.intents(500)
    assert sorted(each.intent.seq for each in newest) == list(range(1, 200))


async def test_a_record_changes_only_once_the_write_is_durable(opened: Open) -> None:
    async with opened() as journal:
        record = await final(journal, 1)
        write = journal.move(record, Stage.FINAL, reason="why")
        assert (record.stage, record.reason) == (Stage.OBSERVED, "")
        await write
        assert (record.stage, record.reason) == (Stage.FINAL, "why")


async def test_an_intent_is_moved_from_its_own_stage_alone(opened: Open) -> None:
    async with opened() as journal:
        record = await final(journal, 1)
        other = await journal.intent(record.id)
        assert other is not None
        await journal.move(record, Stage.FINAL)
        with pytest.raises(RuntimeError, match="not at OBSERVED any more"):
            await journal.move(other, Stage.FINAL)
        assert await stages(journal, record) == [Stage.OBSERVED, Stage.FINAL]


async def test_a_failed_write_leaves_the_others_of_its_group_alone(opened: Open) -> None:
    async with opened() as journal:
        records = [await final(journal, seq, seq) for seq in range(1, 20)]
        doubled = await journal.intent(records[9].id)
        assert doubled is not None
        writes = [journal.move(record, Stage.FINAL) for record in records]
        writes.insert(10, journal.move(doubled, Stage.FINAL))
        results = await asyncio.gather(*writes, return_exceptions=True)
        assert [type(each) for each in results if each is not None] == [RuntimeError]
        assert doubled.stage == Stage.OBSERVED
        assert await journal.counts() == {Stage.FINAL: 19}


async def test_a_field_that_never_changes_cannot_be_changed(opened: Open) -> None:
    async with opened() as journal:
        record = await final(journal, 1)
        with pytest.raises(KeyError):
            await journal.move(record, Stage.FINAL, payload=b"another")


async def test_of_what_was_spent_the_last_word_stands_at_any_stage(opened: Open) -> None:
    async with opened() as journal:
        record = await moved(journal, 1, Stage.ROUTED)
        await asyncio.gather(*(journal.spend(record, each) for each in (7, 9, 8)))
        assert record.spent == 8
    async with opened() as journal:
        [read] = await journal.unfinished()
        assert (read.spent, read.stage) == (8, Stage.ROUTED)
        assert await stages(journal, read) == list(Stage)[:3]


async def test_the_cursor_is_written_with_what_it_covers(opened: Open) -> None:
    async with opened() as journal:
        assert await journal.cursor(HUB) is None
        found = [request(1, 3), request(2, 4)]
        records = await journal.observe(HUB, found, Cursor(3, 9))
        assert [record.intent.seq for record in records] == [1, 2]
        assert await journal.cursor(HUB) == Cursor(3, 9)
        assert await journal.cursor(DEST) is None


async def test_an_intent_that_was_read_twice_is_handed_on_once(opened: Open) -> None:
    async with opened() as journal:
        record = await final(journal, 1)
        await journal.move(record, Stage.FINAL)
        assert await journal.observe(HUB, [request(1)], Cursor(2, 2)) == []
        assert await stages(journal, record) == [Stage.OBSERVED, Stage.FINAL]


async def test_what_the_tip_shows_is_seen_but_not_carried(opened: Open) -> None:
    async with opened() as journal:
        assert await journal.observe(HUB, [request(1, 7)], None) == []
        assert await journal.unfinished() == []
        assert await journal.counts() == {Stage.OBSERVED: 1}
        [record] = await journal.observe(HUB, [request(1, 7)], Cursor(2, 7))
        assert [each.id for each in await journal.unfinished()] == [record.id]
        assert await stages(journal, record) == [Stage.OBSERVED]


async def test_what_a_final_reading_does_not_find_is_orphaned(opened: Open) -> None:
    async with opened() as journal:
        await journal.observe(HUB, [request(1, 7), request(2, 9)], None)
        assert await journal.observe(HUB, [], Cursor(1, 8)) == []
        gone = await journal.intent(request(1).intent.id)
        assert gone is not None
        assert (gone.stage, gone.reason) == (Stage.ORPHANED, "its block left the chain")
        later = await journal.intent(request(2).intent.id)
        assert later is not None
        assert later.stage == Stage.OBSERVED


async def test_an_orphan_that_comes_back_is_carried(opened: Open) -> None:
    async with opened() as journal:
        await journal.observe(HUB, [request(1, 7)], None)
        await journal.observe(HUB, [], Cursor(1, 8))
        [record] = await journal.observe(HUB, [request(1, 10)], Cursor(2, 10))
        read = await journal.intent(record.id)
        assert read is not None
        assert (read.stage, read.height, read.reason) == (Stage.OBSERVED, 10, "")
        expected = [Stage.OBSERVED, Stage.ORPHANED, Stage.OBSERVED]
        assert await stages(journal, record) == expected
        await journal.move(record, Stage.FINAL)


async def test_one_hub_does_not_orphan_what_another_shows(opened: Open) -> None:
    async with opened() as journal:
        await journal.observe(HUB, [request(1, 7)], None)
        await journal.observe(DEST, [], Cursor(1, 100))
        assert await journal.counts() == {Stage.OBSERVED: 1}


async def test_what_has_not_ended_is_resumed_holders_of_a_nonce_first_then_by_age(
    opened: Open,
) -> None:
    ends = [Stage.SETTLED, Stage.CLOSED, Stage.LEFT, Stage.ORPHANED]
    holders = [Stage.SUBMITTED, Stage.SETTLING]
    async with opened() as journal:
        for seq, stage in enumerate(Stage, start=1):
            record = await final(journal, seq, seq)
            if stage != Stage.OBSERVED:
                await journal.move(record, stage)
        unfinished = await journal.unfinished()
    waiting = [stage for stage in Stage if stage not in (*ends, *holders)]
    assert [record.stage for record in unfinished] == [*holders, *waiting]


async def test_intents_are_listed_newest_first_and_by_stage(opened: Open) -> None:
    async with opened() as journal:
        for seq in range(1, 6):
            record = await final(journal, seq, seq)
            if seq % 2:
                await journal.move(record, Stage.FINAL)
        assert [each.intent.seq for each in await journal.intents(3)] == [5, 4, 3]
        odd = await journal.intents(9, Stage.FINAL)
        assert [each.intent.seq for each in odd] == [5, 3, 1]
        assert await journal.counts() == {Stage.FINAL: 3, Stage.OBSERVED: 2}


async def test_a_transaction_is_recorded_with_its_intent_and_its_lane(opened: Open) -> None:
    async with opened() as journal:
        record = await moved(journal, 1, Stage.ATTESTED)
        assert await journal.lane(LANE) is None
        tx = await journal.submit(record, Stage.SUBMITTED, Kind.DELIVER, LANE, None, built(0))
        assert record.stage == Stage.SUBMITTED
        assert record.tx is tx
        assert await journal.lane(LANE) == lane(1)
        assert await journal.newest_tx(record.id, Kind.DELIVER) == tx
        assert await journal.newest_tx(record.id, Kind.SETTLE) is None


async def test_the_newest_transaction_of_a_kind_is_the_one_that_counts(opened: Open) -> None:
    async with opened() as journal:
        record = await moved(journal, 1, Stage.ATTESTED)
        await journal.submit(record, Stage.SUBMITTED, Kind.DELIVER, LANE, None, built(0))
        again = await journal.submit(record, Stage.SUBMITTED, Kind.DELIVER, LANE, lane(1), built(1))
        assert await journal.newest_tx(record.id, Kind.DELIVER) == again


async def test_a_replaced_transaction_is_journalled_as_it_is_now(opened: Open) -> None:
    async with opened() as journal:
        record = await moved(journal, 1, Stage.ATTESTED)
        tx = await journal.submit(record, Stage.SUBMITTED, Kind.DELIVER, LANE, None, built(0))
        await journal.follow(tx, Step(TxStage.BROADCAST, b"dearer", "0xdearer"))
        assert (tx.stage, tx.state, tx.tx_id) == (TxStage.BROADCAST, b"dearer", "0xdearer")
        assert await journal.newest_tx(record.id, Kind.DELIVER) == tx


async def test_a_move_takes_the_end_of_the_transaction_along(opened: Open) -> None:
    async with opened() as journal:
        record = await moved(journal, 1, Stage.ATTESTED)
        tx = await journal.submit(record, Stage.SUBMITTED, Kind.DELIVER, LANE, None, built(0))
        tx.stage = TxStage.FINAL
        await journal.move(record, Stage.CONFIRMED)
        assert record.tx is None
        read = await journal.newest_tx(record.id, Kind.DELIVER)
        assert read is not None
        assert read.stage == TxStage.FINAL


async def test_a_lane_has_its_nonces_in_their_order(opened: Open) -> None:
    async with opened() as journal:
        records = [await moved(journal, seq, Stage.ATTESTED) for seq in range(1, 50)]
        after: list[bytes | None] = [None, *(lane(nonce) for nonce in range(1, 49))]
        await asyncio.gather(
            *(
                journal.submit(record, Stage.SUBMITTED, Kind.DELIVER, LANE, after[at], built(at))
                for at, record in enumerate(records)
            )
        )
        assert await journal.lane(LANE) == lane(49)


async def test_a_nonce_behind_one_that_was_not_journalled_is_not_journalled_either(
    opened: Open,
) -> None:
    async with opened() as journal:
        first, second, third = [await moved(journal, seq, Stage.ATTESTED) for seq in (1, 2, 3)]
        elsewhere = await journal.intent(second.id)
        assert elsewhere is not None
        await journal.move(second, Stage.CONFIRMED)
        results = await asyncio.gather(
            journal.submit(first, Stage.SUBMITTED, Kind.DELIVER, LANE, None, built(0)),
            journal.submit(elsewhere, Stage.SUBMITTED, Kind.DELIVER, LANE, lane(1), built(1)),
            journal.submit(third, Stage.SUBMITTED, Kind.DELIVER, LANE, lane(2), built(2)),
            return_exceptions=True,
        )
        assert [type(each) for each in results[1:]] == [RuntimeError, Retry]
        assert await journal.lane(LANE) == lane(1)
        assert third.stage == Stage.ATTESTED
        assert await journal.newest_tx(third.id, Kind.DELIVER) is None
        await journal.submit(third, Stage.SUBMITTED, Kind.DELIVER, LANE, lane(1), built(1))


async def test_reads_see_what_was_written_and_go_on_while_it_is(opened: Open) -> None:
    async with opened() as journal:
        record = await final(journal, 1)
        read = 0
        async with asyncio.TaskGroup() as group:
            writing = group.create_task(_write_many(journal))
            while not writing.done():
                assert await journal.intent(record.id) is not None
                read += 1
        assert read > 10
        assert await journal.counts() == {Stage.OBSERVED: 1, Stage.FINAL: 100}


async def _write_many(journal: Journal) -> None:
    for seq in range(2, 102):
        await journal.move(await final(journal, seq, seq), Stage.FINAL)


CHAIN, ELSEWHERE = HUB.rpartition(":")[0], DEST.rpartition(":")[0]


async def test_a_halt_is_kept_until_it_is_taken_back_and_the_first_reason_stands(
    opened: Open,
) -> None:
    async with opened() as journal:
        first = await journal.halt(CHAIN, "a final block was replaced")
        assert await journal.halt(CHAIN, "another hub stands there") == first
        other = await journal.halt(ELSEWHERE, "another chain answers")
    async with opened() as journal:
        assert await journal.halts() == [first, other]
        assert await journal.resume(CHAIN) == first
        assert await journal.resume(CHAIN) is None
        assert await journal.halts() == [other]


async def test_nothing_is_looked_at_again_for_a_chain_that_is_not_halted(opened: Open) -> None:
    async with opened() as journal:
        record = await moved(journal, 1, Stage.FINAL)
        await journal.resume(CHAIN)
        assert await journal.cursor(HUB) == Cursor(2, 1)
        assert [each.id for each in await journal.unfinished()] == [record.id]


async def test_after_a_halt_intents_are_carried_once_they_are_found_again_and_keep_their_stage(
    opened: Open,
) -> None:
    async with opened() as journal:
        early, later = await moved(journal, 1, Stage.FINAL), await final(journal, 2, 2)
        await journal.move(later, Stage.FINAL)
        await journal.halt(CHAIN, "a final block was replaced")
        await journal.resume(CHAIN)
        assert await journal.cursor(HUB) is None
        assert await journal.unfinished() == []
        [found] = await journal.observe(HUB, [request(1, 1)], Cursor(2, 1))
        assert (found.id, found.stage) == (early.id, Stage.FINAL)
        assert await journal.observe(HUB, [], Cursor(2, 5)) == []
        gone = await journal.intent(later.id)
        assert gone is not None
        assert (gone.stage, gone.reason) == (Stage.ORPHANED, "its block left the chain")
        assert [each.id for each in await journal.unfinished()] == [early.id]


async def decided(journal: Journal, seq: int) -> IntentRecord:
    record = await moved(journal, seq, Stage.ROUTED)
    outcome = attestation(record.id, b"Paris")
    await journal.move(
        record, Stage.EXECUTED, status=Status.FULFILLED, output=b"Paris", attestation=outcome
    )
    return record


async def test_an_orphan_that_had_an_outcome_comes_back_with_it_and_is_not_asked_again(
    opened: Open,
) -> None:
    async with opened() as journal:
        record = await decided(journal, 1)
        await journal.move(record, Stage.ATTESTED, signatures=(b"\x01" * 65,))
        await journal.halt(CHAIN, "a final block was replaced")
        await journal.resume(CHAIN)
        assert await journal.observe(HUB, [], Cursor(1, 9)) == []
        [back] = await journal.observe(HUB, [request(1, 12)], Cursor(2, 12))
        assert (back.stage, back.output, back.height) == (Stage.EXECUTED, b"Paris", 12)
        assert back.block_hash == request(1, 12).block_hash != record.block_hash
        assert back.attestation == record.attestation
        expected = [Stage.ROUTED, Stage.EXECUTED, Stage.ATTESTED, Stage.ORPHANED, Stage.EXECUTED]
        assert (await stages(journal, record))[-5:] == expected


async def test_after_a_halt_what_was_sent_to_the_chain_is_followed_again(opened: Open) -> None:
    """Deliveries there go back to SUBMITTED, settlements there to SETTLING; lanes begin anew."""
    async with opened() as journal:
        record = await decided(journal, 1)
        await journal.move(record, Stage.ATTESTED, signatures=(b"\x01" * 65,))
        await journal.submit(record, Stage.SUBMITTED, Kind.DELIVER, LANE, None, built(0))
        await journal.move(record, Stage.CONFIRMED)
        home = f"{CHAIN}:0x" + "33" * 20
        await journal.submit(record, Stage.SETTLING, Kind.SETTLE, home, None, built(0))
        await journal.move(record, Stage.SETTLED)

        await journal.halt(ELSEWHERE, "a final block was replaced")
        await journal.resume(ELSEWHERE)
        [again] = await journal.unfinished()
        assert again.stage == Stage.SUBMITTED
        assert (await journal.lane(LANE), await journal.lane(home)) == (None, lane(1))
        await journal.move(again, Stage.CONFIRMED)
        await journal.move(again, Stage.SETTLED)

        await journal.halt(CHAIN, "a final block was replaced")
        await journal.resume(CHAIN)
        assert await journal.lane(home) is None
        [again] = await journal.observe(HUB, [request(1, 1)], Cursor(2, 1))
        assert again.stage == Stage.SETTLING


async def test_a_halt_leaves_the_other_chains_as_they_are(opened: Open) -> None:
    async with opened() as journal:
        record = await moved(journal, 1, Stage.ATTESTED)
        await journal.submit(record, Stage.SUBMITTED, Kind.DELIVER, LANE, None, built(0))
        await journal.halt("eip155:3133", "its name begins as the others' do")
        await journal.resume("eip155:3133")
        assert await journal.cursor(HUB) == Cursor(2, 1)
        assert await journal.lane(LANE) == lane(1)
        assert [each.stage for each in await journal.unfinished()] == [Stage.SUBMITTED]


async def test_counts_and_the_line_they_go_to_are_one_reading(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is written between two statements of a reader, the lines up to the key add up."""
    async with opened() as journal:
        assert await journal.counted() == (0, {})
        records = await journal.observe(HUB, [request(seq) for seq in range(1, 9)], Cursor(9, 1))
        waiting, real = list(records), journal._read  # type: ignore[attr-defined]

        async def read(sql: str, *values: object) -> object:
            found = await real(sql, *values)
            if waiting:
                await journal.move(waiting.pop(), Stage.FINAL)
            return found

        monkeypatch.setattr(journal, "_read", read)
        for _ in range(3):
            key, counts = await journal.counted()
            stands = {
                each.record.id: each.stage
                for each in await journal.history_after(0, 1000)
                if each.key <= key
            }
            assert counts == Counter(stands.values())


async def test_intents_that_were_seen_at_one_time_have_an_order(opened: Open) -> None:
    async with opened() as journal:
        first = await journal.observe(HUB, [request(seq, 2) for seq in range(1, 40)], None)
        last = await journal.observe(HUB, [request(seq, 1) for seq in range(40, 60)], None)
        assert first == last == []
        shown = [each.id for each in await journal.intents(100)]
        wanted = [
            sorted((request(seq).intent.id for seq in seqs), reverse=True)
            for seqs in (range(40, 60), range(1, 40))
        ]
        assert shown == wanted[0] + wanted[1]
        assert [each.id for each in await journal.intents(25)] == shown[:25]
        assert [each.id for each in await journal.intents(25, Stage.OBSERVED)] == shown[:25]
