"""What nodes and workers send to each other: signed, canonical, versioned frames.

A frame is 86 bytes of header, its body, and 65 bytes of signature by the sender's key:

    version u8 = 1 | kind u8 | sender 20 | receiver 20 | about 32 | number u64
    | length of the body u32 | body | r‖s‖v

Numbers are big-endian. Senders and receivers are Ethereum addresses. A frame's digest is what is
signed, keccak256(0x19 "vagus edge" 0x01 ‖ all before the signature): it names a request, and what is
said of that request carries it. Whoever carries a frame is not trusted.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from vagus.protocol import SignatureError, VagusError, keccak256
from vagus.protocol.hashing import ZERO32
from vagus.protocol.signatures import SIGNATURE_SIZE, recover, sign

if TYPE_CHECKING:
    from collections.abc import Container

    from coincurve import PrivateKey

__all__ = ["EVERYONE", "MAX_FRAME", "Frame", "FrameError", "Kind", "Opened", "open_frame"]

VERSION = 1
MAX_FRAME = 240 << 10
"""Bytes of a frame: with its topic it is less than what a packet may have."""

EVERYONE = bytes(20)
"""The receiver of what is for all."""

_HEADER = Struct(">BB20s20s32sQI")
_PREFIX = b"\x19vagus edge\x01"


class FrameError(VagusError):
    """Bytes that are no frame of whom is listened to; `reason` is one of few words, to count by."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Kind(IntEnum):
    """What a frame says."""

    OFFER = 1
    HELLO = 2
    ASK = 3
    CANCEL = 4
    PIECE = 5
    ANSWER = 6
    SORRY = 7


class Opened(NamedTuple):
    """A frame and its digest, 32 bytes."""

    frame: Frame
    digest: bytes


@dataclass(frozen=True, slots=True)
class Frame:
    """One message, to a receiver or EVERYONE.

    `about` is the digest of the request that CANCEL, PIECE, ANSWER and SORRY speak of; in HELLO and ASK
    32 random bytes, in OFFER zero. `number` counts the PIECEs of an answer from 0 and a worker's OFFERs
    upwards, by the Unix time in microseconds; else it is 0.
    """

    kind: Kind
    sender: bytes
    receiver: bytes
    about: bytes = ZERO32
    number: int = 0
    body: bytes = b""

    def seal(self, key: PrivateKey) -> tuple[bytes, bytes]:
        """Return the frame's bytes, signed with the sender's key, and its digest."""
        head = (VERSION, self.kind, self.sender, self.receiver, self.about, self.number)
        signed = _HEADER.pack(*head, len(self.body)) + self.body
        digest = keccak256(_PREFIX + signed)
        return signed + sign(digest, key), digest


def open_frame(data: bytes, known: Container[bytes]) -> Opened:
    """Return a frame that one of `known` has signed.

    Raises FrameError. Who is not known costs no look at a signature.
    """
    if not _HEADER.size + SIGNATURE_SIZE <= len(data) <= MAX_FRAME:
        raise FrameError("of a wrong size")
    version, kind, sender, receiver, about, number, length = _HEADER.unpack_from(data)
    if version != VERSION:
        raise FrameError("of another version")
    if kind not in _KINDS or len(data) != _HEADER.size + length + SIGNATURE_SIZE:
        raise FrameError("malformed")
    if sender not in known:
        raise FrameError("of a stranger")
    signed = data[:-SIGNATURE_SIZE]
    digest = keccak256(_PREFIX + signed)
    try:
        signer = recover(digest, data[-SIGNATURE_SIZE:])
    except SignatureError:
        raise FrameError("forged") from None
    if signer != sender:
        raise FrameError("forged")
    body = signed[_HEADER.size :]
    return Opened(Frame(Kind(kind), sender, receiver, about, number, body), digest)


_KINDS = frozenset(Kind)
