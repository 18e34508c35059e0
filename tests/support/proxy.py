"""A JSON-RPC proxy that tests bend: it goes down, cuts websockets, and changes answers."""

import contextlib
from collections.abc import Callable
from typing import Any, Self

import aiohttp
import orjson
from aiohttp import web

Bend = Callable[[dict[str, Any], dict[str, Any]], "dict[str, Any] | web.Response"]


class Proxy:
    """Stands before a node, on a port of its own, as an async context manager.

    `bend` gets each request and its answer, and returns what is sent back instead. While `down`,
    every connection is closed without a word.
    """

    def __init__(self, target: str) -> None:
        self.target = target
        self.bend: Bend | None = None
        self.down = False
        self.websockets = True
        self.sockets: list[web.WebSocketResponse] = []
        self.opened = 0
        self.refused = 0
        self.messages = 0
        self.requests: list[dict[str, Any]] = []
        self.port = 0

    @property
    def rpc(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    def count(self, method: str) -> int:
        return sum(request["method"] == method for request in self.requests)

    async def cut(self) -> None:
        """Close every websocket and take no new one."""
        self.websockets = False
        for socket in list(self.sockets):
            await socket.close()

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            self._session = await stack.enter_async_context(aiohttp.ClientSession())
            app = web.Application()
            app.router.add_post("/{path:.*}", self._post)
            app.router.add_get("/ws", self._socket)
            runner = web.AppRunner(app, shutdown_timeout=0.1)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self.port = runner.addresses[0][1]
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *details: Any) -> None:
        await self.cut()
        await self._stack.aclose()

    async def _post(self, request: web.Request) -> web.StreamResponse:
        if self.down:
            assert request.transport is not None
            request.transport.abort()
            self.refused += 1
            return web.Response()
        body = await request.read()
        asked = orjson.loads(body)
        self.requests.append(asked)
        async with self._session.post(
            self.target, data=body, headers={"Content-Type": "application/json"}
        ) as response:
            answer = orjson.loads(await response.read())
        if self.bend is not None:
            answer = self.bend(asked, answer)
        if isinstance(answer, web.Response):
            return answer
        return web.Response(body=orjson.dumps(answer), content_type="application/json")

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        if self.down or not self.websockets:
            return web.Response(status=503)
        self.opened += 1
        near = web.WebSocketResponse()
        await near.prepare(request)
        self.sockets.append(near)
        target = self.target.replace("http://", "ws://")
        try:
            async with self._session.ws_connect(target) as far:
                # One request comes, then news only goes.
                await far.send_str(await near.receive_str())
                async for message in far:
                    await near.send_str(message.data)
                    self.messages += 1
        except (aiohttp.ClientError, ConnectionError, TypeError):
            # The near end is gone: a cut, as ordered.
            pass
        finally:
            self.sockets.remove(near)
        return near
