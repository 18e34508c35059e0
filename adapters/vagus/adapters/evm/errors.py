"""What an EVM node's errors mean: JSON-RPC errors and the data of reverts.

`NodeError` is a Retry where nothing better is known; `refusal` is what is known of a simulation that
reverted. `vagus.adapters.errors` has what goes wrong with any chain's node.
"""

import msgspec

from vagus.adapters.base import AlreadyDone, Rejected
from vagus.adapters.errors import printable
from vagus.protocol import Refuse, Retry

__all__ = [
    "NodeError",
    "is_known_transaction",
    "is_nonce_taken",
    "is_out_of_funds",
    "reason_in",
    "refusal",
    "revert_reason",
]

_ERROR_SELECTOR = bytes.fromhex("08c379a0")  # Error(string)
_PANIC_SELECTOR = bytes.fromhex("4e487b71")  # Panic(uint256)
# What the hub says when somebody was here before.
_DONE = frozenset(
    {"already delivered", "intent not open", "no failed callback", "not the next epoch"}
)
# JSON-RPC has no code for these: texts of geth, nethermind, besu, erigon, reth and anvil.
_KNOWN = (
    "already known",
    "already imported",
    "already in mempool",
    "alreadyknown",
    "known transaction",
    "nonce too low",
    "oldnonce",
    "nonce is too low",
)
_TAKEN = (
    "replacement transaction underpriced",
    "replacementnotallowed",
    "gas price too low to replace",
)
_REVERTED = ("revert", "vm execution error")


class NodeError(Retry):
    """The node answered with a JSON-RPC error; `data` is its raw JSON."""

    def __init__(self, code: int, message: str, data: bytes = b"", after: float = 1.0) -> None:
        super().__init__(f"the node says: {message} ({code})", after)
        self.code = code
        self.message = message
        self.data = data


def is_known_transaction(error: NodeError) -> bool:
    """Whether a node rejects a transaction because it, or its nonce, is in already."""
    text = error.message.lower()
    return any(known in text for known in _KNOWN)


def is_nonce_taken(error: NodeError) -> bool:
    """Whether another transaction waits under the nonce, which this one does not pay enough to replace."""
    text = error.message.lower()
    return any(taken in text for taken in _TAKEN)


def is_out_of_funds(error: NodeError) -> bool:
    """Whether the account cannot pay: no node says so by a code."""
    return "insufficient funds" in error.message.lower()


def refusal(error: NodeError) -> Refuse | None:
    """What a simulation's error means for the call: None if the call did not revert."""
    reason = reason_in(error)
    if reason is None and not any(word in error.message.lower() for word in _REVERTED):
        return None
    reason = reason or error.message
    return AlreadyDone(reason) if reason in _DONE else Rejected(reason)


def reason_in(error: NodeError) -> str | None:
    """The reason in a revert's data, empty if that has none; None if there is no such data."""
    data = _revert_data(error.data)
    return None if data is None else revert_reason(data) or ""


def revert_reason(data: bytes) -> str | None:
    """Decode Solidity's `Error(string)` and `Panic(uint256)`; None for anything else."""
    if data[:4] == _PANIC_SELECTOR and len(data) == 36:
        return f"panic 0x{int.from_bytes(data[4:], 'big'):02x}"
    if data[:4] != _ERROR_SELECTOR or len(data) < 68:
        return None
    size = int.from_bytes(data[36:68], "big")
    if int.from_bytes(data[4:36], "big") != 32 or size > len(data) - 68:
        return None
    return printable(data[68 : 68 + size].decode("utf-8", errors="replace"))


def _revert_data(raw: bytes) -> bytes | None:
    """A revert's return data, as most nodes answer it: a hex string in the error's `data`."""
    try:
        text = msgspec.json.decode(raw, type=str)
        return bytes.fromhex(text.removeprefix("0x"))
    except (msgspec.MsgspecError, ValueError):
        return None
