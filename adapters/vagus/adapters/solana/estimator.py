"""What a call needs now: by simulation at the newest slot, and by what the chain asks for a place."""

from __future__ import annotations

import statistics
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from vagus.adapters.base import AlreadyDone, Estimate, IntentState
from vagus.adapters.errors import BadAnswer
from vagus.adapters.quorum import Quorum
from vagus.adapters.solana import hub
from vagus.adapters.solana.config import SolanaConfig
from vagus.adapters.solana.errors import cannot_pay, refusal
from vagus.adapters.solana.hub import Found, Order
from vagus.adapters.solana.lifetimes import Lifetime
from vagus.adapters.solana.plan import BASE_FEE, Plan
from vagus.adapters.solana.reader import IntentReader
from vagus.adapters.solana.records import Registered, read_registry
from vagus.adapters.solana.rpc import Rpc
from vagus.adapters.solana.views import At, HubViews
from vagus.protocol import Refuse, Retry

__all__ = ["Estimator", "SolanaEstimate"]

NEWEST = At("confirmed", 0)
MICRO = 1_000_000
"""Micro-lamports of a lamport, in which a compute unit is paid."""

_MOST_UNITS = 1_400_000
_SPARE_UNITS = 20_000
_SHARE = 0.75
_MAX_FEES = 1_000
# What a hub's reason says about now and not about the call.
_PASSING = frozenset({"paused"})
# What a node cannot simulate now, whatever is called.
_STALE = frozenset({"BlockhashNotFound", "AccountInUse"})


_NOTHING = Found()
_NEVER = Lifetime(bytes(32), 0)


@dataclass(frozen=True, slots=True)
class SolanaEstimate(Estimate):
    """Also how the call is carried out: `price` in micro-lamports of a compute unit, and until when."""

    price: int = 0
    found: Found = _NOTHING
    life: Lifetime = _NEVER


class _Simulated(msgspec.Struct, rename="camel"):
    err: Any
    logs: list[str] | None = None
    units_consumed: int | None = None


class _Answer(msgspec.Struct):
    value: _Simulated


class _Fee(msgspec.Struct, rename="camel"):
    prioritization_fee: int


class _End(NamedTuple):
    """How a simulation ended: what is the same from every endpoint, and the units."""

    refused: Refuse | None
    words: str
    units: int


_answers = msgspec.json.Decoder(_Answer)
_fees = msgspec.json.Decoder(list[_Fee])


class Estimator:
    """Asks the chain what orders of one account need."""

    def __init__(
        self,
        quorum: Quorum[Rpc],
        views: HubViews,
        reader: IntentReader,
        config: SolanaConfig,
        payer: Pubkey | None,
    ) -> None:
        self._quorum = quorum
        self._views = views
        self._reader = reader
        self._config = config
        self._payer = payer

    async def found(self, order: Order) -> Found:
        """Read what an order's accounts need. Raises `AlreadyDone` where its intent is not open."""
        account, requester = b"", b""
        registered: tuple[Registered, ...] = ()
        if hub.needs_intent(order):
            place = await self._reader.place(order.intent_id, NEWEST)
            if place is None or place[1].state is not IntentState.OPEN:
                raise AlreadyDone("intent not open")
            account, requester = place[0], place[1].intent.requester
        if hub.retries(order):
            registered = await self._registered(order.callback)
        return Found(account, requester, registered, await self._unopened(order.payees))

    async def _registered(self, consumer: bytes) -> tuple[Registered, ...]:
        found = await self._views.account(self._views.places.registry(consumer), NEWEST)
        try:
            return () if found is None else tuple(read_registry(found.data, consumer))
        except ValueError as error:
            raise BadAnswer(f"{self._quorum.name}: a registry: {error}") from None

    async def _unopened(self, payees: Sequence[bytes]) -> tuple[bytes, ...]:
        owners = tuple(dict.fromkeys(payees))
        keys = [self._views.places.credit(each) for each in owners]
        found = await self._views.accounts(keys, NEWEST) if keys else []
        return tuple(each for each, account in zip(owners, found, strict=True) if account is None)

    async def simulate(
        self, plan: Plan, instructions: Sequence[Instruction], price: int, life: Lifetime
    ) -> int:
        """Simulate a transaction of a plan, and return the compute units to ask for. Raises `Refuse`."""
        # Not signed: an endpoint that is shown a signed transaction could send it.
        raw = plan.unsigned(instructions, self._config.max_units, price, life)
        options = {
            "encoding": "base64",
            "commitment": "confirmed",
            "sigVerify": False,
            "replaceRecentBlockhash": True,
        }
        params: list[object] = [b64encode(raw).decode(), options]

        async def ask(rpc: Rpc) -> _End:
            answer = await rpc.call("simulateTransaction", params, _answers)
            return self._end(rpc, answer.value)

        found = await self._quorum.alike(
            ask, "a simulation", key=lambda end: (end.refused is None, end.words)
        )
        if (refused := found[0].refused) is not None:
            if refused.reason in _PASSING:
                raise Retry(f"the hub says: {refused.reason}", 30)
            raise refused
        units = max(end.units for end in found)
        # A later state may cost a little more, and so may another address's bump.
        return min(units + units // 8 + _SPARE_UNITS, self._config.max_units)

    def _end(self, rpc: Rpc, found: _Simulated) -> _End:
        if found.err is None:
            units = found.units_consumed
            if units is None or not 0 <= units <= _MOST_UNITS:
                raise BadAnswer(f"{rpc.name}: a simulation of {units} units")
            return _End(None, "", units)
        logs = found.logs or []
        if cannot_pay(found.err, logs):
            raise Retry(f"the account {self._payer} on {self._config.id} cannot pay", 30)
        if isinstance(found.err, str) and found.err in _STALE:
            raise Retry(f"{rpc.name} cannot simulate: {found.err}")
        refused = refusal(found.err, logs, str(self._views.program))
        return _End(refused, refused.reason, 0)

    async def price(self) -> int:
        """Return what to offer for a compute unit: what three of four recent slots asked at most."""
        params: list[object] = [[str(self._views.places.config)]]

        async def ask(rpc: Rpc) -> int:
            found = await rpc.call("getRecentPrioritizationFees", params, _fees)
            asked = sorted(each.prioritization_fee for each in found[:_MAX_FEES])
            if asked and not 0 <= asked[0] <= asked[-1] < 1 << 63:
                raise BadAnswer(f"{rpc.name}: fees that nobody asks")
            return asked[int(len(asked) * _SHARE)] if asked else 0

        offers = await self._quorum.reports(ask, "the priority fee")
        return min(statistics.median_low(offers), self._config.max_priority_fee)

    def cost(self, plan: Plan, units: int, price: int) -> int:
        """Return the lamports of a plan's transactions; the rent of a staging account comes back."""
        return BASE_FEE * plan.transactions() + -(-units * price // MICRO)
