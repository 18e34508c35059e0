"""The JSON of accounts, transactions and errors, as Solana's RPC writes it."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from solders.account import Account
from solders.message import MessageV0
from solders.transaction import VersionedTransaction

from vagus.adapters.solana.litesvm.bank import Outcome
from vagus.adapters.solana.litesvm.ledger import Included
from vagus.protocol import base58

__all__ = ["RpcError", "account_json", "error_text", "meta_json", "simulation_json", "tx_json"]

_MAX_BASE58 = 128
_TEXTS = {
    "AccountNotFound": "Attempt to debit an account but found no record of a prior credit.",
    "AlreadyProcessed": "This transaction has already been processed",
    "BlockhashNotFound": "Blockhash not found",
    "InsufficientFundsForFee": "Insufficient funds for fee",
    "ProgramAccountNotFound": "Attempt to load a program that does not exist",
}


@dataclass
class RpcError(Exception):
    """A JSON-RPC error."""

    code: int
    message: str
    data: Any = None

    def json(self) -> dict[str, Any]:
        """Return the error as an answer has it."""
        found: dict[str, Any] = {"code": self.code, "message": self.message}
        return found if self.data is None else found | {"data": self.data}


def account_json(
    account: Account | None, encoding: str, part: tuple[int, int] | None = None
) -> dict[str, Any] | None:
    """Return an account as `getAccountInfo` has it; `part` is offset and length of its data."""
    if account is None:
        return None
    data = account.data if part is None else account.data[part[0] : part[0] + part[1]]
    return {
        "lamports": account.lamports,
        "owner": str(account.owner),
        "data": _data(data, encoding),
        "executable": account.executable,
        "rentEpoch": account.rent_epoch,
        "space": len(account.data),
    }


def _data(data: bytes, encoding: str) -> Any:
    if encoding in ("base58", "binary"):
        if len(data) > _MAX_BASE58:
            raise RpcError(
                -32600,
                "Encoded binary (base 58) data should be less than 128 bytes, please use Base64 "
                "encoding.",
            )
        text = base58.encode(data)
        return text if encoding == "binary" else [text, "base58"]
    if encoding in ("base64", "jsonParsed"):
        return [base64.b64encode(data).decode(), "base64"]
    raise RpcError(-32602, f"this development node knows no encoding {encoding!r}")


def tx_json(included: Included, encoding: str) -> Any:
    """Return a transaction in base64, base58 or as JSON."""
    tx = included.tx
    raw = bytes(tx)
    if encoding == "base64":
        return [base64.b64encode(raw).decode(), "base64"]
    if encoding in ("base58", "binary"):
        text = base58.encode(raw)
        return text if encoding == "binary" else [text, "base58"]
    if encoding != "json":
        raise RpcError(-32602, f"this development node knows no encoding {encoding!r}")
    return {"signatures": [str(each) for each in tx.signatures], "message": _message(tx)}


def _message(tx: VersionedTransaction) -> dict[str, Any]:
    message = tx.message
    header = message.header
    found: dict[str, Any] = {
        "header": {
            "numRequiredSignatures": header.num_required_signatures,
            "numReadonlySignedAccounts": header.num_readonly_signed_accounts,
            "numReadonlyUnsignedAccounts": header.num_readonly_unsigned_accounts,
        },
        "accountKeys": [str(key) for key in message.account_keys],
        "recentBlockhash": str(message.recent_blockhash),
        "instructions": [_instruction(each, None) for each in message.instructions],
    }
    if isinstance(message, MessageV0):
        found["addressTableLookups"] = [
            {
                "accountKey": str(each.account_key),
                "writableIndexes": list(each.writable_indexes),
                "readonlyIndexes": list(each.readonly_indexes),
            }
            for each in message.address_table_lookups
        ]
    return found


def _instruction(instruction: Any, height: int | None) -> dict[str, Any]:
    return {
        "programIdIndex": instruction.program_id_index,
        "accounts": list(instruction.accounts),
        "data": base58.encode(bytes(instruction.data)),
        "stackHeight": height,
    }


def meta_json(outcome: Outcome) -> dict[str, Any]:
    """Return how a transaction ended, as `getTransaction` has it."""
    inner = [
        {
            "index": at,
            "instructions": [
                _instruction(each.instruction(), each.stack_height()) for each in calls
            ],
        }
        for at, calls in enumerate(outcome.inner)
        if calls
    ]
    writable, readonly = outcome.loaded
    found: dict[str, Any] = {
        "err": outcome.err,
        "status": {"Ok": None} if outcome.err is None else {"Err": outcome.err},
        "fee": outcome.fee,
        "preBalances": outcome.before,
        "postBalances": outcome.after,
        "innerInstructions": inner,
        "logMessages": outcome.logs,
        "preTokenBalances": [],
        "postTokenBalances": [],
        "rewards": [],
        "loadedAddresses": {
            "writable": [str(key) for key in writable],
            "readonly": [str(key) for key in readonly],
        },
        "computeUnitsConsumed": outcome.units,
    }
    if (data := _returned(outcome)) is not None:
        found["returnData"] = data
    return found


def simulation_json(
    outcome: Outcome | None,
    err: Any,
    accounts: list[Any] | None = None,
    replacement: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return a simulation's `value`; `outcome` is None where nothing was executed."""
    found: dict[str, Any] = {
        "err": err,
        "logs": outcome.logs if outcome else [],
        "accounts": accounts,
        "unitsConsumed": outcome.units if outcome else 0,
        "returnData": _returned(outcome) if outcome else None,
        "innerInstructions": None,
        "fee": outcome.fee if outcome else None,
    }
    return found if replacement is None else found | {"replacementBlockhash": replacement}


def _returned(outcome: Outcome) -> dict[str, Any] | None:
    if outcome.return_data is None:
        return None
    program, data = outcome.return_data
    return {"programId": str(program), "data": [base64.b64encode(data).decode(), "base64"]}


def error_text(err: Any) -> str:
    """Say a transaction's error in the words of Solana's own nodes."""
    if isinstance(err, dict) and "InstructionError" in err:
        at, what = err["InstructionError"]
        if isinstance(what, dict) and "Custom" in what:
            what = f"custom program error: {what['Custom']:#x}"
        return f"Error processing Instruction {at}: {what}"
    return _TEXTS.get(err, str(err)) if isinstance(err, str) else str(err)
