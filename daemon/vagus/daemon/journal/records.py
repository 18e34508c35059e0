"""What the journal keeps of an intent: its stages, its record, its transactions."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vagus.adapters.base import TxStage
from vagus.protocol import Attestation, FeeFormula, Intent, Payout, Receipt, Status

if TYPE_CHECKING:
    from vagus.agents import Route
    from vagus.daemon.execute import Run

__all__ = ["Halted", "IntentRecord", "Kind", "Said", "SaidRow", "Stage", "TxRecord"]


class Stage(enum.IntEnum):
    """How far an intent has come; each is journalled before the effect that follows it.

    OBSERVED seen in a block; FINAL read as Open from the hub's state at finality; ROUTED an agent
    and a model chosen, or refused; EXECUTED an outcome fixed, for good; ATTESTED the outcome
    signed; SUBMITTED the delivery built; CONFIRMED delivered at finality, or nothing to deliver,
    and the payouts fixed; SETTLING the settlement built. The rest are ends: SETTLED at finality;
    CLOSED settled or refunded without this node; LEFT to its refund; ORPHANED in a block that the
    chain dropped.
    """

    OBSERVED = 1
    FINAL = 2
    ROUTED = 3
    EXECUTED = 4
    ATTESTED = 5
    SUBMITTED = 6
    CONFIRMED = 7
    SETTLING = 8
    SETTLED = 9
    CLOSED = 10
    LEFT = 11
    ORPHANED = 12

    @property
    def ended(self) -> bool:
        """True once the node does nothing more for the intent."""
        return self >= Stage.SETTLED


class Kind(enum.StrEnum):
    """What a transaction is for."""

    DELIVER = "deliver"
    SETTLE = "settle"


@dataclass(slots=True)
class IntentRecord:
    """One intent as the journal has it. What a stage has not reached yet is None or empty.

    `route`, `run` and `tx` are what this process chose, has not journalled yet, and sent, and
    `requested_at` the origin's time of the request: after a restart they are None, and found again. `spent`
    is what models may charge for all runs so far, in the committee's unit of account: the journal has it before they can. `elsewhere` is what this process saw done for it with
    this node's keys, and not by this journal. `origin` is the CAIP-10 of the hub it was asked on; `seen_at` and `updated_at` are the node's
    clock in seconds, for people: no decision reads them. `fee` is the agent's formula as it was when
    the outcome was fixed: what a delivered answer earns must not hang on a plugin that is gone.
    `block_hash` is the 32-byte hash of the block that holds the request, `epoch` the one whose set
    decided the outcome, and `leader` the member (20 bytes) that ran what was decided.
    """

    id: bytes
    origin: str
    intent: Intent
    payload: bytes
    terms: bytes
    height: int
    request_tx: str
    stage: Stage
    seen_at: float
    updated_at: float
    status: Status | None = None
    reason: str = ""
    backend: str = ""
    output: bytes = b""
    cost: int = 0
    fee: FeeFormula | None = None
    attestation: Attestation | None = None
    signatures: tuple[bytes, ...] = ()
    callback_failed: bool = False
    payouts: tuple[Payout, ...] = ()
    receipt: Receipt | None = None
    block_hash: bytes = b""
    epoch: int | None = None
    leader: bytes | None = None
    route: Route | None = None
    run: Run | None = None
    spent: int = 0
    tx: TxRecord | None = None
    elsewhere: str = ""
    requested_at: int | None = None


@dataclass(slots=True)
class TxRecord:
    """One transaction of an intent. `state` is the adapter's own, opaque here."""

    key: int
    intent_id: bytes
    kind: Kind
    lane: str
    stage: TxStage
    tx_id: str
    state: bytes


@dataclass(frozen=True, slots=True)
class Said:
    """What this member says of an intent, once a kind and round.

    `value` is what it stands for, 32 bytes, or b"" where it is none; `envelope` the signed bytes that
    leave; `private` what does not, such as the salt of a commitment.
    """

    kind: int
    round: int
    sequence: int
    value: bytes
    envelope: bytes
    private: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SaidRow(Said):
    """`Said` as it was journalled: for which hub (32-byte id) and which of its epochs."""

    hub: bytes
    epoch: int


@dataclass(frozen=True, slots=True)
class Halted:
    """A chain (CAIP-2) that nothing is done on until a person resumes it; `at` is the node's clock."""

    chain: str
    reason: str
    at: float
