"""Servers that answer without end, or far too deep: JSON-RPC, websockets and models alike."""

import asyncio
import base64
import contextlib
import gzip
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp

from support.scripted import GOOD, Request, repeating, response, scripted, sending

__all__ = ["WAYS", "Hostile", "hostile"]

PIECE = 65_536
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
BOMB = gzip.compress(b" " * (100 << 20))
EVENT = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
STREAM = OK + (
    b'\r\ndata: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":1,"completion_tokens":1}}\n\ndata: [DONE]\n\n'
)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


# Each is sent to whoever asks, for as long as they listen.
WAYS = {
    "a body in chunks": repeating(CHUNKED, chunk(b" " * PIECE)),
    "a body in chunks of a byte": repeating(CHUNKED, chunk(b" ") * 8192),
    "a body with a length": repeating(OK + b"Content-Length: 1099511627776\r\n\r\n", b" " * PIECE),
    "a body until the connection's end": repeating(OK + b"\r\n", b" " * PIECE),
    "a slow drip": repeating(CHUNKED, chunk(b" "), 0.01),
    "a slow drip before the status": repeating(b"", b"H", 0.01),
    "an error's body": repeating(CHUNKED.replace(b"200 OK", b"400 No"), chunk(b" " * PIECE)),
    "headers": repeating(OK, b"X-Y: z\r\n" * 1000),
    "one header": repeating(OK + b"X: ", b"z" * PIECE),
    "cookies": repeating(
        OK + b"".join(b"Set-Cookie: a%d=%s\r\n" % (at, b"x" * 4000) for at in range(100)) + b"\r\n",
        b" " * PIECE,
    ),
    "a chunk's extension": repeating(CHUNKED + b"1;", b"a" * PIECE),
    "trailers": repeating(CHUNKED + b"1\r\n \r\n0\r\n", b"X-Y: z\r\n" * 1000),
    "interim responses": repeating(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 2000),
    "whole responses": repeating(b"", (OK + b"Content-Length: 2\r\n\r\n{}") * 2000),
    "a compressed bomb": sending(response(BOMB, headers="Content-Encoding: gzip\r\n")),
    "lists in lists": sending(response(b'{"id":1,"result":' + b"[" * 1_000_000)),
    "objects in objects": sending(response(b'{"id":1,"result":' + b'{"a":' * 200_000)),
    "lists in lists, one longer": repeating(OK + b'\r\n{"id":1,"result":', b"[" * PIECE),
    "short words": repeating(OK + b'\r\n{"id":1,"result":[{"topics":["a"', b',"a"' * 16_384),
    "events": repeating(CHUNKED, chunk(EVENT * 1400)),
    "an event that does not end": repeating(CHUNKED + chunk(b"data: "), chunk(b" " * PIECE)),
}


@dataclass
class Hostile:
    """Passes requests on to a node and answers as a model, until `way` says otherwise."""

    node: str
    session: aiohttp.ClientSession
    way: str | None = None
    port: int = 0
    asked: int = 0

    def __post_init__(self) -> None:
        self.turned = asyncio.Event()

    def turn(self, way: str | None) -> None:
        """Answer like this from now on; open websockets get a frame of a terabyte."""
        self.way, self.asked = way, 0
        self.turned.set()
        self.turned = asyncio.Event()

    async def answer(self, request: Request) -> None:
        if self.way is not None:
            self.asked += 1
            await WAYS[self.way](request)
        elif "upgrade" in request.headers:
            await self._websocket(request)
        elif "/v1/" in request.line:
            await request.send(STREAM if b'"stream":true' in request.body else response(GOOD))
        else:
            async with self.session.post(
                self.node, data=request.body, headers={"Content-Type": "application/json"}
            ) as found:
                await request.send(response(await found.read()))

    async def _websocket(self, request: Request) -> None:
        key = request.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key.encode(), usedforsecurity=False).digest())
        await request.send(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        while self.way is None:
            await self.turned.wait()
        await repeating(b"\x81\x7f" + (1 << 40).to_bytes(8, "big"), b" " * PIECE)(request)


@contextlib.asynccontextmanager
async def hostile(node: str) -> AsyncIterator[Hostile]:
    """Serve one on a free loopback port, before the node at this URL."""
    async with aiohttp.ClientSession() as session:
        server = Hostile(node, session)
        async with scripted(server.answer) as found:
            server.port = found.port
            try:
                yield server
            finally:
                server.turn(next(iter(WAYS)))
