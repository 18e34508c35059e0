"""Several frames as one body: each as its length (u32, big-endian) and its bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vagus.daemon.committee.transport.base import MAX_FRAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vagus.compute.lossy import LossyQueue

__all__ = ["MAX_BATCH", "MAX_FRAMES", "batches", "pack", "take", "unpack"]

MAX_BATCH = 512 << 10
"""Bytes of a body."""

MAX_FRAMES = 256
"""Frames in a body."""

_HEAD = 4


def pack(frames: Iterable[bytes]) -> bytes:
    """Return frames as one body."""
    return b"".join(len(frame).to_bytes(_HEAD, "big") + frame for frame in frames)


def batches(frames: Iterable[bytes], size: int) -> Iterator[list[bytes]]:
    """Split frames into batches of at most so many bytes, in their order; one frame always fits."""
    batch: list[bytes] = []
    room = size
    for frame in frames:
        if batch and (_HEAD + len(frame) > room or len(batch) == MAX_FRAMES):
            yield batch
            batch, room = [], size
        batch.append(frame)
        room -= _HEAD + len(frame)
    if batch:
        yield batch


def unpack(body: bytes) -> list[bytes]:
    """Return the frames of a body; ValueError where it is not exactly some, or too many or long."""
    frames: list[bytes] = []
    at = 0
    while at < len(body):
        start = at + _HEAD
        length = int.from_bytes(body[at:start], "big")
        at = start + length
        if at > len(body) or length > MAX_FRAME or len(frames) == MAX_FRAMES:
            raise ValueError("the body is no batch of frames")
        frames.append(body[start:at])
    return frames


def take(queue: LossyQueue[bytes]) -> list[bytes]:
    """Return as many frames of what waits as one body has room for."""
    frames: list[bytes] = []
    size = 0
    while len(queue) and len(frames) < MAX_FRAMES and size + _HEAD + MAX_FRAME <= MAX_BATCH:
        frames.append(queue.pop())
        size += _HEAD + len(frames[-1])
    return frames
