"""Sending on a Cosmos chain: one lane of sequences, and the state machine of a transaction.

A transaction's state is its newest signed bytes, the account's number and the height at which it was
signed: nothing is taken from memory, so a node that starts again goes on where the journal stands.

Each transaction is void after its timeout height. While the account's sequence is still its own in a
final block behind that height, it was never included and never will be: then, and not before, it is
signed again, under the same sequence, so that the lane has no hole.

What ends a transaction is read from a quorum of endpoints; signed bytes are handed to all of them.
"""

import asyncio
import dataclasses
import statistics
from decimal import ROUND_UP, Decimal
from typing import NamedTuple

import msgspec
import structlog

from vagus.adapters.base import Block, Built, Call, Estimate, Heads, Step, TxStage
from vagus.adapters.cosmos.accounts import (
    Standing,
    read_balance,
    read_minimum_price,
    read_standing,
)
from vagus.adapters.cosmos.blocks import broadcast, read_inclusion, read_outcomes
from vagus.adapters.cosmos.config import CosmosConfig
from vagus.adapters.cosmos.errors import (
    QueryError,
    expected_sequence,
    is_known_transaction,
    is_out_of_funds,
    is_unknown_account,
    refusal,
)
from vagus.adapters.cosmos.heads import HeadTracker
from vagus.adapters.cosmos.hub import callback_gas
from vagus.adapters.cosmos.protos import Coin, MsgExecuteContract, SimulateRequest, SimulateResponse
from vagus.adapters.cosmos.rpc import Rpc
from vagus.adapters.cosmos.tx import CosmosTx, packed, tx_hash
from vagus.adapters.cosmos.wallet import Wallet
from vagus.adapters.errors import BadAnswer, printable
from vagus.adapters.evm.errors import NodeError
from vagus.adapters.quorum import Quorum
from vagus.protocol import Refuse, Retry
from vagus.protocol.bech32 import encode

__all__ = ["Sender"]

_LANE_SIZE = 16
_SIMULATE = "/cosmos.tx.v1beta1.Service/Simulate"
# A transaction that waits for others is kept for when their turn is over; more are sent again later.
_MAX_EARLY = 256
# Blocks after which a transaction that waits for others is sent again.
_RESEND = 3
# What a hub's reason says about now and not about the call.
_PASSING = frozenset({"paused"})
# Codes of the SDK's codespace "sdk" (types/errors/errors.go).
_OUT_OF_FUNDS, _UNKNOWN_ADDRESS, _LOW_FEE, _TIMED_OUT, _SEQUENCE = 5, 9, 13, 30, 32
_GUESSES = 8
# An offer that a node did not take is raised by a quarter.
_RAISE = Decimal("1.25")

log = structlog.get_logger(__name__)


class _State(msgspec.Struct, frozen=True, array_like=True):
    raw: bytes
    number: int
    height: int


class _Simulation(NamedTuple):
    """How a simulation ended; `words` of a refusal are the same from every node."""

    gas: int
    refused: Refuse | None
    words: str


_encoder = msgspec.msgpack.Encoder()
_states = msgspec.msgpack.Decoder(_State)


class Sender:
    """One account's transactions."""

    def __init__(
        self,
        quorum: Quorum[Rpc],
        tracker: HeadTracker,
        config: CosmosConfig,
        wallet: Wallet | None,
    ) -> None:
        self._quorum = quorum
        self._tracker = tracker
        self._config = config
        self._wallet = wallet
        self.address = encode(config.prefix, wallet.address) if wallet else ""
        """The account that pays, in the chain's text form; empty without one."""
        # The minimum price as of a height: one read for all that estimate then.
        self._minimum: tuple[int, Decimal] = (-1, Decimal(0))
        # The sequence that each endpoint's mempool expects next.
        self._expected: dict[Rpc, int] = {}
        # The account as of some heads: one read for all that wait behind others.
        self._counted: tuple[Heads | None, int] = (None, 0)
        self._counting = asyncio.Lock()
        # By transaction that waits, the height at which this process sent it last.
        self._sent: dict[str, int] = {}
        # By sequence, what waits for the one before it; and what is being sent.
        self._early: dict[int, bytes] = {}
        self._under_way: set[int] = set()

    async def balance(self) -> int:
        """Read what the account has of the coin that pays."""
        address, denom = self._from(), self._config.fee_denom
        return await self._quorum.floor(
            lambda rpc: read_balance(rpc, address, denom), "the account's balance"
        )

    async def estimate(self, call: Call) -> Estimate:
        """Simulate at the newest block; see `ChainAdapter.estimate`."""
        message, most = self._message(call), self._config.max_gas

        async def simulate(rpc: Rpc) -> _Simulation:
            try:
                return _Simulation(await self._simulated(rpc, message), None, "")
            except QueryError as error:
                if is_out_of_funds(error.log) or is_unknown_account(error.log):
                    raise self._shortage() from None
                refused = refusal(error.log)
                if refused is None:
                    raise
                return _Simulation(0, refused, refused.reason)

        found = await self._quorum.alike(
            simulate, "a simulation", key=lambda end: (end.refused is None, end.words)
        )
        if (refused := found[0].refused) is not None:
            if refused.reason in _PASSING:
                raise Retry(f"the hub says: {refused.reason}", 30)
            raise refused
        # A later state may cost a little more than the simulated one, and a callback all it may.
        gas = max(end.gas for end in found)
        gas += gas // 10 + callback_gas(call.data)
        if gas > most:
            raise Refuse(f"the call needs {gas} gas, over max_gas {most}")
        price = await self._price()
        return Estimate(gas, _whole(price), 0, fee=_whole(gas * price))

    async def open_lane(self, lane: bytes | None) -> bytes:
        """Go on behind the journalled sequences, or behind those used at finality if that is more."""
        standing = await self._standing(self._heads().final)
        if standing is None:
            raise self._shortage()
        sequence = standing.sequence if lane is None else _opened(lane).sequence
        return _lane(Standing(standing.number, max(standing.sequence, sequence)))

    async def build(self, call: Call, estimate: Estimate, lane: bytes) -> Built:
        """Take the lane's sequence and sign; see `ChainAdapter.build`."""
        standing = _opened(lane)
        height = self._tracker.heads.latest.height if self._tracker.heads else 0
        tx = CosmosTx(
            message=self._message(call),
            sequence=standing.sequence,
            gas=estimate.gas,
            fee=estimate.cost,
            denom=self._config.fee_denom,
            timeout_height=height + self._config.timeout_blocks,
        )
        raw = await tx.sign(self._signer(), self._config.live_id, standing.number)
        state = _encoder.encode(_State(raw, standing.number, height))
        return Built(_lane(Standing(standing.number, standing.sequence + 1)), state, tx_hash(raw))

    async def broadcast(self, raw: bytes) -> None:
        """Send signed bytes to all endpoints; one that has them, or has used their sequence, is success.

        What comes before its turn is kept, and follows once the one before it was taken. It is not
        even sent while that one is under way here: no node would take it.
        """
        following: bytes | None = raw
        while following is not None:
            sequence = CosmosTx.decode(following).sequence
            room = len(self._early) < _MAX_EARLY
            waits = room and self._waits(sequence)
            taken = not waits and await self._told(following, sequence)
            self._sent[tx_hash(following)] = self._heads().latest.height
            if not taken:
                if room:
                    self._early[sequence] = following
                return
            following = self._early.pop(sequence + 1, None)

    async def advance(self, state: bytes) -> Step:
        """Read what became of a transaction; see `ChainAdapter.advance`."""
        known = _states.decode(state)
        tx, name = CosmosTx.decode(known.raw), tx_hash(known.raw)
        heads, used = await self._by_now()
        if used >= tx.sequence:
            # Whose turn it is, or was, goes by the newest head and by no older answer.
            heads = self._heads()
            used = await self._sequence_at(heads.final)
        if used > tx.sequence:
            self._sent.pop(name, None)
            return Step(await self._end(known, tx, name, heads.final), state, name)
        if heads.final.height >= tx.timeout_height:
            return await self._signed_again(known, tx, heads, dearer=used == tx.sequence)
        if used < tx.sequence:
            return Step(TxStage.BROADCAST, state, name, self._again(known.raw, name))
        return Step(TxStage.BROADCAST, state, name, (known.raw,))

    # What a call becomes

    def _message(self, call: Call) -> bytes:
        coins = []
        if call.value:
            if not self._config.fee_denom:
                raise Refuse(f"{self._config.id} has no fee_denom in the configuration")
            coins = [Coin(denom=self._config.fee_denom, amount=str(call.value))]
        return packed(
            MsgExecuteContract(sender=self._from(), contract=call.to, msg=call.data, funds=coins)
        )

    async def _simulated(self, rpc: Rpc, message: bytes) -> int:
        """Return the gas that a call uses.

        A simulation wants the sequence that the node's mempool expects next. The node says which,
        and is told it; others of this account may come between.
        """
        for _ in range(_GUESSES):
            try:
                return await self._simulate(rpc, message, self._expected.get(rpc, 0))
            except QueryError as error:
                wrong = expected_sequence(error.log)
                if wrong is None:
                    raise
                self._expected[rpc] = wrong[0]
        raise Retry(f"{rpc.name}: the account's sequence moves on too fast to simulate a call")

    async def _simulate(self, rpc: Rpc, message: bytes, sequence: int) -> int:
        # A fee of one: taking a fee costs gas too.
        tx = CosmosTx(message, sequence, self._config.max_gas, 1, self._config.fee_denom, 0)
        request = SimulateRequest(tx_bytes=tx.unsigned(self._signer().public_key))
        found = await rpc.query(_SIMULATE, request, SimulateResponse)
        gas: int = found.gas_info.gas_used
        if not gas:
            raise BadAnswer(f"{rpc.name}: a simulation without gas")
        return gas

    async def _price(self) -> Decimal:
        """Return what a unit of gas is offered: the configuration's price, or the nodes' minimum."""
        height, denom = self._heads().latest.height, self._config.fee_denom
        if self._minimum[0] != height:
            found = await self._quorum.reports(
                lambda rpc: read_minimum_price(rpc, denom), "the price of gas"
            )
            self._minimum = (height, statistics.median_low(found))
        price, cap = max(self._config.gas_price, self._minimum[1]), self._config.max_gas_price
        if price > cap:
            raise Retry(f"a unit of gas costs {price} {denom}, over max_gas_price {cap}", 10)
        return price

    # What a node says of a transaction

    def _waits(self, sequence: int) -> bool:
        """Whether the transaction before this one is being sent, or waits itself."""
        return sequence - 1 in self._under_way or sequence - 1 in self._early

    async def _told(self, raw: bytes, sequence: int) -> bool:
        """Send to all endpoints; whether the first that answers has it."""
        self._under_way.add(sequence)
        try:
            return await self._quorum.tell(lambda rpc: self._send(rpc, raw, sequence))
        finally:
            self._under_way.discard(sequence)

    async def _send(self, rpc: Rpc, raw: bytes, sequence: int) -> bool:
        """Hand a node the bytes; whether it has them, rather than waiting for others before them."""
        try:
            found = await broadcast(rpc, raw)
        except NodeError as error:
            # Other nodes hand it on, often before it is sent here.
            if is_known_transaction(error.message):
                self._took(rpc, sequence)
                return True
            raise
        if found.code == 0:
            self._took(rpc, sequence)
            return True
        said = f"{rpc.name}: the transaction is not taken: {printable(rpc.masked(found.log))}"
        if found.codespace != "sdk":
            raise Retry(said)
        if found.code in {_OUT_OF_FUNDS, _UNKNOWN_ADDRESS}:
            raise self._shortage()
        if found.code == _SEQUENCE:
            wrong = expected_sequence(found.log)
            # A sequence that is used: by this transaction or another one, `advance` finds out.
            return wrong is None or wrong[0] > wrong[1]
        if found.code == _TIMED_OUT:
            return True
        raise Retry(said, 10 if found.code == _LOW_FEE else 1)

    def _took(self, rpc: Rpc, sequence: int) -> None:
        # Answers may come in another order than they were given.
        self._expected[rpc] = max(self._expected.get(rpc, 0), sequence + 1)

    async def _end(self, known: _State, tx: CosmosTx, name: str, final: Block) -> TxStage:
        """Find out how a transaction ended whose sequence is used in a final block."""
        found = await self._quorum.agree(lambda rpc: read_inclusion(rpc, name), "a transaction")
        if found is not None:
            if found.height > final.height:
                raise BadAnswer(f"{self._quorum.name}: {name} is in a block that is not there yet")
            return TxStage.FINAL if found.success else TxStage.REVERTED
        # An index may lag or be switched off. The blocks can't: it is in one of these, or in none.
        for height in range(known.height + 1, min(tx.timeout_height, final.height) + 1):
            outcomes = await self._quorum.agree(
                lambda rpc, height=height: read_outcomes(rpc, height),  # type: ignore[misc]
                "a block's transactions",
                fixed=True,
            )
            if name in outcomes:
                return TxStage.FINAL if outcomes[name] else TxStage.REVERTED
        return TxStage.LOST

    async def _signed_again(
        self, known: _State, tx: CosmosTx, heads: Heads, *, dearer: bool
    ) -> Step:
        """Sign what is void again; `dearer` where its turn came and nobody included it."""
        name, fee = tx_hash(known.raw), tx.fee
        if dearer:
            fee = min(_whole(fee * _RAISE), int(tx.gas * self._config.max_gas_price))
        again = dataclasses.replace(
            tx,
            fee=max(fee, _whole(tx.gas * await self._price())),
            timeout_height=heads.latest.height + self._config.timeout_blocks,
        )
        raw = await again.sign(self._signer(), self._config.live_id, known.number)
        self._sent.pop(name, None)
        self._early.pop(tx.sequence, None)
        log.info("transaction timed out", chain=self._config.id, sequence=tx.sequence, tx=name)
        state = _encoder.encode(_State(raw, known.number, heads.latest.height))
        return Step(TxStage.BROADCAST, state, tx_hash(raw), (raw,))

    def _again(self, raw: bytes, name: str) -> tuple[bytes, ...]:
        """Return what is to be sent of one that waits for others: now and then."""
        sent = self._sent.get(name)
        if sent is not None and self._heads().latest.height < sent + _RESEND:
            return ()
        return (raw,)

    # The account

    async def _by_now(self) -> tuple[Heads, int]:
        """Return the heads and the account's sequence there, read once a head for all who ask."""
        async with self._counting:
            heads = self._heads()
            if self._counted[0] != heads:
                self._counted = heads, await self._sequence_at(heads.final)
                used = self._counted[1]
                self._early = {at: raw for at, raw in self._early.items() if at >= used}
            return heads, self._counted[1]

    async def _sequence_at(self, final: Block) -> int:
        standing = await self._standing(final)
        return standing.sequence if standing else 0

    async def _standing(self, final: Block) -> Standing | None:
        address = self._from()
        return await self._quorum.agree(
            lambda rpc: read_standing(rpc, address, final.height), "the account", fixed=True
        )

    def _heads(self) -> Heads:
        if self._tracker.heads is None:
            raise Retry(f"{self._quorum.name} has not answered yet")
        return self._tracker.heads

    def _shortage(self) -> Retry:
        """Say which account needs money; people are slower than nodes."""
        return Retry(f"the account {self.address} on {self._config.id} cannot pay", 30)

    def _signer(self) -> Wallet:
        if self._wallet is None:
            raise Refuse(f"{self._config.id} has no key in the configuration: nothing is sent")
        return self._wallet

    def _from(self) -> str:
        self._signer()
        return self.address


def _whole(amount: Decimal) -> int:
    """Round up to a whole coin of the smallest unit."""
    return int(amount.to_integral_value(ROUND_UP))


def _lane(standing: Standing) -> bytes:
    return standing.number.to_bytes(8, "big") + standing.sequence.to_bytes(8, "big")


def _opened(lane: bytes) -> Standing:
    if len(lane) != _LANE_SIZE:
        raise ValueError(f"a lane is {_LANE_SIZE} bytes, not {len(lane)}")
    return Standing(int.from_bytes(lane[:8], "big"), int.from_bytes(lane[8:], "big"))
