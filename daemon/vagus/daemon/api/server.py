"""The listening socket: how many may be connected, for how long they may say nothing."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from typing_extensions import override

from vagus.daemon.api.answers import error_answer
from vagus.daemon.api.guard import add_headers
from vagus.protocol import Retry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from vagus.daemon.api.app import Api
    from vagus.daemon.config import HttpConfig

__all__ = ["serve"]

MAX_CONNECTIONS = 256
# Seconds in which a connection must have sent a whole head; also between two requests.
IDLE_SECONDS = 15.0
# Of what aiohttp says of a malformed request, a part of which it repeats.
MAX_WORDS = 200
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nConnection: close\r\n"
    b'Retry-After: 5\r\nContent-Length: 33\r\n\r\n{"error":"too many connections"}\n'
)


class _Malformed(logging.Filter):
    """Drops what aiohttp logs of requests that are no HTTP: the client was told, with a 400."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return not isinstance(error, HttpProcessingError | web.RequestPayloadError)


class _Connection(web.RequestHandler):
    """Says in JSON, as the API says all else, what is wrong with a request that no route saw."""

    @override
    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        super().handle_error(request, status, exc, message)  # logs it, once
        words = "a defect of this node: its log has it" if status == 500 else message or "no HTTP"
        answer = error_answer(status, " ".join(words.split())[:MAX_WORDS])
        add_headers(answer)
        answer.force_close()
        return answer


class _Full(asyncio.Protocol):
    """Says that there is no room, and hangs up."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.WriteTransport):
            transport.write(_FULL)
        transport.close()


_MALFORMED = _Malformed()


@contextlib.asynccontextmanager
async def serve(api: Api, config: HttpConfig) -> AsyncIterator[int]:
    """Serve until the block ends; yields the port, which the system picks where it is 0."""
    logging.getLogger("aiohttp.server").addFilter(_MALFORMED)
    runner = web.AppRunner(api.app(), shutdown_timeout=1.0)
    await runner.setup()
    connections, loop = runner.server, asyncio.get_running_loop()
    if connections is None:
        raise RuntimeError("the runner was set up without a server")

    def connect() -> asyncio.Protocol:
        if len(connections.connections) >= MAX_CONNECTIONS:
            return _Full()
        return _Connection(
            connections,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # no log at all, which its types leave out
            keepalive_timeout=IDLE_SECONDS,
            lingering_time=1.0,
        )

    try:
        try:
            server = await loop.create_server(connect, config.host, config.port)
        except OSError as error:
            raise Retry(
                f"http.port {config.port} on {config.host} cannot be used ({error.strerror}): "
                "stop what has it, or set another port under [http]"
            ) from None
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            # Not `async with`: from Python 3.12 on that waits for whoever listens to events.
            server.close()
            api.close()
    finally:
        await runner.cleanup()
