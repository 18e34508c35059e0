"""What a member asks before it says anything that binds: whether its journal is the newest.

A journal may be older than what was said by it: restored from a backup, or of a disk that lost
writes. So each start asks the others for this member's highest envelope. Nothing that binds is sent
before as many have answered as cannot all lie; where one of them has a higher one, the journal goes
on above it, and, as after a restore, nothing is signed of what was asked before.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from typing import TYPE_CHECKING

import structlog

from vagus.protocol import SignatureError
from vagus.protocol.envelope import DURABLE, EnvelopeError, Kind, open_envelope
from vagus.protocol.reader import Reader, sized

if TYPE_CHECKING:
    from vagus.daemon.committee.members import Members
    from vagus.daemon.committee.outbox import Outbox
    from vagus.daemon.committee.rosters import Rosters
    from vagus.daemon.journal.base import Journal
    from vagus.protocol.envelope import Envelope

__all__ = ["Gate"]

log = structlog.get_logger("vagus.committee")

_NONCE = 32
_AGAIN = 1.0


class Gate:
    """Asks for reports, gives them to others, and opens once enough have come."""

    def __init__(
        self,
        me: bytes,
        needed: int,
        *,
        rosters: Rosters,
        outbox: Outbox,
        journal: Journal,
        members: Members,
    ) -> None:
        self._me = me
        self._needed = needed
        self._rosters = rosters
        self._outbox = outbox
        self._journal = journal
        self._members = members
        self._nonce = secrets.token_bytes(_NONCE)
        self._reported: dict[bytes, int] = {}
        self._news = asyncio.Event()
        self._told: dict[bytes, float] = {}
        self._highest = 0
        self._stale = 0
        self.open = asyncio.Event()

    def words(self) -> str | None:
        """Say what is waited for; None once the gate is open."""
        if self.open.is_set():
            return None
        if self._stale:
            return f"its journal ends at {self._highest}, and another member has heard {self._stale}: restart it"
        return (
            f"{len(self._reported)} of {self._needed} members have said how far this node's journal"
            " must be: nothing is signed before"
        )

    async def run(self) -> None:
        """Ask until enough have reported, then open."""
        while len(self._reported) < self._needed:
            self._news.clear()
            self._outbox.tell(Kind.HELLO, self._nonce)
            try:
                async with asyncio.timeout(_AGAIN):
                    await self._news.wait()
            except TimeoutError:
                pass
        # Those who are there may know more than the first to answer.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_AGAIN):
                while self._members.present() - self._reported.keys():
                    self._news.clear()
                    await self._news.wait()
        highest = max(self._reported.values(), default=0)
        own = await self._journal.sequence()
        if highest > own:
            log.error(
                "the journal is older than what this member said",
                journal=own,
                said=highest,
                todo="what was asked before now is left to the other members, or to its refund; find "
                "out which disk or backup lost writes: docs/committee.md#a-journal-that-is-too-old",
            )
            await self._journal.adopt(highest)
        await self._outbox.open()
        log.info("joined its committee", reports=len(self._reported), sequence=max(own, highest))
        self._highest = max(own, highest)
        self.open.set()

    def hello(self, envelope: Envelope) -> None:
        """Tell a member the highest that it said, as far as this node has heard."""
        now, sender = time.monotonic(), envelope.sender
        if len(envelope.body) == _NONCE and now - self._told.get(sender, 0.0) >= _AGAIN / 2:
            # A copy of an old one is answered too, at the pace of a new one.
            self._told[sender] = now
            known = self._members.by_signer[envelope.sender].envelope
            self._outbox.tell(Kind.REPORT, envelope.body + envelope.sender + sized(known))

    def report(self, envelope: Envelope) -> bool:
        """Take a member's report of this node; False for one of others, of before, or a wrong one."""
        reader = Reader(envelope.body)
        try:
            nonce, about, frame = reader.take(_NONCE), reader.take(20), reader.sized()
            reader.end()
        except ValueError:
            return False
        if (nonce, about) != (self._nonce, self._me):
            return False
        sequence = 0
        if frame:
            try:
                said, signer = open_envelope(frame)
            except (EnvelopeError, SignatureError):
                return False
            # Of whichever roster it was: what this member has said once stays said.
            own = (said.network, said.sender) == (self._rosters.own.network, self._me)
            if not own or said.kind not in DURABLE or signer not in self._rosters.keys(self._me):
                return False
            sequence = said.sequence
        if self.open.is_set() and sequence > self._highest:
            self._stale = sequence
            self.open.clear()
            log.error(
                "another member has heard more of this one than its journal has",
                journal=self._highest,
                said=sequence,
                todo="restart this node: docs/committee.md#a-journal-that-is-too-old",
            )
        self._reported[envelope.sender] = max(sequence, self._reported.get(envelope.sender, 0))
        self._news.set()
        return True
