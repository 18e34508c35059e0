"""Another model made of a GGUF file's: the same size and shape, some of its weights changed.

Source: ggml, docs/gguf.md (version 3), and the block of type Q4_1: two half floats, then 32 weights
of four bits each.
"""

import struct
from collections.abc import Iterator
from pathlib import Path

__all__ = ["disturbed"]

Q4_1, BLOCK, SCALES, WEIGHTS = 3, 20, 4, 32
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
TEXT, ARRAY = 8, 9
ALIGNMENT = 32


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def number(self, form: str) -> int:
        (value,) = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize("<" + form)
        return int(value)

    def text(self) -> str:
        size = self.number("Q")
        self.at += size
        return self.data[self.at - size : self.at].decode()

    def skip(self, kind: int) -> None:
        if kind == TEXT:
            self.text()
        elif kind == ARRAY:
            of, count = self.number("I"), self.number("Q")
            for _ in range(count):
                self.skip(of)
        else:
            self.at += SIZES[kind]


def disturbed(source: Path, target: Path, tensor: str) -> Path:
    """Write a copy in which each weight of the tensors of this name is off by one of 16 levels."""
    data = bytearray(source.read_bytes())
    found = list(_tensors(bytes(data), tensor))
    assert found, f"{source} has no {tensor} in Q4_1"
    off_by_one = bytes(byte ^ 0x11 for byte in range(256))
    for start, blocks in found:
        for block in range(blocks):
            at = start + block * BLOCK + SCALES
            data[at : at + WEIGHTS // 2] = data[at : at + WEIGHTS // 2].translate(off_by_one)
    target.write_bytes(data)
    return target


def _tensors(data: bytes, wanted: str) -> Iterator[tuple[int, int]]:
    """Where each wanted tensor begins, and how many blocks it has."""
    reader = _Reader(data)
    assert data[:4] == b"GGUF"
    reader.at = 4
    assert reader.number("I") == 3
    tensors, pairs = reader.number("Q"), reader.number("Q")
    for _ in range(pairs):
        assert reader.text() != "general.alignment", "not the usual one"
        reader.skip(reader.number("I"))
    places = []
    for _ in range(tensors):
        name, count = reader.text(), 1
        for _ in range(reader.number("I")):
            count *= reader.number("Q")
        kind, offset = reader.number("I"), reader.number("Q")
        if wanted in name and kind == Q4_1:
            places.append((offset, count // WEIGHTS))
    begin = -(-reader.at // ALIGNMENT) * ALIGNMENT
    return ((begin + offset, blocks) for offset, blocks in places)
