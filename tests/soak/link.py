"""The wire between a node and an endpoint, which can be cut, stalled, flap, or answer 429."""

import asyncio
import contextlib

from typing_extensions import override

from support.proxy_tcp import TcpProxy

__all__ = ["Link"]

LIMITED = (
    b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\n"
    b"Connection: close\r\n\r\n"
)
FLAP = 0.4


class Link(TcpProxy):
    """A TCP proxy with the faults of a soak; each lasts so many seconds, and is mended at its end."""

    def __init__(self, target: str) -> None:
        super().__init__(target)
        self.calls = 0
        """Requests over HTTP that came, those that were answered 429 among them."""
        self._limited = False

    async def cut(self, seconds: float) -> None:
        """Drop all and refuse all."""
        await self.refuse()
        await asyncio.sleep(seconds)
        await self.listen()

    async def silence(self, seconds: float) -> None:
        """Take all and answer nothing."""
        self.stall()
        await asyncio.sleep(seconds)
        self.flow()

    async def flap(self, seconds: float) -> None:
        """Drop all connections again and again; half of the time nobody listens."""
        for _ in range(int(seconds / (2 * FLAP))):
            await self.refuse()
            await asyncio.sleep(FLAP)
            await self.listen()
            await asyncio.sleep(FLAP)

    async def limit(self, seconds: float) -> None:
        """Answer every request with 429."""
        self._limited = True
        self.drop()
        await asyncio.sleep(seconds)
        self._limited = False

    @override
    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._limited:
            await super()._serve(reader, writer)
            return
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length or 0))
            self.calls += 1
            writer.write(LIMITED)
            await writer.drain()
        writer.close()

    @override
    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await super()._pipe(_Counting(reader, self), writer)


class _Counting(asyncio.StreamReader):
    """A reader that counts the heads of requests in what it hands on."""

    def __init__(self, reader: asyncio.StreamReader, link: Link) -> None:
        super().__init__()
        self._from, self._link = reader, link

    @override
    async def read(self, n: int = -1) -> bytes:
        data = await self._from.read(n)
        self._link.calls += data.count(b"POST / HTTP/1.1")
        return data
