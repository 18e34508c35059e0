"""While a member comes or goes, what each says is a stranger's to nobody, and what is wrong passes."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from coincurve import PrivateKey
from structlog.testing import capture_logs

from support.committee import Committee
from support.committees import HUB_A, address_of, hub_state, key_of, member, roster
from vagus.adapters.base import Block
from vagus.daemon.committee import peers
from vagus.daemon.committee.inbox import Inbox
from vagus.daemon.committee.opening import open_committee
from vagus.daemon.committee.outbox import Outbox
from vagus.daemon.committee.rosters import Rosters
from vagus.daemon.roster import Roster
from vagus.protocol import SignerSet, hub_id
from vagus.protocol.envelope import Envelope, Kind

A = hub_id(HUB_A)
OLD = roster(1, 2, 3)
NEW = roster(1, 2, 4, before="0x" + OLD.digest().hex())
SETS = {(A, 1): OLD.digest(), (A, 2): NEW.digest()}


def rosters(own: Roster, *learned: Roster, grace: bool = True, sets: Any = SETS) -> Rosters:
    """What a node knows whose hub went from the old set to the new one."""
    state = hub_state(
        *(1, 2, 4),
        threshold=2,
        epoch=2,
        previous=SignerSet(1, OLD.signers, 2),
        previous_until=2_000,
        at=Block(9, b"\x09" * 32, 2_000 if grace else 2_001),
    )
    found = Rosters(own, sets, {A: state})
    for each in learned:
        found.learn(each)
    return found


class Wire:
    """A transport that keeps what is sent."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []

    def send(self, frame: bytes, _topic: object) -> None:
        self.frames.append(frame)


def said(number: int, known: Rosters, key: int | None = None) -> list[bytes]:
    """A member's heartbeat, as it leaves."""
    wire: Any = Wire()
    journal: Any = None
    own = PrivateKey(bytes([key or number + 100]) * 32)
    Outbox(own, address_of(number), OLD.network, known, journal, [wire]).tell(Kind.HEARTBEAT, b"{}")
    return list(wire.frames)


def heard(frames: list[bytes], known: Rosters) -> dict[str, int]:
    inbox = Inbox(OLD.network, known)
    for frame in frames:
        inbox.open(frame)
    return dict(inbox.counts)


def test_who_leaves_and_who_joins_are_strangers_to_nobody() -> None:
    stays, leaves, joins = rosters(NEW, OLD), rosters(OLD, NEW), rosters(NEW, OLD)
    assert heard(said(3, leaves), stays) == {"taken": 1}
    assert heard(said(4, joins), stays) == {"taken": 1}
    assert heard(said(4, joins), leaves) == {"taken": 1}
    # Who is in both is heard by who has either alone.
    assert heard(said(1, stays), rosters(OLD)) == {"taken": 1, "stale": 1}
    assert heard(said(1, stays), stays) == {"taken": 2}


def test_a_member_with_a_new_transport_key_forges_nothing() -> None:
    renewed = roster(members=[member(1), member(2), member(3, transport=address(77))])
    sets = {(A, 1): OLD.digest(), (A, 2): renewed.digest()}
    known = rosters(renewed, OLD, sets=sets)
    assert heard(said(3, known, key=77), known) == {"taken": 1}
    assert heard(said(3, known), known) == {"taken": 1}


def test_the_roster_before_is_no_fault_to_who_never_had_it() -> None:
    frames = said(1, rosters(OLD))
    assert heard(frames, rosters(NEW, sets={(A, 2): NEW.digest()})) == {"replaced": 1}
    # A first roster that was given whole names none: that the hub had another is enough.
    whole = roster(1, 2, 4)
    sets = {(A, 1): OLD.digest(), (A, 2): whole.digest()}
    assert heard(frames, rosters(whole, OLD, grace=False, sets=sets)) == {"replaced": 1}
    assert heard(frames, rosters(whole, sets={(A, 2): whole.digest()})) == {"stale": 1}


def test_the_newest_roster_is_missed_by_who_has_not_got_it() -> None:
    assert heard(said(4, rosters(NEW)), rosters(OLD)) == {"stale": 1}


async def test_what_was_wrong_passes_and_is_counted_for_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "_BEAT", 0.01)
    monkeypatch.setattr(peers, "_LATELY", 3)
    committee = Committee(tmp_path, 3, 2)
    digest, network = committee.roster.digest(), committee.roster.network
    stranger = Envelope(Kind.HEARTBEAT, network, digest, b"s" * 20, 1, body=b"{}")
    async with committee.member(0) as place, asyncio.timeout(30):
        place.peers.take(stranger.seal(committee.transport_keys[1]))
        assert place.peers.view()["lately"]["stranger"] == 1
        while "stranger" in place.peers.view()["lately"]:
            await asyncio.sleep(0.01)
        assert place.peers.view()["envelopes"]["stranger"] == 1


async def test_a_node_that_its_roster_does_not_name_starts_and_warns() -> None:
    settings: Any = None
    signer: Any = type("Signer", (), {"address": address_of(9)})()
    opened: Any = None
    for own, count in ((roster(1), 1), (roster(9), 0)):
        with capture_logs() as logs:
            await open_committee(settings, Rosters(own), signer, None, opened, opened, opened)
        warned = [each for each in logs if each["log_level"] == "warning"]
        assert len(warned) == count
        assert all(each["signer"] == key_of(9).address.lower() for each in warned)


def address(number: int) -> str:
    return "0x" + address_of(number).hex()
