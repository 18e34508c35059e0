"""An HTTP server that sends the bytes a test wrote, as slowly and as wrongly as it likes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import msgspec

GOOD = {
    "model": "served",
    "choices": [{"index": 0, "message": {"content": "Paris"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 1},
}


@dataclass
class Request:
    """What a client sent, and where the answer goes."""

    line: str
    headers: dict[str, str]
    body: bytes
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def gone(self) -> None:
        """Wait until the client hangs up."""
        while await self.reader.read(4096):
            pass


Script = Callable[[Request], Awaitable[None]]


@dataclass
class Scripted:
    """Plays `script` for each request, then closes the connection."""

    script: Script
    port: int = 0
    requests: list[Request] = field(default_factory=list)
    sent: int = 0

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A client may leave at any point: that is what many scripts make it do.
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {
                name.lower(): value.strip()
                for name, _, value in (line.partition(":") for line in head[1:] if line)
            }
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            request = Request(head[0], headers, body, reader, writer)
            self.requests.append(request)
            await self.script(request)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def scripted(script: Script) -> AsyncIterator[Scripted]:
    """Serve a script on a free loopback port."""
    served = Scripted(script)
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await served.serve(reader, writer)
        finally:
            tasks.discard(task)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    served.port = server.sockets[0].getsockname()[1]
    try:
        yield served
    finally:
        server.close()
        for request in served.requests:
            request.writer.transport.abort()
        await asyncio.gather(*tasks)


def response(
    body: object, *, status: str = "200 OK", headers: str = "", length: int | None = None
) -> bytes:
    """Return a whole response: JSON of an object, or bytes as they are."""
    data = body if isinstance(body, bytes) else msgspec.json.encode(body)
    size = len(data) if length is None else length
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {size}\r\n"
    return f"{head}{headers}Connection: close\r\n\r\n".encode() + data


def sending(*data: bytes) -> Script:
    """Script: send this, then hang up."""

    async def script(request: Request) -> None:
        for piece in data:
            await request.send(piece)

    return script


def repeating(head: bytes, piece: bytes, pause: float = 0) -> Script:
    """Script: send a head, then a piece again and again until the client leaves."""

    async def script(request: Request) -> None:
        await request.send(head)
        while True:
            await request.send(piece)
            await asyncio.sleep(pause)

    return script


async def silent(request: Request) -> None:
    """Script: say nothing until the client leaves."""
    await request.gone()
