"""The contract of a journal: a node's durable record, the only source of truth after a restart.

Every write returns once it is durable: an effect may follow, and not before. Writes are durable in
the order in which they were called, whoever awaits them. A write that cannot be made durable (a
full disk) raises `Retry` and changed nothing.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from vagus.daemon.records import IntentRecord, Kind, Stage, TxRecord

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence
    from types import TracebackType

    from vagus.adapters.base import Built, Cursor, Requested, Step

__all__ = ["Journal", "Transition"]


@dataclass(frozen=True, slots=True)
class Transition:
    """A line of an intent's history: the stage it came to, when (node's clock), and a note."""

    stage: Stage
    at: float
    note: str


class Journal(abc.ABC):
    """Where a node keeps intents, transactions, lanes, cursors and evidence."""

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

    # Writes

    @abc.abstractmethod
    def observe(
        self, hub: str, found: Sequence[Requested], cursor: Cursor | None
    ) -> Awaitable[list[IntentRecord]]:
        """Record intents of a hub (CAIP-10) as OBSERVED, and with them how far the hub was read.

        A known intent stays as it is. With a cursor, the reading was final: what it found may be
        carried, and is returned where no earlier final reading found it; what was seen before at a
        height it covers, and is not in it, is ORPHANED until a later final reading finds it.
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
    def follow(self, tx: TxRecord, step: Step) -> Awaitable[None]:
        """Record what became of a transaction."""

    # Reads

    @abc.abstractmethod
    async def cursor(self, hub: str) -> Cursor | None:
        """Return how far a hub was read at finality; None: never."""

    @abc.abstractmethod
    async def lane(self, lane: str) -> bytes | None:
        """Return a lane's state behind its newest journalled transaction; None: there is none."""

    @abc.abstractmethod
    async def unfinished(self) -> list[IntentRecord]:
        """Return the intents that have not ended, oldest first."""

    @abc.abstractmethod
    async def intent(self, intent_id: bytes) -> IntentRecord | None:
        """Return one intent, or None."""

    @abc.abstractmethod
    async def intents(self, limit: int, stage: Stage | None = None) -> list[IntentRecord]:
        """Return the newest `limit` intents, newest first, of one stage or of all."""

    @abc.abstractmethod
    async def counts(self) -> dict[Stage, int]:
        """Return how many intents stand at each stage."""

    @abc.abstractmethod
    async def newest_tx(self, intent_id: bytes, kind: Kind) -> TxRecord | None:
        """Return an intent's newest transaction of a kind, or None."""

    @abc.abstractmethod
    async def history(self, intent_id: bytes) -> list[Transition]:
        """Return an intent's transitions in their order."""

    @abc.abstractmethod
    async def evidence(self, digest: bytes) -> bytes | None:
        """Return the evidence document with this hash, or None."""
