"""The calls that read accounts."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from vagus.adapters.solana.litesvm.encoding import RpcError, account_json
from vagus.adapters.solana.litesvm.ledger import Ledger
from vagus.adapters.solana.litesvm.params import Params, with_context
from vagus.protocol import base58

__all__ = ["Accounts"]


class Accounts:
    """Accounts as of a commitment's newest slot."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def account(self, params: Params) -> dict[str, Any]:
        """GetAccountInfo."""
        slot = params.slot(self._ledger)
        found = self._ledger.bank.at(params.key(0), slot.number)
        encoding, part = params.option("encoding", str, "binary"), _part(params)
        return with_context(self._ledger, params.commitment(), account_json(found, encoding, part))

    def accounts(self, params: Params) -> dict[str, Any]:
        """getMultipleAccounts, all of one slot."""
        slot, encoding, part = (
            params.slot(self._ledger),
            params.option("encoding", str, "base64"),
            _part(params),
        )
        bank = self._ledger.bank
        values = [
            account_json(bank.at(key, slot.number), encoding, part) for key in params.keys(0, 100)
        ]
        return with_context(self._ledger, params.commitment(), values)

    def program_accounts(self, params: Params) -> Any:
        """getProgramAccounts, with the filters dataSize and memcmp."""
        slot, encoding, part = (
            params.slot(self._ledger),
            params.option("encoding", str, "binary"),
            _part(params),
        )
        filters = [_filter(each) for each in params.option("filters", list, [])]
        found = [
            {"pubkey": str(key), "account": account_json(account, encoding, part)}
            for key, account in self._ledger.bank.owned(params.key(0), slot.number)
            if all(fits(account.data) for fits in filters)
        ]
        return (
            with_context(self._ledger, params.commitment(), found)
            if params.option("withContext", bool, False)
            else found
        )

    def balance(self, params: Params) -> dict[str, Any]:
        """GetBalance."""
        found = self._ledger.bank.at(params.key(0), params.slot(self._ledger).number)
        return with_context(self._ledger, params.commitment(), found.lamports if found else 0)


def _part(params: Params) -> tuple[int, int] | None:
    found = params.option("dataSlice", dict)
    if found is None:
        return None
    offset, length = found.get("offset"), found.get("length")
    if not isinstance(offset, int) or not isinstance(length, int) or min(offset, length) < 0:
        raise RpcError(-32602, "Invalid params: dataSlice")
    return offset, length


def _filter(given: Any) -> Callable[[bytes], bool]:
    if isinstance(given, dict) and isinstance(given.get("dataSize"), int):
        size = given["dataSize"]
        return lambda data: len(data) == size
    compared = given.get("memcmp") if isinstance(given, dict) else None
    if not isinstance(compared, dict) or not isinstance(compared.get("offset"), int):
        raise RpcError(-32602, "Invalid params: filters are dataSize and memcmp")
    offset, text = compared["offset"], compared.get("bytes")
    try:
        if isinstance(text, list):
            wanted = bytes(text)
        elif compared.get("encoding", "base58") == "base64":
            wanted = base64.b64decode(str(text), validate=True)
        else:
            wanted = base58.decode(str(text))
    except ValueError as error:
        raise RpcError(-32602, f"Invalid params: memcmp: {error}") from None
    return lambda data: data[offset : offset + len(wanted)] == wanted
