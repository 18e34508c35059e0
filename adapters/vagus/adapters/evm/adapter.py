"""EVM chains behind the contract of a chain adapter."""

import contextlib
import functools
from collections.abc import Coroutine, Sequence
from types import TracebackType
from typing import ClassVar, Self

import aiohttp
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
from vagus.adapters.delivered import Delivered
from vagus.adapters.errors import BadAnswer, NoQuorum, TooSlow
from vagus.adapters.evm import hub
from vagus.adapters.evm.blocks import read_logs
from vagus.adapters.evm.config import EvmConfig, endpoint_names
from vagus.adapters.evm.connector import BoundedConnector
from vagus.adapters.evm.delivered import DeliveryReader
from vagus.adapters.evm.endpoints import look_at
from vagus.adapters.evm.errors import NodeError
from vagus.adapters.evm.heads import HeadTracker
from vagus.adapters.evm.reader import IntentReader
from vagus.adapters.evm.rpc import Rpc
from vagus.adapters.evm.sender import Sender
from vagus.adapters.evm.upgrades import why_upgradeable
from vagus.adapters.evm.views import HubViews
from vagus.adapters.evm.wake import wake
from vagus.adapters.evm.wallet import Wallet
from vagus.adapters.quorum import Quorum
from vagus.protocol import (
    Attestation,
    Intent,
    Payout,
    Receipt,
    Retry,
    Rotation,
    hub_id,
    keccak256,
    pack_address,
)

__all__ = ["EvmAdapter"]

log = structlog.get_logger(__name__)


class EvmAdapter(ChainAdapter):
    """One EVM chain: its endpoints, one hub, one account.

    Made from its configuration alone; `wallet` stands in for the configured key. Without
    either it reads, and every call that needs an account raises `Refuse`. Raises `WalletError`,
    and `Retry` where the key is elsewhere and out of reach.
    """

    Config: ClassVar[type[BaseModel]] = EvmConfig

    def __init__(self, config: EvmConfig, wallet: Wallet | None = None) -> None:
        wallet = wallet or Wallet.configured(config)
        if wallet is not None:
            wallet = wallet.bound(config.chain_id, bytes.fromhex(config.account.address[2:]))
        self.chain = config.id
        self.hub = str(config.account)
        self.hub_id = hub_id(self.hub)
        self.account = wallet.account if wallet else bytes(32)
        self.address = f"0x{wallet.address.hex()}" if wallet else ""
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
        self._deliveries = DeliveryReader(self._quorum, self._views, config)
        self._sender = Sender(self._quorum, self._tracker, config, wallet)
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
            session = await stack.enter_async_context(
                aiohttp.ClientSession(
                    connector=BoundedConnector(), cookie_jar=aiohttp.DummyCookieJar()
                )
            )
            tasks: dict[str, Coroutine[None, None, None]] = {
                f"{self.chain} heads": self._tracker.poll()
            }
            for url, name in zip(self._config.ws, endpoint_names(self._config.ws), strict=True):
                waking = wake(self._tracker.wake, url, session, self.chain, name)
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
        return await self._reader.requested(tx_id)

    @override
    async def events(self, wanted: EventFilter, first: int, last: int) -> list[ChainEvent]:
        """Read any contract's events.

        `wanted.event` is a canonical signature. No count exists to hold an answer against, so a
        quorum must have the same whole list.
        """
        topic = keccak256(wanted.event.encode())
        address = wanted.address.lower()
        pack_address(self.chain, address)
        found: list[ChainEvent] = []
        for low in range(first, last + 1, self._config.max_log_range):
            high = min(last, low + self._config.max_log_range - 1)
            found += await self._events(address, topic, low, high)
        return found

    async def _events(self, address: str, topic: bytes, first: int, last: int) -> list[ChainEvent]:
        """Read a range, in halves where the endpoints can't answer it as a whole."""
        ask = functools.partial(
            read_logs, address=address, topics=[(topic,)], first=first, last=last
        )
        try:
            return await self._quorum.agree(
                ask, "a contract's events", fixed=self._tracker.is_final(last)
            )
        except (NodeError, BadAnswer, TooSlow, NoQuorum) as error:
            if first == last or (isinstance(error, NoQuorum) and error.silent):
                raise
        middle = (first + last) // 2
        before = await self._events(address, topic, first, middle)
        return before + await self._events(address, topic, middle + 1, last)

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
