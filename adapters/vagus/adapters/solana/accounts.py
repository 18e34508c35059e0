"""Accounts as a node answers them, with the slot that they are of."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Sequence

import msgspec
from solders.pubkey import Pubkey

from vagus.adapters.errors import BadAnswer
from vagus.adapters.solana.blocks import key_bytes, number
from vagus.adapters.solana.rpc import Rpc
from vagus.protocol import base58

__all__ = ["Account", "Seen", "read_accounts", "search_accounts"]

MOST = 100
"""Accounts that one call may ask for."""

_LAMPORTS_BITS = 64


class Account(msgspec.Struct, frozen=True):
    """An account: owner of 32 bytes, lamports."""

    owner: bytes
    lamports: int
    data: bytes
    executable: bool


class Seen(msgspec.Struct, frozen=True):
    """Accounts in the order they were asked for, None where there is none, and their slot."""

    slot: int
    accounts: tuple[Account | None, ...]


class _Account(msgspec.Struct):
    lamports: int
    owner: str
    data: list[str]
    executable: bool


class _Context(msgspec.Struct):
    slot: int


class _Answer(msgspec.Struct):
    context: _Context
    value: list[_Account | None]


class _Keyed(msgspec.Struct):
    pubkey: str
    account: _Account


_answers = msgspec.json.Decoder(_Answer)
_keyed = msgspec.json.Decoder(list[_Keyed])


async def read_accounts(rpc: Rpc, keys: Sequence[Pubkey], commitment: str, least: int) -> Seen:
    """Read at most 100 accounts, all of one slot that is not below `least`."""
    wanted = {"commitment": commitment, "encoding": "base64", "minContextSlot": least}
    names = [str(key) for key in keys]
    found = await rpc.call("getMultipleAccounts", [names, wanted], _answers)
    try:
        slot = number(found.context.slot)
        if slot < least:
            raise ValueError(f"the state of slot {slot}, below {least}")
        if len(found.value) != len(keys):
            raise ValueError(f"{len(found.value)} accounts where {len(keys)} were asked for")
        return Seen(slot, tuple(None if each is None else _checked(each) for each in found.value))
    except ValueError as error:
        raise BadAnswer(f"{rpc.name}: getMultipleAccounts: {error}") from None


async def search_accounts(
    rpc: Rpc, program: Pubkey, parts: Sequence[tuple[int, bytes]], commitment: str, least: int
) -> list[tuple[bytes, Account]]:
    """Read a program's accounts that have these bytes at these offsets, in the order of their keys."""
    filters = [
        {"memcmp": {"offset": at, "bytes": base58.encode(wanted), "encoding": "base58"}}
        for at, wanted in parts
    ]
    options = {
        "commitment": commitment,
        "encoding": "base64",
        "minContextSlot": least,
        "filters": filters,
    }
    found = await rpc.call("getProgramAccounts", [str(program), options], _keyed)
    try:
        accounts = [(key_bytes(each.pubkey), _checked(each.account)) for each in found]
        accounts.sort(key=lambda each: each[0])
        for _, account in accounts:
            fits = all(account.data[at : at + len(part)] == part for at, part in parts)
            if account.owner != bytes(program) or not fits:
                raise ValueError("an account that was not asked for")
    except ValueError as error:
        raise BadAnswer(f"{rpc.name}: getProgramAccounts: {error}") from None
    return accounts


def _checked(found: _Account) -> Account:
    if len(found.data) != 2 or found.data[1] != "base64":
        raise ValueError("data that is not base64")
    if not 0 <= found.lamports < 1 << _LAMPORTS_BITS:
        raise ValueError("lamports that nobody has")
    data = b64decode(found.data[0], validate=True)
    return Account(key_bytes(found.owner), found.lamports, data, found.executable)
