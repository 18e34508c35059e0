"""Proposals that members have approved, as this node has heard of them: gathered, and told to the others.

What is here is no decision: it spares people to carry files about. Whoever applies a proposal holds each
approval against it again, and the hub does so for good.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from vagus.daemon.committee.rotation import read_rotation_body, rotation_body
from vagus.protocol import Refuse

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from vagus.daemon.committee.rotation import Approval, Proposal
    from vagus.daemon.roster import Roster

__all__ = ["Rotations"]

# Proposals that are kept of each member: one that approves more pushes out its own oldest alone.
_EACH = 4


class Rotations:
    """Approvals by proposal and member; `members` says whose count now (20-byte signers)."""

    def __init__(self, members: Callable[[], Collection[bytes]]) -> None:
        self._members = members
        self._proposals: dict[bytes, Proposal] = {}
        # By member, the ids of the proposals that it has approved, the oldest first.
        self._approved: dict[bytes, OrderedDict[bytes, Approval]] = {}
        self._told = 0

    def take(self, body: bytes) -> bytes:
        """Take an approval with its proposal; return the proposal's id.

        Raises ValueError for what is none, Refuse for one of a stranger and one that is too old.
        """
        proposal, approval = read_rotation_body(body)
        signer = bytes.fromhex(approval.signer[2:])
        if signer not in self._members():
            raise Refuse(f"{approval.signer} is in no roster that counts here")
        if all(each.until < time.time() for each in proposal.hubs):
            raise Refuse("no hub takes this proposal any more: propose again")
        known = self._approved.setdefault(signer, OrderedDict())
        if proposal.id not in known:
            known[proposal.id] = approval
            self._proposals[proposal.id] = proposal
            while len(known) > _EACH:
                known.popitem(last=False)
            self._forget()
        return proposal.id

    def of(self, proposal_id: bytes) -> tuple[Proposal, list[Approval]] | None:
        """Return a proposal and its approvals, by signer; None where nobody here has approved it."""
        if proposal_id not in self._proposals:
            return None
        return self._proposals[proposal_id], [
            known[proposal_id]
            for _, known in sorted(self._approved.items())
            if proposal_id in known
        ]

    def next(self) -> bytes | None:
        """Return the next body that the others are to be told, each in its turn; None where there is none."""
        self._forget()
        pairs = [
            (proposal_id, approval)
            for known in self._approved.values()
            for proposal_id, approval in known.items()
        ]
        if not pairs:
            return None
        self._told = (self._told + 1) % len(pairs)
        proposal_id, approval = pairs[self._told]
        return rotation_body(self._proposals[proposal_id], approval)

    def roster(self, digest: bytes) -> Roster | None:
        """Return the roster with this digest, where a proposal brings it."""
        rosters = (each.roster for each in self._proposals.values())
        return next((each for each in rosters if each.digest() == digest), None)

    def _forget(self) -> None:
        """Let go of what no hub takes any more, of members that have left, and of what nobody approves."""
        now, members = time.time(), self._members()
        for signer in [each for each in self._approved if each not in members]:
            del self._approved[signer]
        for known in self._approved.values():
            for proposal_id in list(known):
                if all(each.until < now for each in self._proposals[proposal_id].hubs):
                    del known[proposal_id]
        wanted = {each for known in self._approved.values() for each in known}
        self._proposals = {key: each for key, each in self._proposals.items() if key in wanted}
