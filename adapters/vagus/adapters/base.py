"""The contract of a chain adapter: what the daemon asks of a chain, and nothing more.

An adapter is an `async with`: entering connects, checks the chain's id and starts the task that
follows its head; leaving ends that task. It never retries on its own and never sleeps to wait for
a chain: it raises, and the class of what it raises says what the daemon does next
(`Retry`: again later; `Refuse`: this intent ends, refused; `Halt`: this chain stops until a person
looks). Every byte from a node is hostile: an answer that cannot be decoded is a `Retry`, since it
says nothing about the chain.

Reads that lead to a signature are reads of the hub's state at finality. Events only locate.
"""

from __future__ import annotations

import abc
import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from vagus.adapters.parameters import HubParameters
from vagus.protocol import (
    Attestation,
    Intent,
    Payout,
    Receipt,
    Refuse,
    Rotation,
    SignerSet,
    deciding,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from pydantic import BaseModel

    from vagus.adapters.delivered import Delivered

__all__ = [
    "AlreadyDone",
    "Block",
    "Built",
    "Call",
    "CallbackState",
    "ChainAdapter",
    "ChainEvent",
    "Cursor",
    "Delivery",
    "Endpoint",
    "Estimate",
    "EventFilter",
    "Heads",
    "HubParameters",
    "HubState",
    "IntentState",
    "Question",
    "Rejected",
    "Requested",
    "Step",
    "Tally",
    "TxStage",
]


class Rejected(Refuse):
    """The hub itself rejects a call, in a simulation at the newest block; `reason` is in its words.

    That block is not final: read the hub's state at finality before an end is concluded from it.
    """


class AlreadyDone(Rejected):
    """What the call would do was done before, by anyone: delivered, settled, refunded, rotated.

    With which outcome, the hub's state at finality says.
    """


@dataclass(frozen=True, slots=True)
class Block:
    """A block (a slot on Solana): its height, its 32-byte hash and its time in seconds."""

    height: int
    hash: bytes
    time: int


@dataclass(frozen=True, slots=True)
class Heads:
    """The newest block and the newest final one, by the chain's own rule of finality."""

    latest: Block
    final: Block


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a hub was read at finality: the first `seq` not read yet, and the last height read.

    `hash` is that of the block at `height`, empty where it is not known: a chain that shows another
    block there after a restart was reorganised deeper than its finality.
    """

    next_seq: int
    height: int
    hash: bytes = b""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What one endpoint of a chain says when it is asked alone: for people, nothing is signed on it.

    `name` may be shown; `fault` is what is wrong with it in words, None where nothing is; `seconds`
    is how long it took to answer.
    """

    name: str
    fault: str | None
    latest: Block | None
    final: Block | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Tally:
    """What one endpoint did since its adapter was made: calls it was sent, those it failed.

    `disagreements` is how often it said something else than a quorum of endpoints did.
    """

    requests: int
    failures: int
    disagreements: int


@dataclass(frozen=True, slots=True)
class Requested:
    """A hub's IntentRequested: the intent with its payload and terms, and where it stands."""

    intent: Intent
    payload: bytes
    terms: bytes
    height: int
    block_hash: bytes
    tx_id: str


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events of any contract: its address in the chain's own text form, and the event.

    `event` is what names an event on the chain: a canonical signature such as
    `Transfer(address,address,uint256)` on EVM chains, a discriminator or type elsewhere.
    """

    address: str
    event: str


@dataclass(frozen=True, slots=True)
class ChainEvent:
    """An event of any contract, undecoded: `topics` and `data` as the chain logged them."""

    address: str
    topics: tuple[bytes, ...]
    data: bytes
    height: int
    block_hash: bytes
    tx_id: str
    index: int


class IntentState(enum.IntEnum):
    """What an origin hub says of an intent. Settled and refunded are for good."""

    NONE = 0
    OPEN = 1
    SETTLED = 2
    REFUNDED = 3


class CallbackState(enum.IntEnum):
    """What became of a delivery's callback. A failed one may be retried until its window ends."""

    NONE = 0
    SUCCEEDED = 1
    FAILED = 2


@dataclass(frozen=True, slots=True)
class Delivery:
    """A destination hub's record of a delivered intent. `deliverer` is a packed address."""

    output_hash: bytes
    status: int
    evidence_hash: bytes
    epoch: int
    signers: int
    deliverer: bytes
    time: int
    callback: CallbackState


@dataclass(frozen=True, slots=True)
class HubState:
    """A hub's configuration and counters at one final block. Times in seconds, fees in wei or such.

    `roster_hash` is the current set's, 32 bytes. `previous` is the set before it, which counts until
    `previous_until`, a block of that time included; None and 0 before the first rotation.
    """

    at: Block
    next_seq: int
    current: SignerSet
    roster_hash: bytes
    previous: SignerSet | None
    previous_until: int
    min_fee: int
    min_ttl: int
    max_ttl: int
    grace: int
    max_callback_gas: int
    paused: bool

    @property
    def rotated_at(self) -> int:
        """When the current set came into force: the newest rotation's block's time, 0 without one."""
        return 0 if self.previous is None else self.previous_until - self.grace

    def deciding(self, requested_at: int) -> SignerSet:
        """Return the set that decides an intent asked for at that time; raises Retry: see `deciding`."""
        return deciding(
            self.current,
            self.previous,
            rotated_at=self.rotated_at,
            previous_until=self.previous_until,
            requested_at=requested_at,
            now=self.at.time,
        )


@dataclass(frozen=True, slots=True)
class Question:
    """What a requester hands to a hub's `request`. Words of 32 bytes; `fee` is escrowed."""

    agent_id: bytes
    payload: bytes
    model_digest: bytes
    terms: bytes
    min_signers: int
    dest_hub: bytes
    callback: bytes
    callback_gas: int
    deadline: int
    fee: int


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a hub, encoded for its chain: opaque to the daemon, built by the adapter."""

    to: str
    data: bytes
    value: int = 0


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a call needs to be included now, by simulation: gas, and the fees the chain asks.

    `max_fee` and `tip` are of a unit of gas. `fee` is the whole transaction's, where it is not the
    product: a unit may cost less than the smallest unit of the coin.
    """

    gas: int
    max_fee: int
    tip: int
    fee: int | None = None

    @property
    def cost(self) -> int:
        """The most that the transaction may cost, in the coin's smallest unit."""
        return self.gas * self.max_fee if self.fee is None else self.fee


class TxStage(enum.StrEnum):
    """Where a transaction stands. The last three are the end of it."""

    BUILT = "built"
    BROADCAST = "broadcast"
    INCLUDED = "included"
    FINAL = "final"
    REVERTED = "reverted"
    LOST = "lost"

    @property
    def ended(self) -> bool:
        """True once nothing more will happen: final, reverted at finality, or never to be included."""
        return self in _ENDED


_ENDED = frozenset({TxStage.FINAL, TxStage.REVERTED, TxStage.LOST})


@dataclass(frozen=True, slots=True)
class Built:
    """A signed transaction, not sent yet. `lane` and `state` are journalled before `state` is sent."""

    lane: bytes
    state: bytes
    tx_id: str


@dataclass(frozen=True, slots=True)
class Step:
    """What the chain says of a transaction, and what follows.

    Journal `state` where it changed, then broadcast each of `send`. `tx_id` names the attempt that
    was included, else the newest one.
    """

    stage: TxStage
    state: bytes
    tx_id: str
    send: tuple[bytes, ...] = ()


class ChainAdapter(abc.ABC):
    """One chain and the vagus hub on it, made of one `[[chains]]` table of its own `Config`.

    Attributes, known before entering: `chain` (CAIP-2), `hub` (CAIP-10, canonical), `hub_id`
    (32 bytes), `account` (the packed address that pays for transactions, zero without one; `address`
    is its text on the chain, empty without one; `lane` names the pair of chain and account, one
    sequence of nonces). `quorum` is (k, n): what leads to a signature is read
    from n endpoints, and k of them must agree. `fee_bits` is how wide the
    chain's amounts are: no fee on it is 2**fee_bits or more.
    """

    Config: ClassVar[type[BaseModel]]
    fee_bits: ClassVar[int] = 256
    chain: str
    hub: str
    hub_id: bytes
    account: bytes
    address: str
    lane: str
    quorum: tuple[int, int]

    @abc.abstractmethod
    def __init__(self, config: Any) -> None:
        """Take a validated `Config`. Opens keys and nothing else; no I/O with the chain.

        Raises `WalletError`, and Retry where a key is kept elsewhere and out of reach.
        """

    @abc.abstractmethod
    async def __aenter__(self) -> Self:
        """Connect and start following the head.

        Raises `Halt` where the endpoint serves another chain. An endpoint that is down is no
        error: `heads` is None until it answers.
        """

    @abc.abstractmethod
    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End what `__aenter__` started, also when it is cancelled."""

    # The head

    @property
    @abc.abstractmethod
    def heads(self) -> Heads | None:
        """The newest heads read, None before the first. Neither height ever goes back here."""

    @property
    @abc.abstractmethod
    def healthy(self) -> bool:
        """True while the chain answers: the last look at the head succeeded, and is not old."""

    @abc.abstractmethod
    async def next_heads(self, seen: Heads | None) -> Heads:
        """Wait until the heads differ from `seen`: by a websocket's wake-up or by polling."""

    @abc.abstractmethod
    async def endpoints(self) -> tuple[Endpoint, ...]:
        """Ask each endpoint by itself, at once: its chain, its heads, how long it took. Never raises."""

    def tallies(self) -> dict[str, Tally]:
        """Return what each endpoint did, by its name; nothing where an adapter does not count."""
        return {}

    @abc.abstractmethod
    async def block(self, height: int) -> Block:
        """Read the block at a height, as it is for good; Retry where none is final there yet."""

    # What is asked on this chain

    @abc.abstractmethod
    async def start(self) -> Cursor:
        """Read the cursor of a hub never read before: its first seq, the height of its deployment."""

    @abc.abstractmethod
    async def intents(self, cursor: Cursor, until: Block) -> tuple[list[Requested], Cursor]:
        """Read intents in the order of `seq` from the cursor on, and the cursor behind them.

        Gapless: if the node's logs lack a `seq` that the hub has counted at `until`, the gap is
        read again in smaller ranges, and a gap that stays is a `Retry`. One call covers a bounded
        range: the daemon calls again until the cursor's height is that of `until`. Raises `Halt`
        where the chain has another block than the cursor's at its height.
        """

    @abc.abstractmethod
    async def requested(self, tx_id: str) -> list[Requested]:
        """Read the intents that a transaction asked of this hub, in the newest block that has it.

        For whoever sent it: nothing is signed upon this. Empty while it is not included.
        """

    @abc.abstractmethod
    async def events(self, wanted: EventFilter, first: int, last: int) -> list[ChainEvent]:
        """Read the events of any contract in the heights first..last, both included, in chain order."""

    # The hub's state, at finality

    @abc.abstractmethod
    async def hub_state(self) -> HubState:
        """Read the hub's configuration, current signers and counters at the final block."""

    @abc.abstractmethod
    async def upgradeable(self) -> str | None:
        """Say in words who or what could change the hub's code; None where nobody can."""

    @abc.abstractmethod
    async def intent_state(self, intent_id: bytes) -> IntentState:
        """Read what this hub, as origin, says of an intent at the final block."""

    @abc.abstractmethod
    async def delivery(self, intent_id: bytes) -> Delivery | None:
        """Read this hub's record, as destination, of a delivery at the final block; None: not yet."""

    async def delivered(self, intent_id: bytes, tx_id: str | None = None) -> Delivered | None:
        """Read what a delivery's own transaction said, at finality; None: not delivered yet.

        Without `tx_id` it is searched. Raises Refuse where that transaction did not deliver the
        intent, or hides what was signed, and in an adapter that cannot read it.
        """
        raise Refuse(
            f"the adapter of {self.chain} cannot read a delivery's transaction {tx_id or ''}"
        )

    @abc.abstractmethod
    async def credit(self, account: bytes) -> int:
        """Read what this hub owes a packed address at the final block."""

    @abc.abstractmethod
    async def balance(self) -> int:
        """Read what `account` has to pay for transactions with, at the newest block."""

    # Calls

    @abc.abstractmethod
    def request_call(self, question: Question) -> Call:
        """Encode `request`."""

    @abc.abstractmethod
    def deliver_call(
        self, intent: Intent, attestation: Attestation, output: bytes, signatures: Sequence[bytes]
    ) -> Call:
        """Encode `deliver`; signatures are ascending by their signers."""

    @abc.abstractmethod
    def retry_call(self, intent: Intent, output: bytes) -> Call:
        """Encode `retry`."""

    @abc.abstractmethod
    def settle_call(
        self, receipt: Receipt, payouts: Sequence[Payout], signatures: Sequence[bytes]
    ) -> Call:
        """Encode `settle`."""

    @abc.abstractmethod
    def refund_call(self, intent_id: bytes) -> Call:
        """Encode `refund`."""

    @abc.abstractmethod
    def withdraw_call(self) -> Call:
        """Encode `withdraw`."""

    @abc.abstractmethod
    def rotate_call(
        self, rotation: Rotation, signers: Sequence[bytes], signatures: Sequence[bytes]
    ) -> Call:
        """Encode `rotate`."""

    # Sending: estimate, build, journal, broadcast, advance until it ends

    @abc.abstractmethod
    async def estimate(self, call: Call) -> Estimate:
        """Simulate a call at the newest block. Raises `Refuse` with the hub's reason if it reverts."""

    @abc.abstractmethod
    async def open_lane(self, lane: bytes | None) -> bytes:
        """Reconcile the journalled lane (None: none yet) with the chain; the lane to go on with."""

    @abc.abstractmethod
    async def build(self, call: Call, estimate: Estimate, lane: bytes) -> Built:
        """Take the lane's next nonce and sign. No I/O with the chain; a key elsewhere takes its time.

        The daemon has one build a lane under way, and enqueues the journal's write of it before the
        next: nonces are journalled in their order, and a crash leaves no hole. Raises Retry where
        the key is out of reach: its nonce is then not used.
        """

    @abc.abstractmethod
    async def broadcast(self, raw: bytes) -> None:
        """Send one signed transaction. A node that knows it already is success."""

    @abc.abstractmethod
    async def advance(self, state: bytes) -> Step:
        """Read what became of a transaction and decide what follows: wait, send again, or the end."""
