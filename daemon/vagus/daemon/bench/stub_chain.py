"""A chain that costs next to nothing, behind the adapter's contract, in the node's own process.

What the node does for a chain is real: logs are decoded, calls encoded, transactions signed under
a lane's next nonce. What goes over the network is not: a block is mined as soon as something waits
for one and the block before was read, and is final at once. The hub's rules are not played; a
transaction that does not have the next nonce is an error.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self, TypeAlias

from vagus.adapters.base import (
    Block,
    Built,
    Call,
    CallbackState,
    ChainAdapter,
    Cursor,
    Delivery,
    Endpoint,
    Estimate,
    Heads,
    HubState,
    IntentState,
    Step,
    TxStage,
)
from vagus.adapters.evm import hub as codec
from vagus.adapters.evm.tx import EvmTx, tx_hash
from vagus.protocol import Account, Attestation, Receipt, Retry, SignerSet, hub_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vagus.adapters.base import ChainEvent, EventFilter, Question, Requested
    from vagus.adapters.evm.wallet import Wallet
    from vagus.protocol import Intent, Payout, Rotation

__all__ = ["StubChain"]

_WORD = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class _Carried(Call):
    """A call, and the message in it: what the chain would decode costs the node nothing."""

    message: Attestation | Receipt


# A transaction's hash, its nonce, and the message in its call.
_Sent: TypeAlias = "tuple[bytes, int, Attestation | Receipt]"


class StubChain(ChainAdapter):
    """One chain with a hub on it; `signers` are its set, of which `threshold` sign."""

    def __init__(
        self, hub: str, wallet: Wallet, signers: Sequence[bytes], threshold: int = 1
    ) -> None:
        account = Account.parse(hub)
        self.chain = account.chain
        self.hub = hub
        self.hub_id = hub_id(hub)
        self.account = wallet.account
        self.address = f"0x{wallet.address.hex()}"
        self.lane = f"{self.chain}:0x{wallet.address.hex()}"
        self.quorum = (1, 1)
        self._hub_address = account.address
        self._chain_id = int(self.chain.partition(":")[2])
        self._wallet = wallet
        self._set = SignerSet(1, tuple(signers), threshold)
        self._heads = Heads(self._block(1), self._block(1))
        self._nonce = 0
        self._asked: list[ChainEvent] = []
        self._sent: list[_Sent] = []
        self._read = True
        # By height: what a block holds is only looked for where its height is read.
        self._logs: dict[int, list[ChainEvent]] = {}
        self._built: dict[bytes, _Sent] = {}
        self._included: set[bytes] = set()
        self._settled: set[bytes] = set()
        self._delivered: dict[bytes, Delivery] = {}

    async def __aenter__(self) -> Self:
        """Begin to be a chain."""
        self._moved: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing is running."""

    # The chain's side

    def request(self, log: ChainEvent) -> None:
        """Ask: the next block holds this log."""
        self._asked.append(log)
        self._mine_soon()

    def _mine_soon(self) -> None:
        if self._read and (self._asked or self._sent):
            self._read = False
            asyncio.get_running_loop().call_soon(self._mine)

    def _mine(self) -> None:
        """Make a block of what has come."""
        asked, self._asked = self._asked, []
        sent, self._sent = self._sent, []
        latest = self._block(self._heads.latest.height + 1)
        if asked:
            self._logs[latest.height] = [
                replace(log, height=latest.height, block_hash=latest.hash) for log in asked
            ]
        for name, nonce, message in sent:
            self._execute(name, nonce, message, latest)
        self._heads = Heads(latest, latest)
        moved, self._moved = self._moved, asyncio.get_running_loop().create_future()
        moved.set_result(None)

    def _block(self, height: int) -> Block:
        return Block(height, height.to_bytes(_WORD, "big"), self.now())

    def now(self) -> int:
        """Return the chain's time."""
        return int(time.time())

    def _execute(
        self, name: bytes, nonce: int, message: Attestation | Receipt, block: Block
    ) -> None:
        if nonce != self._nonce:
            raise RuntimeError(f"{self.chain}: nonce {nonce} came, not {self._nonce}")
        self._nonce += 1
        self._included.add(name)
        if isinstance(message, Receipt):
            self._settled.add(message.intent_id)
            return
        delivery = Delivery(
            output_hash=message.output_hash,
            status=message.status,
            evidence_hash=message.evidence_hash,
            epoch=message.epoch,
            signers=1,
            deliverer=self.account,
            time=block.time,
            callback=CallbackState.SUCCEEDED,
        )
        self._delivered[message.intent_id] = delivery

    # The adapter's side

    @property
    def heads(self) -> Heads:
        """The newest block, which is final."""
        return self._heads

    @property
    def healthy(self) -> bool:
        """Always."""
        return True

    async def next_heads(self, seen: Heads | None) -> Heads:
        """Wait for the next block."""
        while self._heads is seen:
            await asyncio.shield(self._moved)
        return self._heads

    async def block(self, height: int) -> Block:
        """Return a block as it was mined, as far as one is final."""
        if height > self._heads.final.height:
            raise Retry(f"{self.chain} has no block {height} yet")
        return self._block(height)

    async def start(self) -> Cursor:
        """Return the cursor before the first request."""
        return Cursor(1, 1)

    async def intents(self, cursor: Cursor, until: Block) -> tuple[list[Requested], Cursor]:
        """Decode the logs between the cursor and a block."""
        self._read = until is self._heads.latest
        self._mine_soon()
        found = [
            codec.decode_requested(log, self.hub_id)
            for height in range(cursor.height + 1, until.height + 1)
            for log in self._logs.get(height, ())
        ]
        return found, Cursor(cursor.next_seq + len(found), until.height)

    async def requested(self, tx_id: str) -> list[Requested]:
        """Nobody asks who sent what here."""
        return []

    async def events(self, wanted: EventFilter, first: int, last: int) -> list[ChainEvent]:
        """Nothing but the hub is on this chain."""
        return []

    async def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the process itself: nothing is between the node and this chain."""
        return (Endpoint("stub", None, self._heads.latest, self._heads.final, 0.0),)

    async def upgradeable(self) -> str | None:
        """Return None: there is no code to change."""
        return None

    async def hub_state(self) -> HubState:
        """Return the same state for each final block."""
        return HubState(
            at=self._heads.final,
            next_seq=1,
            current=self._set,
            roster_hash=bytes(_WORD),
            previous=None,
            previous_until=0,
            min_fee=0,
            min_ttl=60,
            max_ttl=30 * 86_400,
            grace=3600,
            max_callback_gas=2_000_000,
            paused=False,
        )

    async def intent_state(self, intent_id: bytes) -> IntentState:
        """Return Settled once it was settled, Open before."""
        return IntentState.SETTLED if intent_id in self._settled else IntentState.OPEN

    async def delivery(self, intent_id: bytes) -> Delivery | None:
        """Return the delivery, if there was one."""
        return self._delivered.get(intent_id)

    async def credit(self, account: bytes) -> int:
        """Nobody withdraws here."""
        return 0

    async def balance(self) -> int:
        """There is always one ether more than is needed."""
        return 10**18

    def deliver_call(
        self, intent: Intent, attestation: Attestation, output: bytes, signatures: Sequence[bytes]
    ) -> Call:
        """Encode as the EVM adapter does."""
        data = codec.encode_deliver(intent, attestation, output, signatures)
        return _Carried(self._hub_address, data, message=attestation)

    def settle_call(
        self, receipt: Receipt, payouts: Sequence[Payout], signatures: Sequence[bytes]
    ) -> Call:
        """Encode as the EVM adapter does."""
        data = codec.encode_settle(receipt, payouts, signatures)
        return _Carried(self._hub_address, data, message=receipt)

    def request_call(self, question: Question) -> Call:
        """Encode as the EVM adapter does."""
        return self._call(codec.encode_request(question))

    def retry_call(self, intent: Intent, output: bytes) -> Call:
        """Encode as the EVM adapter does."""
        return self._call(codec.encode_retry(intent, output))

    def refund_call(self, intent_id: bytes) -> Call:
        """Encode as the EVM adapter does."""
        return self._call(codec.encode_refund(intent_id))

    def withdraw_call(self) -> Call:
        """Encode as the EVM adapter does."""
        return self._call(codec.encode_withdraw())

    def rotate_call(
        self, rotation: Rotation, signers: Sequence[bytes], signatures: Sequence[bytes]
    ) -> Call:
        """Encode as the EVM adapter does."""
        return self._call(codec.encode_rotate(rotation, signers, signatures))

    def _call(self, data: bytes) -> Call:
        return Call(self._hub_address, data)

    async def estimate(self, call: Call) -> Estimate:
        """Every call costs the same."""
        return Estimate(gas=200_000, max_fee=10**10, tip=10**9)

    async def open_lane(self, lane: bytes | None) -> bytes:
        """Begin at nonce 0."""
        return bytes(8) if lane is None else lane

    async def build(self, call: Call, estimate: Estimate, lane: bytes) -> Built:
        """Sign a real transaction under the lane's nonce."""
        nonce = int.from_bytes(lane, "big")
        to = bytes.fromhex(call.to[2:])
        fees = (estimate.tip, estimate.max_fee, estimate.gas)
        raw = await self._wallet.sign(
            EvmTx(self._chain_id, nonce, *fees, to, call.value, call.data)
        )
        name = tx_hash(raw)
        if isinstance(call, _Carried):
            self._built[raw] = name, nonce, call.message
        return Built((nonce + 1).to_bytes(8, "big"), name + raw, "0x" + name.hex())

    async def broadcast(self, raw: bytes) -> None:
        """Put it into the next block; what the chain has already is success."""
        if built := self._built.pop(raw, None):
            self._sent.append(built)
            self._mine_soon()

    async def advance(self, state: bytes) -> Step:
        """Send it, or say that it is final."""
        name, raw = state[:_WORD], state[_WORD:]
        if name in self._included:
            return Step(TxStage.FINAL, state, "0x" + name.hex())
        return Step(TxStage.BROADCAST, state, "0x" + name.hex(), (raw,))
