"""Borsh by an IDL's types: what a client that knows nothing but the IDL would write and read.

Arrays and `bytes` are Python bytes, public keys 32 of them, structs dicts and vectors lists.
"""

from typing import Any

__all__ = ["decode", "encode"]

_NUMBERS = {"u8": 1, "u32": 4, "u64": 8}


def encode(kind: Any, value: Any, types: dict[str, Any]) -> bytes:
    """A value's bytes."""
    match kind:
        case "u8" | "u32" | "u64":
            return int(value).to_bytes(_NUMBERS[kind], "little")
        case "bool":
            return bytes([bool(value)])
        case "pubkey":
            assert len(value) == 32
            return bytes(value)
        case "bytes":
            return len(value).to_bytes(4, "little") + bytes(value)
        case {"array": ["u8", size]}:
            assert len(value) == size
            return bytes(value)
        case {"vec": inner}:
            items = b"".join(encode(inner, item, types) for item in value)
            return len(value).to_bytes(4, "little") + items
        case {"defined": {"name": name}}:
            fields = types[name]
            return b"".join(encode(f["type"], value[f["name"]], types) for f in fields)
    raise AssertionError(kind)


def decode(kind: Any, data: bytes, at: int, types: dict[str, Any]) -> tuple[Any, int]:
    """The value that begins at an offset, and where the next one does."""
    match kind:
        case "u8" | "u32" | "u64":
            end = at + _NUMBERS[kind]
            return int.from_bytes(data[at:end], "little"), end
        case "bool":
            return data[at] == 1, at + 1
        case "pubkey":
            return data[at : at + 32], at + 32
        case "bytes":
            size, start = decode("u32", data, at, types)
            return data[start : start + size], start + size
        case {"array": ["u8", size]}:
            return data[at : at + size], at + size
        case {"array": [inner, count]}:
            return _several(inner, count, data, at, types)
        case {"vec": inner}:
            count, start = decode("u32", data, at, types)
            return _several(inner, count, data, start, types)
        case {"defined": {"name": name}}:
            found = {}
            for field in types[name]:
                found[field["name"]], at = decode(field["type"], data, at, types)
            return found, at
    raise AssertionError(kind)


def _several(
    kind: Any, count: int, data: bytes, at: int, types: dict[str, Any]
) -> tuple[list[Any], int]:
    items = []
    for _ in range(count):
        item, at = decode(kind, data, at, types)
        items.append(item)
    return items, at
