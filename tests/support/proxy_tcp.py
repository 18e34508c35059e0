"""A TCP proxy that tests break: it drops what is open, refuses what comes, or falls silent."""

import asyncio
import contextlib
from typing import Self
from urllib.parse import urlsplit

__all__ = ["TcpProxy"]


class TcpProxy:
    """Stands before an HTTP and websocket endpoint on a port that stays its own."""

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        self._host, self._port = parts.hostname, parts.port
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.port = 0
        self.accepted = 0

    @property
    def rpc(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.refuse()
        self.flow()
        await asyncio.gather(*self._tasks)

    async def listen(self) -> None:
        """Take connections, on the port of before."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Drop all connections; whoever connects now is refused by the system."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.drop()

    def drop(self) -> None:
        """Cut all open connections without a word."""
        for writer in self._open:
            writer.transport.abort()

    def stall(self) -> None:
        """Take connections and bytes, and pass none on."""
        self._flowing.clear()

    def flow(self) -> None:
        """Pass on again."""
        self._flowing.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._open.add(writer)
        self.accepted += 1
        try:
            # Either end may leave at any point: that is what this proxy is for.
            with contextlib.suppress(ConnectionError):
                far_reader, far = await asyncio.open_connection(self._host, self._port)
                self._open.add(far)
                try:
                    await asyncio.gather(self._pipe(reader, far), self._pipe(far_reader, writer))
                finally:
                    self._open.discard(far)
                    far.transport.abort()
        finally:
            self._open.discard(writer)
            writer.transport.abort()
            self._tasks.discard(task)

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            await self._flowing.wait()
            writer.write(data)
            await writer.drain()
        writer.close()
