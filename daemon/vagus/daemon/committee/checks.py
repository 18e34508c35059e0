"""A member's own result before it sees another's, and what it found of another's after.

It commits to its own by a hash, so that nobody can copy. What it finds of a leader's proposal is a
document of its own, with what opens the commitment: anyone can see later that it ran by itself.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import msgspec

from vagus.daemon.printable import printable
from vagus.protocol import Json, Outcome, canonical, keccak256

if TYPE_CHECKING:
    from vagus.agents.modes import Verdict
    from vagus.daemon.committee.outbox import Case

__all__ = ["MAX_CHECK", "check_body", "commitment", "opening", "read_check"]

MAX_CHECK = 4096
"""Bytes of a member's check document."""
_MAX_REASON = 400
_SALT = 32


def commitment(outcome: Outcome) -> tuple[bytes, bytes]:
    """Return what is sent of an own result, 32 bytes, and what is kept to open it."""
    salt = secrets.token_bytes(_SALT)
    return keccak256(salt + outcome.value), salt + outcome.encode()


def opening(private: bytes) -> tuple[bytes, Outcome]:
    """Return the salt and the result of what `commitment` had kept."""
    return private[:_SALT], Outcome.decode(private[_SALT:])


def check_body(
    case: Case, value: bytes, verdict: Verdict, own: Outcome | None, salt: bytes
) -> bytes:
    """Return the RFC 8785 document of a member's check; hashes are 0x-prefixed hex.

    `own` is what it was compared with: its value and salt open the member's commitment.
    """
    compared: Json = (
        None
        if own is None
        else {
            "value": _hex(own.value),
            "output_hash": _hex(own.output_hash),
            "status": int(own.status),
            "salt": _hex(salt),
        }
    )
    return canonical(
        {
            "version": 1,
            "intent": _hex(case.intent),
            "hub": _hex(case.hub),
            "epoch": case.epoch,
            "value": _hex(value),
            "right": verdict.right,
            "reason": verdict.reason[:_MAX_REASON],
            "measured": verdict.measured,
            "own": compared,
        }
    )


def read_check(body: bytes) -> tuple[bool, str] | None:
    """Return what a member's check found and why, as text that may be shown; None for no check."""
    if len(body) > MAX_CHECK:
        return None
    try:
        found = msgspec.json.decode(body, type=_Check)
    except (msgspec.MsgspecError, RecursionError):
        return None
    return found.right, printable(found.reason[:_MAX_REASON])


class _Check(msgspec.Struct):
    right: bool
    reason: str


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
