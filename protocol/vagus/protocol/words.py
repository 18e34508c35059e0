"""The 32-byte word: all that a message is made of, and what a field must be to become one."""

WORD = 32
UINT64_MAX = 2**64 - 1
UINT256_MAX = 2**256 - 1


def require_bytes(name: str, value: object, size: int) -> None:
    """Raise ValueError, naming the field, unless `value` is bytes of exactly `size`."""
    if not isinstance(value, bytes):
        raise ValueError(f"{name} must be {size} bytes, not {type(value).__name__}")  # noqa: TRY004 - the interface promises ValueError
    if len(value) != size:
        raise ValueError(f"{name} must be {size} bytes, not {len(value)}")


def require_uint(name: str, value: object, maximum: int) -> None:
    """Raise ValueError, naming the field, unless `value` is an int in 0..`maximum`; no bool is."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{name} must be an int, not {type(value).__name__}")  # noqa: TRY004 - the interface promises ValueError
    if not 0 <= value <= maximum:
        raise ValueError(f"{name} is outside uint{maximum.bit_length()}")
