"""A bad broker: what stands between one node and the real one, and what it does with each message.

What the node publishes goes through. Of what the broker hands on, each message may be dropped,
doubled, and kept for a while, whereby the order changes; those of senders on the other side of a
partition are dropped. The choices follow from a seed and the number of the message.
"""

import asyncio
import contextlib
import random
from collections import Counter
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

__all__ = ["CLEAR", "Relay", "Weather"]

_PUBLISH = 3
_SENDER = 3


@dataclass(frozen=True)
class Weather:
    """How likely a message is dropped, doubled and delayed, and by how many seconds at most."""

    drop: float = 0.0
    double: float = 0.0
    delay: float = 0.0
    late: float = 0.0


CLEAR = Weather()


class Relay:
    """Listens on a port of its own, as an async context manager. `done` counts what it has done."""

    def __init__(self, broker: str, seed: str) -> None:
        parts = urlsplit(broker)
        self._host, self._port = parts.hostname, parts.port
        self._dice = random.Random(seed)
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.weather = CLEAR
        self.unheard: frozenset[str] = frozenset()
        """Senders, by the hex of their addresses, from whom nothing comes through."""
        self.done = Counter[str]()
        self.port = 0

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._open:
            writer.transport.abort()
        await asyncio.gather(*self._tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._open.add(writer)
        try:
            # Either end may leave at any point: nodes are killed here.
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                far_reader, far = await asyncio.open_connection(self._host, self._port)
                self._open.add(far)
                try:
                    await asyncio.gather(_pipe(reader, far), self._bend(far_reader, writer, far))
                finally:
                    self._open.discard(far)
                    far.transport.abort()
        finally:
            self._open.discard(writer)
            writer.transport.abort()
            self._tasks.discard(task)

    async def _bend(
        self, reader: asyncio.StreamReader, near: asyncio.StreamWriter, far: asyncio.StreamWriter
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            head, body = await _packet(reader)
            calm = self.weather == CLEAR and not self.unheard
            if near.is_closing() or far.is_closing():
                return
            if head[0] >> 4 != _PUBLISH or calm:
                near.write(head + body)
                await near.drain()
                continue
            # It is taken here, and handed on without asking for an acknowledgement.
            head, body, acknowledgement = _taken(head, body)
            far.write(acknowledgement)
            for late in self._copies(body):
                loop.call_later(late, _write, near, head + body)

    def _copies(self, body: bytes) -> list[float]:
        """When the copies of a message are handed on, in seconds; none of one that is dropped."""
        length = int.from_bytes(body[:2], "big")
        sender = body[2 : 2 + length].decode().split("/")[_SENDER]
        weather, dice = self.weather, self._dice
        if sender in self.unheard:
            self.done["cut off"] += 1
            return []
        if dice.random() < weather.drop:
            self.done["dropped"] += 1
            return []
        twice = dice.random() < weather.double
        self.done["doubled"] += twice
        copies = []
        for _ in range(1 + twice):
            late = dice.random() < weather.delay
            self.done["delayed"] += late
            copies.append(dice.uniform(0, weather.late) if late else 0.0)
        return copies


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    writer.transport.abort()


def _write(writer: asyncio.StreamWriter, data: bytes) -> None:
    if not writer.is_closing():
        writer.write(data)


async def _packet(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """The next packet of MQTT: its fixed header, and the rest."""
    head, length, shift = await reader.readexactly(1), 0, 0
    while True:
        byte = await reader.readexactly(1)
        head += byte
        length |= (byte[0] & 127) << shift
        shift += 7
        if byte[0] < 128:
            return head, await reader.readexactly(length)


def _taken(head: bytes, body: bytes) -> tuple[bytes, bytes, bytes]:
    """A PUBLISH as one of QoS 0, and the PUBACK for it as it came."""
    if not head[0] & 6:
        return head, body, b""
    at = 2 + int.from_bytes(body[:2], "big")
    number, body = body[at : at + 2], body[:at] + body[at + 2 :]
    length, size = b"", len(body)
    while True:
        size, rest = divmod(size, 128)
        length += bytes((rest | (128 if size else 0),))
        if not size:
            break
    return bytes((_PUBLISH << 4,)) + length, body, b"\x40\x02" + number
