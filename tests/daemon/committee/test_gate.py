"""A member that starts says nothing that binds before others have told how far it was."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.committee import A, Committee, Place, Said
from vagus.protocol.envelope import DURABLE, Kind, open_envelope


@pytest.fixture
def committee(tmp_path: Path) -> Committee:
    return Committee(tmp_path, 4, 3)


@contextlib.asynccontextmanager
async def started(committee: Committee, *members: int) -> AsyncIterator[list[Place]]:
    async with contextlib.AsyncExitStack() as stack, asyncio.timeout(30):
        yield [await stack.enter_async_context(committee.member(at)) for at in members]


async def decided(places: list[Place], seq: int) -> None:
    await asyncio.gather(*(place.decide(Said(b"yes"), seq) for place in places))


def binding(committee: Committee, sender: bytes) -> list[int]:
    """The sequences of all that a member has said for good, in the order in which it left."""
    opened = [open_envelope(frame)[0] for frame in committee.wire.frames]
    return [each.sequence for each in opened if each.sender == sender and each.kind in DURABLE]


async def test_one_of_four_says_nothing_that_binds_while_one_other_alone_is_there(
    committee: Committee,
) -> None:
    # One of four may lie, so that two must report.
    async with started(committee, 0, 1) as (here, _):
        task = asyncio.create_task(here.decide(Said(b"yes")))
        while sum(open_envelope(f)[0].kind == Kind.HELLO for f in committee.wire.frames) < 6:
            await asyncio.sleep(0.01)
        assert binding(committee, committee.signers[0]) == []
        assert "1 of 2 members" in (here.peers.gate.words() or "")
        assert here.peers.faults().keys() == {"committee"}
        task.cancel()
        await asyncio.wait((task,))


async def test_it_opens_once_as_many_have_reported_as_cannot_all_lie(committee: Committee) -> None:
    async with started(committee, 0, 1, 2) as places:
        await places[0].peers.joined()
        assert places[0].peers.faults() == {}


async def test_a_restart_goes_on_with_a_higher_sequence(committee: Committee) -> None:
    async with started(committee, 0, 1, 2) as others:
        async with started(committee, 3) as (fourth,):
            await decided([*others, fourth], 1)
        said = binding(committee, committee.signers[3])
        async with started(committee, 3) as (fourth,):
            await decided([*others, fourth], 2)
        again = binding(committee, committee.signers[3])[len(said) :]
    new = set(again) - set(said)
    assert new
    assert min(new) > max(said)


async def test_a_journal_that_is_older_than_what_was_said_goes_on_above_it_and_is_fenced(
    committee: Committee,
) -> None:
    old, file = committee.folder / "old", committee.folder / "3.sqlite"
    async with started(committee, 0, 1, 2) as others:
        async with started(committee, 3) as (fourth,):
            await decided([*others, fourth], 1)
        shutil.copy(file, old)
        async with started(committee, 3) as (fourth,):
            await decided([*others, fourth], 2)
        said = binding(committee, committee.signers[3])
        for each in committee.folder.glob("3.sqlite*"):
            each.unlink()
        shutil.copy(old, file)
        async with started(committee, 3) as (fourth,):
            await fourth.peers.joined()
            assert await fourth.journal.sequence() >= max(said)
            assert fourth.journal.unfenced(A)
            await fourth.journal.fence(A, 3)
            # What was asked before is not taken up again; what is asked now is.
            await decided([*others, fourth], 3)
    again = binding(committee, committee.signers[3])[len(said) :]
    assert min(again) > max(said)


async def test_reports_of_another_start_are_worth_nothing(committee: Committee) -> None:
    async with started(committee, 0, 1, 2) as others:
        async with started(committee, 3) as (fourth,):
            await decided([*others, fourth], 1)
        reports = [
            frame for frame in committee.wire.frames if open_envelope(frame)[0].kind == Kind.REPORT
        ]
        committee.wire.lost = lambda kind, sender, to: kind == Kind.REPORT
        async with started(committee, 3) as (fourth,):
            for frame in reports:
                fourth.peers.take(frame)
            assert not fourth.peers.gate.open.is_set()
            committee.wire.lost = lambda kind, sender, to: False
            await fourth.peers.joined()


async def test_a_report_with_an_envelope_that_is_not_ones_own_is_worth_nothing(
    committee: Committee,
) -> None:
    me, second, third, _ = committee.signers
    async with started(committee, 1, 2) as (liar, other):
        async with started(committee, 0) as (first,):
            await decided([first, liar, other], 1)
        said = [(open_envelope(frame)[0], frame) for frame in committee.wire.frames]
        forged = next(f for each, f in said if each.sender == third and each.kind in DURABLE)
        liar.peers.members.by_signer[me].envelope = forged
        committee.wire.lost = lambda kind, sender, to: sender == third and kind == Kind.REPORT
        before = len(committee.wire.frames)
        async with started(committee, 0) as (again,):
            reports = 0
            while reports < 3:
                await asyncio.sleep(0.01)
                kinds = [open_envelope(frame)[0] for frame in committee.wire.frames[before:]]
                reports = sum((e.kind, e.sender) == (Kind.REPORT, second) for e in kinds)
            assert not again.peers.gate.open.is_set()
            assert "0 of 2 members" in (again.peers.gate.words() or "")
