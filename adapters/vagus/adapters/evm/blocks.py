"""Blocks, receipts and logs as a node answers them, checked field by field."""

from collections.abc import Collection, Sequence
from typing import Annotated

import msgspec

from vagus.adapters.base import Block, ChainEvent
from vagus.adapters.errors import BadAnswer, TooLong
from vagus.adapters.evm.codec import data_bytes, hash_bytes, quantity
from vagus.adapters.evm.rpc import Rpc

__all__ = ["Header", "Inclusion", "read_header", "read_inclusion", "read_logs", "read_logs_of"]

# Heights, times and indexes: no chain comes near, and whoever counts on with them never overflows.
_BITS = 60


class Header(msgspec.Struct, frozen=True):
    """A block and what a gas price needs of it: `base_fee` in wei."""

    block: Block
    base_fee: int


class Inclusion(msgspec.Struct, frozen=True):
    """Where a transaction was included, and whether it succeeded."""

    height: int
    block_hash: bytes
    success: bool


# Lengths are held while decoding: a list of words far too short takes fourteen times the memory
# that it has as JSON.
_Hash = Annotated[str, msgspec.Meta(min_length=66, max_length=66)]
_Address = Annotated[str, msgspec.Meta(min_length=42, max_length=42)]


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


class _Log(msgspec.Struct, rename="camel"):
    address: _Address
    topics: Annotated[list[_Hash], msgspec.Meta(max_length=4)]
    data: str
    block_number: str
    block_hash: _Hash
    transaction_hash: _Hash
    log_index: str
    removed: bool = False


class _Logs(_Receipt):
    logs: list[_Log]


class _Place(msgspec.Struct, rename="camel"):
    hash: str
    block_number: str | None
    block_hash: str | None


_headers: msgspec.json.Decoder[_Header | None] = msgspec.json.Decoder(_Header | None)
_receipts: msgspec.json.Decoder[_Receipt | None] = msgspec.json.Decoder(_Receipt | None)
_receipt_logs: msgspec.json.Decoder[_Logs | None] = msgspec.json.Decoder(_Logs | None)
_places: msgspec.json.Decoder[_Place | None] = msgspec.json.Decoder(_Place | None)
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
    """Read where a transaction was included; None if it is not, as far as the node knows.

    Its logs are left alone: a callback writes what it likes into them, and as much as it has gas
    for, 360 bytes of JSON for 380 gas. Where that is too long to be read the transaction itself says
    where it is, and the logs that it succeeded: a failed one has none.
    """
    try:
        found = await rpc.call("eth_getTransactionReceipt", [_hex(tx)], _receipts)
    except TooLong:
        return await _read_place(rpc, tx)
    return None if found is None else _inclusion(rpc, found, tx)


async def _read_place(rpc: Rpc, tx: bytes) -> Inclusion | None:
    found = await rpc.call("eth_getTransactionByHash", [_hex(tx)], _places)
    if found is None or found.block_number is None or found.block_hash is None:
        return None
    place = _Receipt(found.hash, found.block_number, found.block_hash, "0x1")
    return _inclusion(rpc, place, tx)


async def read_logs_of(rpc: Rpc, tx: bytes, address: str) -> list[ChainEvent]:
    """Read what a transaction made a contract log: nothing if it failed or is not included."""
    found = await rpc.call("eth_getTransactionReceipt", [_hex(tx)], _receipt_logs)
    if found is None or not _inclusion(rpc, found, tx).success:
        return []
    try:
        return [_event(log) for log in found.logs if log.address.lower() == address]
    except ValueError as error:
        raise BadAnswer(f"{rpc.name}: receipt of {_hex(tx)}: {error}") from None


def _inclusion(rpc: Rpc, found: _Receipt, tx: bytes) -> Inclusion:
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
        )
    except ValueError as error:
        raise BadAnswer(f"{rpc.name}: receipt of {_hex(tx)}: {error}") from None


async def read_logs(
    rpc: Rpc, address: str, topics: Sequence[Collection[bytes]], first: int, last: int
) -> list[ChainEvent]:
    """Read a contract's events in the heights first..last, in chain order.

    `topics` has by position those of which an event has one; an empty collection takes any.
    """
    wanted = {
        "address": address,
        "topics": [[_hex(topic) for topic in each] or None for each in topics],
        "fromBlock": hex(first),
        "toBlock": hex(last),
    }
    found = await rpc.call("eth_getLogs", [wanted], _logs)
    try:
        events = [_event(log) for log in found]
        _check(events, address, topics, first, last)
    except ValueError as error:
        raise BadAnswer(f"{rpc.name}: logs of {address} in {first}..{last}: {error}") from None
    return events


def _event(log: _Log) -> ChainEvent:
    if log.removed:
        raise ValueError("a log that a reorg removed")
    if not log.topics:
        raise ValueError("a log without topics")
    return ChainEvent(
        address=log.address.lower(),
        topics=tuple(hash_bytes(topic) for topic in log.topics),
        data=data_bytes(log.data),
        height=quantity(log.block_number, _BITS),
        block_hash=hash_bytes(log.block_hash),
        tx_id="0x" + hash_bytes(log.transaction_hash).hex(),
        index=quantity(log.log_index, _BITS),
    )


def _check(
    events: list[ChainEvent],
    address: str,
    topics: Sequence[Collection[bytes]],
    first: int,
    last: int,
) -> None:
    """Whether these are answers to what was asked, of one history and each once."""
    hashes: dict[int, bytes] = {}
    events.sort(key=lambda event: (event.height, event.index))
    before: tuple[int, int] | None = None
    for event in events:
        if event.address != address or not _has(event, topics):
            raise ValueError("an event that was not asked for")
        if not first <= event.height <= last:
            raise ValueError(f"an event at {event.height}")
        if hashes.setdefault(event.height, event.block_hash) != event.block_hash:
            raise ValueError(f"two blocks at {event.height}")
        if before == (event.height, event.index):
            raise ValueError("one event twice")
        before = event.height, event.index


def _has(event: ChainEvent, topics: Sequence[Collection[bytes]]) -> bool:
    if len(event.topics) < len(topics):
        return False
    return all(
        not taken or topic in taken for topic, taken in zip(event.topics, topics, strict=False)
    )


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
