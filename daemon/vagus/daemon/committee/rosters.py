"""The rosters that count: the config's, and those that hubs have now, or had before their last rotation.

While members take a new roster one after the other, and while the set before still decides what it was
asked, two of them are in use. Which one an intent belongs to, its hub and epoch say: its fees, payees and
transport keys are those of the set that acts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from vagus.daemon.roster import is_roster, read_roster
from vagus.protocol import Retry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vagus.adapters.base import HubState
    from vagus.daemon.committee.rotations import Rotations
    from vagus.daemon.journal.base import Journal
    from vagus.daemon.network import Network
    from vagus.daemon.roster import Roster

__all__ = ["Rosters", "open_rosters"]

log = structlog.get_logger("vagus.committee")


class Rosters:
    """Rosters by their digests. `own` is the config's.

    `sets` has, by hub id and epoch, the digest that the hub was seen with; `states`, by hub id, each
    hub's state as it was last read.
    """

    def __init__(
        self,
        own: Roster,
        sets: Mapping[tuple[bytes, int], bytes] | None = None,
        states: Mapping[bytes, HubState] | None = None,
    ) -> None:
        self.own = own
        self._sets = {} if sets is None else sets
        self._states = {} if states is None else states
        self._known: dict[bytes, tuple[Roster, dict[bytes, bytes]]] = {}
        self._digest = self.learn(own)

    def learn(self, roster: Roster) -> bytes:
        """Know a roster, which counts once a hub has it; return its digest."""
        keys = {
            each.address: each.transport_address
            for each in roster.members
            if each.transport is not None
        }
        digest = roster.digest()
        self._known[digest] = roster, keys
        return digest

    def get(self, digest: bytes) -> Mapping[bytes, bytes] | None:
        """Return, by signer, the transport key's address of a roster's members; None if it does not count."""
        if digest != self._digest and digest not in self.counting():
            return None
        return self._known[digest][1]

    def counting(self) -> tuple[bytes, ...]:
        """Return the digests of the known rosters that count, the config's first."""
        found = dict.fromkeys([self._digest, *self._of_hubs()])
        return tuple(each for each in found if each in self._known)

    def naming_member(self, signer: bytes, key: bytes) -> tuple[bytes, ...]:
        """Return the digests of those that count and name a member with this transport key's address."""
        return tuple(each for each in self.counting() if self._known[each][1].get(signer) == key)

    def replaced(self, digest: bytes) -> bool:
        """Whether a known roster names this one as the one before, or a hub had it in an earlier epoch."""
        name = f"0x{digest.hex()}"
        if any(roster.before == name for roster, _ in self._known.values()):
            return True
        newest = dict(sorted(self._sets))
        return any(
            each == digest and epoch < newest[hub] for (hub, epoch), each in self._sets.items()
        )

    def signers(self) -> set[bytes]:
        """Return the members of all rosters that count."""
        return {signer for digest in self.counting() for signer in self._known[digest][1]}

    def urls(self, me: bytes) -> set[str]:
        """Return where the other members of all known rosters serve documents."""
        members = (each for roster, _ in self._known.values() for each in roster.members)
        return {each.url for each in members if each.url is not None and each.address != me}

    def keys(self, signer: bytes) -> set[bytes]:
        """Return the transport keys' addresses that all known rosters give a member."""
        return {keys[signer] for _, keys in self._known.values() if signer in keys}

    def of(self, hub_id: bytes, epoch: int) -> Roster:
        """Return the roster of a hub's set. Raises Retry where this node has not got it."""
        return self._known[self.naming(hub_id, epoch)][0]

    def naming(self, hub_id: bytes, epoch: int) -> bytes:
        """Return the digest of the roster of a hub's set; raises as `of`."""
        digest = self._sets.get((hub_id, epoch))
        if digest in self._known:
            return digest
        state = self._states.get(hub_id)
        if state is None or state.previous is None:
            # Before the first rotation a hub has what its deployer wrote, and the config counts.
            return self._digest
        raise Retry(
            f"the roster of the hub's epoch {epoch} is not here: name it as roster_file and restart, "
            "docs/committee.md#joining",
            after=30.0,
        )

    async def complete(self, rotations: Rotations, journal: Journal) -> None:
        """Learn the rosters that hubs have by now from the proposals that brought them there."""
        for digest in {*self._sets.values()} - self._known.keys():
            if (roster := rotations.roster(digest)) is not None:
                await journal.keep_evidence(digest, roster.document())
                self.learn(roster)
                log.info("has the roster of a new set", roster="0x" + digest.hex())

    def _of_hubs(self) -> Iterator[bytes]:
        """Yield what hubs have; before a hub's state is read, what it had when it was last looked at."""
        newest = dict(sorted(self._sets))
        for hub, epoch in newest.items():
            state = self._states.get(hub)
            yield self._sets[hub, epoch if state is None else state.current.epoch]
            if state is not None and state.previous and state.at.time <= state.previous_until:
                yield self._sets.get((hub, state.previous.epoch), b"")


async def open_rosters(own: Roster, journal: Journal, network: Network) -> Rosters:
    """Return the config's roster beside those that the journal has of the hubs' sets."""
    rosters = Rosters(own, network.sets, network.states)
    await journal.keep_evidence(own.digest(), own.document())
    for digest in {*network.sets.values()} - {own.digest()}:
        document = await journal.evidence(digest)
        if document is not None and is_roster(document):
            rosters.learn(read_roster(document))
        else:
            log.info("a roster that a hub had is not here", roster="0x" + digest.hex())
    return rosters
