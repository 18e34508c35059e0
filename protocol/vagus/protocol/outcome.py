"""What a committee decides of an intent: the outcome, and the documents behind its hashes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from vagus.protocol.hashing import EMPTY_HASH, ZERO32, keccak256
from vagus.protocol.limits import MAX_EVIDENCE, MAX_OUTPUT
from vagus.protocol.messages import Attestation, Status
from vagus.protocol.reader import Reader, sized
from vagus.protocol.words import require_bytes

__all__ = ["Outcome", "outcome_value"]

_TYPE_HASH = keccak256(
    b"Outcome(uint64 status,bytes32 outputHash,bytes32 agentDigest,bytes32 modelDigest,"
    b"bytes32 evidenceHash)"
)


@dataclass(frozen=True)
class Outcome:
    """An answer, refusal or failure; digests are 32 bytes, zero unless there is an answer.

    `evidence` is the RFC 8785 document of the run. Raises ValueError for what no hub would take.
    """

    status: Status
    output: bytes
    agent_digest: bytes
    model_digest: bytes
    evidence: bytes

    def __post_init__(self) -> None:
        require_bytes("agent_digest", self.agent_digest, 32)
        require_bytes("model_digest", self.model_digest, 32)
        if len(self.output) > MAX_OUTPUT:
            raise ValueError(f"an output has at most {MAX_OUTPUT} bytes, not {len(self.output)}")
        if len(self.evidence) > MAX_EVIDENCE:
            raise ValueError(f"evidence has at most {MAX_EVIDENCE} bytes, not {len(self.evidence)}")
        empty = (self.output, self.agent_digest, self.model_digest) == (b"", ZERO32, ZERO32)
        if self.status != Status.FULFILLED and not empty:
            raise ValueError("without an answer there is no output, agent or model")

    @cached_property
    def output_hash(self) -> bytes:
        """The Keccak-256 of the output."""
        return keccak256(self.output) if self.output else EMPTY_HASH

    @cached_property
    def evidence_hash(self) -> bytes:
        """The Keccak-256 of the evidence document."""
        return keccak256(self.evidence)

    @cached_property
    def value(self) -> bytes:
        """What is voted on: EIP-712's hashStruct of the outcome, 32 bytes."""
        return _value(
            self.status,
            self.output_hash,
            self.agent_digest,
            self.model_digest,
            self.evidence_hash,
        )

    def encode(self) -> bytes:
        """Return the outcome as bytes: status, both digests, and two documents with their lengths."""
        head = bytes((self.status,)) + self.agent_digest + self.model_digest
        return head + sized(self.output) + sized(self.evidence)

    @classmethod
    def decode(cls, data: bytes) -> Outcome:
        """Read what `encode` writes, to its last byte. Raises ValueError for anything else."""
        reader = Reader(data)
        status = Status(reader.uint(1))
        agent, model = reader.take(32), reader.take(32)
        output = reader.sized()
        evidence = reader.sized()
        reader.end()
        return cls(status, output, agent, model, evidence)


def outcome_value(attestation: Attestation) -> bytes:
    """Return what was voted on by the attestation that follows from it."""
    return _value(
        attestation.status,
        attestation.output_hash,
        attestation.agent_digest,
        attestation.model_digest,
        attestation.evidence_hash,
    )


def _value(status: int, output: bytes, agent: bytes, model: bytes, evidence: bytes) -> bytes:
    return keccak256(_TYPE_HASH + status.to_bytes(32, "big") + output + agent + model + evidence)
