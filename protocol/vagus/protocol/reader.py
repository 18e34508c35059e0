"""Reading bytes from strangers, field by field: what is missing or left over is a ValueError."""

from __future__ import annotations

__all__ = ["Reader", "listed", "sized"]


class Reader:
    """A position in some bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes."""
        end = self._at + size
        if end > len(self._data):
            raise ValueError(f"{end - len(self._data)} bytes are missing at its end")
        taken = self._data[self._at : end]
        self._at = end
        return taken

    def uint(self, size: int) -> int:
        """Return the next `size` bytes as a big-endian number."""
        return int.from_bytes(self.take(size), "big")

    def sized(self) -> bytes:
        """Return the bytes behind their length in four."""
        return self.take(self.uint(4))

    def list(self, most: int) -> tuple[bytes, ...]:
        """Return the byte strings behind their number in one byte, of which there may be `most`."""
        count = self.uint(1)
        if count > most:
            raise ValueError(f"{count} of them, where {most} may be")
        return tuple(self.sized() for _ in range(count))

    def rest(self) -> bytes:
        """Return all that is left."""
        return self.take(len(self._data) - self._at)

    def end(self) -> None:
        """Raise ValueError unless everything was read."""
        if self._at != len(self._data):
            raise ValueError(f"{len(self._data) - self._at} bytes too many")


def sized(data: bytes) -> bytes:
    """Return bytes behind their length, as `Reader.sized` reads them."""
    return len(data).to_bytes(4, "big") + data


def listed(parts: tuple[bytes, ...]) -> bytes:
    """Return byte strings behind their number, as `Reader.list` reads them."""
    return bytes((len(parts),)) + b"".join(map(sized, parts))
