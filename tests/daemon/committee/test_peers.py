"""Members of a committee decide and sign: over a wire that loses, with liars, and after a crash."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from support.committee import Committee, Place, Said, attested
from vagus.daemon.committee.leaders import leaders
from vagus.daemon.committee.session import Session
from vagus.daemon.execute import Run
from vagus.protocol import Outcome, Retry, verify_quorum
from vagus.protocol.envelope import Kind, open_envelope

DEADLINE = 20.0


@contextlib.asynccontextmanager
async def started(committee: Committee, members: Sequence[int]) -> AsyncIterator[list[Place]]:
    async with contextlib.AsyncExitStack() as stack, asyncio.timeout(DEADLINE):
        yield [await stack.enter_async_context(committee.member(at)) for at in members]


async def decided(places: Sequence[Place], works: Sequence[Said]) -> list[Outcome]:
    return await asyncio.gather(
        *(place.decide(work) for place, work in zip(places, works, strict=True))
    )


async def test_all_decide_the_answer_that_they_share(tmp_path: Path) -> None:
    committee = Committee(tmp_path, 3, 2)
    async with started(committee, range(3)) as places:
        outcomes = await decided(places, [Said(b"yes") for _ in places])
    assert {outcome.output for outcome in outcomes} == {b"yes"}


async def test_two_of_three_decide_without_the_third(tmp_path: Path) -> None:
    committee = Committee(tmp_path, 3, 2)
    async with started(committee, (0, 2)) as places:
        outcomes = await decided(places, [Said(b"yes") for _ in places])
    assert {outcome.output for outcome in outcomes} == {b"yes"}


async def test_nobody_proposes_before_a_quorum_has_committed_to_its_own(tmp_path: Path) -> None:
    committee = Committee(tmp_path, 4, 3)
    async with started(committee, range(4)) as places:
        await decided(places, [Said(b"yes") for _ in places])
    said = [open_envelope(frame)[0] for frame in committee.wire.frames]
    first = next(at for at, each in enumerate(said) if each.kind == Kind.PROPOSAL)
    assert len({each.sender for each in said[:first] if each.kind == Kind.COMMIT}) >= 3


async def test_a_leader_with_another_answer_is_outvoted(tmp_path: Path) -> None:
    committee = Committee(tmp_path, 4, 3)
    async with started(committee, range(4)) as places:
        record = await places[0].observe()
        first = leaders(record.id, record.block_hash, committee.signers)[0]
        works = [Said(b"no" if each == first else b"yes") for each in committee.signers]
        outcomes = await decided(places, works)
    assert {outcome.output for outcome in outcomes} == {b"yes"}


async def test_a_wire_that_loses_half_of_all_envelopes_delays_and_no_more(tmp_path: Path) -> None:
    committee = Committee(tmp_path, 3, 2)
    draw = random.Random(1)
    committee.wire.lost = lambda kind, sender, to: draw.random() < 0.5
    async with started(committee, range(3)) as places:
        outcomes = await decided(places, [Said(b"yes") for _ in places])
    assert {outcome.output for outcome in outcomes} == {b"yes"}


async def test_a_member_that_was_not_there_learns_the_decision_and_runs_nothing_twice(
    tmp_path: Path,
) -> None:
    committee = Committee(tmp_path, 3, 2)
    late = Said(b"yes")
    async with started(committee, (0, 1)) as places:
        await decided(places, [Said(b"yes"), Said(b"yes")])
        async with committee.member(2) as third:
            outcome = await third.decide(late)
    assert outcome.output == b"yes"
    assert late.runs == 1


async def test_a_quorum_of_signatures_comes_to_each(tmp_path: Path) -> None:
    committee = Committee(tmp_path, 4, 3)
    async with started(committee, range(4)) as places:

        async def carry(place: Place) -> tuple[bytes, Sequence[bytes]]:
            record = await place.observe()
            run = await place.peers.decide(record, committee.current, Said(b"yes"))
            outcome = run.run.outcome
            attestation = attested(record, outcome)
            hub = record.intent.dest_hub
            signed = await place.peers.sign(record, attestation, hub, committee.current, 3)
            return attestation.digest(hub), signed

        for digest, signatures in await asyncio.gather(*map(carry, places)):
            assert len(verify_quorum(digest, signatures, committee.signers, 3)) == 3


async def test_a_member_killed_at_any_write_says_nothing_else_afterwards(tmp_path: Path) -> None:
    committee = Committee(tmp_path, 3, 2)
    async with started(committee, (0, 1)) as places:
        for _ in range(4):
            async with committee.member(2) as third:
                task = asyncio.create_task(third.decide(Said(b"yes")))
                said = len(committee.wire.frames)
                while len(committee.wire.frames) < said + 3 and not task.done():
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait((task,))
        async with committee.member(2) as third:
            outcomes = await decided([*places, third], [Said(b"yes") for _ in range(3)])
    assert {outcome.output for outcome in outcomes} == {b"yes"}
    votes: dict[tuple[bytes, Kind, bytes], set[bytes]] = {}
    for frame in committee.wire.frames:
        each = open_envelope(frame)[0]
        if each.kind in {Kind.PREVOTE, Kind.PRECOMMIT}:
            votes.setdefault((each.sender, each.kind, each.body[:4]), set()).add(each.body)
    assert all(len(bodies) == 1 for bodies in votes.values())


async def test_what_members_reveal_is_combined_and_the_same_at_each(tmp_path: Path) -> None:
    committee = Committee(tmp_path, 4, 3)
    answers = [b"one", b"two", b"three", b"four"]
    async with started(committee, range(4)) as places:
        works = [Said(answer, combines=True) for answer in answers]
        outcomes = await decided(places, works)
    assert len({outcome.value for outcome in outcomes}) == 1
    assert len(outcomes[0].output.split(b",")) >= 3
    assert set(outcomes[0].output.split(b",")) <= set(answers)


async def test_nobody_reveals_before_a_quorum_has_committed(tmp_path: Path) -> None:
    committee = Committee(tmp_path, 3, 2)
    async with started(committee, range(3)) as places:
        await decided(places, [Said(b"%d" % at, combines=True) for at in range(3)])
    said = [open_envelope(frame)[0] for frame in committee.wire.frames]
    first = next(at for at, each in enumerate(said) if each.kind == Kind.REVEAL)
    assert len({each.sender for each in said[:first] if each.kind == Kind.COMMIT}) >= 2


async def test_a_proposal_without_a_quorum_of_commitments_gets_no_vote(tmp_path: Path) -> None:
    committee = Committee(tmp_path, 4, 3)
    async with started(committee, range(4)) as places:
        record = await places[0].observe()
        first = leaders(record.id, record.block_hash, committee.signers)[0]
        # Of the first leader's envelopes none but its proposal arrives, and to it none at all; so
        # it proposes nothing, and the next one leads.
        committee.wire.lost = lambda kind, sender, to: kind == Kind.COMMIT and first in {to, sender}
        outcomes = await decided(places, [Said(b"yes") for _ in places])
    assert {outcome.output for outcome in outcomes} == {b"yes"}
    said = [open_envelope(frame)[0] for frame in committee.wire.frames]
    assert not [each for each in said if each.kind == Kind.PROPOSAL and each.sender == first]


async def test_a_leader_that_proposes_before_others_have_committed_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    committee = Committee(tmp_path, 4, 3)
    async with started(committee, range(4)) as places:
        record = await places[0].observe()
        first = leaders(record.id, record.block_hash, committee.signers)[0]
        honest = property(lambda self: self.committed < self.members.votes)
        hasty = property(lambda self: self.members.me != first and honest.fget(self))
        monkeypatch.setattr(Session, "_uncommitted", hasty)
        inboxes = [place.peers.inbox for place in places]

        def lost(kind: Kind, sender: bytes, to: bytes) -> bool:
            refused = sum(inbox.counts["without commitments"] for inbox in inboxes)
            return kind == Kind.COMMIT and refused < 3

        committee.wire.lost = lost
        outcomes = await decided(places, [Said(b"yes") for _ in places])
        assert sum(inbox.counts["without commitments"] for inbox in inboxes) >= 3
    assert {outcome.output for outcome in outcomes} == {b"yes"}


class Failing(Said):
    """Fails seven times for now, and once for longer."""

    async def attempt(self) -> Run:
        run = await super().attempt()
        if self.runs <= 8:
            raise Retry("down", 60.0 if self.runs == 8 else 1.0)
        return run


async def test_a_run_that_fails_is_tried_again_after_longer_and_longer_pauses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: dict[asyncio.Task[object], list[float]] = {}
    sleep = asyncio.sleep

    async def noted(seconds: float) -> None:
        task = asyncio.current_task()
        assert task is not None
        if task.get_name().startswith("run "):
            pauses.setdefault(task, []).append(seconds)
            seconds = 0.0
        await sleep(seconds)

    monkeypatch.setattr(asyncio, "sleep", noted)
    committee = Committee(tmp_path, 3, 2)
    async with started(committee, range(3)) as places:
        await decided(places, [Failing(b"yes") for _ in places])
    # Two have to have a result until anything is decided.
    assert list(pauses.values()).count([1, 2, 4, 8, 16, 30, 30, 60]) >= 2
