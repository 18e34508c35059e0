"""Connections that hold little of what a server sends before its answer begins.

HTTP lets a server send any number of interim responses (1xx) first. aiohttp parses all that it is
handed at once and keeps each message until it is skipped: 25 bytes on the wire are 800 in memory,
and a server that never stops took 280 MB in two seconds. Headers, which it bounds one by one, may
come to 1 MB.

Nor do they lead anywhere but where they may.
"""

import functools
import socket
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp
from aiohappyeyeballs import AddrInfoType
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
from typing_extensions import override

from vagus.compute.pinning import PinnedResolver, Reach, Resolve, check_host

__all__ = ["BoundedConnector", "FloodError", "guarded_session"]

# Bytes that the kernel takes before they are read: no more is handed over at once. An answer of
# 2 MiB then takes some 64 round trips.
_WINDOW = 32 << 10
# Bytes that are parsed before what was found in them is counted, outside and inside of a body.
_PIECE = 1 << 10
_BODY = 8 << 10
# Bytes of a response before its body, and messages of which none was read yet: one is the answer.
_MAX_HEAD = 32 << 10
_MAX_MESSAGES = 16
# Bytes that a connection holds before it stops to be read, half of what it then has.
_BUFFER = 8 << 10
# Servers hang up after 5 s of silence (uvicorn, llama.cpp): never reuse near that.
_KEEP = 3


class FloodError(aiohttp.ClientPayloadError):
    """A server said more than any answer needs, besides its answer."""


class BoundedConnector(aiohttp.TCPConnector):
    """A TCPConnector whose connections end where a server says too much before it answers.

    most: bytes that a response may take on the wire, whatever of them is its body. reach: the addresses
    that it connects to, any where none is given; a request to another raises Refuse.
    """

    def __init__(
        self,
        *,
        most: int | None = None,
        reach: Reach | None = None,
        resolve: Resolve | None = None,
        **options: Any,
    ) -> None:
        if reach is not None:
            options["resolver"] = PinnedResolver(reach, resolve)
        super().__init__(socket_factory=_socket, **options)
        self._reach = reach
        # aiohttp has no public way to choose it; a test says so should the name ever change.
        handler: Callable[..., ResponseHandler] = functools.partial(_Handler, most)
        self._factory = functools.partial(handler, loop=self._loop)

    @override
    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        if self._reach is not None:
            # A host that is written as an address is not resolved.
            check_host(req.url.host or "", self._reach)
        return await super().connect(req, traces, timeout)


def guarded_session(
    headers: Mapping[str, str],
    *,
    reach: Reach,
    connect_timeout: float,
    most: int | None = None,
    limit: int = 0,
) -> aiohttp.ClientSession:
    """Return a session of bounded connections: cookies, proxies and compression are ways around a bound.

    A redirect is another: requests say `allow_redirects=False`. Reading is timed by who calls, since an
    answer may be silent until it is done. limit: connections at a time, 0 for any number; most and reach
    as `BoundedConnector` has them.
    """
    return aiohttp.ClientSession(
        headers={"Accept-Encoding": "identity", "User-Agent": "vagus", **headers},
        connector=BoundedConnector(most=most, reach=reach, limit=limit, keepalive_timeout=_KEEP),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout),
        auto_decompress=False,
        read_bufsize=_BUFFER,
    )


def _socket(info: AddrInfoType) -> socket.socket:
    family, kind, protocol, _, _ = info
    found = socket.socket(family, kind, protocol)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _WINDOW)
    return found


class _Handler(ResponseHandler):
    def __init__(self, most: int | None, **options: Any) -> None:
        super().__init__(**options)
        self._most = most
        self._head = self._wire = 0

    @override
    def set_response_params(self, **params: Any) -> None:
        self._head = self._wire = 0
        super().set_response_params(**params)

    @override
    def data_received(self, data: bytes) -> None:
        if self.upgraded or not data:
            super().data_received(data)
            return
        self._wire += len(data)
        at = 0
        while at < len(data) and self.transport is not None:
            within = self._payload is not None and not self._payload.is_eof()
            piece = data[at : at + (_BODY if within else _PIECE)]
            self._head = 0 if within else self._head + len(piece)
            super().data_received(piece)
            at += len(piece)
            if len(self) > _MAX_MESSAGES or self._head > _MAX_HEAD:
                self._end("too much before an answer")
                return
        if self._most is not None and self._wire > self._most:
            self._end("too much around an answer")

    def _end(self, why: str) -> None:
        self.set_exception(FloodError(why))
        if self.transport is not None:
            self.transport.abort()
