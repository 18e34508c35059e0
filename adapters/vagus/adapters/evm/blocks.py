"""Blocks, receipts and logs as a node answers them, checked field by field."""

import msgspec

from vagus.adapters.base import Block, ChainEvent
from vagus.adapters.errors import BadAnswer
from vagus.adapters.evm.codec import data_bytes, hash_bytes, quantity
from vagus.adapters.evm.rpc import Rpc

__all__ = ["Header", "Inclusion", "read_header", "read_inclusion", "read_logs"]

_MAX_TOPICS = 4
# Heights, times and indexes: no chain comes near, and whoever counts on with them never overflows.
_BITS = 60


class Header(msgspec.Struct, frozen=True):
    """A block and what a gas price needs of it: `base_fee` in wei."""

    block: Block
    base_fee: int


class Inclusion(msgspec.Struct, frozen=True):
    """Where a transaction was included, whether it succeeded, and what it logged."""

    height: int
    block_hash: bytes
    success: bool
    events: tuple[ChainEvent, ...]


class _Header(msgspec.Struct, rename="camel"):
    number: str
    hash: str
    timestamp: str
    base_fee_per_gas: str


class _Receipt(msgspec.Struct, rename="camel"):
    transaction_hash: str
    block_number: str
    block_hash: str
    status: str
    logs: list["_Log"]


class _Log(msgspec.Struct, rename="camel"):
    address: str
    topics: list[str]
    data: str
    block_number: str
    block_hash: str
    transaction_hash: str
    log_index: str
    removed: bool = False


_headers: msgspec.json.Decoder[_Header | None] = msgspec.json.Decoder(_Header | None)
_receipts: msgspec.json.Decoder[_Receipt | None] = msgspec.json.Decoder(_Receipt | None)
_logs = msgspec.json.Decoder(list[_Log])


async def read_header(rpc: Rpc, height: int | str) -> Header:
    """Read a block by its height or tag; `BadAnswer` if the node has none."""
    tag = height if isinstance(height, str) else hex(height)
    found = await rpc.call("eth_getBlockByNumber", [tag, False], _headers)
    if found is None:
        raise BadAnswer(f"{rpc.name} has no block {height}")
    try:
        block = Block(
            quantity(found.number, _BITS),
            hash_bytes(found.hash),
            quantity(found.timestamp, _BITS),
        )
        header = Header(block, quantity(found.base_fee_per_gas))
    except ValueError as error:
        raise BadAnswer(f"{rpc.name}: block {tag}: {error}") from None
    if isinstance(height, int) and block.height != height:
        raise BadAnswer(f"{rpc.name}: block {block.height} where {height} was asked for")
    return header


async def read_inclusion(rpc: Rpc, tx: bytes) -> Inclusion | None:
    """Read where a transaction was included; None if it is not, as far as the node knows."""
    name = "0x" + tx.hex()
    found = await rpc.call("eth_getTransactionReceipt", [name], _receipts)
    if found is None:
        return None
    try:
        if hash_bytes(found.transaction_hash) != tx:
            raise ValueError("another transaction's")
        status = quantity(found.status)
        if status > 1:
            raise ValueError(f"status {status}")
        return Inclusion(
            height=quantity(found.block_number, _BITS),
            block_hash=hash_bytes(found.block_hash),
            success=status == 1,
            events=tuple(_event(log) for log in found.logs),
        )
    except ValueError as error:
        raise BadAnswer(f"{rpc.name}: receipt of {name}: {error}") from None


async def read_logs(
    rpc: Rpc, address: str, topic: bytes, first: int, last: int
) -> list[ChainEvent]:
    """Read a contract's events of one kind in the heights first..last, in chain order."""
    wanted = {
        "address": address,
        "topics": ["0x" + topic.hex()],
        "fromBlock": hex(first),
        "toBlock": hex(last),
    }
    found = await rpc.call("eth_getLogs", [wanted], _logs)
    try:
        events = [_event(log) for log in found]
        _check(events, address, topic, first, last)
    except ValueError as error:
        raise BadAnswer(f"{rpc.name}: logs of {address} in {first}..{last}: {error}") from None
    return events


def _event(log: _Log) -> ChainEvent:
    if log.removed:
        raise ValueError("a log that a reorg removed")
    if not 1 <= len(log.topics) <= _MAX_TOPICS:
        raise ValueError("a log has 1 to 4 topics")
    return ChainEvent(
        address=log.address.lower(),
        topics=tuple(hash_bytes(topic) for topic in log.topics),
        data=data_bytes(log.data),
        height=quantity(log.block_number, _BITS),
        block_hash=hash_bytes(log.block_hash),
        tx_id="0x" + hash_bytes(log.transaction_hash).hex(),
        index=quantity(log.log_index, _BITS),
    )


def _check(events: list[ChainEvent], address: str, topic: bytes, first: int, last: int) -> None:
    """Whether these are answers to what was asked, of one history and each once."""
    hashes: dict[int, bytes] = {}
    events.sort(key=lambda event: (event.height, event.index))
    before: tuple[int, int] | None = None
    for event in events:
        if event.address != address or event.topics[0] != topic:
            raise ValueError("an event that was not asked for")
        if not first <= event.height <= last:
            raise ValueError(f"an event at {event.height}")
        if hashes.setdefault(event.height, event.block_hash) != event.block_hash:
            raise ValueError(f"two blocks at {event.height}")
        if before == (event.height, event.index):
            raise ValueError("one event twice")
        before = event.height, event.index
