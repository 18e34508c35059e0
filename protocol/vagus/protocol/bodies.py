"""The bodies of envelopes about an intent, in both directions. Numbers are big-endian.

Envelopes of others travel inside of some: votes that prove a proposal or a decision, and the
commitments that came before a proposal. Each stands for itself, with its sender's signature.
"""

from __future__ import annotations

from dataclasses import dataclass

from vagus.protocol.limits import MAX_SIGNERS
from vagus.protocol.messages import Attestation, Receipt
from vagus.protocol.outcome import Outcome
from vagus.protocol.reader import Reader, listed
from vagus.protocol.votes import MAX_ROUND

__all__ = ["DecisionBody", "ProposalBody", "RevealBody", "SignatureBody", "VoteBody"]


@dataclass(frozen=True, slots=True)
class VoteBody:
    """A prevote or precommit: round u32, then 0, or 1 and the outcome's value."""

    round: int
    value: bytes | None

    def encode(self) -> bytes:
        """Return the body's bytes."""
        said = b"\0" if self.value is None else b"\1" + self.value
        return self.round.to_bytes(4, "big") + said

    @classmethod
    def decode(cls, body: bytes) -> VoteBody:
        """Read a body. Raises ValueError for anything but what `encode` writes."""
        reader = Reader(body)
        round_ = _round(reader)
        value = reader.take(32) if _flag(reader) else None
        reader.end()
        return cls(round_, value)


@dataclass(frozen=True, slots=True)
class ProposalBody:
    """What a round's leader proposes: round u32, valid round + 1 u32, two lists, the outcome.

    `proof` are prevotes of the valid round, `commits` the members' commitments to their own results.
    """

    round: int
    valid_round: int
    proof: tuple[bytes, ...]
    commits: tuple[bytes, ...]
    outcome: Outcome

    def encode(self) -> bytes:
        """Return the body's bytes."""
        rounds = self.round.to_bytes(4, "big") + (self.valid_round + 1).to_bytes(4, "big")
        return rounds + listed(self.proof) + listed(self.commits) + self.outcome.encode()

    @classmethod
    def decode(cls, body: bytes) -> ProposalBody:
        """Read a body. Raises ValueError for anything but what `encode` writes."""
        reader = Reader(body)
        round_, since = _round(reader), reader.uint(4) - 1
        if since >= round_:
            raise ValueError("it was prevoted in a later round")
        proof, commits = reader.list(MAX_SIGNERS), reader.list(MAX_SIGNERS)
        return cls(round_, since, proof, commits, Outcome.decode(reader.rest()))


@dataclass(frozen=True, slots=True)
class DecisionBody:
    """What a quorum has precommitted: their precommits, then the outcome."""

    proof: tuple[bytes, ...]
    outcome: Outcome

    def encode(self) -> bytes:
        """Return the body's bytes."""
        return listed(self.proof) + self.outcome.encode()

    @classmethod
    def decode(cls, body: bytes) -> DecisionBody:
        """Read a body. Raises ValueError for anything but what `encode` writes."""
        reader = Reader(body)
        proof = reader.list(MAX_SIGNERS)
        return cls(proof, Outcome.decode(reader.rest()))


@dataclass(frozen=True, slots=True)
class RevealBody:
    """A member's own result, once it may be seen: the commitment's salt of 32 bytes, the outcome."""

    salt: bytes
    outcome: Outcome

    def encode(self) -> bytes:
        """Return the body's bytes."""
        return self.salt + self.outcome.encode()

    @classmethod
    def decode(cls, body: bytes) -> RevealBody:
        """Read a body. Raises ValueError for anything but what `encode` writes."""
        reader = Reader(body)
        return cls(reader.take(32), Outcome.decode(reader.rest()))


@dataclass(frozen=True, slots=True)
class SignatureBody:
    """A member's signature over a message to a hub: 1 and an Attestation, or 2 and a Receipt, r‖s‖v."""

    message: Attestation | Receipt
    signature: bytes

    def encode(self) -> bytes:
        """Return the body's bytes."""
        which = b"\1" if isinstance(self.message, Attestation) else b"\2"
        return which + self.message.encode() + self.signature

    @classmethod
    def decode(cls, body: bytes) -> SignatureBody:
        """Read a body. Raises ValueError for anything but what `encode` writes."""
        which, message, signature = body[:1], body[1:-65], body[-65:]
        if which not in {b"\1", b"\2"}:
            raise ValueError("neither an attestation nor a receipt is signed")
        kind = Attestation if which == b"\1" else Receipt
        return cls(kind.decode(message), signature)


def _round(reader: Reader) -> int:
    round_ = reader.uint(4)
    if round_ > MAX_ROUND:
        raise ValueError(f"round {round_}, where {MAX_ROUND} is the last")
    return round_


def _flag(reader: Reader) -> bool:
    flag = reader.uint(1)
    if flag > 1:
        raise ValueError(f"{flag} is neither 0 nor 1")
    return bool(flag)
