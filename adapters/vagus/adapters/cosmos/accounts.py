"""The account that pays: its number, its sequence and its coins, as the chain's modules have them."""

import re
from decimal import Decimal

from google.protobuf.message import DecodeError
from msgspec import Struct

from vagus.adapters.cosmos.errors import QueryError, is_unknown_account
from vagus.adapters.cosmos.protos import (
    BaseAccount,
    ConfigRequest,
    ConfigResponse,
    QueryAccountRequest,
    QueryAccountResponse,
    QueryBalanceRequest,
    QueryBalanceResponse,
)
from vagus.adapters.cosmos.rpc import Rpc
from vagus.adapters.errors import BadAnswer

__all__ = ["Standing", "read_balance", "read_minimum_price", "read_standing"]

_AUTH = "/cosmos.auth.v1beta1.Query/Account"
_BANK = "/cosmos.bank.v1beta1.Query/Balance"
_NODE = "/cosmos.base.node.v1beta1.Service/Config"
_BASE = "/cosmos.auth.v1beta1.BaseAccount"
_BITS = 60
_PRICE = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,18})?)([a-zA-Z].{0,127})")


class Standing(Struct, frozen=True):
    """An account's number, given once for all, and the sequence of its next transaction."""

    number: int
    sequence: int


async def read_standing(rpc: Rpc, address: str, height: int = 0) -> Standing | None:
    """Read an account in the state after a block (0: the newest); None if nobody ever paid it."""
    try:
        found = await rpc.query(
            _AUTH, QueryAccountRequest(address=address), QueryAccountResponse, height
        )
    except QueryError as error:
        if is_unknown_account(error.log):
            return None
        raise
    if found.account.type_url != _BASE:
        raise BadAnswer(f"{rpc.name}: {address} is no plain account")
    try:
        account = BaseAccount.FromString(found.account.value)
    except DecodeError:
        raise BadAnswer(f"{rpc.name}: {address}: no account") from None
    if account.address != address or (account.account_number | account.sequence) >> _BITS:
        raise BadAnswer(f"{rpc.name}: {address}: another account")
    return Standing(account.account_number, account.sequence)


async def read_balance(rpc: Rpc, address: str, denom: str) -> int:
    """Read what an account has of a coin, in the newest state."""
    request = QueryBalanceRequest(address=address, denom=denom)
    coin = (await rpc.query(_BANK, request, QueryBalanceResponse)).balance
    if coin.denom != denom or not (coin.amount.isascii() and coin.amount.isdigit()):
        raise BadAnswer(f"{rpc.name}: the balance of {address} is no amount of {denom}")
    if len(coin.amount) > 78:  # 256 bits
        raise BadAnswer(f"{rpc.name}: the balance of {address} is too large")
    return int(coin.amount)


async def read_minimum_price(rpc: Rpc, denom: str) -> Decimal:
    """Read what a node asks for a unit of gas, in a coin; 0 where it does not say."""
    try:
        found = await rpc.query(_NODE, ConfigRequest(), ConfigResponse)
    except QueryError:  # older chains have no such service
        return Decimal(0)
    for price in found.minimum_gas_price.split(","):
        match = _PRICE.fullmatch(price)
        if match is not None and match[2] == denom:
            return Decimal(match[1])
    return Decimal(0)
