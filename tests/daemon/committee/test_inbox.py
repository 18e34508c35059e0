"""What a member takes from the wire, what it drops and counts, and how little of it is kept."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from coincurve import PrivateKey

from vagus.daemon.committee.early import ROOM, Early
from vagus.daemon.committee.inbox import Inbox
from vagus.daemon.committee.leaders import leaders, most_faulty, rank
from vagus.protocol import address_of
from vagus.protocol.envelope import Envelope, Kind
from vagus.protocol.limits import MAX_ENVELOPE

KEY, OTHER = PrivateKey(b"\x01" * 32), PrivateKey(b"\x02" * 32)
NETWORK, ROSTER = b"n" * 32, b"r" * 32
ALICE, BOB = b"a" * 20, b"b" * 20
GOOD = Envelope(Kind.HEARTBEAT, NETWORK, ROSTER, ALICE, 1, body=b"{}")


class Counting(dict[bytes, dict[bytes, bytes]]):
    """One roster that counts, and the one that it replaced."""

    def replaced(self, digest: bytes) -> bool:
        return digest == b"q" * 32


@pytest.fixture
def inbox() -> Inbox:
    return Inbox(NETWORK, Counting({ROSTER: {ALICE: address_of(KEY), BOB: address_of(OTHER)}}))


def test_an_envelope_of_a_member_is_taken_once_and_known_again(inbox: Inbox) -> None:
    frame = GOOD.seal(KEY)
    assert [inbox.open(frame), inbox.open(frame)] == [GOOD, GOOD]
    assert inbox.counts == {"taken": 1, "again": 1}


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (lambda: GOOD.seal(OTHER), "forged"),
        (lambda: replace(GOOD, sender=BOB).seal(KEY), "forged"),
        (lambda: replace(GOOD, sender=b"c" * 20).seal(KEY), "stranger"),
        (lambda: replace(GOOD, network=b"m" * 32).seal(KEY), "foreign"),
        (lambda: replace(GOOD, roster=b"s" * 32).seal(KEY), "stale"),
        (lambda: replace(GOOD, roster=b"q" * 32).seal(KEY), "replaced"),
        (lambda: GOOD.seal(KEY)[:-1], "malformed"),
        (lambda: GOOD.seal(KEY)[:-65] + bytes(65), "forged"),
        (lambda: bytes(MAX_ENVELOPE + 1), "oversized"),
    ],
)
def test_what_is_of_no_member_is_dropped_and_counted(
    inbox: Inbox, frame: Callable[[], bytes], reason: str
) -> None:
    assert inbox.open(frame()) is None
    assert inbox.counts == {reason: 1}


def test_what_is_remembered_stays_within_bounds(inbox: Inbox) -> None:
    for sequence in range(400):
        inbox.open(replace(GOOD, sequence=sequence, body=bytes(100_000)).seal(KEY))
    assert inbox.counts["taken"] == 400
    assert inbox._size <= 16 << 20


def test_what_comes_early_is_there_once_its_intent_is_come_to() -> None:
    early = Early()
    frames = [replace(GOOD, sequence=at, intent=bytes([at % 2]) * 32).seal(KEY) for at in range(6)]
    envelopes = [
        replace(GOOD, sequence=at, intent=bytes([at % 2]) * 32) for at in range(len(frames))
    ]
    for envelope, frame in zip(envelopes, frames, strict=True):
        early.put(envelope, frame)
        early.put(envelope, frame)
    assert [each.sequence for each, _ in early.take(bytes([1]) * 32)] == [1, 3, 5]
    assert early.take(bytes([1]) * 32) == []


def test_a_member_that_sends_too_much_pushes_out_its_own_alone() -> None:
    early = Early()
    kept = replace(GOOD, sender=BOB, intent=b"k" * 32)
    early.put(kept, kept.seal(OTHER))
    size = 10_000
    for at in range(3 * ROOM // size):
        early.put(replace(GOOD, intent=at.to_bytes(32, "big")), at.to_bytes(4, "big") + bytes(size))
    assert early.take(b"k" * 32) != []
    left = sum(bool(early.take(at.to_bytes(32, "big"))) for at in range(3 * ROOM // size))
    assert left <= ROOM // size
    assert early.dropped >= 3 * ROOM // size - left


def test_each_member_leads_once_in_an_order_that_hangs_on_the_block() -> None:
    signers = [bytes([at]) * 20 for at in range(1, 8)]
    orders = {leaders(b"i" * 32, bytes([at]) * 32, signers) for at in range(50)}
    assert all(sorted(order) == signers for order in orders)
    assert len({order[0] for order in orders}) == 7


def test_who_ran_the_answer_sends_first_and_who_is_away_is_passed_over() -> None:
    order = [b"1", b"2", b"3", b"4"]
    assert [rank(order, b"3", each, set(order)) for each in order] == [2, 3, 0, 1]
    assert [rank(order, b"3", each, {b"1"}) for each in order] == [0, 1, 0, 0]


@pytest.mark.parametrize(("size", "liars"), [(1, 0), (2, 0), (3, 0), (4, 1), (6, 1), (7, 2)])
def test_the_most_liars_that_any_threshold_stands(size: int, liars: int) -> None:
    assert most_faulty(size) == liars
    best = max(min(2 * votes - size - 1, size - votes) for votes in range(size // 2 + 1, size + 1))
    assert best == liars
