"""Blocks and transactions as a node answers them, checked field by field."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from vagus.adapters.base import Block
from vagus.adapters.errors import BadAnswer
from vagus.adapters.solana.rpc import Rpc
from vagus.protocol import base58

__all__ = [
    "Executed",
    "Ran",
    "key_bytes",
    "number",
    "read_block",
    "read_executed",
    "read_slot",
    "signature_text",
]

# Slots, heights and times: no chain comes near, and whoever counts on with them never overflows.
_BITS = 60
# March 2020, when the first Solana chain began: no block is older.
_LAUNCH = 1_583_000_000
_MAX_DATA = 10_240


class Ran(msgspec.Struct, frozen=True):
    """One instruction that was executed, at whatever depth: program and accounts of 32 bytes."""

    program: bytes
    accounts: tuple[bytes, ...]
    data: bytes


class Executed(msgspec.Struct, frozen=True):
    """A transaction that was included, and all instructions that it executed, in their order."""

    slot: int
    success: bool
    ran: tuple[Ran, ...]
    logs: tuple[str, ...]


class _Block(msgspec.Struct, rename="camel"):
    blockhash: str
    block_time: int | None


class _Instruction(msgspec.Struct, rename="camel"):
    program_id_index: int
    accounts: list[int]
    data: str


class _Inner(msgspec.Struct):
    index: int
    instructions: list[_Instruction]


class _Loaded(msgspec.Struct):
    writable: list[str] = []
    readonly: list[str] = []


class _Meta(msgspec.Struct, rename="camel"):
    err: Any
    inner_instructions: list[_Inner] | None = None
    log_messages: list[str] | None = None
    loaded_addresses: _Loaded | None = None


class _Executed(msgspec.Struct):
    slot: int
    transaction: tuple[str, str]
    meta: _Meta


_slots = msgspec.json.Decoder(int)
_blocks: msgspec.json.Decoder[_Block | None] = msgspec.json.Decoder(_Block | None)
_executed: msgspec.json.Decoder[_Executed | None] = msgspec.json.Decoder(_Executed | None)


def number(found: int) -> int:
    """Check a slot, height or time."""
    if not 0 <= found < 1 << _BITS:
        raise ValueError("a number that no chain has")
    return found


def key_bytes(text: str) -> bytes:
    """Read an address or hash of 32 bytes in base58."""
    return bytes(Pubkey.from_string(text))


def signature_text(text: str) -> str:
    """Check a signature: 64 bytes in base58, which name a transaction."""
    Signature.from_string(text)
    return text


async def read_slot(rpc: Rpc, commitment: str) -> int:
    """Read the newest slot of a commitment."""
    try:
        return number(await rpc.call("getSlot", [{"commitment": commitment}], _slots))
    except ValueError as error:
        raise BadAnswer(f"{rpc.name}: getSlot: {error}") from None


async def read_block(rpc: Rpc, slot: int, commitment: str) -> Block:
    """Read a slot's block; `BadAnswer` if the node has none."""
    wanted = {
        "commitment": commitment,
        "transactionDetails": "none",
        "rewards": False,
        "maxSupportedTransactionVersion": 0,
    }
    found = await rpc.call("getBlock", [slot, wanted], _blocks)
    if found is None:
        raise BadAnswer(f"{rpc.name} has no block in slot {slot}")
    time = found.block_time
    if time is None or time < _LAUNCH:
        # Some nodes know a block's time by this call alone.
        time = await rpc.call("getBlockTime", [slot], _slots)
    try:
        return Block(slot, key_bytes(found.blockhash), number(time))
    except ValueError as error:
        raise BadAnswer(f"{rpc.name}: block of slot {slot}: {error}") from None


async def read_executed(rpc: Rpc, signature: str, commitment: str) -> Executed | None:
    """Read a transaction; None if it is not in a block of the commitment, as far as the node knows."""
    # In base58, of which JSON is full, an instruction of 500 bytes costs more than all else.
    wanted = {"commitment": commitment, "encoding": "base64", "maxSupportedTransactionVersion": 0}
    found = await rpc.call("getTransaction", [signature, wanted], _executed)
    if found is None:
        return None
    try:
        return _checked(found, signature)
    except ValueError as error:
        raise BadAnswer(f"{rpc.name}: transaction {signature}: {error}") from None


def _checked(found: _Executed, signature: str) -> Executed:
    text, encoding = found.transaction
    if encoding != "base64":
        raise ValueError("a transaction that is not in base64")
    tx, meta = VersionedTransaction.from_bytes(b64decode(text, validate=True)), found.meta
    if [str(each) for each in tx.signatures[:1]] != [signature]:
        raise ValueError("another transaction's")
    keys = [bytes(each) for each in tx.message.account_keys]
    if meta.loaded_addresses is not None:
        loaded = [*meta.loaded_addresses.writable, *meta.loaded_addresses.readonly]
        keys += [key_bytes(each) for each in loaded]
    inner: dict[int, list[_Instruction]] = {}
    for group in meta.inner_instructions or []:
        inner.setdefault(group.index, []).extend(group.instructions)
    ran = []
    for at, each in enumerate(tx.message.instructions):
        ran.append(_ran(each.program_id_index, each.accounts, bytes(each.data), keys))
        for one in inner.get(at, ()):
            if len(one.data) > 2 * _MAX_DATA:
                raise ValueError("an instruction that is too long")
            ran.append(_ran(one.program_id_index, one.accounts, base58.decode(one.data), keys))
    return Executed(
        number(found.slot), meta.err is None, tuple(ran), tuple(meta.log_messages or ())
    )


def _ran(program: int, accounts: Iterable[int], data: bytes, keys: Sequence[bytes]) -> Ran:
    indexes = [program, *accounts]
    if not all(0 <= each < len(keys) for each in indexes):
        raise ValueError("an account that is not there")
    program_key, *others = (keys[each] for each in indexes)
    return Ran(program_key, tuple(others), data)
