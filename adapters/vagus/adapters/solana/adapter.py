"""Solana behind the contract of a chain adapter."""

import contextlib
from collections.abc import Coroutine, Sequence
from types import TracebackType
from typing import ClassVar, Self

import aiohttp
import structlog
from pydantic import BaseModel
from solders.pubkey import Pubkey
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
from vagus.adapters.evm.wake import wake
from vagus.adapters.quorum import Quorum
from vagus.adapters.solana import hub
from vagus.adapters.solana.config import SolanaConfig
from vagus.adapters.solana.delivered import DeliveryReader
from vagus.adapters.solana.endpoints import look_at
from vagus.adapters.solana.heads import HeadTracker
from vagus.adapters.solana.history import EventReader
from vagus.adapters.solana.reader import IntentReader
from vagus.adapters.solana.rpc import Rpc
from vagus.adapters.solana.sender import Sender
from vagus.adapters.solana.upgrades import why_upgradeable
from vagus.adapters.solana.views import At, HubViews
from vagus.adapters.solana.wallet import Wallet
from vagus.adapters.urls import endpoint_names
from vagus.protocol import (
    Attestation,
    Intent,
    Payout,
    Receipt,
    Retry,
    Rotation,
    hub_id,
)

__all__ = ["SolanaAdapter"]

log = structlog.get_logger(__name__)


class SolanaAdapter(ChainAdapter):
    """One Solana chain: its endpoints, one hub, one account. Heights are slots, amounts lamports.

    Made from its configuration alone; `wallet` stands in for the configured key. Without
    either it reads, and every call that needs an account raises `Refuse`. Raises `WalletError`,
    and `Retry` where the key is elsewhere and out of reach.
    """

    Config: ClassVar[type[BaseModel]] = SolanaConfig
    fee_bits: ClassVar[int] = 64

    def __init__(self, config: SolanaConfig, wallet: Wallet | None = None) -> None:
        wallet = wallet or Wallet.configured(config)
        if wallet is not None:
            wallet = wallet.bound(Pubkey.from_string(config.account.address))
        self.chain = config.id
        self.hub = str(config.account)
        self.hub_id = hub_id(self.hub)
        self.account = wallet.account if wallet else bytes(32)
        self.address = str(wallet.key) if wallet else ""
        self.lane = f"{self.chain}:{Pubkey(self.account)}"
        self.quorum = (config.agreeing, len(config.rpc))
        self._config = config
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
        self._events = EventReader(self._quorum, self._tracker)
        self._deliveries = DeliveryReader(self._quorum, self._views)
        self._sender = Sender(
            self._quorum, self._tracker, self._views, self._reader, config, wallet
        )
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
                waking = wake(self._tracker.wake, url, session, self.chain, name, _SLOTS)
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
        """Read any program's events; `wanted.event` is a name, as Anchor names events.

        Of a transaction whose logs were cut off, what stands behind the cut is not seen.
        """
        return await self._events.events(wanted, first, last)

    # The hub's state, at finality

    @override
    async def hub_state(self) -> HubState:
        """Read the hub's state at the final slot, or at a later one that is final by now."""
        final = self._final()
        config = (await self._views.counted(_at(final))).config
        current = await self._views.signers(config.epoch, _at(final))
        rotated = config.previous_until != 0
        before = await self._views.signers(config.epoch - 1, _at(final)) if rotated else None
        return HubState(
            at=final,
            next_seq=config.next_seq,
            current=current.signers,
            roster_hash=current.roster_hash,
            previous=before.signers if before else None,
            previous_until=config.previous_until,
            min_fee=config.min_fee,
            min_ttl=config.min_ttl,
            max_ttl=config.max_ttl,
            grace=config.grace,
            max_callback_gas=config.max_callback_gas,
            paused=config.paused,
        )

    @override
    async def upgradeable(self) -> str | None:
        return await why_upgradeable(self._quorum, self._views.program, self._final())

    @override
    async def intent_state(self, intent_id: bytes) -> IntentState:
        """Read an intent's state; NONE too for one that is over and whose account was closed."""
        found = await self._reader.place(intent_id, _at(self._final()))
        return IntentState.NONE if found is None else found[1].state

    @override
    async def delivery(self, intent_id: bytes) -> Delivery | None:
        return await self._views.delivery(intent_id, _at(self._final()))

    @override
    async def delivered(self, intent_id: bytes, tx_id: str | None = None) -> Delivered | None:
        return await self._deliveries.read(intent_id, tx_id, _at(self._final()))

    @override
    async def credit(self, account: bytes) -> int:
        return await self._views.credit(account, _at(self._final()))

    @override
    async def balance(self) -> int:
        return await self._sender.balance()

    # Calls

    @override
    def request_call(self, question: Question) -> Call:
        return self._sender.call(hub.request(question), question.fee)

    @override
    def deliver_call(
        self, intent: Intent, attestation: Attestation, output: bytes, signatures: Sequence[bytes]
    ) -> Call:
        """Encode `deliver`; the callback, if there is one, follows as a transaction of its own."""
        return self._sender.call(hub.deliver(intent, attestation, output, signatures))

    @override
    def retry_call(self, intent: Intent, output: bytes) -> Call:
        return self._sender.call(hub.retry(intent, output))

    @override
    def settle_call(
        self, receipt: Receipt, payouts: Sequence[Payout], signatures: Sequence[bytes]
    ) -> Call:
        """Encode `settle`; payees' credits that are not open are opened first."""
        return self._sender.call(hub.settle(receipt, payouts, signatures))

    @override
    def refund_call(self, intent_id: bytes) -> Call:
        return self._sender.call(hub.refund(intent_id))

    @override
    def withdraw_call(self) -> Call:
        return self._sender.call(hub.withdraw())

    @override
    def rotate_call(
        self, rotation: Rotation, signers: Sequence[bytes], signatures: Sequence[bytes]
    ) -> Call:
        return self._sender.call(hub.rotate(rotation, signers, signatures))

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

    def _final(self) -> Block:
        heads = self._tracker.heads
        if heads is None:
            raise Retry(f"{self._quorum.name} has not answered yet")
        return heads.final


_SLOTS = {"jsonrpc": "2.0", "id": 1, "method": "slotSubscribe"}


def _at(final: Block) -> At:
    return At("finalized", final.height)
