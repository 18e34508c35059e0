"""The calls that read what was included."""

from __future__ import annotations

from typing import Any

from solders.message import MessageV0

from vagus.adapters.solana.litesvm.encoding import RpcError, meta_json, tx_json
from vagus.adapters.solana.litesvm.ledger import Included, Ledger
from vagus.adapters.solana.litesvm.params import Params, with_context

__all__ = ["History", "version_of"]

_MAX_SIGNATURES = 1_000


class History:
    """Transactions; none is ever forgotten here."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def statuses(self, params: Params) -> dict[str, Any]:
        """getSignatureStatuses: nothing is ever forgotten here, whatever the history option says."""
        given = params.at(0)
        if not isinstance(given, list) or len(given) > 256:
            raise RpcError(-32602, "Too many inputs provided; max 256")
        found = [self._ledger.included.get(params.signature(each)) for each in given]
        value = [None if each is None else self._status(each) for each in found]
        return with_context(self._ledger, "processed", value)

    def _status(self, included: Included) -> dict[str, Any]:
        level = self._level(included.slot)
        deep = self._ledger.newest.number - included.slot
        err = included.outcome.err
        return {
            "slot": included.slot,
            "confirmations": None if level == "finalized" else deep,
            "err": err,
            "status": {"Ok": None} if err is None else {"Err": err},
            "confirmationStatus": level,
        }

    def signatures(self, params: Params) -> list[dict[str, Any]]:
        """getSignaturesForAddress: the newest first."""
        newest = self._settled(params)
        key, limit = params.key(0), params.option("limit", int, _MAX_SIGNATURES)
        if not 0 < limit <= _MAX_SIGNATURES:
            raise RpcError(-32602, f"Invalid limit; max {_MAX_SIGNATURES}")
        before, until = (params.option(name, str) for name in ("before", "until"))
        names = [str(each) for each in self._ledger.of(key)]
        if before is not None:
            params.signature(before)
            # One that is unknown has nothing before it.
            names = names[names.index(before) + 1 :] if before in names else []
        found: list[dict[str, Any]] = []
        for name in names:
            if len(found) == limit or name == until:
                break
            included = self._ledger.included[params.signature(name)]
            if included.slot > newest:
                continue
            found.append(
                {
                    "signature": name,
                    "slot": included.slot,
                    "err": included.outcome.err,
                    "memo": None,
                    "blockTime": self._ledger.slots[included.slot].time,
                    "confirmationStatus": self._level(included.slot),
                }
            )
        return found

    def transaction(self, params: Params) -> dict[str, Any] | None:
        """getTransaction: null while it is not in a block of the commitment."""
        newest = self._settled(params)
        included = self._ledger.included.get(params.signature(params.at(0)))
        if included is None or included.slot > newest:
            return None
        encoding = params.option("encoding", str, "json")
        return {
            "slot": included.slot,
            "blockTime": self._ledger.slots[included.slot].time,
            "transaction": tx_json(included, encoding),
            "meta": meta_json(included.outcome),
            "version": version_of(included, params),
        }

    def _settled(self, params: Params) -> int:
        """Return the newest slot of a commitment that histories have: processed is none."""
        if params.commitment() == "processed":
            raise RpcError(-32602, "Method does not support commitment below `confirmed`")
        return params.slot(self._ledger).number

    def _level(self, slot: int) -> str:
        return "finalized" if slot <= self._ledger.final.number else "confirmed"


def version_of(included: Included, params: Params) -> Any:
    """Return a transaction's version; an error for a client that knows no versions."""
    if not isinstance(included.tx.message, MessageV0):
        return "legacy"
    if params.option("maxSupportedTransactionVersion", int) is None:
        raise RpcError(
            -32015,
            "Transaction version (0) is not supported by the requesting client. Please try the "
            'request again with the following configuration parameter: "maxSupportedTransactionVersion": 0',
        )
    return 0
