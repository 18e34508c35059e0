"""Sending on Solana: the state machine of a call, over as many transactions as it takes.

A call that fits a transaction is one. Else its arguments are staged first, credits are opened first, and a
callback follows a delivery; each transaction is signed and journalled before it is sent, and what is there
already is read from the chain, so a process that starts again goes on where the chain stands.

A transaction is signed with a final blockhash, which no fork takes away, and is good for 150 blocks. It is signed again
only once the final block is past those and a quorum does not know it: then it can never be included. There
are no nonces: transactions wait for no other, and the hub's own state makes each effect happen once. A lane is a
counter that tells two alike calls apart, as a request's nonce and in the priority fee.
"""

from __future__ import annotations

from base64 import b64encode

import msgspec
import structlog

from vagus.adapters.base import (
    AlreadyDone,
    Built,
    Call,
    CallbackState,
    Estimate,
    Heads,
    Rejected,
    Step,
    TxStage,
)
from vagus.adapters.errors import BadAnswer
from vagus.adapters.evm.errors import NodeError
from vagus.adapters.quorum import Quorum
from vagus.adapters.solana import hub
from vagus.adapters.solana.config import SolanaConfig
from vagus.adapters.solana.errors import is_known_transaction
from vagus.adapters.solana.estimator import NEWEST, Estimator, SolanaEstimate
from vagus.adapters.solana.fate import Fate, fate_of
from vagus.adapters.solana.heads import HeadTracker
from vagus.adapters.solana.hub import Found, Order
from vagus.adapters.solana.lifetimes import MAX_AGE, Lifetime, Lifetimes
from vagus.adapters.solana.plan import Part, Plan, Signed
from vagus.adapters.solana.reader import IntentReader
from vagus.adapters.solana.records import STAGED_AT
from vagus.adapters.solana.rpc import Rpc
from vagus.adapters.solana.views import HubViews
from vagus.adapters.solana.wallet import Wallet
from vagus.protocol import Refuse, Retry, keccak256

__all__ = ["Sender"]

_LANE_SIZE = 8
_LANE_BITS = 16
# Micro-lamports by which a lane's counter may raise a price: some hundred lamports a transaction.
_TAG = 1_024
# Slots after which the callback that follows a delivery is given up.
_CALLBACK_SLOTS = 2 * MAX_AGE

log = structlog.get_logger(__name__)


class _State(msgspec.Struct, frozen=True, array_like=True):
    """A journalled call. `leg` 1 is the callback that follows a delivery.

    `call` is the call's own transaction, `parts` what prepares it or, once `closing`, closes behind it,
    by their numbers; `end` is how the first leg ended, `since` the slot at which the second began.
    """

    order: Order
    nonce: int
    found: Found
    price: int
    tx_id: str
    call: Signed | None = None
    parts: dict[int, Signed] = {}
    leg: int = 0
    closing: bool = False
    end: str = ""
    since: int = 0


_encoder = msgspec.msgpack.Encoder()
_states = msgspec.msgpack.Decoder(_State)
_orders = msgspec.msgpack.Decoder(Order)
_texts = msgspec.json.Decoder(str)


class Sender:
    """One account's transactions."""

    def __init__(
        self,
        quorum: Quorum[Rpc],
        tracker: HeadTracker,
        views: HubViews,
        reader: IntentReader,
        config: SolanaConfig,
        wallet: Wallet | None,
    ) -> None:
        self._quorum = quorum
        self._tracker = tracker
        self._views = views
        self._reader = reader
        self._config = config
        self._wallet = wallet
        payer = wallet.key if wallet else None
        self._estimator = Estimator(quorum, views, reader, config, payer)
        self._lifetimes = Lifetimes(quorum, tracker)

    def call(self, order: Order, value: int = 0) -> Call:
        """Return an order as the daemon carries it."""
        return Call(str(self._views.program), _encoder.encode(order), value)

    async def balance(self) -> int:
        """Read what the account has, in lamports."""
        params: list[object] = [str(self._signer().key), {"commitment": "confirmed"}]

        async def ask(rpc: Rpc) -> int:
            found = (await rpc.call("getBalance", params, _balances)).value
            if not 0 <= found < 1 << 64:
                raise BadAnswer(f"{rpc.name}: lamports that nobody has")
            return found

        return await self._quorum.floor(ask, "the account's balance")

    async def estimate(self, call: Call) -> Estimate:
        """Simulate at the newest slot; see `ChainAdapter.estimate`."""
        order = _orders.decode(call.data)
        found, life = await self._estimator.found(order), await self._lifetimes.fresh()
        # A nonce that nobody else can have used; the lane's is not known yet.
        plan = self._plan(order, int.from_bytes(keccak256(call.data)[:8], "little"), found)
        price = await self._estimator.price()
        if plan.staged:
            await self._refused_already(order)
            # What the call itself needs is simulated once its arguments are there.
            units = await self._simulate(plan, plan.staging_parts(None)[0], price, life)
        elif not plan.opens_itself:
            units = await self._simulate(plan, plan.credits()[0], price, life)
        else:
            units = await self._estimator.simulate(plan, plan.calls(), price, life)
        fee = self._estimator.cost(plan, units, price + _TAG)
        return SolanaEstimate(
            gas=units,
            max_fee=-(-fee // units),
            tip=0,
            fee=fee,
            price=price,
            found=found,
            life=life,
        )

    async def open_lane(self, lane: bytes | None) -> bytes:
        """Go on behind the journalled counter; it is never below the final slot's own range."""
        least = self._heads().final.height << _LANE_BITS
        return _lane(least if lane is None else max(_counter(lane), least))

    async def build(self, call: Call, estimate: Estimate, lane: bytes) -> Built:
        """Take the lane's counter and sign; see `ChainAdapter.build`."""
        if not isinstance(estimate, SolanaEstimate):
            raise TypeError("an estimate that this adapter did not make")
        nonce, order, life = _counter(lane), _orders.decode(call.data), estimate.life
        plan = self._plan(order, nonce, estimate.found)
        state = _State(order, nonce, estimate.found, estimate.price, "")
        if plan.staged or not plan.opens_itself:
            parts = plan.staging_parts(None) if plan.staged else plan.credits()
            signed = {each.number: await self._sign(plan, each, state, life) for each in parts}
            tx_id = next(iter(signed.values())).tx_id
            state = _with(state, parts=signed, tx_id=tx_id)
        else:
            signed_call = await plan.sign(plan.calls(), estimate.gas, _tagged(state), life)
            state = _with(state, call=signed_call, tx_id=signed_call.tx_id)
        return Built(_lane(nonce + 1), _encoder.encode(state), state.tx_id)

    async def broadcast(self, raw: bytes) -> None:
        """Send signed bytes to all endpoints; one that has them already is success."""
        await self._quorum.tell(lambda rpc: self._send(rpc, raw))

    async def _send(self, rpc: Rpc, raw: bytes) -> None:
        # Simulated before it was signed: an endpoint that is behind would refuse it for nothing.
        options = {"encoding": "base64", "skipPreflight": True}
        params: list[object] = [b64encode(raw).decode(), options]
        try:
            found = await rpc.call("sendTransaction", params, _texts)
        except NodeError as error:
            if is_known_transaction(error):
                return
            raise
        if found != Signed(raw, 0).tx_id:
            raise BadAnswer(f"{rpc.name}: another transaction's signature came back")

    # What became of it

    async def advance(self, state: bytes) -> Step:
        """Read what became of a call; see `ChainAdapter.advance`."""
        known, heads = _states.decode(state), self._heads()
        if known.call is not None:
            return await self._called(known, known.call, heads)
        if known.closing:
            return await self._closing(known)
        return await self._preparing(known)

    async def _called(self, state: _State, call: Signed, heads: Heads) -> Step:
        """Follow the call's own transaction."""
        fate = await fate_of(self._quorum, call.tx_id, heads)
        if fate is Fate.UNKNOWN and await self._lifetimes.height() > call.until:
            log.info("transaction expired", chain=self._config.id, tx=call.tx_id)
            raised = state.price + state.price // 4 + 1
            price = min(raised, self._config.max_priority_fee)
            return await self._preparing(_with(state, call=None, price=price))
        if state.leg == 1:
            return await self._called_back(state, call, fate)
        match fate:
            case Fate.FINAL if hub.following(state.order) is not None:
                leg = _with(state, leg=1, end=TxStage.FINAL, call=None, since=heads.final.height)
                return _step(leg, TxStage.INCLUDED)
            case Fate.FINAL:
                return _step(state, TxStage.FINAL)
            case Fate.FAILED:
                return await self._closing(_with(state, end=TxStage.REVERTED))
            case Fate.INCLUDED:
                return _step(state, TxStage.INCLUDED)
            case _:
                return _step(state, TxStage.BROADCAST, call)

    async def _called_back(self, state: _State, call: Signed, fate: Fate) -> Step:
        """Follow the callback behind a delivery that is final: whatever it does, that stands."""
        match fate:
            case Fate.FINAL:  # not before: the delivery's final record says what became of it
                return _step(state, TxStage.FINAL)
            case Fate.FAILED:
                return await self._closing(state)
            case Fate.INCLUDED:
                return _step(state, TxStage.INCLUDED)
            case _:
                return _step(state, TxStage.INCLUDED, call)

    async def _preparing(self, state: _State) -> Step:
        """Send what the call still lacks; sign the call once nothing lacks."""
        order = self._order(state)
        if state.leg == 1 and not await self._callable(order, state.since):
            return await self._closing(state)
        try:
            found = await self._estimator.found(order)
            state = _with(state, found=found)
            plan, life = self._plan_of(state), await self._lifetimes.fresh()
            if lacking := await self._lacking(plan):
                return await self._signed_parts(state, plan, lacking, life)
            price = max(state.price, await self._estimator.price())
            units = await self._estimator.simulate(plan, plan.calls(), price, life)
            tag = _tagged(_with(state, price=price))
            call = await plan.sign(plan.calls(), units, tag, life)
        except Refuse as refused:
            log.info("call refused", chain=self._config.id, reason=refused.reason)
            return await self._closing(_with(state, end=state.end or TxStage.LOST))
        tx_id = state.tx_id if state.leg else call.tx_id
        state = _with(state, price=price, call=call, parts={}, tx_id=tx_id)
        return _step(state, self._under_way(state), call)

    async def _lacking(self, plan: Plan) -> list[Part]:
        lacking = plan.credits()
        if plan.staged:
            lacking += plan.staging_parts(await self._staged(plan))
        return lacking

    async def _staged(self, plan: Plan) -> bytes | None:
        """Read what is in a plan's staging account; None where there is none."""
        found = await self._views.account(plan.staging.key, NEWEST)
        return None if found is None else found.data[STAGED_AT:]

    async def _signed_parts(
        self, state: _State, plan: Plan, lacking: list[Part], life: Lifetime
    ) -> Step:
        """Send again what was signed and may still be included, and sign the rest."""
        height, parts = await self._lifetimes.height(), {}
        for each in lacking:
            signed = state.parts.get(each.number)
            if signed is None or height > signed.until:
                signed = await self._sign(plan, each, state, life)
            parts[each.number] = signed
        state = _with(state, parts=parts)
        return _step(state, self._under_way(state), *parts.values())

    async def _closing(self, state: _State) -> Step:
        """Get the rent of a staging account back, then end."""
        plan = self._plan_of(state)
        if not plan.staged or await self._staged(plan) is None:
            return _step(state, TxStage(state.end))
        part = plan.closing()
        signed = state.parts.get(part.number) if state.closing else None
        if signed is None or await self._lifetimes.height() > signed.until:
            signed = await self._sign(plan, part, state, await self._lifetimes.fresh())
        state = _with(state, call=None, closing=True, parts={part.number: signed})
        return _step(state, self._under_way(state), signed)

    # Pieces

    async def _refused_already(self, order: Order) -> None:
        """Refuse, before anything is staged, what others have done; a paused hub is a Retry."""
        config = (await self._views.counted(NEWEST)).config
        if config.paused and not hub.works_paused(order):
            raise Retry("the hub says: paused", 30)
        if hub.delivers(order) and await self._views.delivery(order.intent_id, NEWEST):
            raise AlreadyDone("already delivered")
        if hub.retries(order):
            delivery = await self._views.delivery(order.intent_id, NEWEST)
            if delivery is None or delivery.callback is not CallbackState.FAILED:
                raise AlreadyDone("no failed callback") if delivery else Rejected("not delivered")
        if hub.rotates(order) and order.epoch != config.epoch + 1:
            raise AlreadyDone("not the next epoch")

    async def _simulate(self, plan: Plan, part: Part, price: int, life: Lifetime) -> int:
        return await self._estimator.simulate(plan, part.instructions, price, life)

    async def _callable(self, order: Order, since: int) -> bool:
        """Whether a callback is worth a transaction: for some time, and if anything is registered."""
        if self._heads().final.height > since + _CALLBACK_SLOTS:
            return False
        registry = self._views.places.registry(order.callback)
        return await self._views.account(registry, NEWEST) is not None

    async def _sign(self, plan: Plan, part: Part, state: _State, life: Lifetime) -> Signed:
        return await plan.sign(part.instructions, part.units, _tagged(state), life)

    def _under_way(self, state: _State) -> TxStage:
        """A delivery that is final and waits for its callback counts as included."""
        return TxStage.INCLUDED if state.leg else TxStage.BROADCAST

    def _order(self, state: _State) -> Order:
        following = hub.following(state.order) if state.leg else None
        return following or state.order

    def _plan_of(self, state: _State) -> Plan:
        return self._plan(self._order(state), state.nonce, state.found)

    def _plan(self, order: Order, nonce: int, found: Found) -> Plan:
        return Plan(self._views.places, self._signer(), order, nonce, found)

    def _heads(self) -> Heads:
        if self._tracker.heads is None:
            raise Retry(f"{self._quorum.name} has not answered yet")
        return self._tracker.heads

    def _signer(self) -> Wallet:
        if self._wallet is None:
            raise Refuse(f"{self._config.id} has no key in the configuration: nothing is sent")
        return self._wallet


class _Balance(msgspec.Struct):
    value: int


_balances = msgspec.json.Decoder(_Balance)


def _with(state: _State, **changes: object) -> _State:
    return msgspec.structs.replace(state, **changes)


def _step(state: _State, stage: TxStage, *send: Signed) -> Step:
    return Step(stage, _encoder.encode(state), state.tx_id, tuple(each.raw for each in send))


def _tagged(state: _State) -> int:
    """Return the price of a compute unit, by which no two calls of a lane are the same bytes."""
    return state.price + state.nonce % _TAG


def _lane(counter: int) -> bytes:
    return counter.to_bytes(_LANE_SIZE, "big")


def _counter(lane: bytes) -> int:
    if len(lane) != _LANE_SIZE:
        raise ValueError(f"a lane is {_LANE_SIZE} bytes, not {len(lane)}")
    return int.from_bytes(lane, "big")
