"""What members of a committee send to each other: signed, canonical, versioned envelopes.

An envelope is 170 bytes of header, its body, and 65 bytes of signature by the sender's transport
key, which is another than the one it attests with:

    version u8 = 1 | kind u8 | network 32 | roster 32 | sender 20 | sequence u64 | hub 32
    | epoch u64 | intent 32 | length of the body u32 | body | r‖s‖v

Numbers are big-endian. Whoever carries an envelope is not trusted: what it is about is signed with
it, so that it says nothing of another network, roster, hub, epoch or intent.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from struct import Struct

from coincurve import PrivateKey

from vagus.protocol.errors import VagusError
from vagus.protocol.hashing import ZERO32, keccak256
from vagus.protocol.limits import MAX_ENVELOPE
from vagus.protocol.signatures import SIGNATURE_SIZE, recover, sign

__all__ = ["DURABLE", "Envelope", "EnvelopeError", "Kind", "network_id", "open_envelope"]

VERSION = 1
_HEADER = Struct(">BB32s32s20sQ32sQ32sI")
_PREFIX = b"\x19vagus envelope\x01"


class EnvelopeError(ValueError, VagusError):
    """Bytes that are no envelope."""


class Kind(IntEnum):
    """What an envelope says."""

    PROPOSAL = 1
    PREVOTE = 2
    PRECOMMIT = 3
    DECISION = 4
    COMMIT = 5
    REVEAL = 6
    CHECK = 7
    SIGNATURE = 8
    HEARTBEAT = 16
    HELLO = 17
    REPORT = 18
    ROTATION = 19


DURABLE = frozenset(
    {
        Kind.PROPOSAL,
        Kind.PREVOTE,
        Kind.PRECOMMIT,
        Kind.DECISION,
        Kind.COMMIT,
        Kind.CHECK,
        Kind.SIGNATURE,
    }
)
"""The kinds that say something for good: journalled before they are sent, with a sequence that grows.

A result revealed says nothing that its sender's commitment does not bind."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message of one member.

    `network` is the committee's (`network_id`), `roster` the digest of the roster that names the
    sender, by its signer's 20-byte address. `hub` and `epoch` name the set that acts, `intent` what
    it acts upon; all zero where it is about no intent. `sequence` of a durable kind is the sender's
    own count, of the others the Unix time in microseconds.
    """

    kind: Kind
    network: bytes
    roster: bytes
    sender: bytes
    sequence: int
    hub: bytes = ZERO32
    epoch: int = 0
    intent: bytes = ZERO32
    body: bytes = b""

    def seal(self, key: PrivateKey) -> bytes:
        """Return the envelope's bytes, signed with the sender's transport key."""
        data = self._encode()
        return data + sign(_digest(data), key)

    def _encode(self) -> bytes:
        header = _HEADER.pack(
            VERSION,
            self.kind,
            self.network,
            self.roster,
            self.sender,
            self.sequence,
            self.hub,
            self.epoch,
            self.intent,
            len(self.body),
        )
        return header + self.body


def open_envelope(frame: bytes) -> tuple[Envelope, bytes]:
    """Return an envelope and the 20-byte address of the key that signed it.

    Whether that is the sender's transport key, the roster says. Raises EnvelopeError for bytes that
    are no envelope, SignatureError for a signature that is none.
    """
    if len(frame) > MAX_ENVELOPE:
        raise EnvelopeError(f"an envelope has at most {MAX_ENVELOPE} bytes, not {len(frame)}")
    if len(frame) < _HEADER.size + SIGNATURE_SIZE:
        raise EnvelopeError("too short for an envelope")
    head = _HEADER.unpack_from(frame)
    version, kind, network, roster, sender, sequence, hub, epoch, intent, length = head
    if version != VERSION:
        raise EnvelopeError(f"version {version}, where {VERSION} is known")
    if kind not in _KINDS:
        raise EnvelopeError(f"kind {kind} is unknown")
    if len(frame) != _HEADER.size + length + SIGNATURE_SIZE:
        raise EnvelopeError("its body has another length than it says")
    signed = frame[:-SIGNATURE_SIZE]
    signer = recover(_digest(signed), frame[-SIGNATURE_SIZE:])
    body = signed[_HEADER.size :]
    return Envelope(Kind(kind), network, roster, sender, sequence, hub, epoch, intent, body), signer


def network_id(name: str) -> bytes:
    """Return the 32 bytes that name a committee on the wire, from the name in its roster."""
    return keccak256(b"vagus-committee:" + name.encode())


def _digest(signed: bytes) -> bytes:
    return keccak256(_PREFIX + signed)


_KINDS = frozenset(Kind)
