"""The contract of a journal: a node's durable record, the only source of truth after a restart.

Every write returns once it is durable: an effect may follow, and not before. Writes are durable in
the order in which they were called, whoever awaits them. A write that cannot be made durable (a
full disk) raises `Retry` and changed nothing. What is damaged raises `DamagedError`, from then on.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from vagus.daemon.journal.records import (
    Halted,
    IntentRecord,
    Kind,
    Said,
    SaidRow,
    Stage,
    TxRecord,
)
from vagus.protocol import VagusError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from types import TracebackType

    from vagus.adapters.base import Built, Cursor, Requested, Step

__all__ = ["Commit", "DamagedError", "Entry", "EquivocationError", "Journal", "Transition"]


class DamagedError(VagusError):
    """The journal cannot be trusted any more: the node ends, and signs nothing by what it says."""

    exit_code = 3


class EquivocationError(RuntimeError):
    """This member has said otherwise before: a defect, or a second journal of one key. Nothing was kept."""


@dataclass(frozen=True, slots=True)
class Transition:
    """A line of an intent's history: the stage it came to, when (node's clock), and a note."""

    stage: Stage
    at: float
    note: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the whole journal's history: which intent came to which stage.

    `key` grows with each line and names it for ever. `before` is the stage that the intent left, and
    `since` when it had come there, None where there is none; `record` is the intent as it is now,
    further perhaps.
    """

    key: int
    stage: Stage
    at: float
    note: str
    before: Stage | None
    since: float | None
    record: IntentRecord


@dataclass(frozen=True, slots=True)
class Commit:
    """A write to the disk: the seconds it took, and how many of its writes failed."""

    seconds: float
    failed: int


class Journal(abc.ABC):
    """Where a node keeps intents, transactions, lanes, cursors, evidence, and what it has said."""

    @property
    @abc.abstractmethod
    def fault(self) -> str | None:
        """Why the newest write was not made durable, None where it was. While it stands, sign nothing."""

    @abc.abstractmethod
    async def __aenter__(self) -> Self:
        """Open, and make the schema where it is missing."""

    @abc.abstractmethod
    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Make durable what was called, then close."""

    @abc.abstractmethod
    def on_commit(self, listener: Callable[[Commit], None]) -> None:
        """Call a listener on the event loop after each commit; it must return at once."""

    @abc.abstractmethod
    async def probe(self) -> None:
        """Return where a write would be made durable now, and clear `fault`; raise as a write does.

        It goes the way of a write, so that one which does not return shows a writer that hangs.
        """

    # Writes

    @abc.abstractmethod
    def observe(
        self, hub: str, found: Sequence[Requested], cursor: Cursor | None
    ) -> Awaitable[list[IntentRecord]]:
        """Record intents of a hub (CAIP-10) as OBSERVED, and with them how far the hub was read.

        A known intent stays as it is. With a cursor, the reading was final: what it found may be
        carried, and is returned, as the journal has it, where no earlier final reading found it and
        it has not ended; what was seen before at a height it covers, and is not in it, is ORPHANED
        until a later final reading finds it. Found again, an orphan that has an outcome keeps it,
        for good, and goes on at EXECUTED.
        """

    @abc.abstractmethod
    def fence(self, hub: str, next_seq: int) -> Awaitable[None]:
        """Say, once after a restore or `adopt`, that a hub's intents before `next_seq` were there before it.

        The lost journal may have decided them. `observe` leaves those to their refund that this one
        has no outcome of.
        """

    @abc.abstractmethod
    def move(
        self,
        record: IntentRecord,
        to: Stage,
        *,
        note: str = "",
        evidence: tuple[bytes, bytes] | None = None,
        **changes: Any,
    ) -> Awaitable[None]:
        """Take an intent from its stage to a later one, with `changes` to the record's fields.

        `evidence` is a (hash, document) to keep. How the record's transaction ended, if it has one,
        is kept with the move, and the record goes on without it. The record changes only once the write is
        durable. Raises `RuntimeError` where the journal has the intent at another stage: two
        tasks would carry it, a defect.
        """

    @abc.abstractmethod
    def submit(
        self,
        record: IntentRecord,
        to: Stage,
        kind: Kind,
        lane: str,
        after: bytes | None,
        built: Built,
        **changes: Any,
    ) -> Awaitable[TxRecord]:
        """`move`, and in the same write record a transaction and the lane's state behind it.

        The write is queued before the first await: nonces are journalled in their order. `after`
        is the lane as the journal must have it (None: not at all), else `Retry`: where one write
        fails, those whose nonces follow fail with it, and leave no hole.
        """

    @abc.abstractmethod
    def spend(self, record: IntentRecord, spent: int) -> Awaitable[None]:
        """Record what models may charge for an intent so far, in the unit of account.

        The write is queued before the first await: of several under way the last one stands.
        """

    @abc.abstractmethod
    def follow(self, tx: TxRecord, step: Step) -> Awaitable[None]:
        """Record what became of a transaction."""

    @abc.abstractmethod
    def halt(self, chain: str, reason: str) -> Awaitable[Halted]:
        """Record that a chain is halted, and return why: of several reasons the first stands."""

    @abc.abstractmethod
    def resume(self, chain: str) -> Awaitable[Halted | None]:
        """Take back a chain's halt and return it; None where there is none, and nothing changes.

        What the journal believed of the chain is to be looked at again, since its final blocks may
        have been replaced: its hub is read from its deployment on, and its intents are carried once
        they are found there (else ORPHANED); its lanes begin where the chain stands; intents whose
        transactions are among the chain's newest go back to the stage that follows them.
        """

    @abc.abstractmethod
    def say(
        self,
        intent_id: bytes,
        hub: bytes,
        epoch: int,
        said: Sequence[Said],
        outcome: bytes | None = None,
        receipt: bytes | None = None,
    ) -> Awaitable[list[bytes]]:
        """Record what this member is about to say of a known intent; return the envelopes to send.

        `hub` is the 32-byte id of the hub whose set acts, and `epoch` that set's. Of one kind and
        round there is one value: said again, the first envelope stands and is returned. `outcome` and
        `receipt` (32 bytes) are what a signature among `said` is for: one of each an intent, whatever
        the hub and epoch. Raises EquivocationError where another value stands, or a sequence was used.
        """

    @abc.abstractmethod
    def adopt(self, sequence: int) -> Awaitable[None]:
        """Go on above a sequence that others have heard of this member: this journal lost its end.

        To be called before intents are carried: those without an outcome are left to their refund,
        and each hub is unfenced, as after a restore.
        """

    @abc.abstractmethod
    def hear(self, member: bytes, sequence: int, envelope: bytes) -> Awaitable[None]:
        """Keep a member's envelope if its sequence (uint64) is the highest of that member."""

    @abc.abstractmethod
    def keep_check(self, intent_id: bytes, member: bytes, envelope: bytes) -> Awaitable[None]:
        """Keep a member's signed check of a known intent's outcome; its first stands."""

    @abc.abstractmethod
    def keep_evidence(self, digest: bytes, document: bytes) -> Awaitable[None]:
        """Keep an evidence document of another member; ValueError unless the hash is its keccak256."""

    @abc.abstractmethod
    def note_set(self, hub: bytes, epoch: int, roster: bytes) -> Awaitable[None]:
        """Keep which roster (its hash) a hub (32-byte id) had with its set of an epoch."""

    # Reads

    @abc.abstractmethod
    def unfenced(self, hub: str) -> bool:
        """Whether this journal lost its end (`restore`, `adopt`) and the hub has no `fence` since."""

    @abc.abstractmethod
    async def halts(self) -> list[Halted]:
        """Return the chains that are halted, the first first."""

    @abc.abstractmethod
    async def cursor(self, hub: str) -> Cursor | None:
        """Return how far a hub was read at finality; None: never."""

    @abc.abstractmethod
    async def lane(self, lane: str) -> bytes | None:
        """Return a lane's state behind its newest journalled transaction; None: there is none."""

    @abc.abstractmethod
    async def unfinished(self) -> list[IntentRecord]:
        """Return the intents that have not ended: those that hold a nonce first, then by age.

        A node carries so many at once and no more: who waits for a nonce must not keep out its holder.
        """

    @abc.abstractmethod
    async def intent(self, intent_id: bytes) -> IntentRecord | None:
        """Return one intent, or None."""

    @abc.abstractmethod
    async def intents(self, limit: int, stage: Stage | None = None) -> list[IntentRecord]:
        """Return the newest `limit` intents, newest first, of one stage or of all.

        The order is total: of those that were seen at one time, the greater id comes first.
        """

    @abc.abstractmethod
    async def counted(self) -> tuple[int, dict[Stage, int]]:
        """Return the key of the newest line, and how many intents stand at each stage by then.

        One reading: no line comes between the key and the counts.
        """

    async def counts(self) -> dict[Stage, int]:
        """Return how many intents stand at each stage."""
        return (await self.counted())[1]

    @abc.abstractmethod
    async def newest_tx(self, intent_id: bytes, kind: Kind) -> TxRecord | None:
        """Return an intent's newest transaction of a kind, or None."""

    @abc.abstractmethod
    async def history(self, intent_id: bytes) -> list[Transition]:
        """Return an intent's transitions in their order."""

    @abc.abstractmethod
    async def newest_key(self) -> int:
        """Return the key of the newest line of the history, 0 where there is none."""

    @abc.abstractmethod
    async def history_after(self, key: int, limit: int) -> list[Entry]:
        """Return the first `limit` lines of the history behind a key, in their order."""

    @abc.abstractmethod
    async def stage_seconds(
        self, after: int, until: int, edges: Sequence[float]
    ) -> list[tuple[Stage, int, int, float]]:
        """Sum up how long intents stood at the stages that they left by the lines after < key <= until.

        For each stage and number of `edges` that they passed: how many intents, and their seconds.
        """

    @abc.abstractmethod
    async def waiting_since(self) -> dict[Stage, float]:
        """Return, by stage, when the intent came to it that has stood there longest and not ended."""

    @abc.abstractmethod
    async def size(self) -> int:
        """Return the bytes that the journal has on disk."""

    @abc.abstractmethod
    async def evidence(self, digest: bytes) -> bytes | None:
        """Return the evidence document with this hash, or None."""

    @abc.abstractmethod
    async def intent_of(self, tx_id: str) -> IntentRecord | None:
        """Return the first intent that a transaction asked, delivers or settles, or None."""

    @abc.abstractmethod
    async def sets(self) -> dict[tuple[bytes, int], bytes]:
        """Return the hash of each roster that a hub was seen with, by the hub's id and the epoch."""

    @abc.abstractmethod
    async def said(self, intent_id: bytes) -> list[SaidRow]:
        """Return what this member has said of an intent, in order of sequence."""

    @abc.abstractmethod
    async def pledged(self, intent_id: bytes) -> tuple[bytes | None, bytes | None]:
        """Return the outcome and the receipt that this member has signed for, None where none."""

    @abc.abstractmethod
    async def sequence(self) -> int:
        """Return the highest sequence that was used or adopted, 0 where none was."""

    @abc.abstractmethod
    async def highest(self) -> bytes | None:
        """Return the envelope of the highest sequence in this journal, or None."""

    @abc.abstractmethod
    async def heard(self) -> dict[bytes, tuple[int, bytes]]:
        """Return, by member, the highest sequence that was heard of it, and its envelope."""

    @abc.abstractmethod
    async def checks(self, intent_id: bytes) -> list[tuple[bytes, bytes]]:
        """Return the checks of an intent's outcome: members and their envelopes, the first first."""
