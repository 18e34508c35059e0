"""Which rosters count, and which names the members of a set."""

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from support.committees import HUB_A, HUB_B, address_of, approval, hub_state, proposal, roster
from vagus.adapters.base import Block, HubState
from vagus.daemon.committee.rosters import Rosters, open_rosters
from vagus.daemon.committee.rotation import HubChange, rotation_body
from vagus.daemon.committee.rotations import Rotations
from vagus.daemon.journal.sqlite import SqliteJournal
from vagus.daemon.network import Network
from vagus.protocol import Retry, SignerSet, hub_id

A = hub_id(HUB_A)
OLD, NEW = roster(1, 2, 3), roster(1, 2, 3, 4)
UNTIL = 2_000


def rotated(now: int) -> HubState:
    """A hub whose set 1 gave way to set 2, at that time."""
    old = SignerSet(1, tuple(sorted(address_of(each) for each in (1, 2, 3))), 2)
    return hub_state(
        *(1, 2, 3, 4),
        threshold=3,
        epoch=2,
        previous=old,
        previous_until=UNTIL,
        at=Block(9, b"\x09" * 32, now),
    )


def sets() -> dict[tuple[bytes, int], bytes]:
    return {(A, 1): OLD.digest(), (A, 2): NEW.digest()}


def test_the_one_before_counts_until_the_hub_says_that_it_does_not() -> None:
    states = {A: rotated(UNTIL)}
    rosters = Rosters(NEW, sets(), states)
    rosters.learn(OLD)
    assert rosters.counting() == (NEW.digest(), OLD.digest())
    assert rosters.get(OLD.digest()) == {
        each.address: each.transport_address for each in OLD.members
    }
    states[A] = rotated(UNTIL + 1)
    assert rosters.counting() == (NEW.digest(),)
    assert rosters.get(OLD.digest()) is None
    # What the set before has delivered is paid by its roster all the same.
    assert rosters.of(A, 1) == OLD


def test_a_node_that_is_late_knows_the_new_members_too_once_it_has_their_roster() -> None:
    rosters = Rosters(OLD, sets(), {A: rotated(UNTIL)})
    assert rosters.get(NEW.digest()) is None
    with pytest.raises(Retry, match="the roster of the hub's epoch 2 is not here"):
        rosters.naming(A, 2)
    rosters.learn(NEW)
    assert rosters.naming(A, 2) == NEW.digest()
    assert rosters.signers() == {address_of(each) for each in (1, 2, 3, 4)}


def test_a_roster_of_a_proposal_counts_for_nothing_before_a_hub_has_it() -> None:
    before = {(A, 1): OLD.digest()}
    rosters = Rosters(OLD, before, {A: hub_state(1, 2, 3, threshold=2, epoch=1)})
    rosters.learn(NEW)
    assert rosters.counting() == (OLD.digest(),)
    assert rosters.get(NEW.digest()) is None


def test_before_a_hub_is_read_what_it_had_last_counts() -> None:
    rosters = Rosters(OLD, sets(), {})
    rosters.learn(NEW)
    assert rosters.counting() == (OLD.digest(), NEW.digest())


def test_a_hub_that_was_never_rotated_is_the_configs() -> None:
    state = hub_state(1, 2, 3, threshold=2, epoch=1, roster_hash=bytes(32))
    rosters = Rosters(OLD, {(A, 1): bytes(32)}, {A: state})
    assert rosters.of(A, 1) == OLD


async def test_rosters_come_back_from_the_journal_and_from_proposals(tmp_path: Path) -> None:
    async with SqliteJournal(tmp_path / "journal.sqlite") as journal:
        network = Network([], journal)
        await open_rosters(OLD, journal, network)
        await journal.note_set(A, 1, OLD.digest())
        await journal.note_set(A, 2, NEW.digest())
    async with SqliteJournal(tmp_path / "journal.sqlite") as journal:
        network = Network([], journal)
        await network.load()
        rosters = await open_rosters(OLD, journal, network)
        network.states[A] = rotated(UNTIL)
        assert rosters.get(NEW.digest()) is None
        rotations = Rotations(rosters.signers)
        made = proposal(1, 2, 3, 4, threshold=3, roster=NEW, **_now())
        rotations.take(rotation_body(made, approval(1, made)))
        await rosters.complete(rotations, journal)
        assert rosters.get(NEW.digest()) is not None
        again = await open_rosters(OLD, journal, network)
        assert again.of(A, 2) == NEW


async def test_a_hubs_roster_is_noted_when_its_state_is_read(tmp_path: Path) -> None:
    states = [hub_state(1, 2, 3, threshold=2, epoch=1), rotated(UNTIL)]

    async def read() -> HubState:
        return states.pop(0)

    heads = SimpleNamespace(final=Block(100, bytes(32), 0))
    adapter: Any = SimpleNamespace(
        chain="eip155:31337", hub=HUB_A, hub_id=A, heads=heads, hub_state=read
    )
    async with SqliteJournal(tmp_path / "journal.sqlite") as journal:
        network = Network(cast("Any", [adapter]), journal)
        await network.state(adapter)
        heads.final = Block(1, bytes(32), 0)
        network.states.clear()
        await network.state(adapter)
        assert await journal.sets() == sets()


def _now() -> dict[str, Any]:
    now = int(time.time())
    hubs = tuple(HubChange(hub=hub, epoch=2, valid_from=now) for hub in (HUB_A, HUB_B))
    return {"hubs": hubs}
