"""One of four lies by hand-made envelopes: the other three decide, and nothing grows without end."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.committee import NETWORK, Committee, End, Place, Said, attested
from vagus.daemon.committee.leaders import leaders
from vagus.protocol import Outcome, Status, verify_quorum
from vagus.protocol.bodies import DecisionBody, ProposalBody, VoteBody
from vagus.protocol.envelope import Envelope, Kind
from vagus.protocol.hashing import ZERO32

WITHIN = 25.0
AGAIN = 0.05


class Liar:
    """A member's end of the wire and its transport key, without its code."""

    def __init__(self, committee: Committee, at: int) -> None:
        self._committee = committee
        self._key = committee.transport_keys[at]
        self._sequence = 0
        self.me = committee.signers[at]
        self.end = End(committee.wire, self.me)

    def sealed(self, kind: Kind, body: bytes, intent: bool = True) -> bytes:
        self._sequence += 1
        about = self._committee.record(None).intent
        return Envelope(
            kind,
            NETWORK,
            self._committee.roster.digest(),
            self.me,
            self._sequence,
            about.dest_hub if intent else ZERO32,
            7 if intent else 0,
            about.id if intent else ZERO32,
            body,
        ).seal(self._key)

    def send(self, frame: bytes, *members: bytes) -> None:
        for end in self._committee.wire.ends:
            if end.member in members:
                end.queue.put_nowait(frame)


@dataclass
class Scene:
    """A liar that leads the first round, and three honest members in the order in which they lead."""

    committee: Committee
    liar: Liar
    honest: list[Place]

    @property
    def names(self) -> list[bytes]:
        return [place.peers.address for place in self.honest]

    async def decided(self, lie: Callable[[], Awaitable[None]]) -> set[bytes]:
        """Have the honest decide while the liar repeats its lies; return the outcomes' values."""

        async def lies() -> None:
            while True:
                await lie()
                await asyncio.sleep(AGAIN)

        lying = asyncio.create_task(lies())
        try:
            found = await asyncio.gather(
                *(
                    place.decide(Said(b"ok %d" % at, right=lambda output: output.startswith(b"ok")))
                    for at, place in enumerate(self.honest)
                )
            )
        finally:
            lying.cancel()
        return {outcome.value for outcome in found}


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    committee = Committee(tmp_path, 4, 3)
    first, *others = leaders(committee.record(None).intent.id, b"b" * 32, committee.signers)
    at = {signer: index for index, signer in enumerate(committee.signers)}
    liar = Liar(committee, at[first])
    async with contextlib.AsyncExitStack() as stack, asyncio.timeout(WITHIN):
        await stack.enter_async_context(liar.end)
        honest = [await stack.enter_async_context(committee.member(at[each])) for each in others]
        yield Scene(committee, liar, honest)


def outcome(said: bytes, evidence: bytes = b"{}") -> Outcome:
    return Outcome(Status.FULFILLED, said, b"a" * 32, b"m" * 32, evidence)


def proposal(round_: int, made: Outcome) -> bytes:
    return ProposalBody(round_, -1, (), (), made).encode()


async def test_a_leader_that_shows_its_proposal_to_two_and_its_vote_to_the_third(
    scene: Scene,
) -> None:
    made = outcome(b"ok", b"the liar's")
    frame = scene.liar.sealed(Kind.PROPOSAL, proposal(0, made))
    vote = scene.liar.sealed(Kind.PREVOTE, VoteBody(0, made.value).encode())
    third, *two = scene.names

    async def lie() -> None:
        scene.liar.send(frame, *two)
        scene.liar.send(vote, third)

    assert len(await scene.decided(lie)) == 1


async def test_a_member_that_is_locked_on_what_it_has_not_got_is_given_it(scene: Scene) -> None:
    made = outcome(b"ok", b"the liar's")
    frame = scene.liar.sealed(Kind.PROPOSAL, proposal(0, made))
    vote = scene.liar.sealed(Kind.PREVOTE, VoteBody(0, made.value).encode())
    nothing = scene.liar.sealed(Kind.PREVOTE, VoteBody(0, None).encode())
    # The third leads the next round, and has to propose what it is locked on.
    third, *two = scene.names

    async def lie() -> None:
        scene.liar.send(frame, *two)
        scene.liar.send(vote, third)
        scene.liar.send(nothing, *two)

    assert len(await scene.decided(lie)) == 1


async def test_a_flood_of_proposals_ends_no_session_and_is_not_kept(scene: Scene) -> None:
    commit = scene.liar.sealed(Kind.COMMIT, bytes(32))
    count = 0

    async def lie() -> None:
        nonlocal count
        scene.liar.send(commit, *scene.names)
        for round_ in (0, 4, 8, 400):
            for _ in range(6):
                count += 1
                made = outcome(b"ok!", b"%d" % count + bytes(5000))
                frame = scene.liar.sealed(Kind.PROPOSAL, proposal(round_, made))
                scene.liar.send(frame, *scene.names)

    assert len(await scene.decided(lie)) == 1
    for place in scene.honest:
        assert place.peers.inbox.counts["defect"] == 0
        (kept,) = place.peers._intents.values()
        assert kept.session is not None
        assert len(kept.session._votes.outcomes) <= 8
        assert sum(map(len, kept.session._votes.frames.values())) < 200_000


async def test_votes_that_differ_again_and_again_are_no_defect_of_who_hears_them(
    scene: Scene,
) -> None:
    count = 0

    async def lie() -> None:
        nonlocal count
        for kind in (Kind.PREVOTE, Kind.PRECOMMIT):
            for round_ in (0, 1, 2, 900):
                count += 1
                value = count.to_bytes(32, "big")
                frame = scene.liar.sealed(kind, VoteBody(round_, value).encode())
                scene.liar.send(frame, *scene.names)
        junk = DecisionBody((frame,), outcome(b"a lie")).encode()
        scene.liar.send(scene.liar.sealed(Kind.DECISION, junk), *scene.names)

    assert len(await scene.decided(lie)) == 1
    assert all(place.peers.inbox.counts["defect"] == 0 for place in scene.honest)


async def test_one_hello_that_is_sent_again_makes_nobody_talk_more(scene: Scene) -> None:
    hello = scene.liar.sealed(Kind.HELLO, bytes(32), intent=False)
    await asyncio.gather(*(place.peers.joined() for place in scene.honest))
    before = len(scene.committee.wire.frames)
    for _ in range(500):
        for place in scene.honest:
            place.peers.take(hello)
    assert len(scene.committee.wire.frames) - before <= 3 * len(scene.honest)


async def test_members_that_restart_after_the_decision_bring_the_slower_one_to_it(
    tmp_path: Path,
) -> None:
    committee = Committee(tmp_path, 4, 3)

    async def sign(place: Place, decided: Outcome) -> bytes:
        record = await place.observe()
        message = attested(record, decided)
        hub = record.intent.dest_hub
        signed = await place.peers.sign(record, message, hub, committee.current, 3)
        verify_quorum(message.digest(hub), signed, committee.signers, 3)
        return decided.value

    async with contextlib.AsyncExitStack() as stack, asyncio.timeout(WITHIN):
        first = [await stack.enter_async_context(committee.member(at)) for at in (0, 1, 2)]
        outcomes = await asyncio.gather(*(place.decide(Said(b"x")) for place in first))
        await stack.aclose()
        # The third is gone for good; the fourth has seen nothing of it all.
        two = [await stack.enter_async_context(committee.member(at)) for at in (0, 1)]
        fourth = await stack.enter_async_context(committee.member(3))

        async def late() -> bytes:
            return await sign(fourth, await fourth.decide(Said(b"x")))

        values = await asyncio.gather(*(sign(each, outcomes[0]) for each in two), late())
    assert set(values) == {outcomes[0].value}
