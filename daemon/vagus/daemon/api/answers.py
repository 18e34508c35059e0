"""JSON as the API writes it: hashes in hex, amounts as decimal strings, errors in words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from vagus.daemon.journal.records import Kind
from vagus.protocol.envelope import open_envelope

if TYPE_CHECKING:
    from vagus.daemon.journal.base import Entry, Transition
    from vagus.daemon.journal.records import IntentRecord
    from vagus.daemon.status import Status

__all__ = [
    "ANSWER",
    "check_view",
    "entry_event",
    "error_answer",
    "evidence_intent",
    "intent_view",
    "json_answer",
    "parse_hash",
    "transaction_names",
    "whole_intent",
]


ANSWER = 300
"""Characters of an answer that a summary has: an event is sent to all who listen, a story is asked for."""


_HASH = re.compile("(0x)?[0-9a-fA-F]{64}")
_SIGNATURE = re.compile("[1-9A-HJ-NP-Za-km-z]{64,88}")


def json_answer(value: Any, status: int = 200) -> web.Response:
    """Return a value as JSON."""
    return web.Response(
        body=msgspec.json.encode(value), status=status, content_type="application/json"
    )


def error_answer(status: int, reason: str) -> web.Response:
    """Return an error: `{"error": reason}`."""
    return json_answer({"error": reason}, status)


def parse_hash(text: str) -> bytes:
    """Return the 32 bytes of an id or hash; 400 for anything else."""
    try:
        data = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        data = b""
    if len(data) != 32:
        raise web.HTTPBadRequest(reason="an id or hash is 0x and 64 hex digits")
    return data


def transaction_names(text: str) -> tuple[str, ...]:
    """Return how a transaction's name may stand in the journal, by its chain's form; nothing for none.

    EVM chains' are 0x and lower-case hex, Cosmos chains' upper-case hex, both of 32 bytes; Solana's
    are signatures of 64 bytes in base58.
    """
    if _HASH.fullmatch(text):
        digits = text.removeprefix("0x")
        return f"0x{digits.lower()}", digits.upper()
    return (text,) if _SIGNATURE.fullmatch(text) else ()


async def intent_view(status: Status, record: IntentRecord) -> dict[str, Any]:
    """Return an intent as lists show it."""
    delivery = await status.journal.newest_tx(record.id, Kind.DELIVER)
    settlement = await status.journal.newest_tx(record.id, Kind.SETTLE)
    intent, attestation = record.intent, record.attestation
    return {
        **_summary(status, record),
        "seq": str(intent.seq),
        "dest_hub": _hex(intent.dest_hub),
        "agent_id": _hex(intent.agent_id),
        "requester": _hex(intent.requester),
        "max_fee": str(intent.max_fee),
        "deadline": intent.deadline,
        "backend": record.backend,
        "output": None if not record.output else record.output.decode(errors="replace"),
        "output_hash": None if attestation is None else _hex(attestation.output_hash),
        "evidence_hash": None if attestation is None else _hex(attestation.evidence_hash),
        "callback_failed": record.callback_failed,
        "fee": None if record.receipt is None else str(record.receipt.fee),
        "request_tx": record.request_tx,
        "deliver_tx": None if delivery is None else delivery.tx_id,
        "settle_tx": None if settlement is None else settlement.tx_id,
    }


async def whole_intent(
    status: Status, record: IntentRecord, history: list[Transition]
) -> dict[str, Any]:
    """Return an intent with its history, and with a stranger's bytes as hex."""
    return {
        **await intent_view(status, record),
        "payload": _hex(record.payload),
        "terms": _hex(record.terms),
        "output_bytes": _hex(record.output),
        "height": record.height,
        "callback": _hex(record.intent.callback),
        "model_digest": _hex(record.intent.model_digest),
        "history": [
            {"stage": each.stage.name.lower(), "at": each.at, "note": each.note} for each in history
        ],
    }


def evidence_intent(document: bytes) -> bytes | None:
    """Return the id of the intent that an evidence document is of; None for another document."""
    try:
        found = msgspec.json.decode(document)
        intent = found.get("intent") if isinstance(found, dict) else None
        text = intent.get("id") if isinstance(intent, dict) else intent
        data = bytes.fromhex(text.removeprefix("0x")) if isinstance(text, str) else b""
    except (ValueError, RecursionError):
        return None
    return data if len(data) == 32 else None


def check_view(frame: bytes) -> dict[str, Any]:
    """Return a member's signed check: the envelope for who verifies it, its document for who reads it."""
    envelope, _ = open_envelope(frame)
    try:
        document = msgspec.json.decode(envelope.body)
    except (ValueError, RecursionError):
        document = None
    return {
        "member": _hex(envelope.sender),
        "epoch": envelope.epoch,
        "roster": _hex(envelope.roster),
        "envelope": _hex(frame),
        "document": document,
    }


def entry_event(status: Status, entry: Entry) -> dict[str, Any]:
    """Return a line of the history as an event: the stage then, and the intent as it is now."""
    return {
        "id": _hex(entry.record.id),
        "from": None if entry.before is None else entry.before.name.lower(),
        "stage": entry.stage.name.lower(),
        "at": entry.at,
        "note": entry.note,
        "seconds": None if entry.since is None else round(entry.at - entry.since, 3),
        "intent": _summary(status, entry.record),
    }


def _summary(status: Status, record: IntentRecord) -> dict[str, Any]:
    dest = status.hubs.get(record.intent.dest_hub)
    # A character of UTF-8 has four bytes at most.
    answer = record.output[: 4 * ANSWER].decode(errors="replace")[:ANSWER]
    return {
        "id": _hex(record.id),
        "origin": record.origin,
        "dest": dest,
        "agent": status.agents.get(record.intent.agent_id),
        "stage": record.stage.name.lower(),
        "status": None if record.status is None else record.status.name.lower(),
        "reason": record.reason,
        "answer": answer or None,
        "seen_at": record.seen_at,
        "updated_at": record.updated_at,
    }


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
