"""Results that members show to each other, in modes whose outcome is made of several.

A member shows its own once a quorum has committed to theirs: by then nobody of these can copy it.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from vagus.protocol import Outcome, Refuse, Retry, Status, keccak256
from vagus.protocol.bodies import RevealBody
from vagus.protocol.envelope import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vagus.daemon.committee.base import Work
    from vagus.daemon.committee.outbox import Case, Outbox
    from vagus.daemon.committee.votes import Votes
    from vagus.daemon.execute import Run
    from vagus.protocol.envelope import Envelope
    from vagus.protocol.votes import Members

__all__ = ["Revealing"]

_LOOK = 0.05


class Revealing:
    """The results of one intent that are known so far; empty where a mode combines nothing."""

    def __init__(
        self, work: Work, case: Case, members: Members, votes: Votes, outbox: Outbox
    ) -> None:
        self._work = work
        self._case = case
        self._members = members
        self._votes = votes
        self._outbox = outbox
        self._known: dict[bytes, Outcome] = {}
        self._frames: dict[bytes, bytes] = {}
        self._body = b""
        self._shown = False
        self.patient = True
        """Whether a leader still waits for those who have committed and not shown their results."""

    def own(self, outcome: Outcome, salt: bytes) -> None:
        """Take this member's own result, if it is one that can be combined."""
        if self._work.combines and outcome.status == Status.FULFILLED:
            self._known[self._members.me] = outcome
            self._body = RevealBody(salt, outcome).encode()
            self.show()

    def show(self) -> None:
        """Show the own result to the others, as soon as that is safe."""
        if self._body and not self._shown and len(self._votes.commits) >= self._members.votes:
            self._shown = True
            self.again()

    def again(self) -> None:
        """Send once more what was shown: it may have been lost."""
        if self._shown:
            self._outbox.tell(Kind.REVEAL, self._body, self._case)

    def note(self, envelope: Envelope, frame: bytes) -> None:
        """Take a member's result, if it is what it had committed to."""
        sender = envelope.sender
        commit = self._votes.commitment(sender)
        if commit is None or sender in self._known or not self._work.combines:
            return
        try:
            body = RevealBody.decode(envelope.body)
        except ValueError:
            return
        opened = keccak256(body.salt + body.outcome.value) == commit
        if opened and self._work.reveals(sender, body.outcome):
            self._known[sender] = body.outcome
            self._frames[sender] = frame

    def frames(self) -> list[bytes]:
        """Return the envelopes by which the others have shown their results."""
        return list(self._frames.values())

    @property
    def enough(self) -> bool:
        """Whether as many results are here as decide."""
        return len(self._known) >= self._members.votes

    def combined(self, own: Run) -> Run | None:
        """Return what a leader proposes: its own run, or what is made of several; None: wait."""
        if not self._body:
            return own
        all_here = self._known.keys() >= self._votes.commits.keys()
        if not self.enough or (self.patient and not all_here):
            return None
        return self._work.combine(self._known, self._members.me)

    async def of(self, members: Sequence[bytes], patience: float) -> dict[bytes, Outcome]:
        """Return the results of these members, or of all where none are named, once they have come.

        Raises Refuse for others than members and for fewer than decide, Retry where they don't come
        within `patience` seconds.
        """
        named = set(members)
        if len(named) < len(members) or not named <= set(self._members.leaders):
            raise Refuse("it combines results of others than the members")
        if self._work.combines and 0 < len(named) < self._members.votes:
            raise Refuse(f"it combines {len(named)} results, and {self._members.votes} are wanted")
        until = time.monotonic() + patience
        while missing := named - self._known.keys():
            if time.monotonic() > until:
                raise Retry(f"results of {len(missing)} members have not come")
            await asyncio.sleep(_LOOK)
        return {each: self._known[each] for each in members or self._known}
