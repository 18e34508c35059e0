"""What every journal promises of what its member said: one thing of a kind and round, for good."""

import asyncio
import traceback

import pytest

from support.journals import DEST, HUB, Open, attestation, request
from vagus.adapters.base import Cursor
from vagus.daemon.journal.base import EquivocationError, Journal
from vagus.daemon.journal.records import IntentRecord, Said, SaidRow, Stage
from vagus.protocol import Status, hub_id, keccak256

THERE, HOME = hub_id(DEST), hub_id(HUB)
PREVOTE, PRECOMMIT, COMMIT, SIGNATURE = 2, 3, 5, 8
ONE, OTHER = keccak256(b"one"), keccak256(b"other")
MEMBER, PEER = b"\x0a" * 20, b"\x0b" * 20


async def known(journal: Journal, seq: int = 1) -> IntentRecord:
    [record] = await journal.observe(HUB, [request(seq, seq)], Cursor(seq + 1, seq))
    return record


def line(sequence: int, kind: int = PREVOTE, round_: int = 0, value: bytes = ONE) -> Said:
    return Said(kind, round_, sequence, value, b"envelope %d" % sequence, b"salt %d" % sequence)


async def test_what_was_said_is_there_after_a_restart_in_its_order(opened: Open) -> None:
    async with opened() as journal:
        first, second = await known(journal, 1), await known(journal, 2)
        later, vote, none = line(9, COMMIT), line(3), line(4, PRECOMMIT, value=b"")
        assert await journal.say(first.id, THERE, 7, [later]) == [b"envelope 9"]
        assert await journal.say(first.id, THERE, 8, [vote, none]) == [b"envelope 3", b"envelope 4"]
        await journal.say(second.id, THERE, 7, [line(5)])
    async with opened() as journal:
        rows = await journal.said(first.id)
        assert [(each.sequence, each.epoch, each.hub) for each in rows] == [
            (3, 8, THERE),
            (4, 8, THERE),
            (9, 7, THERE),
        ]
        assert rows[0] == SaidRow(PREVOTE, 0, 3, ONE, b"envelope 3", b"salt 3", hub=THERE, epoch=8)
        assert rows[1].value == b""
        assert (await journal.sequence(), await journal.highest()) == (9, b"envelope 9")
        assert await journal.said(keccak256(b"another intent")) == []


async def test_a_journal_in_which_nothing_was_said_says_so(opened: Open) -> None:
    async with opened() as journal:
        record = await known(journal)
        assert await journal.said(record.id) == []
        assert await journal.pledged(record.id) == (None, None)
        assert (await journal.sequence(), await journal.highest()) == (0, None)
        assert (await journal.heard(), await journal.checks(record.id)) == ({}, [])


async def test_said_again_the_first_envelope_stands(opened: Open) -> None:
    async with opened() as journal:
        record = await known(journal)
        await journal.say(record.id, THERE, 7, [line(1), line(2, PRECOMMIT)])
        again = [line(3), line(4, PRECOMMIT), line(5, PREVOTE, 1)]
        envelopes = [b"envelope 1", b"envelope 2", b"envelope 5"]
        assert await journal.say(record.id, THERE, 7, again) == envelopes
        assert await journal.say(record.id, THERE, 7, again) == envelopes
        rows = await journal.said(record.id)
        assert [(each.sequence, each.private) for each in rows] == [
            (1, b"salt 1"),
            (2, b"salt 2"),
            (5, b"salt 5"),
        ]


@pytest.mark.parametrize(("first", "second"), [(ONE, OTHER), (ONE, b""), (b"", ONE)])
async def test_another_vote_of_a_round_is_refused_and_nothing_of_the_write_is_kept(
    opened: Open, first: bytes, second: bytes
) -> None:
    async with opened() as journal:
        record = await known(journal)
        await journal.say(record.id, THERE, 7, [line(1, value=first)])
        wrong = [line(2, PRECOMMIT), line(3, value=second)]
        with pytest.raises(EquivocationError, match="kind 2 of round 0 was said for 0x"):
            await journal.say(record.id, THERE, 7, wrong, outcome=ONE, receipt=ONE)
        assert [each.sequence for each in await journal.said(record.id)] == [1]
        assert await journal.pledged(record.id) == (None, None)


async def test_two_votes_of_a_round_in_one_write_are_refused(opened: Open) -> None:
    async with opened() as journal:
        record = await known(journal)
        with pytest.raises(EquivocationError):
            await journal.say(record.id, THERE, 7, [line(1), line(2, value=OTHER)])
        assert await journal.said(record.id) == []


async def test_rounds_kinds_epochs_hubs_and_intents_have_values_of_their_own(opened: Open) -> None:
    async with opened() as journal:
        record, another = await known(journal, 1), await known(journal, 2)
        await journal.say(record.id, THERE, 7, [line(1)])
        await journal.say(record.id, THERE, 7, [line(2, PREVOTE, 1, OTHER)])
        await journal.say(record.id, THERE, 7, [line(3, PRECOMMIT, 0, OTHER)])
        await journal.say(record.id, THERE, 8, [line(4, value=OTHER)])
        await journal.say(record.id, HOME, 7, [line(5, value=OTHER)])
        await journal.say(another.id, THERE, 7, [line(6, value=OTHER)])
        assert len(await journal.said(record.id)) == 5


async def test_a_sequence_is_used_once(opened: Open) -> None:
    async with opened() as journal:
        record, another = await known(journal, 1), await known(journal, 2)
        await journal.say(record.id, THERE, 7, [line(1)])
        with pytest.raises(EquivocationError, match="has sequence 1, which was used before"):
            await journal.say(another.id, THERE, 7, [line(1)])
        with pytest.raises(EquivocationError, match="kind 3 of round 0 has sequence 1"):
            await journal.say(record.id, THERE, 7, [line(1, PRECOMMIT)])
        assert await journal.said(another.id) == []


@pytest.mark.parametrize("pledge", ["outcome", "receipt"])
async def test_one_outcome_and_one_receipt_are_signed_for_whatever_the_hub_and_epoch(
    opened: Open, pledge: str
) -> None:
    async with opened() as journal:
        record, another = await known(journal, 1), await known(journal, 2)
        await journal.say(record.id, THERE, 7, [line(1, SIGNATURE)], **{pledge: ONE})
    async with opened() as journal:
        again = [line(2, SIGNATURE)]
        with pytest.raises(EquivocationError, match=f"the {pledge} 0x{ONE.hex()} was signed"):
            await journal.say(record.id, HOME, 8, again, **{pledge: OTHER})
        assert [each.sequence for each in await journal.said(record.id)] == [1]
        await journal.say(record.id, HOME, 8, again, **{pledge: ONE})
        await journal.say(another.id, THERE, 7, [line(3, SIGNATURE)], **{pledge: OTHER})
        assert set(await journal.pledged(record.id)) == {ONE, None}
        assert set(await journal.pledged(another.id)) == {OTHER, None}


async def test_an_outcome_and_a_receipt_are_pledged_side_by_side(opened: Open) -> None:
    async with opened() as journal:
        record = await known(journal)
        await journal.say(record.id, THERE, 7, [line(1, SIGNATURE)], outcome=ONE)
        await journal.say(record.id, HOME, 9, [line(2, SIGNATURE)], receipt=OTHER)
        assert await journal.pledged(record.id) == (ONE, OTHER)


async def test_of_an_intent_that_is_not_known_nothing_is_said(opened: Open) -> None:
    async with opened() as journal:
        await known(journal)
        stranger = request(99).intent.id
        with pytest.raises(RuntimeError, match=f"0x{stranger.hex()} is not in the journal"):
            await journal.say(stranger, THERE, 7, [line(1)], outcome=ONE)
        with pytest.raises(RuntimeError, match="is not in the journal"):
            await journal.keep_check(stranger, MEMBER, b"check")
        assert await journal.sequence() == 0


async def test_a_refused_word_leaves_the_others_of_its_group_alone(opened: Open) -> None:
    async with opened() as journal:
        record = await known(journal)
        writes = [
            journal.move(record, Stage.FINAL),
            journal.say(record.id, THERE, 7, [line(1)]),
            journal.say(record.id, THERE, 7, [line(2, value=OTHER)]),
            journal.say(record.id, THERE, 7, [line(3, PRECOMMIT)]),
        ]
        done = await asyncio.gather(*writes, return_exceptions=True)
        assert [type(each) for each in done] == [type(None), list, EquivocationError, list]
        assert [each.sequence for each in await journal.said(record.id)] == [1, 3]


async def test_what_stays_private_is_in_no_traceback(opened: Open) -> None:
    async with opened() as journal:
        record = await known(journal)
        await journal.say(record.id, THERE, 7, [line(1, COMMIT)])
        with pytest.raises(EquivocationError) as caught:
            await journal.say(record.id, THERE, 7, [line(2, COMMIT, value=OTHER)])
        shown = "".join(traceback.format_exception(caught.value))
        assert "salt" not in shown + repr(line(2)) + repr(await journal.said(record.id))


async def test_of_a_member_the_highest_is_kept(opened: Open) -> None:
    async with opened() as journal:
        await journal.hear(MEMBER, 5, b"five")
        await journal.hear(MEMBER, 4, b"four")
        await journal.hear(MEMBER, 5, b"another five")
        await journal.hear(PEER, 300, b"three hundred")
        await journal.hear(PEER, 299, b"less")
    async with opened() as journal:
        assert await journal.heard() == {MEMBER: (5, b"five"), PEER: (300, b"three hundred")}
        await journal.hear(MEMBER, 2**64 - 1, b"last")
        assert (await journal.heard())[MEMBER] == (2**64 - 1, b"last")


async def test_of_checks_the_first_of_each_member_stands(opened: Open) -> None:
    async with opened() as journal:
        record, another = await known(journal, 1), await known(journal, 2)
        await journal.keep_check(record.id, PEER, b"first")
        await journal.keep_check(record.id, MEMBER, b"second")
        await journal.keep_check(record.id, PEER, b"changed its mind")
        await journal.keep_check(another.id, PEER, b"of another intent")
    async with opened() as journal:
        assert await journal.checks(record.id) == [(PEER, b"first"), (MEMBER, b"second")]


async def test_evidence_of_another_is_kept_under_its_own_hash_alone(opened: Open) -> None:
    async with opened() as journal:
        with pytest.raises(ValueError, match="the document's hash is not 0x"):
            await journal.keep_evidence(keccak256(b"{}"), b'{"model":"another"}')
        assert await journal.evidence(keccak256(b"{}")) is None
        await journal.keep_evidence(keccak256(b"{}"), b"{}")
        await journal.keep_evidence(keccak256(b"{}"), b"{}")
    async with opened() as journal:
        assert await journal.evidence(keccak256(b"{}")) == b"{}"


async def test_after_its_end_was_lost_it_goes_on_above_what_others_heard(opened: Open) -> None:
    async with opened() as journal:
        record = await known(journal)
        await journal.say(record.id, THERE, 7, [line(3)])
        await journal.adopt(9)
    async with opened() as journal:
        assert (await journal.sequence(), await journal.highest()) == (9, b"envelope 3")
        with pytest.raises(EquivocationError, match="has sequence 9, which was used before"):
            await journal.say(record.id, THERE, 7, [line(9, PRECOMMIT)])
        assert await journal.say(record.id, THERE, 7, [line(4)]) == [b"envelope 3"]
        await journal.say(record.id, THERE, 7, [line(10, PRECOMMIT)])
        assert (await journal.sequence(), await journal.highest()) == (10, b"envelope 10")
        await journal.adopt(5)
        assert await journal.sequence() == 10


async def test_after_its_end_was_lost_nothing_that_was_asked_before_is_decided(
    opened: Open,
) -> None:
    async with opened() as journal:
        undecided, decided = await known(journal, 1), await known(journal, 2)
        for stage in (Stage.FINAL, Stage.ROUTED):
            await journal.move(undecided, stage)
            await journal.move(decided, stage)
        outcome = {"status": Status.FULFILLED, "attestation": attestation(decided.id)}
        await journal.move(decided, Stage.EXECUTED, **outcome)
        assert not journal.unfenced(HUB)
        await journal.adopt(9)
        assert journal.unfenced(HUB)
        assert [each.id for each in await journal.unfinished()] == [decided.id]
        with pytest.raises(RuntimeError, match="has no fence"):
            await journal.observe(HUB, [request(3, 3)], Cursor(4, 3))
    async with opened() as journal:
        assert journal.unfenced(HUB)
        await journal.fence(HUB, 5)
        asked = [request(seq, seq) for seq in range(1, 7)]
        carried = await journal.observe(HUB, asked, Cursor(7, 6))
        assert [each.intent.seq for each in carried] == [5, 6]
        left = await journal.intent(undecided.id)
        assert left is not None
        assert (left.stage, left.reason) == (
            Stage.LEFT,
            "asked before the journal was restored, which has no outcome of it: left to its refund",
        )


async def test_a_reading_right_behind_the_loss_finds_no_fence(opened: Open) -> None:
    async with opened() as journal:
        await journal.adopt(1)
        await journal.fence(HUB, 1)
        adopting = journal.adopt(2)
        reading = journal.observe(HUB, [request(1)], Cursor(2, 1))
        await adopting
        with pytest.raises(RuntimeError, match="has no fence"):
            await reading
