"""What this member says: sealed with its transport key, journalled if it binds, then sent to all."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vagus.daemon.committee.transport.base import Topic
from vagus.daemon.journal.records import Said
from vagus.protocol import address_of
from vagus.protocol.envelope import DURABLE, Envelope, Kind
from vagus.protocol.hashing import ZERO32

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coincurve import PrivateKey

    from vagus.daemon.committee.rosters import Rosters
    from vagus.daemon.committee.transport.base import Transport
    from vagus.daemon.journal.base import Journal

__all__ = ["Case", "Outbox", "Saying"]


@dataclass(frozen=True, slots=True)
class Case:
    """What is said something about: an intent, before a hub's set of one epoch."""

    intent: bytes
    hub: bytes
    epoch: int


@dataclass(frozen=True, slots=True)
class Saying:
    """Something that binds this member: no other `value` of this kind and round, ever.

    `private` is kept with it and not sent.
    """

    kind: Kind
    round: int
    value: bytes
    body: bytes
    private: bytes = b""


class Outbox:
    """The one place from which this member's envelopes leave."""

    def __init__(
        self,
        key: PrivateKey,
        sender: bytes,
        network: bytes,
        rosters: Rosters,
        journal: Journal,
        transports: Sequence[Transport],
    ) -> None:
        self._key = key
        self._address = address_of(key)
        self._sender = sender
        self._network = network
        self._rosters = rosters
        self._journal = journal
        self._transports = transports
        self._sequence = 0
        self._moment = 0
        self.bytes_sent = 0
        self.sent = 0

    async def open(self) -> None:
        """Go on behind the newest envelope of this member's journal."""
        self._sequence = await self._journal.sequence()

    async def say(
        self,
        case: Case,
        said: Sequence[Said],
        *,
        outcome: bytes | None = None,
        receipt: bytes | None = None,
        asked: bool = False,
    ) -> list[bytes]:
        """Journal in one write what binds, then send it; return the envelopes as they stand.

        What was said before in the same words is sent as it was. Who is `asked` for it sends it later,
        by `send`. `outcome` or `receipt` is what this
        member signs with it, once an intent. Raises EquivocationError for other words.
        """
        frames = await self._journal.say(
            case.intent, case.hub, case.epoch, said, outcome=outcome, receipt=receipt
        )
        if not asked:
            for frame in frames:
                self.send(frame, case)
        return frames

    def tell(self, kind: Kind, body: bytes, case: Case | None = None) -> None:
        """Send at once what binds nobody: nothing of it is kept.

        What is about no case goes by each roster that counts and names this member with its key: not
        everyone has the newest yet, and by one that does not it would be a stranger's, or forged.
        """
        if kind in DURABLE:
            raise RuntimeError(f"{kind.name} binds: it goes by `say`")
        self._moment = max(self._moment + 1, time.time_ns() // 1000)
        for roster in (
            self._rosters.naming_member(self._sender, self._address)
            if case is None
            else (self._rosters.naming(case.hub, case.epoch),)
        ):
            self.send(self._seal(roster, kind, self._moment, case or _NONE, body), case or _NONE)

    def send(self, frame: bytes, case: Case) -> None:
        """Send an envelope of this member, once more if need be."""
        topic = Topic(self._network, self._sender, case.epoch, case.intent)
        for transport in self._transports:
            transport.send(frame, topic)
            self.sent += 1
            self.bytes_sent += len(frame)

    def seal(self, case: Case, saying: Saying) -> Said:
        """Return what is to be said next, signed; it leaves by `say`, and not before.

        Raises Retry where this node has not got the roster of the set that acts.
        """
        roster = self._rosters.naming(case.hub, case.epoch)
        self._sequence += 1
        return Said(
            kind=saying.kind,
            round=saying.round,
            sequence=self._sequence,
            value=saying.value,
            envelope=self._seal(roster, saying.kind, self._sequence, case, saying.body),
            private=saying.private,
        )

    def _seal(self, roster: bytes, kind: Kind, sequence: int, case: Case, body: bytes) -> bytes:
        return Envelope(
            kind=kind,
            network=self._network,
            roster=roster,
            sender=self._sender,
            sequence=sequence,
            hub=case.hub,
            epoch=case.epoch,
            intent=case.intent,
            body=body,
        ).seal(self._key)


_NONE = Case(ZERO32, ZERO32, 0)
