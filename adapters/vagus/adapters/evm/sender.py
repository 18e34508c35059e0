"""Sending on an EVM chain: one lane of nonces, and the state machine of a transaction.

A transaction's state is the newest signed bytes and every attempt's hash and height: nothing is
taken from memory, so a node that starts again goes on where the journal stands. All attempts have
one nonce, so at most one of them is ever included.

What ends a transaction is read from a quorum of endpoints; signed bytes are handed to all of them.
"""

import asyncio
import dataclasses
import statistics
from typing import NamedTuple

import msgspec
import structlog

from vagus.adapters.base import Block, Built, Call, Estimate, Heads, Step, TxStage
from vagus.adapters.errors import BadAnswer
from vagus.adapters.evm.blocks import Inclusion, read_header, read_inclusion
from vagus.adapters.evm.config import EvmConfig
from vagus.adapters.evm.errors import (
    NodeError,
    is_known_transaction,
    is_nonce_taken,
    is_out_of_funds,
    reason_in,
    refusal,
)
from vagus.adapters.evm.heads import HeadTracker
from vagus.adapters.evm.rpc import Rpc
from vagus.adapters.evm.tx import EvmTx, tx_hash
from vagus.adapters.evm.views import at_block
from vagus.adapters.evm.wallet import Wallet
from vagus.adapters.quorum import Quorum
from vagus.protocol import Refuse, Retry

__all__ = ["Sender"]

_MAX_ATTEMPTS = 32
_LANE_SIZE = 8
_NONCE_BITS = 60
# Blocks after which a transaction that waits for others is sent again.
_RESEND = 3
# How far behind the account's next nonce one is sent: nodes keep no endless queue, and a block takes fewer.
_AHEAD = 512
# Blocks for which nobody came by with the account's next nonce until it is used up: its owner may be
# between two tries, or be taken up late after a restart.
_HOLE = 64
# What a hub's reason says about now and not about the call.
_PASSING = frozenset({"paused"})

log = structlog.get_logger(__name__)


class _Attempt(msgspec.Struct, frozen=True, array_like=True):
    hash: bytes
    height: int


class _State(msgspec.Struct, frozen=True, array_like=True):
    raw: bytes
    attempts: list[_Attempt]


class _Simulation(NamedTuple):
    """How a simulation ended; `words` of a revert are the same from every client, unlike its message."""

    gas: int
    refused: Refuse | None
    words: str


_encoder = msgspec.msgpack.Encoder()
_states = msgspec.msgpack.Decoder(_State)


class Sender:
    """One account's transactions."""

    def __init__(
        self, quorum: Quorum[Rpc], tracker: HeadTracker, config: EvmConfig, wallet: Wallet | None
    ) -> None:
        self._quorum = quorum
        self._tracker = tracker
        self._config = config
        self._wallet = wallet
        self._tip = (-1, 0)
        # The account's transactions as of some heads: one read for all that wait behind others.
        self._counted: tuple[Heads | None, int] = (None, 0)
        self._counting = asyncio.Lock()
        # The account's next nonce, and the height at which its owner came by, or it became the next.
        self._next = (-1, 0)
        # By attempt that waits, the height at which this process sent it last.
        self._sent: dict[bytes, int] = {}

    async def balance(self) -> int:
        """Read what the account has, in wei."""
        params: list[object] = [self._from(), "latest"]
        return await self._quorum.floor(
            lambda rpc: rpc.quantity("eth_getBalance", params), "the account's balance"
        )

    async def estimate(self, call: Call) -> Estimate:
        """Simulate at the newest block; see `ChainAdapter.estimate`."""
        request = {
            "from": self._from(),
            "to": call.to,
            "value": hex(call.value),
            "data": "0x" + call.data.hex(),
        }

        async def simulate(rpc: Rpc) -> _Simulation:
            try:
                gas = await rpc.quantity("eth_estimateGas", [request, "latest"])
            except NodeError as error:
                refused = refusal(error)
                if refused is None:
                    raise self._shortage(error) from None
                return _Simulation(0, refused, reason_in(error) or "")
            most = self._config.max_gas
            if gas > most:
                return _Simulation(
                    0, Refuse(f"the call needs {gas} gas, over max_gas {most}"), "gas"
                )
            return _Simulation(gas, None, "")

        found = await self._quorum.alike(
            simulate, "a simulation", key=lambda end: (end.refused is None, end.words)
        )
        if (refused := found[0].refused) is not None:
            if refused.reason in _PASSING:
                raise Retry(f"the hub says: {refused.reason}", 30)
            raise refused
        gas = max(end.gas for end in found)
        max_fee, tip = await self._fees()
        # A later state may cost a little more than the simulated one.
        return Estimate(min(gas + gas // 5, self._config.max_gas), max_fee, tip)

    async def open_lane(self, lane: bytes | None) -> bytes:
        """Go on behind the journalled nonces, or behind those used at finality if that is more.

        Others' transactions that are not final count for nothing: they may never be included, and a
        nonce behind them would wait for ever. Where they are, ours is lost and built again. A new
        lane has nothing behind it yet, and starts at what the chain has now.
        """
        if lane is None:
            return _lane(await self._count_now())
        return _lane(max(await self._count_at(self._heads().final), _nonce(lane)))

    async def build(self, call: Call, estimate: Estimate, lane: bytes) -> Built:
        """Take the lane's nonce and sign; see `ChainAdapter.build`."""
        nonce = _nonce(lane)
        tx = EvmTx(
            chain_id=self._config.chain_id,
            nonce=nonce,
            tip=estimate.tip,
            max_fee=estimate.max_fee,
            gas=estimate.gas,
            to=bytes.fromhex(call.to.removeprefix("0x")),
            value=call.value,
            data=call.data,
        )
        raw = await self._signer().sign(tx)
        heads = self._tracker.heads
        attempt = _Attempt(tx_hash(raw), heads.latest.height if heads else 0)
        state = _encoder.encode(_State(raw, [attempt]))
        return Built(_lane(nonce + 1), state, _name(attempt.hash))

    async def broadcast(self, raw: bytes) -> None:
        """Send signed bytes to all endpoints; one that has them, or has used their nonce, is success."""
        await self._quorum.tell(lambda rpc: self._send(rpc, raw))
        self._sent[tx_hash(raw)] = self._heads().latest.height

    async def _send(self, rpc: Rpc, raw: bytes) -> None:
        try:
            found = await rpc.hash("eth_sendRawTransaction", ["0x" + raw.hex()])
        except NodeError as error:
            # Whether the nonce was used by this transaction, `advance` finds out.
            if is_known_transaction(error):
                return
            if is_nonce_taken(error):
                raise Retry(
                    f"{rpc.name}: {error.message}: another transaction of {self._from()} waits under "
                    "this nonce, so another sending from the account is under way: try again soon"
                ) from None
            raise self._shortage(error) from None
        if found != tx_hash(raw):
            raise BadAnswer(f"{rpc.name}: another transaction's hash came back")

    async def advance(self, state: bytes) -> Step:
        """Read what became of a transaction; see `ChainAdapter.advance`."""
        known = _states.decode(state)
        tx = EvmTx.decode(known.raw)
        newest = _name(known.attempts[-1].hash)
        if (count := await self._count_by_now()) < tx.nonce:
            # It waits for others, as all of a backlog do: it is in no block, whatever is asked.
            await self._fill(count)
            send = self._again(known) if tx.nonce < count + _AHEAD else ()
            return Step(TxStage.BROADCAST, state, newest, send)
        if count == tx.nonce:
            self._next = count, self._heads().latest.height
        for attempt in known.attempts:
            self._sent.pop(attempt.hash, None)
        # The heads before all reads: what is final in them was included before the receipts were asked for.
        heads = self._heads()
        for attempt in reversed(known.attempts):
            inclusion = await self._inclusion(attempt.hash)
            if inclusion is not None:
                stage = await self._stage(inclusion, heads.final)
                return Step(stage, state, _name(attempt.hash))
        used = await self._count_now()
        if used > tx.nonce:
            if await self._count_at(heads.final) > tx.nonce:
                return Step(TxStage.LOST, state, newest)
            return Step(TxStage.BROADCAST, state, newest)
        if used == tx.nonce and self._is_stuck(known, heads):
            dearer = await self._replacement(tx)
            if dearer is not None and len(known.attempts) < _MAX_ATTEMPTS:
                return await self._replace(known, dearer, heads)
        return Step(TxStage.BROADCAST, state, newest, (known.raw,))

    async def _count_by_now(self) -> int:
        """Return how many transactions the account has, read once a head for all who ask."""
        async with self._counting:
            heads = self._heads()
            if self._counted[0] != heads:
                self._counted = heads, await self._count_now()
            return self._counted[1]

    async def _fill(self, count: int) -> None:
        """Use up the next nonce where nobody comes by with a transaction of it.

        Its transaction was final in a block that is gone, or its intent has ended: nobody sends it
        again, and all behind it would wait for ever. A transfer of nothing lets them go on.
        """
        height = self._heads().latest.height
        if self._next[0] != count:
            self._next = count, height
        if height < self._next[1] + _HOLE:
            return
        self._next = count, height
        log.warning("nonce filled", chain=self._config.id, nonce=count, blocks=_HOLE)
        nothing = Call(self._from(), b"")
        built = await self.build(nothing, await self.estimate(nothing), _lane(count))
        raw = _states.decode(built.state).raw
        await self._quorum.tell(lambda rpc: self._send(rpc, raw))

    def _again(self, known: _State) -> tuple[bytes, ...]:
        """Return what is to be sent of one that waits: nodes drop those that wait, so now and then."""
        sent = self._sent.get(known.attempts[-1].hash)
        if sent is not None and self._heads().latest.height < sent + _RESEND:
            return ()
        return (known.raw,)

    async def _stage(self, inclusion: Inclusion, final: Block) -> TxStage:
        if inclusion.height > final.height:
            return TxStage.INCLUDED
        header = await self._quorum.agree(
            lambda rpc: read_header(rpc, inclusion.height), "a final block", fixed=True
        )
        if header.block.hash != inclusion.block_hash:
            raise BadAnswer(f"{self._quorum.name}: a receipt in no block of the chain")
        return TxStage.FINAL if inclusion.success else TxStage.REVERTED

    def _is_stuck(self, known: _State, heads: Heads) -> bool:
        return heads.latest.height - known.attempts[-1].height >= self._config.replace_after

    async def _replacement(self, tx: EvmTx) -> EvmTx | None:
        """The same transaction at fees that every node takes as a replacement; None over the cap."""
        try:
            max_fee, tip = await self._fees()
        except _FeesOverCap:
            return None
        # Nodes ask for 10 % more, some for 12.5 %, of both fees.
        tip = max(tip, tx.tip + tx.tip // 8 + 1)
        max_fee = max(max_fee, tx.max_fee + tx.max_fee // 8 + 1, tip)
        if max_fee > self._config.max_fee_per_gas or tip > self._config.max_priority_fee_per_gas:
            log.warning(
                "transaction at fee cap", chain=self._config.id, nonce=tx.nonce, max_fee=tx.max_fee
            )
            return None
        return dataclasses.replace(tx, max_fee=max_fee, tip=tip)

    async def _replace(self, known: _State, tx: EvmTx, heads: Heads) -> Step:
        raw = await self._signer().sign(tx)
        attempt = _Attempt(tx_hash(raw), heads.latest.height)
        state = _encoder.encode(_State(raw, [*known.attempts, attempt]))
        return Step(TxStage.BROADCAST, state, _name(attempt.hash), (raw,))

    async def _fees(self) -> tuple[int, int]:
        """The fees that the chain asks now: twice the base fee lasts for six full blocks."""
        height = self._heads().latest.height
        if self._tip[0] != height:
            tips = await self._quorum.reports(
                lambda rpc: rpc.quantity("eth_maxPriorityFeePerGas", []), "the tip"
            )
            tip = statistics.median_low(tips)
            self._tip = (height, min(tip, self._config.max_priority_fee_per_gas))
        base, tip, cap = self._tracker.base_fee, self._tip[1], self._config.max_fee_per_gas
        if base + tip > cap:
            raise _FeesOverCap(f"gas costs {base + tip} wei, over max_fee_per_gas {cap}", 10)
        return min(2 * base + tip, cap), tip

    def _shortage(self, error: NodeError) -> Retry:
        """Say which account needs money where that is the fault; people are slower than nodes."""
        if is_out_of_funds(error):
            return Retry(f"the account {self._from()} on {self._config.id} cannot pay", 30)
        return error

    async def _inclusion(self, tx: bytes) -> Inclusion | None:
        return await self._quorum.agree(lambda rpc: read_inclusion(rpc, tx), "a receipt")

    async def _count_now(self) -> int:
        """How many transactions the account has in the newest block."""
        return await self._quorum.floor(
            lambda rpc: self._count(rpc, "latest"), "the account's transactions"
        )

    async def _count_at(self, final: Block) -> int:
        """How many it had in a final block."""
        return await self._quorum.agree(
            lambda rpc: self._count(rpc, at_block(final)), "the account's transactions", fixed=True
        )

    async def _count(self, rpc: Rpc, block: object) -> int:
        return await rpc.quantity("eth_getTransactionCount", [self._from(), block], _NONCE_BITS)

    def _heads(self) -> Heads:
        if self._tracker.heads is None:
            raise Retry(f"{self._quorum.name} has not answered yet")
        return self._tracker.heads

    def _signer(self) -> Wallet:
        if self._wallet is None:
            raise Refuse(f"{self._config.id} has no key in the configuration: nothing is sent")
        return self._wallet

    def _from(self) -> str:
        return _name(self._signer().address)


class _FeesOverCap(Retry):
    """The chain asks more than the configuration allows."""


def _name(data: bytes) -> str:
    return "0x" + data.hex()


def _lane(nonce: int) -> bytes:
    return nonce.to_bytes(_LANE_SIZE, "big")


def _nonce(lane: bytes) -> int:
    if len(lane) != _LANE_SIZE:
        raise ValueError(f"a lane is {_LANE_SIZE} bytes, not {len(lane)}")
    return int.from_bytes(lane, "big")
