"""Blocks, their transactions and events as CometBFT answers them, checked field by field."""

import calendar
import hashlib
import re
import time
from base64 import b64decode, b64encode

import msgspec

from vagus.adapters.base import Block
from vagus.adapters.cosmos.rpc import Rpc, number
from vagus.adapters.errors import BadAnswer
from vagus.adapters.evm.errors import NodeError
from vagus.protocol import cosmos_chain

__all__ = [
    "Checked",
    "Event",
    "Header",
    "Inclusion",
    "broadcast",
    "read_committed",
    "read_events",
    "read_header",
    "read_inclusion",
    "read_outcomes",
    "read_transaction",
]

_MAX_CHAIN_ID = 50  # CometBFT's own bound
_HASH = re.compile(r"[0-9A-F]{64}")
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d{1,9})?Z")


class Header(msgspec.Struct, frozen=True):
    """A block, and its chain's own id."""

    block: Block
    chain_id: str

    @property
    def chain(self) -> str:
        """The chain's CAIP-2 id."""
        return cosmos_chain(self.chain_id)


class Checked(msgspec.Struct, frozen=True):
    """What a node's mempool says of a transaction: 0, or a code and why it does not take it."""

    code: int
    hash: str
    codespace: str = ""
    log: str = ""


class Event(msgspec.Struct, frozen=True):
    """An event of a block: its transaction (empty for the block's own), type and attributes.

    `index` is its place among all events of the block.
    """

    tx_id: str
    index: int
    type: str
    attributes: tuple[tuple[str, str], ...]

    def of(self, contract: str) -> bool:
        """Whether the chain says that this contract emitted it."""
        return [value for name, value in self.attributes if name == "_contract_address"] == [
            contract
        ]


class Inclusion(msgspec.Struct, frozen=True):
    """Where a transaction was included, whether it succeeded, its gas, and its events."""

    height: int
    success: bool
    gas_used: int
    events: tuple[Event, ...]


class _BlockId(msgspec.Struct):
    hash: str


class _Header(msgspec.Struct):
    chain_id: str
    height: str
    time: str


class _Meta(msgspec.Struct):
    block_id: _BlockId
    header: _Header


class _Metas(msgspec.Struct):
    block_metas: list[_Meta]


class _Info(msgspec.Struct):
    last_block_height: str


class _AbciInfo(msgspec.Struct):
    response: _Info


class _Data(msgspec.Struct):
    txs: list[str]


class _Body(msgspec.Struct):
    header: _Header
    data: _Data


class _Block(msgspec.Struct):
    block_id: _BlockId
    block: _Body


class _Attribute(msgspec.Struct):
    key: str
    value: str


class _Event(msgspec.Struct):
    type: str
    # A transaction has a dozen events, of which one is wanted: the others' are not looked at.
    attributes: msgspec.Raw


class _TxResult(msgspec.Struct):
    code: int
    gas_used: str
    events: list[_Event] | None


class _Results(msgspec.Struct):
    height: str
    txs_results: list[_TxResult] | None
    finalize_block_events: list[_Event] | None


class _Tx(msgspec.Struct):
    height: str
    tx_result: _TxResult
    tx: str


_infos = msgspec.json.Decoder(_AbciInfo)
_metas = msgspec.json.Decoder(_Metas)
_blocks = msgspec.json.Decoder(_Block)
_results = msgspec.json.Decoder(_Results)
_txs = msgspec.json.Decoder(_Tx)
_checks = msgspec.json.Decoder(Checked)
_attributes: msgspec.json.Decoder[list[_Attribute] | None] = msgspec.json.Decoder(
    list[_Attribute] | None
)


async def read_committed(rpc: Rpc) -> int:
    """Read the newest height whose state is committed: a block is stored a moment before that."""
    found = await rpc.call("abci_info", {}, _infos)
    try:
        return number(found.response.last_block_height)
    except ValueError as error:
        raise BadAnswer(f"{rpc.name}: abci_info: {error}") from None


async def read_header(rpc: Rpc, height: int) -> Header:
    """Read a block without what is in it; `BadAnswer` if the node has none."""
    bounds: dict[str, object] = {"minHeight": str(height), "maxHeight": str(height)}
    found = (await rpc.call("blockchain", bounds, _metas)).block_metas
    if len(found) != 1:
        raise BadAnswer(f"{rpc.name} has no block {height}")
    try:
        return _header(found[0].block_id, found[0].header, height)
    except ValueError as error:
        raise BadAnswer(f"{rpc.name}: block {height}: {error}") from None


async def read_outcomes(rpc: Rpc, height: int) -> dict[str, bool]:
    """Read a block's transactions: by its hash, whether each succeeded."""
    _, hashes, found = await _executed(rpc, height)
    results = found.txs_results or []
    return {tx_id: result.code == 0 for tx_id, result in zip(hashes, results, strict=True)}


async def read_events(rpc: Rpc, height: int, kind: str) -> tuple[Block, tuple[Event, ...]]:
    """Read a block and its events of one type, those of failed transactions left out."""
    block, hashes, found = await _executed(rpc, height)
    try:
        return block, _events(found, hashes, kind)
    except ValueError as error:
        raise BadAnswer(f"{rpc.name}: events of block {height}: {error}") from None


async def read_transaction(rpc: Rpc, height: int, tx_id: str) -> bytes:
    """Read a transaction's bytes from its block; `BadAnswer` where it is not in it."""
    block = await rpc.call("block", {"height": str(height)}, _blocks)
    try:
        for text in block.block.data.txs:
            if _name(raw := b64decode(text, validate=True)) == tx_id:
                return raw
    except ValueError as error:
        raise BadAnswer(f"{rpc.name}: block {height}: {error}") from None
    raise BadAnswer(f"{rpc.name}: block {height} has no transaction {tx_id}")


async def _executed(rpc: Rpc, height: int) -> tuple[Block, tuple[str, ...], "_Results"]:
    """Read a block, the hashes of its transactions and as many results."""
    asked: dict[str, object] = {"height": str(height)}
    block = await rpc.call("block", asked, _blocks)
    found = await rpc.call("block_results", asked, _results)
    try:
        hashes = tuple(_name(b64decode(tx, validate=True)) for tx in block.block.data.txs)
        if number(found.height) != height:
            raise ValueError("the results of another block")
        if len(found.txs_results or []) != len(hashes):
            raise ValueError("not one result for each transaction")
        return _header(block.block_id, block.block.header, height).block, hashes, found
    except ValueError as error:
        raise BadAnswer(f"{rpc.name}: block {height}: {error}") from None


async def read_inclusion(rpc: Rpc, tx_id: str) -> Inclusion | None:
    """Read where a transaction was included; None if it is not, as far as the node's index knows."""
    wanted: dict[str, object] = {"hash": b64encode(bytes.fromhex(tx_id)).decode()}
    try:
        found = await rpc.call("tx", wanted, _txs)
    except NodeError as error:
        # A node may have no index at all: what it lacks is looked for in the blocks.
        if "not found" in error.message or "indexing is disabled" in error.message:
            return None
        raise
    try:
        if _name(b64decode(found.tx, validate=True)) != tx_id:
            raise ValueError("another transaction's")
        return Inclusion(
            height=number(found.height),
            success=found.tx_result.code == 0,
            gas_used=number(found.tx_result.gas_used),
            events=tuple(_of_tx(found.tx_result, tx_id, None, 0)),
        )
    except ValueError as error:
        raise BadAnswer(f"{rpc.name}: transaction {tx_id}: {error}") from None


async def broadcast(rpc: Rpc, raw: bytes) -> Checked:
    """Hand a node signed bytes, and return what its mempool says; one that has them raises `NodeError`."""
    found = await rpc.call("broadcast_tx_sync", {"tx": b64encode(raw).decode()}, _checks)
    if found.hash != _name(raw):
        raise BadAnswer(f"{rpc.name}: another transaction's hash came back")
    return found


def _events(found: _Results, hashes: tuple[str, ...], kind: str) -> tuple[Event, ...]:
    events: list[Event] = []
    index = 0
    for tx_id, result in zip(hashes, found.txs_results or [], strict=True):
        events += _of_tx(result, tx_id, kind, index)
        index += len(result.events or [])
    # Contracts also run without a transaction, by governance or at a block's end.
    own = _TxResult(0, "0", found.finalize_block_events)
    return (*events, *_of_tx(own, "", kind, index))


def _of_tx(result: _TxResult, tx_id: str, kind: str | None, first: int) -> list[Event]:
    if result.code:
        return []
    return [
        Event(tx_id, index, event.type, _pairs(event.attributes))
        for index, event in enumerate(result.events or [], first)
        if kind in {None, event.type}
    ]


def _pairs(attributes: msgspec.Raw) -> tuple[tuple[str, str], ...]:
    return tuple((each.key, each.value) for each in _attributes.decode(attributes) or [])


def _header(block_id: _BlockId, header: _Header, height: int) -> Header:
    found = number(header.height)
    if found != height:
        raise ValueError(f"block {found} where {height} was asked for")
    if _HASH.fullmatch(block_id.hash) is None:
        raise ValueError("a hash is 64 hex digits in upper case")
    block = Block(found, bytes.fromhex(block_id.hash), _seconds(header.time))
    if not 0 < len(header.chain_id) <= _MAX_CHAIN_ID:
        raise ValueError("a chain id is 1 to 50 letters")
    return Header(block, header.chain_id)


def _seconds(text: str) -> int:
    """RFC 3339 in UTC, rounded down as the hub does."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError("a time is RFC 3339 in UTC")
    return calendar.timegm(time.strptime(match[1], "%Y-%m-%dT%H:%M:%S"))


def _name(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest().upper()
