"""The journal's tables, and an intent's row in both directions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vagus.daemon.journal.records import IntentRecord, Stage
from vagus.protocol import (
    Attestation,
    FeeFormula,
    Intent,
    Payout,
    Receipt,
    Status,
    encode_payouts,
    hash_terms,
    hub_id,
    keccak256,
    payouts_hash,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "INTENTS",
    "INTENT_COLUMNS",
    "LEAVE",
    "SCHEMA",
    "SCHEMA_VERSION",
    "UPGRADES",
    "decode_intent",
    "encode_change",
]

SCHEMA_VERSION = 7

# The history is written by triggers, so that no move is without its line; `note` is the newest one's.
# `final` is 1 once the intent was read in a final block: only then is it carried. Lines and
# transactions name their intent by its key and not by its id, since ids are spread over the whole
# of an index, and each would dirty a page of its own. Tables of large rows have a rowid: without
# one a row over a quarter of a page spills, and a write costs twice. A member's sequence is above
# all before it, so that what it says is written at the table's end.
SCHEMA = """
CREATE TABLE intents(
  key INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, hub TEXT NOT NULL, struct BLOB NOT NULL, payload BLOB NOT NULL,
  terms BLOB NOT NULL, height INTEGER NOT NULL, request_tx TEXT NOT NULL, stage INTEGER NOT NULL,
  seen_at REAL NOT NULL, updated_at REAL NOT NULL, status INTEGER, reason TEXT NOT NULL DEFAULT '',
  backend TEXT NOT NULL DEFAULT '', output BLOB NOT NULL DEFAULT x'', cost TEXT NOT NULL DEFAULT '0', fee TEXT,
  attestation BLOB,
  signatures BLOB NOT NULL DEFAULT x'', callback_failed INTEGER NOT NULL DEFAULT 0,
  payouts BLOB NOT NULL DEFAULT x'', receipt BLOB, final INTEGER NOT NULL DEFAULT 0,
  note TEXT NOT NULL DEFAULT '', block_hash BLOB NOT NULL DEFAULT x'', epoch INTEGER, leader BLOB,
  spent TEXT NOT NULL DEFAULT '0'
);
CREATE INDEX intents_stage ON intents(stage, seen_at);
CREATE INDEX intents_tip ON intents(hub, height) WHERE final=0;
CREATE INDEX intents_seen ON intents(seen_at);
CREATE INDEX intents_request ON intents(request_tx);
CREATE TABLE history(
  key INTEGER PRIMARY KEY, intent INTEGER NOT NULL, stage INTEGER NOT NULL, at REAL NOT NULL,
  note TEXT NOT NULL
);
CREATE INDEX history_intent ON history(intent);
CREATE TRIGGER intents_seen_first AFTER INSERT ON intents BEGIN
  INSERT INTO history(intent, stage, at, note) VALUES(NEW.key, NEW.stage, NEW.updated_at, NEW.note);
END;
CREATE TRIGGER intents_moved AFTER UPDATE OF stage ON intents WHEN NEW.stage <> OLD.stage BEGIN
  INSERT INTO history(intent, stage, at, note) VALUES(NEW.key, NEW.stage, NEW.updated_at, NEW.note);
END;
CREATE TABLE txs(
  key INTEGER PRIMARY KEY, intent INTEGER NOT NULL, kind TEXT NOT NULL, lane TEXT NOT NULL,
  stage TEXT NOT NULL, tx_id TEXT NOT NULL, state BLOB NOT NULL, at REAL NOT NULL
);
CREATE INDEX txs_intent ON txs(intent);
CREATE INDEX txs_id ON txs(tx_id);
CREATE TABLE lanes(lane TEXT PRIMARY KEY, state BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE cursors(
  hub TEXT PRIMARY KEY, next_seq INTEGER NOT NULL, height INTEGER NOT NULL, hash BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE evidence(hash BLOB PRIMARY KEY, document BLOB NOT NULL, at REAL NOT NULL);
CREATE TABLE halts(chain TEXT PRIMARY KEY, reason TEXT NOT NULL, at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE restores(at REAL NOT NULL);
CREATE TABLE fences(hub TEXT PRIMARY KEY, next_seq INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE said(
  sequence INTEGER PRIMARY KEY, intent INTEGER NOT NULL, hub BLOB NOT NULL, epoch INTEGER NOT NULL,
  kind INTEGER NOT NULL, round INTEGER NOT NULL, value BLOB NOT NULL, envelope BLOB NOT NULL,
  private BLOB NOT NULL, UNIQUE(intent, hub, epoch, kind, round)
);
CREATE TABLE pledges(
  intent INTEGER NOT NULL, kind TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY(intent, kind)
) WITHOUT ROWID;
CREATE TABLE sets(
  hub BLOB NOT NULL, epoch INTEGER NOT NULL, roster BLOB NOT NULL, PRIMARY KEY(hub, epoch)
) WITHOUT ROWID;
CREATE TABLE adopted(sequence INTEGER NOT NULL);
CREATE TABLE heard(member BLOB PRIMARY KEY, sequence BLOB NOT NULL, envelope BLOB NOT NULL);
CREATE TABLE checks(
  key INTEGER PRIMARY KEY, intent INTEGER NOT NULL, member BLOB NOT NULL, envelope BLOB NOT NULL,
  UNIQUE(intent, member)
);
"""

# By the schema that a journal has, what brings it to the next one; older ones are refused.
UPGRADES = {6: "ALTER TABLE intents ADD COLUMN spent TEXT NOT NULL DEFAULT '0';"}

# Leaves intents to their refund that a lost journal may have decided; a WHERE follows.
LEAVE = (
    "UPDATE intents SET stage=11, updated_at=?, note='restored without its outcome', reason='asked "
    "before the journal was restored, which has no outcome of it: left to its refund'"
)

INTENT_COLUMNS = (
    "id",
    "hub",
    "struct",
    "payload",
    "terms",
    "height",
    "request_tx",
    "stage",
    "seen_at",
    "updated_at",
    "status",
    "reason",
    "backend",
    "output",
    "cost",
    "fee",
    "attestation",
    "signatures",
    "callback_failed",
    "payouts",
    "receipt",
    "block_hash",
    "epoch",
    "leader",
    "spent",
)

INTENTS = f"SELECT {', '.join(INTENT_COLUMNS)} FROM intents"  # noqa: S608 - our own column names

_SIGNATURE = 65
_PAYOUT = 64


def _encode_message(message: Attestation | Receipt | None) -> bytes | None:
    return None if message is None else message.encode()


def _encode_fee(fee: FeeFormula | None) -> str | None:
    return None if fee is None else f"{fee.base} {fee.markup_bps}"


# How the fields of a record that `move` may change become values of their column of that name.
_ENCODERS: dict[str, Callable[[Any], Any]] = {
    "status": int,
    "reason": str,
    "backend": str,
    "output": bytes,
    "cost": str,
    "fee": _encode_fee,
    "attestation": _encode_message,
    "signatures": b"".join,
    "callback_failed": int,
    "payouts": encode_payouts,
    "receipt": _encode_message,
    "block_hash": bytes,
    "epoch": int,
    "leader": bytes,
}


def encode_change(field: str, value: Any) -> Any:
    """Return a changed field as its column's value; KeyError for a field that never changes."""
    return _ENCODERS[field](value)


def decode_intent(row: Sequence[Any]) -> IntentRecord:
    """Return the record of a row of INTENT_COLUMNS.

    Raises ValueError, TypeError or OverflowError for what no write of ours can have left.
    """
    record = IntentRecord(
        id=row[0],
        origin=row[1],
        intent=Intent.decode(row[2]),
        payload=row[3],
        terms=row[4],
        height=row[5],
        request_tx=row[6],
        stage=Stage(row[7]),
        seen_at=row[8],
        updated_at=row[9],
        status=None if row[10] is None else Status(row[10]),
        reason=row[11],
        backend=row[12],
        output=row[13],
        cost=int(row[14]),
        fee=None if row[15] is None else FeeFormula(*map(int, row[15].split())),
        attestation=None if row[16] is None else Attestation.decode(row[16]),
        signatures=tuple(_slices(row[17], _SIGNATURE)),
        callback_failed=bool(row[18]),
        payouts=tuple(_decode_payout(part) for part in _slices(row[19], _PAYOUT)),
        receipt=None if row[20] is None else Receipt.decode(row[20]),
        block_hash=row[21],
        epoch=row[22],
        leader=row[23],
        spent=int(row[24]),
    )
    _check(record)
    return record


def _check(record: IntentRecord) -> None:
    """Hold what a row has against the hashes that it has of it; ValueError where one is another's.

    An adapter hands on no payload and no terms but the intent's own: what differs here was written
    otherwise, and a node that went on would sign for what nobody asked.
    """
    intent, outcome, receipt = record.intent, record.attestation, record.receipt
    parts = [
        ("struct", intent.id == record.id and intent.origin_hub == hub_id(record.origin)),
        ("payload", keccak256(record.payload) == intent.payload_hash),
        ("terms", hash_terms(record.terms) == intent.terms_hash),
    ]
    if outcome is not None:
        own = (outcome.intent_id, outcome.origin_hub) == (record.id, intent.origin_hub)
        parts += [
            ("attestation", own and outcome.status == record.status),
            ("output", keccak256(record.output) == outcome.output_hash),
        ]
    if receipt is not None:
        own = (receipt.intent_id, receipt.dest_hub) == (record.id, intent.dest_hub)
        parts += [
            ("receipt", own),
            ("payouts", payouts_hash(record.payouts) == receipt.payouts_hash),
        ]
    if wrong := [name for name, good in parts if not good]:
        raise ValueError(f"not the intent's own: {', '.join(wrong)}")


def _slices(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def _decode_payout(data: bytes) -> Payout:
    return Payout(data[:32], int.from_bytes(data[32:], "big"))
