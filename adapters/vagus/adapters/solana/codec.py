"""Borsh by hand, for what the hub's program reads and writes.

Numbers are little-endian, `bytes` and lists have a length or count of four bytes in front; a uint256
is 32 bytes, big-endian as it is hashed. Decoders raise ValueError for what the program never writes.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from vagus.protocol import Attestation, Intent, Payout, Receipt, Rotation

__all__ = [
    "ATTESTATION_SIZE",
    "INTENT_SIZE",
    "attestation",
    "byte_string",
    "intent",
    "items",
    "read_attestation",
    "read_intent",
    "read_string",
    "receipt",
    "rotation",
    "u32",
    "u64",
]

_INTENT = struct.Struct("<32sQ32s32s32s32s32sQ32s32sQ32s32sQ")
_ATTESTATION = struct.Struct("<32s32sQ32s32s32s32sQQ")
_RECEIPT = struct.Struct("<32s32sQ32s32sQQ")
_ROTATION = struct.Struct("<Q32sQQ32s")

_MAX_FEE = 12  # its place among the fields

INTENT_SIZE = _INTENT.size
ATTESTATION_SIZE = _ATTESTATION.size


def u32(number: int) -> bytes:
    """Encode a number of 32 bits."""
    return number.to_bytes(4, "little")


def u64(number: int) -> bytes:
    """Encode a number of 64 bits; OverflowError over that."""
    return number.to_bytes(8, "little")


def byte_string(data: bytes) -> bytes:
    """Encode `bytes`."""
    return u32(len(data)) + data


def items(found: Sequence[bytes]) -> bytes:
    """Encode a list of items of one size each."""
    return u32(len(found)) + b"".join(found)


def intent(it: Intent) -> bytes:
    """Encode an Intent."""
    return _INTENT.pack(
        it.origin_hub,
        it.seq,
        it.requester,
        it.agent_id,
        it.payload_hash,
        it.model_digest,
        it.terms_hash,
        it.min_signers,
        it.dest_hub,
        it.callback,
        it.callback_gas,
        it.fee_asset,
        it.max_fee.to_bytes(32, "big"),
        it.deadline,
    )


def read_intent(data: bytes) -> Intent:
    """Decode an Intent, of which there are `INTENT_SIZE` bytes."""
    try:
        found: list[Any] = list(_INTENT.unpack(data))
    except struct.error:
        raise ValueError(f"an intent has {INTENT_SIZE} bytes, not {len(data)}") from None
    found[_MAX_FEE] = int.from_bytes(found[_MAX_FEE], "big")
    return Intent(*found)


def attestation(it: Attestation) -> bytes:
    """Encode an Attestation."""
    return _ATTESTATION.pack(
        it.intent_id,
        it.origin_hub,
        it.status,
        it.output_hash,
        it.agent_digest,
        it.model_digest,
        it.evidence_hash,
        it.epoch,
        it.expiry,
    )


def read_attestation(data: bytes) -> Attestation:
    """Decode an Attestation, of which there are `ATTESTATION_SIZE` bytes."""
    try:
        return Attestation(*_ATTESTATION.unpack(data))
    except struct.error:
        raise ValueError(f"an attestation has {ATTESTATION_SIZE} bytes, not {len(data)}") from None


def receipt(it: Receipt) -> bytes:
    """Encode a Receipt."""
    return _RECEIPT.pack(
        it.intent_id,
        it.dest_hub,
        it.status,
        it.payouts_hash,
        it.fee.to_bytes(32, "big"),
        it.epoch,
        it.expiry,
    )


def rotation(it: Rotation) -> bytes:
    """Encode a Rotation."""
    return _ROTATION.pack(it.epoch, it.signers_hash, it.threshold, it.valid_from, it.roster_hash)


def payouts(found: Sequence[Payout]) -> bytes:
    """Encode payouts, 64 bytes each."""
    return items([each.payee + each.amount.to_bytes(32, "big") for each in found])


def read_string(data: bytes, at: int, most: int) -> tuple[bytes, int]:
    """Read the `bytes` at an offset, and where they end."""
    size = int.from_bytes(data[at : at + 4], "little")
    end = at + 4 + size
    if size > most or end > len(data):
        raise ValueError(f"bytes at {at} reach past the end or over {most}")
    return data[at + 4 : end], end
