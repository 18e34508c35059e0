"""A delivery's arguments, read from the calldata of its own transaction at finality."""

from functools import partial
from typing import Annotated

import msgspec

from vagus.adapters.base import Block, ChainEvent, Delivery
from vagus.adapters.delivered import Delivered
from vagus.adapters.errors import BadAnswer
from vagus.adapters.evm import hub
from vagus.adapters.evm.blocks import read_header, read_logs, read_logs_of
from vagus.adapters.evm.codec import data_bytes, hash_bytes, quantity
from vagus.adapters.evm.config import EvmConfig
from vagus.adapters.evm.rpc import Rpc
from vagus.adapters.evm.views import HubViews
from vagus.adapters.quorum import Quorum
from vagus.protocol import Refuse

__all__ = ["DeliveryReader"]

_BITS = 60


class _Transaction(msgspec.Struct, rename="camel"):
    hash: Annotated[str, msgspec.Meta(min_length=66, max_length=66)]
    to: str | None
    input: str
    block_number: str | None


_transactions: msgspec.json.Decoder[_Transaction | None] = msgspec.json.Decoder(_Transaction | None)


class DeliveryReader:
    """Finds deliveries of one hub and reads their calldata, by a quorum of endpoints."""

    def __init__(self, quorum: Quorum[Rpc], views: HubViews, config: EvmConfig) -> None:
        self._quorum = quorum
        self._views = views
        self._address = config.account.address
        self._range = config.max_log_range

    async def read(self, intent_id: bytes, tx_id: str | None, final: Block) -> Delivered | None:
        """Read a delivery; see `ChainAdapter.delivered`."""
        record = await self._views.delivery(intent_id, final)
        if record is None:
            return None
        if tx_id is None:
            event = await self._search(intent_id, record, final)
        else:
            event = await self._in(intent_id, tx_id)
        if event.height > final.height:
            raise BadAnswer(f"{self._quorum.name}: the delivery is in a block that is not final")
        calldata = await self._quorum.agree(
            lambda rpc: self._calldata(rpc, event), "a delivery's transaction", fixed=True
        )
        if not hub.is_deliver(calldata):
            raise Refuse(
                f"transaction {event.tx_id} delivered by way of another contract: what was signed is "
                "not in its calldata"
            )
        try:
            intent, attestation, output, signatures = hub.decode_deliver(calldata)
        except ValueError as error:
            raise Refuse(f"the calldata of {event.tx_id} is not understood: {error}") from None
        if intent.id != intent_id:
            raise Refuse(f"the calldata of {event.tx_id} delivers another intent")
        return Delivered(event.tx_id, event.height, intent, attestation, output, signatures)

    async def _search(self, intent_id: bytes, record: Delivery, final: Block) -> ChainEvent:
        """Find the event by the time of its block: a few blocks may have the same."""
        low, high = 0, final.height
        while low < high:
            middle = (low + high) // 2
            header = await self._quorum.agree(
                partial(read_header, height=middle), "a final block", fixed=True
            )
            if header.block.time < record.time:
                low = middle + 1
            else:
                high = middle
        last = min(final.height, low + self._range - 1)
        topics = [(hub.DELIVERED_TOPIC,), (intent_id,)]
        found = await self._quorum.agree(
            lambda rpc: read_logs(rpc, self._address, topics, low, last), "a delivery", fixed=True
        )
        if len(found) != 1:
            raise BadAnswer(f"{self._quorum.name}: no delivery is logged at block {low}")
        return found[0]

    async def _in(self, intent_id: bytes, tx_id: str) -> ChainEvent:
        """Find the event in a transaction that is said to have it."""
        try:
            tx = hash_bytes(tx_id)
        except ValueError:
            raise Refuse(f"{tx_id!r} is no transaction's id: 0x and 64 hex digits") from None
        events = await self._quorum.agree(
            lambda rpc: read_logs_of(rpc, tx, self._address), "a receipt", fixed=True
        )
        for event in events:
            if event.topics[:2] == (hub.DELIVERED_TOPIC, intent_id):
                return event
        raise Refuse(f"transaction {tx_id} did not deliver this intent")

    async def _calldata(self, rpc: Rpc, event: ChainEvent) -> bytes:
        """Read what a transaction sent to the hub; empty where it called something else."""
        found = await rpc.call("eth_getTransactionByHash", [event.tx_id], _transactions)
        if found is None or found.block_number is None:
            raise BadAnswer(f"{rpc.name} does not have transaction {event.tx_id}")
        try:
            if found.hash.lower() != event.tx_id:
                raise ValueError("another transaction")
            if quantity(found.block_number, _BITS) != event.height:
                raise ValueError("another block")
            if found.to is None or found.to.lower() != self._address:
                return b""
            return data_bytes(found.input)
        except ValueError as error:
            raise BadAnswer(f"{rpc.name}: transaction {event.tx_id}: {error}") from None
