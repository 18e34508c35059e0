"""How replies end on the wire: HTTP bodies and websocket messages, whole, broken, or endless."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import Awaitable, Callable

import aiohttp
import msgspec
from aiohttp import web

from vagus.adapters.conformance.exchange import End, Exchange, Reply, Request, Via

__all__ = ["Relay", "ended"]

_CHUNK = 1 << 16
_TERABYTE = 1 << 40
_TEXT_FRAME = b"\x81"  # the last fragment of a text, RFC 6455, 5.2; a server's frames have no mask
_64_BITS = b"\x7f"

Through = Callable[
    [Via, tuple[Request, ...], Callable[[Exchange], Awaitable[Reply]]], Awaitable[Reply]
]


async def ended(request: web.Request, reply: Reply) -> web.StreamResponse:
    """Send an HTTP reply the way it ends."""
    if reply.end is End.CUT:
        _transport(request).abort()
        return web.Response()
    if reply.end is End.WHOLE:
        return web.Response(body=reply.body, status=reply.status, headers=reply.headers)
    response = web.StreamResponse(status=reply.status, headers=reply.headers)
    if reply.end is End.HALF:
        response.content_length = len(reply.body)
    with contextlib.suppress(ConnectionError):
        await response.prepare(request)
        await response.write(reply.body[: (len(reply.body) + 1) // 2])
        while reply.end is End.ENDLESS:
            await response.write(b" " * _CHUNK)
        _transport(request).close()
    return response


class Relay:
    """One websocket of a client and the node's behind it."""

    def __init__(
        self, request: web.Request, far: aiohttp.ClientWebSocketResponse, through: Through
    ) -> None:
        self._request = request
        self._far = far
        self._through = through
        self._near = web.WebSocketResponse()
        self._asked: dict[object, Request] = {}

    async def cut(self, *, mid_message: bool) -> None:
        """End it now, with half a message before if so wanted."""
        if mid_message:
            self._break(b'{"jsonrpc":"2.0","method":"')
        await self._far.close()

    async def run(self) -> web.StreamResponse:
        """Relay until either end leaves."""
        await self._near.prepare(self._request)
        async with asyncio.TaskGroup() as group:
            forth = group.create_task(self._forth(), name="websocket to the node")
            # Either end may leave at any point: that is what this proxy is for.
            with contextlib.suppress(ConnectionError, aiohttp.ClientError):
                await self._back()
            forth.cancel()
        await self._near.close()
        return self._near

    async def _forth(self) -> None:
        with contextlib.suppress(ConnectionError, aiohttp.ClientError):
            async for message in self._near:
                if message.type is aiohttp.WSMsgType.TEXT:
                    self._note(message.data)
                    await self._far.send_str(message.data)
        await self._far.close()

    def _note(self, text: str) -> None:
        with contextlib.suppress(msgspec.DecodeError):
            request = msgspec.json.decode(text)
            if isinstance(request, dict) and "method" in request:
                self._asked[request.get("id")] = request

    async def _back(self) -> None:
        async for message in self._far:
            body = message.data.encode() if isinstance(message.data, str) else bytes(message.data)
            reply = await self._through("message", self._answered(body), _said(body))
            if reply.end is End.WHOLE:
                await self._tell(reply.body)
            else:
                await self._end(reply)
                return

    def _answered(self, body: bytes) -> tuple[Request, ...]:
        with contextlib.suppress(msgspec.DecodeError):
            answer = msgspec.json.decode(body)
            if isinstance(answer, dict) and "method" not in answer:
                request = self._asked.pop(answer.get("id"), None)
                return () if request is None else (request,)
        return ()

    async def _tell(self, body: bytes) -> None:
        try:
            await self._near.send_str(body.decode())
        except UnicodeDecodeError:
            await self._near.send_bytes(body)

    async def _end(self, reply: Reply) -> None:
        if reply.end is End.HALF:
            self._break(reply.body)
        elif reply.end is End.ENDLESS:
            transport = _transport(self._request)
            transport.write(_TEXT_FRAME + _64_BITS + struct.pack("!Q", _TERABYTE) + reply.body)
            while not transport.is_closing():
                transport.write(b" " * _CHUNK)
                await asyncio.sleep(0.01)
        _transport(self._request).close()

    def _break(self, body: bytes) -> None:
        """Send a frame that promises the body, and half of it."""
        transport = _transport(self._request)
        frame = _TEXT_FRAME + _64_BITS + struct.pack("!Q", len(body)) + body
        transport.write(frame[: 10 + len(body) // 2])
        transport.close()


def _said(body: bytes) -> Callable[[Exchange], Awaitable[Reply]]:
    async def node(_: Exchange) -> Reply:
        return Reply(body)

    return node


def _transport(request: web.Request) -> asyncio.Transport:
    if request.transport is None:
        raise ConnectionResetError("the client is gone")
    return request.transport
