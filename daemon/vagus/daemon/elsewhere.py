"""What was done with this node's keys and not by this journal: another node has them.

Two nodes with one key sign two answers, pay for each delivery twice, and take each other's nonces.
Neither can see the other, but each sees on chain what it has not done itself.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

import structlog

from vagus.adapters.base import TxStage

if TYPE_CHECKING:
    from vagus.adapters.base import Delivery
    from vagus.daemon.journal.records import IntentRecord, TxRecord
    from vagus.protocol import Attestation

__all__ = ["Deed", "delivered_elsewhere", "note", "note_nonce"]

log = structlog.get_logger("vagus.elsewhere")

_TODO = (
    "stop the other node, or whoever sends from this account: docs/runbook.md#vaguskeyselsewhere"
)


class Deed(enum.StrEnum):
    """What shows that a node's keys are used elsewhere, as the metric names it."""

    DELIVERY = "delivery"
    OUTCOME = "outcome"
    SETTLEMENT = "settlement"
    NONCE = "nonce"


_WORDS = {
    Deed.DELIVERY: "delivered from this node's account, by a transaction that its journal has not",
    Deed.OUTCOME: "another outcome was signed with this node's key",
    Deed.SETTLEMENT: "settled with a receipt that this journal never signed",
    Deed.NONCE: "the nonce of its transaction was used by another one of this node's account",
}


def delivered_elsewhere(
    delivery: Delivery, ours: Attestation, account: bytes, tx: TxRecord | None
) -> Deed | None:
    """Return what a delivery shows of this node's keys; None where it may be this node's own.

    `ours` is what this node alone was a quorum for, `account` its packed account on the destination,
    `tx` the journal's newest delivery of the intent.
    """
    signed = (delivery.status, delivery.output_hash, delivery.evidence_hash)
    if signed != (ours.status, ours.output_hash, ours.evidence_hash):
        # A set of one: whatever its epoch accepted has this node's signature.
        return Deed.OUTCOME if delivery.epoch == ours.epoch else None
    unsent = tx is None or tx.stage in {TxStage.LOST, TxStage.REVERTED}
    return Deed.DELIVERY if unsent and delivery.deliverer == account else None


def note(record: IntentRecord, deed: Deed | None) -> None:
    """Say once an intent that this node's keys are used elsewhere; it is counted when it ends."""
    if deed is None or record.elsewhere:
        return
    record.elsewhere = deed
    log.warning(
        "keys used elsewhere",
        intent="0x" + record.id.hex(),
        chain=record.origin.rpartition(":")[0],
        reason=_WORDS[deed],
        todo=_TODO,
    )


def note_nonce(record: IntentRecord) -> None:
    """Say so where an intent's transaction lost its nonce to another one of this node's account."""
    if record.tx is not None and record.tx.stage == TxStage.LOST:
        note(record, Deed.NONCE)
