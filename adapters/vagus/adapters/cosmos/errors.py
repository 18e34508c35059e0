"""What a Cosmos node's errors mean: refused queries, simulations that fail, rejected transactions.

No protocol numbers what a contract says, so words are read where numbers end; each of them is
bounded, and what is not known is a `Retry`. `vagus.adapters.errors` has what goes wrong with any
chain's node.
"""

import re

import msgspec

from vagus.adapters.base import AlreadyDone, Rejected
from vagus.adapters.errors import printable
from vagus.protocol import Refuse, Retry

__all__ = [
    "QueryError",
    "error_text",
    "expected_prefix",
    "expected_sequence",
    "is_known_transaction",
    "is_out_of_funds",
    "is_unknown_account",
    "refusal",
]

# What the hub says when somebody was here before.
_DONE = frozenset(
    {"already delivered", "intent not open", "no failed callback", "not the next epoch"}
)
_MISMATCH = re.compile(r"account sequence mismatch, expected (\d{1,18}), got (\d{1,18})")
# A contract's own words, as wasmd wraps them.
_CONTRACT = re.compile(
    r"message index: 0: (.{1,200}?): (?:execute|instantiate) wasm contract failed", re.DOTALL
)
# Another module's; where in the node's source it comes from, and what it took, is no part of it.
_MESSAGE = re.compile(
    r"message index: 0: (.{1,600}?)(?: \[[^\]]*\])?(?: with gas used|$)", re.DOTALL
)
# Of an address in a query, as the SDK reads one.
_PREFIX = re.compile(r"invalid Bech32 prefix; expected ([a-z0-9]{1,83}), got")
_MAX_LOG = 4_096


class QueryError(Retry):
    """The chain refused a query; `log` is what it says, of at most 4,096 letters."""

    def __init__(self, name: str, codespace: str, code: int, log: str) -> None:
        super().__init__(f"{name}: the chain says: {printable(log)} ({codespace} {code})")
        self.log = log[:_MAX_LOG]


def error_text(data: bytes) -> str:
    """Read the text in the data of CometBFT's JSON-RPC errors; empty if there is none."""
    try:
        return msgspec.json.decode(data, type=str)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""


def expected_sequence(log: str) -> tuple[int, int] | None:
    """Return the sequence that the chain expects and the one that it got; None if that fits."""
    found = _MISMATCH.search(log)
    return (int(found[1]), int(found[2])) if found else None


def expected_prefix(log: str) -> str | None:
    """Return the bech32 prefix of a chain that was asked for an address with another; else None."""
    found = _PREFIX.search(log)
    return found[1] if found else None


def is_known_transaction(text: str) -> bool:
    """Whether a node has a transaction already."""
    return "already exists in cache" in text


def is_out_of_funds(log: str) -> bool:
    """Whether the account cannot pay."""
    return "insufficient funds" in log


def is_unknown_account(log: str) -> bool:
    """Whether an account was never paid anything, so that the chain does not know it."""
    return "unknown address" in log or ("account" in log and "not found" in log)


def refusal(log: str) -> Refuse | None:
    """What a failed simulation means for the call: None if it is not the call that failed."""
    if (found := _CONTRACT.search(log)) is not None:
        reason = printable(found[1])
        return AlreadyDone(reason) if reason in _DONE else Rejected(reason)
    if (found := _MESSAGE.search(log)) is not None:
        return Rejected(printable(found[1]))
    return None
