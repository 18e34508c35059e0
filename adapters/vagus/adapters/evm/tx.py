"""EIP-1559 transactions (type 2): RLP and signing by hand, since every delivery passes here.

Sources: EIP-1559, EIP-2718, RLP in the yellow paper's appendix B. The access list is always empty.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from vagus.protocol import keccak256

if TYPE_CHECKING:
    from vagus.adapters.signers.base import Signer

__all__ = ["EvmTx", "tx_hash"]

_TYPE = b"\x02"
_EMPTY_LIST = b"\xc0"
_SHORT = tuple(bytes((0x80 + size,)) for size in range(56))
_FIELDS = 12


def tx_hash(raw: bytes) -> bytes:
    """Return the 32-byte hash that names a signed transaction."""
    return keccak256(raw)


@dataclass(frozen=True, slots=True)
class EvmTx:
    """A transaction of type 2. Fees in wei per gas; `to` is 20 bytes, or none to create."""

    chain_id: int
    nonce: int
    tip: int
    max_fee: int
    gas: int
    to: bytes
    value: int
    data: bytes

    async def sign(self, signer: Signer) -> bytes:
        """Return the signed transaction as it is broadcast; with a key here, equal inputs give equal bytes."""
        body = b"".join(
            (
                _int(self.chain_id),
                _int(self.nonce),
                _int(self.tip),
                _int(self.max_fee),
                _int(self.gas),
                _bytes(self.to),
                _int(self.value),
                _bytes(self.data),
                _EMPTY_LIST,
            )
        )
        signature = await signer.sign_digest(keccak256(_TYPE + _list(body)))
        r = int.from_bytes(signature[:32], "big")
        s = int.from_bytes(signature[32:64], "big")
        return _TYPE + _list(body + _int(signature[64] - 27) + _int(r) + _int(s))

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """Read back what `sign` returned. ValueError for anything else; no signature is checked."""
        if raw[:1] != _TYPE:
            raise ValueError("not a transaction of type 2")
        start, end = _span(raw, 1, 0xC0)
        if end != len(raw):
            raise ValueError("bytes behind the transaction")
        items: list[bytes] = []
        while start < end:
            if len(items) == 8 and raw[start : start + 1] == _EMPTY_LIST:
                items.append(b"")
                start += 1
                continue
            first, last = _span(raw, start, 0x80)
            items.append(raw[first:last])
            start = last
        if start != end or len(items) != _FIELDS:
            raise ValueError(f"a signed transaction has {_FIELDS} fields")
        chain_id, nonce, tip, max_fee, gas, value = (
            int.from_bytes(items[index], "big") for index in (0, 1, 2, 3, 4, 6)
        )
        return cls(chain_id, nonce, tip, max_fee, gas, items[5], value, items[7])


def _int(number: int) -> bytes:
    if number < 0x80:
        if number < 0:
            raise ValueError("RLP has no negative numbers")
        return bytes((number,)) if number else b"\x80"
    data = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return _SHORT[len(data)] + data


def _bytes(data: bytes) -> bytes:
    if len(data) == 1 and data[0] < 0x80:
        return data
    return _head(len(data), 0x80) + data


def _list(body: bytes) -> bytes:
    return _head(len(body), 0xC0) + body


def _head(size: int, base: int) -> bytes:
    if size < 56:
        return bytes((base + size,))
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((base + 55 + len(length),)) + length


def _span(raw: bytes, at: int, base: int) -> tuple[int, int]:
    """Where the content of the string (0x80) or list (0xC0) at `at` begins and ends."""
    head = raw[at] if at < len(raw) else -1
    if base == 0x80 and 0 <= head < 0x80:
        return at, at + 1
    if not base <= head < base + 0x40:
        raise ValueError(f"no RLP item of this kind at {at}")
    start, size = at + 1, head - base
    if size >= 56:
        start += size - 55
        size = int.from_bytes(raw[at + 1 : start], "big")
    if start + size > len(raw):
        raise ValueError(f"RLP item at {at} reaches past the end")
    return start, start + size
