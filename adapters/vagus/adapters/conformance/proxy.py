"""A proxy that stands before a node and does what bad nodes and networks do.

It knows JSON-RPC, over HTTP and websockets, and no chain:

    async with FaultProxy("http://127.0.0.1:8545") as proxy:
        adapter = make(proxy.rpc, proxy.ws)
        proxy.faults = (Sometimes(0.5, Drop()),)      # from the next exchange on
        proxy.faults = ()

For tests of one machine: it listens on 127.0.0.1, on a port that the system chooses.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp
import msgspec
from aiohttp import web

from vagus.adapters.conformance.exchange import End, Exchange, Reply, Request, Via
from vagus.adapters.conformance.faults import Fault, Further, request_key
from vagus.adapters.conformance.sockets import Relay, ended

__all__ = ["FaultProxy"]

_MAX_BODY = 64 << 20
_REMEMBERED = 4_096
_PASSED_ON = ("Content-Type", "Authorization", "User-Agent")


class FaultProxy:
    """Stands before one endpoint, as an async context manager.

    `target` is its HTTP URL, `websocket` its websocket URL (by default the same with ws://).
    `faults` may be set at any time and hold for every exchange that begins from then on. `calls`
    counts the methods that came, `passed` the exchanges of each kind that reached the node.
    """

    def __init__(self, target: str, websocket: str | None = None) -> None:
        self.faults: tuple[Fault, ...] = ()
        self.calls: Counter[str] = Counter()
        self.seen: Counter[Via] = Counter()
        self.passed: Counter[Via] = Counter()
        self.port = 0
        parts = urlsplit(target)
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._path = parts.path
        self._websocket = websocket or target.replace("http", "ws", 1)
        self._past: dict[str, dict[str, Any]] = {}
        self._relays: set[Relay] = set()
        self._stack = contextlib.AsyncExitStack()
        self._session: aiohttp.ClientSession
        self._runner: web.AppRunner

    @property
    def rpc(self) -> str:
        """Where clients ask, with the path of the target."""
        return f"http://127.0.0.1:{self.port}{self._path}"

    @property
    def ws(self) -> str:
        """Where clients subscribe."""
        return f"ws://127.0.0.1:{self.port}{urlsplit(self._websocket).path}"

    @property
    def connections(self) -> int:
        """How many connections of clients are open now, those at rest too."""
        return len(self._runner.server.connections) if self._runner.server else 0

    @property
    def websockets(self) -> int:
        """How many websockets are open now."""
        return len(self._relays)

    def remembered(self) -> dict[str, dict[str, Any]]:
        """Return the newest answer that the node gave to each request, for `Stale`."""
        return dict(self._past)

    async def cut(self, *, mid_message: bool = False) -> None:
        """Close every websocket, with half a message before if so wanted."""
        for relay in list(self._relays):
            await relay.cut(mid_message=mid_message)

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            connector = aiohttp.TCPConnector(limit=0)
            session = aiohttp.ClientSession(connector=connector, auto_decompress=False)
            self._session = await stack.enter_async_context(session)
            app = web.Application(client_max_size=_MAX_BODY)
            app.router.add_route("*", "/{path:.*}", self._serve)
            # A client that leaves ends what was under way for it, the silence too.
            self._runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
            stack.push_async_callback(self._runner.cleanup)
            await self._runner.setup()
            await web.TCPSite(self._runner, "127.0.0.1", 0).start()
            self.port = self._runner.addresses[0][1]
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.cut()
        await self._stack.__aexit__(kind, error, trace)

    # What happens to an exchange

    async def _through(self, via: Via, requests: tuple[Request, ...], node: Further) -> Reply:
        """Send an exchange through the faults to the node; those of now, whatever is set meanwhile."""
        exchange = Exchange(via, self.seen[via], requests)
        self.seen[via] += 1
        self.calls.update(exchange.methods)

        async def asked(exchange: Exchange) -> Reply:
            self.passed[via] += 1
            return await node(exchange)

        further: Further = asked
        for fault in reversed(self.faults):
            further = _behind(fault, further)
        return await further(exchange)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._socket(request)
        body = await request.read()

        async def node(exchange: Exchange) -> Reply:
            return await self._ask(request, exchange, body)

        return await ended(request, await self._through("http", _requests(body, request), node))

    async def _ask(self, request: web.Request, exchange: Exchange, body: bytes) -> Reply:
        headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
        url = self._origin + request.path_qs
        try:
            async with self._session.request(
                request.method, url, data=body or None, headers=headers
            ) as response:
                kind = response.headers.get("Content-Type", "application/json")
                reply = Reply(await response.read(), response.status, {"Content-Type": kind})
        except (aiohttp.ClientError, OSError) as error:
            return Reply(f"the node is gone: {type(error).__name__}".encode(), 502)
        self._remember(exchange, reply)
        return reply

    def _remember(self, exchange: Exchange, reply: Reply) -> None:
        def keep(request: Request, answer: dict[str, Any]) -> dict[str, Any]:
            if len(self._past) >= _REMEMBERED:
                self._past.clear()
            self._past[request_key(request)] = answer
            return answer

        reply.bent(exchange, keep)

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        async with contextlib.AsyncExitStack() as stack:
            far: list[aiohttp.ClientWebSocketResponse] = []

            async def node(_: Exchange) -> Reply:
                try:
                    opening = self._session.ws_connect(self._websocket, max_msg_size=_MAX_BODY)
                    far.append(await stack.enter_async_context(opening))
                except (aiohttp.ClientError, OSError) as error:
                    return Reply(f"the node is gone: {type(error).__name__}".encode(), 502)
                return Reply(status=101)

            reply = await self._through("handshake", (), node)
            if not far or reply.status != 101 or reply.end is not End.WHOLE:
                return await ended(request, reply)
            relay = Relay(request, far[0], self._through)
            self._relays.add(relay)
            stack.callback(self._relays.discard, relay)
            return await relay.run()


def _behind(fault: Fault, further: Further) -> Further:
    async def apply(exchange: Exchange) -> Reply:
        return await fault.apply(exchange, further)

    return apply


def _requests(body: bytes, request: web.Request) -> tuple[Request, ...]:
    """Return the JSON-RPC requests of a body, or the one that a GET is (CometBFT's URI form)."""
    if not body:
        return ({"method": request.path.strip("/"), "params": dict(request.query), "id": -1},)
    try:
        found = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return ()
    return tuple(
        each for each in (found if isinstance(found, list) else [found]) if isinstance(each, dict)
    )
