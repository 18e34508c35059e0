"""The parameters of a JSON-RPC call, each checked where it is taken."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from solders.hash import Hash
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from vagus.adapters.solana.litesvm.encoding import RpcError
from vagus.adapters.solana.litesvm.ledger import Ledger, Slot
from vagus.protocol import base58

__all__ = ["Params", "to_key", "with_context"]

_MAX_TX = 1_232
_COMMITMENTS = ("processed", "confirmed", "finalized")


class Params:
    """Positional parameters; the last one may be a table of options."""

    def __init__(self, given: Any) -> None:
        if not isinstance(given, list):
            raise RpcError(-32602, "Invalid params: expected a list")
        self.given = given
        self.options: dict[str, Any] = given[-1] if given and isinstance(given[-1], dict) else {}

    def at(self, place: int) -> Any:
        """Return a positional parameter."""
        if place >= len(self.given):
            raise RpcError(-32602, f"`params` should have at least {place + 1} argument(s)")
        return self.given[place]

    def key(self, place: int) -> Pubkey:
        """Return an address."""
        return to_key(self.at(place))

    def keys(self, place: int, most: int) -> list[Pubkey]:
        """Return a list of addresses."""
        found = self.at(place)
        if not isinstance(found, list):
            raise RpcError(-32602, "Invalid params: expected a list of addresses")
        if len(found) > most:
            raise RpcError(-32602, f"Too many inputs provided; max {most}")
        return [to_key(each) for each in found]

    def signature(self, text: Any) -> Signature:
        """Read a signature."""
        try:
            return Signature.from_string(str(text))
        except ValueError as error:
            raise RpcError(-32602, f"Invalid param: {error}") from None

    def hash(self, place: int) -> Hash:
        """Return a blockhash."""
        try:
            return Hash.from_string(str(self.at(place)))
        except ValueError as error:
            raise RpcError(-32602, f"Invalid param: {error}") from None

    def number(self, place: int, most: int = 1 << 63) -> int:
        """Return a number."""
        found = self.at(place)
        if not isinstance(found, int) or isinstance(found, bool) or not 0 <= found <= most:
            raise RpcError(-32602, f"Invalid params: expected a number up to {most}")
        return found

    def option(self, name: str, kind: type, default: Any = None) -> Any:
        """Return an option of this type."""
        found = self.options.get(name)
        if found is None:
            return default
        if not isinstance(found, kind) or (kind is int and isinstance(found, bool)):
            raise RpcError(-32602, f"Invalid params: {name}")
        return found

    def commitment(self, default: str = "finalized", name: str = "commitment") -> str:
        """Return the commitment that is asked for."""
        found = self.option(name, str, default)
        if found not in _COMMITMENTS:
            raise RpcError(-32602, f"Invalid params: unknown variant `{found}`")
        return str(found)

    def slot(self, ledger: Ledger, default: str = "finalized") -> Slot:
        """Return the newest slot of the commitment; an error below `minContextSlot`."""
        commitment = self.commitment(default)
        slot = ledger.at(commitment)
        reached = ledger.open if commitment == "processed" else slot.number
        least = self.option("minContextSlot", int, 0)
        if reached < least:
            data = {"contextSlot": reached}
            raise RpcError(-32016, "Minimum context slot has not been reached", data)
        return slot

    def transaction(self, place: int = 0) -> VersionedTransaction:
        """Return a transaction of at most 1,232 bytes, in the encoding that the options name."""
        text, encoding = str(self.at(place)), self.option("encoding", str, "base58")
        try:
            if encoding == "base64":
                raw = base64.b64decode(text, validate=True)
            elif encoding == "base58":
                raw = base58.decode(text) if len(text) <= 1_683 else bytes(_MAX_TX + 1)
            else:
                raise RpcError(
                    -32602, f"unsupported encoding: {encoding}. Supported: base58, base64"
                )
        except (ValueError, binascii.Error) as error:
            raise RpcError(-32602, f"invalid {encoding} encoding: {error}") from None
        if len(raw) > _MAX_TX:
            raise RpcError(
                -32602,
                f"decoded solana_transaction::versioned::VersionedTransaction too large: {len(raw)} "
                f"bytes (max: {_MAX_TX} bytes)",
            )
        try:
            tx = VersionedTransaction.from_bytes(raw)
            tx.sanitize()
        except Exception as error:  # noqa: BLE001 - solders raises classes of its own
            raise RpcError(
                -32602,
                "failed to deserialize solana_transaction::versioned::VersionedTransaction: "
                f"{error}",
            ) from None
        if bytes(tx) != raw:
            raise RpcError(-32602, "failed to deserialize: bytes behind the transaction")
        return tx


def to_key(text: object) -> Pubkey:
    """Read an address."""
    try:
        return Pubkey.from_string(str(text))
    except ValueError as error:
        raise RpcError(-32602, f"Invalid param: {error}") from None


def with_context(ledger: Ledger, commitment: str, value: Any) -> dict[str, Any]:
    """Return an answer's value with the slot that it is of."""
    slot = ledger.open if commitment == "processed" else ledger.at(commitment).number
    return {"context": {"apiVersion": "3.0.0", "slot": slot}, "value": value}
