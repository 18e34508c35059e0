"""What waits for a busy member is bounded for each sender, so that nobody pushes out another's."""

from pathlib import Path

from support.committee import FAST, NETWORK, Committee, Place, Said
from vagus.daemon.committee.leaders import leaders
from vagus.daemon.committee.outbox import Case
from vagus.daemon.committee.session import Session
from vagus.protocol.envelope import Envelope, Kind
from vagus.protocol.votes import Members

MIB = 1 << 20


async def session(place: Place) -> Session:
    """A member's part in an intent, so busy that it handles nothing yet."""
    record = await place.observe()
    order = leaders(record.id, record.block_hash, place.committee.signers)
    peers = place.peers
    return Session(
        Case(record.id, record.intent.dest_hub, 7),
        Members(peers.address, order, 3),
        Said(b"yes"),
        peers.inbox,
        peers._outbox,
        place.journal,
        FAST,
    )


def sealed(place: Place, at: int, sequence: int, body: bytes) -> tuple[Envelope, bytes]:
    """What a member of that number says, with that body."""
    committee = place.committee
    about = committee.record(place.journal).intent
    frame = Envelope(
        Kind.REVEAL,
        NETWORK,
        committee.roster.digest(),
        committee.signers[at],
        sequence,
        about.dest_hub,
        7,
        about.id,
        body,
    ).seal(committee.transport_keys[at])
    envelope = place.peers.inbox.open(frame)
    assert envelope is not None
    return envelope, frame


async def test_a_flood_of_one_member_is_cut_at_a_mebibyte_and_the_others_are_heard(
    tmp_path: Path,
) -> None:
    async with Committee(tmp_path, 4, 3).member(0) as place:
        busy = await session(place)
        flood = [sealed(place, 1, at, bytes(100_000)) for at in range(1, 31)]
        for envelope, frame in flood:
            busy.receive(envelope, frame)
        whole = MIB // len(flood[0][1])
        assert busy._events.qsize() == whole
        assert place.peers.inbox.counts["too much"] == 30 - whole
        busy.receive(*sealed(place, 2, 1, bytes(100_000)))
        assert busy._events.qsize() == whole + 1
        # As far as it is handled, the same member is heard again.
        await busy._events.get_nowait()()
        busy.receive(*flood[-1])
        assert busy._events.qsize() == whole + 1


async def test_a_flood_of_small_envelopes_pushes_out_nobody_elses(
    tmp_path: Path,
) -> None:
    async with Committee(tmp_path, 4, 3).member(0) as place:
        busy = await session(place)
        envelope, frame = sealed(place, 1, 1, b"")
        for _ in range(2 * MIB // len(frame)):
            busy.receive(envelope, frame)
        assert busy._events.qsize() == MIB // len(frame)
        busy.receive(*sealed(place, 3, 1, b""))
        assert busy._events.qsize() == MIB // len(frame) + 1
