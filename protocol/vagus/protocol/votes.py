"""What the members of a committee say to each other to agree: proposals, votes and decisions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from vagus.protocol.errors import QuorumError

__all__ = ["MAX_ROUND", "Ballot", "Decision", "Members", "Message", "Proposal", "Vote"]

MAX_ROUND = 1_000
"""No intent lives for as many rounds: messages of later ones are dropped."""


class Ballot(IntEnum):
    """Which of a round's two votes it is."""

    PREVOTE = 1
    PRECOMMIT = 2


@dataclass(frozen=True, slots=True)
class Vote:
    """A member's vote in a round; `value` is None for none of them."""

    sender: bytes
    round: int
    ballot: Ballot
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a round's leader wants decided; `proof` are the prevotes of `valid_round` for it."""

    sender: bytes
    round: int
    value: bytes
    valid_round: int = -1
    proof: tuple[Vote, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """A value with the precommits of one round that decided it; anyone may hand it on."""

    value: bytes
    proof: tuple[Vote, ...]


Message = Proposal | Vote | Decision


@dataclass(frozen=True, slots=True)
class Members:
    """Who votes: `leaders` has each member once, in the order in which they lead.

    Raises QuorumError unless `votes` is more than half of them and not more than all.
    """

    me: bytes
    leaders: tuple[bytes, ...]
    votes: int

    def __post_init__(self) -> None:
        if len(set(self.leaders)) != len(self.leaders) or self.me not in self.leaders:
            raise QuorumError("each member leads once, and this one is a member")
        if not len(self.leaders) < 2 * self.votes <= 2 * len(self.leaders):
            raise QuorumError(f"{self.votes} of {len(self.leaders)} votes are no quorum")

    @property
    def faulty(self) -> int:
        """Up to how many faulty members neither decide two values nor keep the others from one."""
        return min(2 * self.votes - len(self.leaders) - 1, len(self.leaders) - self.votes)

    def leader(self, round_: int) -> bytes:
        """Return who proposes in a round."""
        return self.leaders[round_ % len(self.leaders)]

    def proves(self, proof: Iterable[Vote], round_: int, ballot: Ballot, value: bytes) -> bool:
        """Whether these are a quorum of one round's votes for a value."""
        wanted = (round_, ballot, value)
        found = {v.sender for v in proof if (v.round, v.ballot, v.value) == wanted}
        return len(found.intersection(self.leaders)) >= self.votes
