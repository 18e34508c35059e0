"""Protobuf's wire format, by hand, where no generated class exists or a canonical form is wanted.

Source: protobuf's encoding. `fields` raises ValueError for anything that is none.
"""

from collections.abc import Iterator

__all__ = ["fields", "fixed64", "message", "text", "varint"]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MOST = 10


def varint(number: int) -> bytes:
    """Encode an unsigned number in base 128, the lowest digit first."""
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    digits.append(number)
    return bytes(digits)


def message(field: int, body: bytes) -> bytes:
    """Encode a submessage, or bytes."""
    return varint(field << 3 | _BYTES) + varint(len(body)) + body


def text(field: int, value: str) -> bytes:
    """Encode a string; an empty one is left out, as proto3 does."""
    return message(field, value.encode()) if value else b""


def fixed64(field: int, value: int) -> bytes:
    """Encode an sfixed64; zero is left out."""
    return (
        varint(field << 3 | _FIXED64) + value.to_bytes(8, "little", signed=True) if value else b""
    )


def fields(body: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield each field's number with its value: an int, or bytes as they stand."""
    at = 0
    while at < len(body):
        key, at = _varint(body, at)
        kind = key & 7
        if kind == _VARINT:
            value, at = _varint(body, at)
            yield key >> 3, value
            continue
        if kind == _BYTES:
            size, at = _varint(body, at)
        elif kind in {_FIXED64, _FIXED32}:
            size = 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"no wire type of protobuf: {kind}")
        if at + size > len(body):
            raise ValueError("a field reaches past the end")
        yield key >> 3, body[at : at + size]
        at += size


def _varint(body: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place in range(_MOST):
        if at >= len(body):
            break
        byte = body[at]
        value |= (byte & 0x7F) << 7 * place
        at += 1
        if byte < 0x80:
            return value, at
    raise ValueError("a number does not end")
