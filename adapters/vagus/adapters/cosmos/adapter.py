"""Cosmos chains with CosmWasm behind the contract of a chain adapter."""

import contextlib
import functools
import re
from collections.abc import Coroutine, Sequence
from types import TracebackType
from typing import ClassVar, Self

import aiohttp
import msgspec
import structlog
from pydantic import BaseModel
from typing_extensions import override

from vagus.adapters.background import background
from vagus.adapters.base import (
    Block,
    Built,
    Call,
    ChainAdapter,
    ChainEvent,
    Cursor,
    Delivery,
    Endpoint,
    Estimate,
    EventFilter,
    Heads,
    HubState,
    IntentState,
    Question,
    Requested,
    Step,
    Tally,
)
from vagus.adapters.cosmos import hub
from vagus.adapters.cosmos.blocks import read_events
from vagus.adapters.cosmos.config import CosmosConfig
from vagus.adapters.cosmos.delivered import DeliveryReader
from vagus.adapters.cosmos.endpoints import look_at
from vagus.adapters.cosmos.heads import HeadTracker
from vagus.adapters.cosmos.reader import IntentReader
from vagus.adapters.cosmos.rpc import Rpc
from vagus.adapters.cosmos.sender import Sender
from vagus.adapters.cosmos.upgrades import why_upgradeable
from vagus.adapters.cosmos.views import HubViews
from vagus.adapters.cosmos.wallet import Wallet
from vagus.adapters.delivered import Delivered
from vagus.adapters.evm.wake import wake
from vagus.adapters.quorum import Quorum
from vagus.adapters.urls import endpoint_names
from vagus.protocol import (
    Attestation,
    Intent,
    Payout,
    Receipt,
    Retry,
    Rotation,
    hub_id,
    pack_address,
)

__all__ = ["CosmosAdapter"]

_TX_ID = re.compile(r"[0-9A-F]{64}")
_NEWS = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "subscribe",
    "params": {"query": "tm.event='NewBlockHeader'"},
}

log = structlog.get_logger(__name__)


class CosmosAdapter(ChainAdapter):
    """One Cosmos chain: its endpoints, one hub, one account.

    Made from its configuration alone; `wallet` stands in for the configured key. Without
    either it reads, and every call that needs an account raises `Refuse`. Raises `WalletError`,
    and `Retry` where the key is elsewhere and out of reach.
    """

    Config: ClassVar[type[BaseModel]] = CosmosConfig
    fee_bits: ClassVar[int] = 128

    def __init__(self, config: CosmosConfig, wallet: Wallet | None = None) -> None:
        wallet = wallet or Wallet.configured(config)
        if wallet is not None:
            wallet = wallet.bound(config.live_id, config.account.address)
        self.chain = config.id
        self.hub = str(config.account)
        self.hub_id = hub_id(self.hub)
        self.account = wallet.account if wallet else bytes(32)
        self.lane = f"{self.chain}:0x{self.account[12:].hex()}"
        self.quorum = (config.agreeing, len(config.rpc))
        self._config = config
        self._address = config.account.address
        self._quorum = Quorum(
            self.chain,
            [
                Rpc(url, config.timeout, config.max_answer, name)
                for url, name in zip(config.rpc, endpoint_names(config.rpc), strict=True)
            ],
            config.agreeing,
        )
        self._tracker = HeadTracker(self._quorum, config)
        self._views = HubViews(self._quorum, config)
        self._reader = IntentReader(self._quorum, self._tracker, self._views, config)
        self._deliveries = DeliveryReader(self._quorum, self._tracker, self._views, config)
        self._sender = Sender(self._quorum, self._tracker, config, wallet)
        self.address = self._sender.address
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            for rpc in self._quorum.endpoints:
                await stack.enter_async_context(rpc)
            await stack.enter_async_context(self._quorum)
            try:
                await self._tracker.check_chain()
            except Retry as error:
                log.warning("chain unreachable", chain=self.chain, reason=error.reason)
            session = await stack.enter_async_context(aiohttp.ClientSession())
            tasks: dict[str, Coroutine[None, None, None]] = {
                f"{self.chain} heads": self._tracker.poll()
            }
            for url, name in zip(self._config.ws, endpoint_names(self._config.ws), strict=True):
                waking = wake(self._tracker.wake, url, session, self.chain, name, _NEWS)
                tasks[f"{self.chain} wake {name}"] = waking
            await stack.enter_async_context(background(**tasks))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    # The head

    @property
    @override
    def heads(self) -> Heads | None:
        return self._tracker.heads

    @property
    @override
    def healthy(self) -> bool:
        return self._tracker.healthy

    @override
    async def next_heads(self, seen: Heads | None) -> Heads:
        return await self._tracker.next(seen)

    @override
    async def endpoints(self) -> tuple[Endpoint, ...]:
        return await look_at(self._quorum, self._config)

    @override
    def tallies(self) -> dict[str, Tally]:
        return {
            rpc.name: Tally(rpc.requests, rpc.failures, self._quorum.faults[rpc.name])
            for rpc in self._quorum.endpoints
        }

    @override
    async def block(self, height: int) -> Block:
        return await self._tracker.block(height)

    # What is asked on this chain

    @override
    async def start(self) -> Cursor:
        return await self._reader.start(self._final())

    @override
    async def intents(self, cursor: Cursor, until: Block) -> tuple[list[Requested], Cursor]:
        return await self._reader.intents(cursor, until)

    @override
    async def requested(self, tx_id: str) -> list[Requested]:
        if _TX_ID.fullmatch(tx_id) is None:
            raise ValueError(f"{tx_id[:80]!r} is no transaction: 64 hex digits in upper case are")
        return await self._reader.requested(tx_id)

    @override
    async def events(self, wanted: EventFilter, first: int, last: int) -> list[ChainEvent]:
        """Read any contract's events.

        `wanted.event` is the event's whole type, such as "wasm-transfer"; an event's `data` is the
        JSON of its attributes, a list of pairs in their order. Every block is read, and a quorum
        must have the same.
        """
        pack_address(self.chain, wanted.address)
        found: list[ChainEvent] = []
        for height in range(first, last + 1):
            block, events = await self._quorum.agree(
                functools.partial(read_events, height=height, kind=wanted.event),
                "a contract's events",
                fixed=self._tracker.is_final(height),
            )
            found += [
                ChainEvent(
                    address=wanted.address,
                    topics=(event.type.encode(),),
                    data=msgspec.json.encode(event.attributes),
                    height=height,
                    block_hash=block.hash,
                    tx_id=event.tx_id,
                    index=event.index,
                )
                for event in events
                if event.of(wanted.address)
            ]
        return found

    # The hub's state, at finality

    @override
    async def hub_state(self) -> HubState:
        final = self._final()
        config = await self._views.config(final)
        committee = await self._views.committee(final)
        return HubState(
            at=final,
            next_seq=config.next_seq,
            current=committee.current,
            roster_hash=committee.roster_hash,
            previous=committee.previous,
            previous_until=committee.previous_until,
            min_fee=config.min_fee,
            min_ttl=config.min_ttl,
            max_ttl=config.max_ttl,
            grace=config.grace,
            max_callback_gas=config.max_callback_gas,
            paused=config.paused,
        )

    @override
    async def upgradeable(self) -> str | None:
        return await why_upgradeable(self._quorum, self._address, self._final())

    @override
    async def intent_state(self, intent_id: bytes) -> IntentState:
        return await self._views.intent_state(intent_id, self._final())

    @override
    async def delivery(self, intent_id: bytes) -> Delivery | None:
        return await self._views.delivery(intent_id, self._final())

    @override
    async def delivered(self, intent_id: bytes, tx_id: str | None = None) -> Delivered | None:
        return await self._deliveries.read(intent_id, tx_id, self._final())

    @override
    async def credit(self, account: bytes) -> int:
        return await self._views.credit(account, self._final())

    @override
    async def balance(self) -> int:
        return await self._sender.balance()

    # Calls

    @override
    def request_call(self, question: Question) -> Call:
        return self._call(hub.encode_request(question), question.fee)

    @override
    def deliver_call(
        self, intent: Intent, attestation: Attestation, output: bytes, signatures: Sequence[bytes]
    ) -> Call:
        return self._call(hub.encode_deliver(intent, attestation, output, signatures))

    @override
    def retry_call(self, intent: Intent, output: bytes) -> Call:
        return self._call(hub.encode_retry(intent, output))

    @override
    def settle_call(
        self, receipt: Receipt, payouts: Sequence[Payout], signatures: Sequence[bytes]
    ) -> Call:
        return self._call(hub.encode_settle(receipt, payouts, signatures))

    @override
    def refund_call(self, intent_id: bytes) -> Call:
        return self._call(hub.encode_refund(intent_id))

    @override
    def withdraw_call(self) -> Call:
        return self._call(hub.encode_withdraw())

    @override
    def rotate_call(
        self, rotation: Rotation, signers: Sequence[bytes], signatures: Sequence[bytes]
    ) -> Call:
        return self._call(hub.encode_rotate(rotation, signers, signatures))

    # Sending

    @override
    async def estimate(self, call: Call) -> Estimate:
        return await self._sender.estimate(call)

    @override
    async def open_lane(self, lane: bytes | None) -> bytes:
        return await self._sender.open_lane(lane)

    @override
    async def build(self, call: Call, estimate: Estimate, lane: bytes) -> Built:
        return await self._sender.build(call, estimate, lane)

    @override
    async def broadcast(self, raw: bytes) -> None:
        await self._sender.broadcast(raw)

    @override
    async def advance(self, state: bytes) -> Step:
        return await self._sender.advance(state)

    def _call(self, data: bytes, value: int = 0) -> Call:
        return Call(self._address, data, value)

    def _final(self) -> Block:
        heads = self._tracker.heads
        if heads is None:
            raise Retry(f"{self._quorum.name} has not answered yet")
        return heads.final
