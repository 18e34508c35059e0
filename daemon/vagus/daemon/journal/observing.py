"""What a reading of a hub, and a halt of its chain, do to the journal's rows.

An intent is carried while its row is final. A tip that was read, and a chain whose halt was taken
back, leave rows that are not: the next final reading finds their intents, or orphans them.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from vagus.daemon.journal.records import Halted, IntentRecord, Kind, Stage
from vagus.daemon.journal.rows import INTENTS, LEAVE

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence

    from vagus.adapters.base import Cursor, Requested

__all__ = ["HALTS", "halt", "observe", "resume", "unfence"]

HALTS = "SELECT chain, reason, at FROM halts"

# Transactions of a chain whose intents are looked at again after a halt: what a reorganisation deeper
# than finality dropped is among the newest.
_LOOKED_AT_AGAIN = 1000

# Answers its stage where the intent may be carried from now on: it is new, or known but not final yet.
# An orphan that has an outcome goes on with it: a node signs one for an intent, ever.
_OBSERVE = """
INSERT INTO intents(id, hub, struct, payload, terms, height, request_tx, stage, seen_at, updated_at,
  final, block_hash) VALUES(?,?,?,?,?,?,?,1,?,?,?,?)
ON CONFLICT(id) DO UPDATE SET final=1, height=excluded.height, request_tx=excluded.request_tx,
  block_hash=excluded.block_hash,
  updated_at=excluded.updated_at, note=CASE WHEN stage=12 THEN 'its block is back' ELSE note END,
  stage=CASE WHEN stage<>12 THEN stage WHEN attestation IS NULL THEN 1 ELSE 4 END,
  reason=CASE WHEN stage=12 THEN '' ELSE reason END,
  status=CASE WHEN stage=12 AND attestation IS NULL THEN NULL ELSE status END,
  backend=CASE WHEN stage=12 AND attestation IS NULL THEN '' ELSE backend END
WHERE excluded.final=1 AND final=0
RETURNING stage
"""
_ORPHAN = """
UPDATE intents SET stage=12, updated_at=?, reason='its block left the chain',
  note='its block left the chain'
WHERE hub=? AND stage<>12 AND final=0 AND height<=?
"""
_HALT = "INSERT OR IGNORE INTO halts(chain, reason, at) VALUES(?,?,?)"
# What a chain's name begins, as hubs and lanes do: CAIP-10 is the CAIP-2, ":" and the rest.
_READ_AGAIN = "UPDATE intents SET final=0 WHERE final=1 AND hub>=? AND hub<?"
_LOOK_AGAIN = """
UPDATE intents SET stage=?, updated_at=?, note='looked at again: its chain was halted'
WHERE stage>? AND stage<=10 AND key IN (
  SELECT intent FROM txs WHERE lane>=? AND lane<? AND kind=? ORDER BY key DESC LIMIT ?)
"""
_UNDECIDED = "final=1 AND attestation IS NULL AND stage < 9"
_CURSOR = "INSERT OR REPLACE INTO cursors(hub, next_seq, height, hash) VALUES(?,?,?,?)"


def observe(
    db: sqlite3.Connection,
    hub: str,
    found: Sequence[Requested],
    cursor: Cursor | None,
    fence: int,
    decode: Callable[[Sequence[Any]], IntentRecord],
) -> list[IntentRecord]:
    """Record what was read of a hub; return what is to be carried from now on, `decode`d.

    Intents below `fence` are left where the journal knows no outcome of theirs: it was restored.
    """
    now, final = time.time(), cursor is not None
    observed = [_observe(db, _record(hub, each, now), final, fence, decode) for each in found]
    if cursor is None:
        return []
    db.execute(_ORPHAN, (now, hub, cursor.height))
    db.execute(_CURSOR, (hub, cursor.next_seq, cursor.height, cursor.hash))
    return [each for each in observed if each is not None]


def halt(db: sqlite3.Connection, chain: str, reason: str) -> Halted:
    """Record a halt; return it, or the one that stands already."""
    db.execute(_HALT, (chain, reason, time.time()))
    return Halted(*db.execute(f"{HALTS} WHERE chain=?", (chain,)).fetchone())


def resume(db: sqlite3.Connection, chain: str) -> Halted | None:
    """Take back a halt, and have what is known of the chain looked at again; see `Journal`."""
    row = db.execute(f"{HALTS} WHERE chain=?", (chain,)).fetchone()
    if row is None:
        return None
    names, now = (f"{chain}:", f"{chain};"), time.time()  # ";" follows ":"
    db.execute("DELETE FROM halts WHERE chain=?", (chain,))
    db.execute("DELETE FROM cursors WHERE hub>=? AND hub<?", names)
    db.execute("DELETE FROM lanes WHERE lane>=? AND lane<?", names)
    db.execute(_READ_AGAIN, names)
    for kind, stage in (Kind.DELIVER, Stage.SUBMITTED), (Kind.SETTLE, Stage.SETTLING):
        db.execute(_LOOK_AGAIN, (stage, now, stage, *names, kind, _LOOKED_AT_AGAIN))
    return Halted(*row)


def unfence(db: sqlite3.Connection, now: float) -> int:
    """Give up what a lost journal may have decided; return how many intents that are known here.

    Each hub is to be fenced again, so that those which are not known are given up as well.
    """
    left = db.execute(f"{LEAVE} WHERE {_UNDECIDED}", (now,)).rowcount
    db.execute("DELETE FROM fences")
    db.execute("INSERT INTO restores VALUES(?)", (now,))
    return left


def _observe(
    db: sqlite3.Connection,
    record: IntentRecord,
    final: bool,
    fence: int,
    decode: Callable[[Sequence[Any]], IntentRecord],
) -> IntentRecord | None:
    """Record one intent; return it where it is to be carried from now on."""
    what = (record.id, record.origin, record.intent.encode(), record.payload, record.terms)
    when = (
        record.height,
        record.request_tx,
        record.seen_at,
        record.seen_at,
        final,
        record.block_hash,
    )
    row = db.execute(_OBSERVE, (*what, *when)).fetchone()
    if row is None or Stage(row[0]).ended:
        return None
    if row[0] == Stage.OBSERVED:
        if record.intent.seq < fence:
            db.execute(f"{LEAVE} WHERE id=?", (record.updated_at, record.id))
            return None
        return record
    return decode(db.execute(f"{INTENTS} WHERE id=?", (record.id,)).fetchone())


def _record(hub: str, found: Requested, now: float) -> IntentRecord:
    return IntentRecord(
        id=found.intent.id,
        origin=hub,
        intent=found.intent,
        payload=found.payload,
        terms=found.terms,
        height=found.height,
        block_hash=found.block_hash,
        request_tx=found.tx_id,
        stage=Stage.OBSERVED,
        seen_at=now,
        updated_at=now,
    )
