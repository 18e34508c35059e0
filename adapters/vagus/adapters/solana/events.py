"""Any program's events: what it logged with sol_log_data in frames of its own.

Logs are text that programs help to write, and they are cut off at 10,000 bytes a transaction: whoever needs
to miss nothing reads accounts. An event's first eight bytes name it, as Anchor has it:
sha256("event:<Name>"), of which the name is what is asked for.
"""

from __future__ import annotations

import binascii
import hashlib
from base64 import b64decode
from collections.abc import Iterable

__all__ = ["discriminator", "logged"]

_NAME = 8
_DATA = "Program data: "


def discriminator(name: str) -> bytes:
    """Return the eight bytes that name an event."""
    return hashlib.sha256(f"event:{name}".encode()).digest()[:_NAME]


def logged(logs: Iterable[str], program: str) -> list[bytes]:
    """Return what a program logged in its own frames, in order; what others print counts for nothing."""
    frames: list[str] = []
    found = []
    for line in logs:
        if line.startswith(_DATA):
            if frames and frames[-1] == program:
                found.append(_data(line.removeprefix(_DATA)))
            continue
        words = line.split(" ")
        # A program's own text begins with "Program log: " and cannot look like a frame.
        if len(words) >= 3 and words[0] == "Program" and words[1] not in ("log:", "data:"):
            if words[2] == "invoke":
                frames.append(words[1])
            elif words[2] in ("success", "failed:") and frames and frames[-1] == words[1]:
                frames.pop()
    return found


def _data(text: str) -> bytes:
    try:
        return b"".join(b64decode(each, validate=True) for each in text.split(" "))
    except binascii.Error:
        raise ValueError("logged data that is not base64") from None
