"""What a Solana node's errors mean: JSON-RPC codes, and the errors of transactions.

A transaction's error is Solana's JSON: a name, or `{"InstructionError": [index, {"Custom": code}]}`.
"""

import re
from typing import Any

from vagus.adapters.base import AlreadyDone, Rejected
from vagus.adapters.errors import BadAnswer, printable
from vagus.adapters.evm.errors import NodeError
from vagus.adapters.solana.artifacts import reasons
from vagus.protocol import Refuse

__all__ = [
    "PREFLIGHT_FAILED",
    "cannot_pay",
    "failed",
    "failed_program",
    "failure",
    "is_known_transaction",
    "refusal",
]

PREFLIGHT_FAILED = -32_002
"""JSON-RPC's code for a transaction that a node simulated and did not take."""

# What the hub says when somebody was here before.
_DONE = frozenset(
    {"already delivered", "intent not open", "no failed callback", "not the next epoch"}
)
_BROKE = frozenset({"AccountNotFound", "InsufficientFundsForFee", "InsufficientFundsForRent"})
_POOR = 1
_SYSTEM = "1" * 32
_MAX_LOGS = 10_000
_NAME = re.compile("[A-Z][A-Za-z0-9]{1,63}")
_NONE = "a transaction's error that is none"


def is_known_transaction(error: NodeError) -> bool:
    """Whether a node refuses a transaction because it has included it already."""
    text = error.message.lower()
    return error.code == PREFLIGHT_FAILED and "already been processed" in text


def failed(err: Any) -> bool:
    """Whether a transaction failed, by its error; null is none. Raises `BadAnswer` as `failure` does."""
    return err is not None and failure(err) is not None


def failure(err: Any) -> tuple[str, int | None]:
    """Return a transaction's error in words, and the code where a program gave one.

    Raises `BadAnswer` for what is no error of a transaction.
    """
    name, detail = _variant(err)
    if name != "InstructionError":
        return name, None
    if not isinstance(detail, list) or len(detail) != 2:
        raise BadAnswer(_NONE)
    name, code = _variant(detail[1])
    if name != "Custom":
        return f"an instruction failed: {name}", None
    if not isinstance(code, int) or isinstance(code, bool):
        raise BadAnswer(_NONE)
    return f"error {code} of a program", code


def _variant(found: Any) -> tuple[str, Any]:
    """Return the name of one of Rust's variants, and what it holds."""
    name, detail = found, None
    if isinstance(found, dict) and len(found) == 1:
        ((name, detail),) = found.items()
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise BadAnswer(_NONE)
    return name, detail


def cannot_pay(err: Any, logs: list[str]) -> bool:
    """Whether the account that pays has too little."""
    words, code = failure(err)
    return words in _BROKE or (code == _POOR and failed_program(logs) in ("", _SYSTEM))


def failed_program(logs: list[str]) -> str:
    """Return the program that failed first, by the logs; empty where they don't say."""
    for line in logs[:_MAX_LOGS]:
        words = line.split(" ", 3)
        if len(words) > 2 and words[0] == "Program" and words[2] == "failed:":
            return words[1]
    return ""


def refusal(err: Any, logs: list[str], hub: str) -> Refuse:
    """Return what a failed simulation means for the call: the hub's words where it rejects."""
    words, code = failure(err)
    culprit = failed_program(logs)
    if code is None or culprit not in ("", hub):
        # A consumer's errors may have the hub's codes.
        named = culprit and culprit != hub
        return Rejected(printable(f"{words}: {culprit}") if named else words)
    reason = reasons().get(code)
    if reason is None:
        return Rejected(words)
    return AlreadyDone(reason) if reason in _DONE else Rejected(reason)
