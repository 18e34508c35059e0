"""What this member has said to its committee, what it has signed for, and what it heard of others.

A key says one thing of a kind and round, signs one outcome of an intent and one receipt, ever. It is
here that a second one is refused: a message leaves once its row is durable, and no row is ever
changed. The tables hold it too: a row with another value cannot be inserted beside the first.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from vagus.daemon.journal.base import EquivocationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vagus.daemon.journal.records import Said

__all__ = [
    "CHECKS",
    "HEARD",
    "HIGHEST",
    "PLEDGES",
    "SAID",
    "SEQUENCE",
    "adopt",
    "hear",
    "keep_check",
    "say",
]

SAID = """
SELECT said.kind, round, sequence, value, envelope, private, said.hub, said.epoch
FROM intents JOIN said ON said.intent=intents.key WHERE id=? ORDER BY sequence
"""
PLEDGES = "SELECT kind, value FROM intents JOIN pledges ON intent=intents.key WHERE id=?"
SEQUENCE = """
SELECT MAX(COALESCE((SELECT MAX(sequence) FROM said), 0),
  COALESCE((SELECT MAX(sequence) FROM adopted), 0))
"""
HIGHEST = "SELECT envelope FROM said WHERE sequence=(SELECT MAX(sequence) FROM said)"
HEARD = "SELECT member, sequence, envelope FROM heard"
CHECKS = """
SELECT member, envelope FROM intents JOIN checks ON intent=intents.key WHERE id=? ORDER BY checks.key
"""

_KEY = "SELECT key FROM intents WHERE id=?"
_STANDS = """
SELECT value, envelope FROM said WHERE intent=? AND hub=? AND epoch=? AND kind=? AND round=?
"""
# Sequences up to the adopted one were used by a journal that is lost.
_SAY = """
INSERT INTO said(sequence, intent, hub, epoch, kind, round, value, envelope, private)
SELECT ?1,?2,?3,?4,?5,?6,?7,?8,?9 WHERE NOT EXISTS (SELECT 1 FROM adopted WHERE sequence>=?1)
"""
_PLEDGE = "INSERT INTO pledges VALUES(?,?,?) ON CONFLICT DO NOTHING"
_PLEDGED = "SELECT value FROM pledges WHERE intent=? AND kind=?"
_HEAR = """
INSERT INTO heard VALUES(?,?,?) ON CONFLICT(member) DO UPDATE
SET sequence=excluded.sequence, envelope=excluded.envelope WHERE excluded.sequence>sequence
"""
_CHECK = "INSERT INTO checks(intent, member, envelope) VALUES(?,?,?) ON CONFLICT DO NOTHING"


def say(
    db: sqlite3.Connection,
    intent_id: bytes,
    hub: bytes,
    epoch: int,
    said: Sequence[Said],
    outcome: bytes | None,
    receipt: bytes | None,
) -> list[bytes]:
    """Record what is said, and what it signs for; see `Journal.say`."""
    key = _intent(db, intent_id)
    for kind, value in ("outcome", outcome), ("receipt", receipt):
        if value is not None:
            _pledge(db, key, kind, value)
    return [_say_one(db, (key, hub, epoch, each.kind, each.round), each) for each in said]


def adopt(db: sqlite3.Connection, sequence: int) -> None:
    """Never use a sequence up to this one."""
    db.execute("INSERT INTO adopted VALUES(?)", (sequence,))


def hear(db: sqlite3.Connection, member: bytes, sequence: int, envelope: bytes) -> None:
    """Keep a member's highest envelope; as bytes, big-endian, any uint64 is compared rightly."""
    db.execute(_HEAR, (member, sequence.to_bytes(8, "big"), envelope))


def keep_check(db: sqlite3.Connection, intent_id: bytes, member: bytes, envelope: bytes) -> None:
    """Keep a member's first check of an intent's outcome."""
    db.execute(_CHECK, (_intent(db, intent_id), member, envelope))


def _intent(db: sqlite3.Connection, intent_id: bytes) -> int:
    row = db.execute(_KEY, (intent_id,)).fetchone()
    if row is None:
        raise RuntimeError(f"intent 0x{intent_id.hex()} is not in the journal")
    return int(row[0])


def _say_one(db: sqlite3.Connection, place: tuple[int, bytes, int, int, int], said: Said) -> bytes:
    what = f"kind {said.kind} of round {said.round}"
    if row := db.execute(_STANDS, place).fetchone():
        value, envelope = row
        if value != said.value:
            raise EquivocationError(
                f"{what} was said for 0x{value.hex()}, and now for 0x{said.value.hex()}"
            )
        return bytes(envelope)
    try:
        row = (said.sequence, *place, said.value, said.envelope, said.private)
        new = db.execute(_SAY, row).rowcount == 1
    except sqlite3.IntegrityError:
        new = False
    if not new:
        raise EquivocationError(f"{what} has sequence {said.sequence}, which was used before")
    return said.envelope


def _pledge(db: sqlite3.Connection, key: int, kind: str, value: bytes) -> None:
    if db.execute(_PLEDGE, (key, kind, value)).rowcount == 1:
        return
    [first] = db.execute(_PLEDGED, (key, kind)).fetchone()
    if first != value:
        raise EquivocationError(
            f"the {kind} 0x{first.hex()} was signed before, and now it is 0x{value.hex()}"
        )
