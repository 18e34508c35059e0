"""What every sandbox has: a server on 127.0.0.1, a key of its own, and faults that a test switches on.

    async with AkashMLSandbox() as sandbox:
        sandbox.faults.add(path="/chat/completions", status=500, after_work=True, times=1)
        ...  # talk to sandbox.base_url with sandbox.api_key

A sandbox is the API of a network as it is documented, errors included. Nothing behind it is rented,
and what it signs or counts is worth nothing.
"""

import abc
import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from decimal import Decimal
from types import TracebackType
from typing import ClassVar, Self, TypeVar

import msgspec
from aiohttp import web

from vagus.compute.sandbox.faults import Fault, Faults
from vagus.protocol import Refuse

__all__ = ["GRACE", "MAX_BODY", "ApiError", "Sandbox", "json_response", "read_json"]

T = TypeVar("T")

MAX_BODY = 1 << 20
_URL = re.compile(r"https?://[^\s/?#@]+(/[^\s?#]*)?")
# Calls that are remembered.
KEPT = 10_000
# Seconds that calls under way have once a sandbox closes.
GRACE = 0.5


class ApiError(Exception):
    """What a handler raises for a call that the network would answer with an error.

    code: the network's own word for it, where its errors have one. headers: such as Retry-After.
    """

    def __init__(
        self, status: int, message: str, *, code: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.headers = dict(headers or {})


class Sandbox(abc.ABC):
    """One server, used as `async with`; `base_url` is the root that the network's own client takes.

    calls: what was asked last, `METHOD /path`, in order. A subclass gives the routes (under `root`), how
    its errors look, and how it knows a caller, where that is not by a bearer token. Its handlers
    raise `ApiError`. upstream: an OpenAI-compatible server that answers instead of a scripted model.
    Entering raises Refuse for a port that can't be had, and for an upstream that can be none.
    """

    root: ClassVar[str] = ""

    def __init__(self, *, port: int = 0, upstream: str | None = None) -> None:
        self.api_key = secrets.token_urlsafe(24)
        self.base_url = ""
        self.origin = ""
        self.faults = Faults()
        self.calls: list[str] = []
        self.upstream = upstream
        self._port = port
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        if self.upstream is not None and not _URL.fullmatch(self.upstream):
            raise Refuse(f"{self.upstream} is no server's URL, as http://127.0.0.1:11434/v1")
        app = web.Application(client_max_size=MAX_BODY, middlewares=[self._serve])
        app.add_routes(self.routes())
        # Cancelled with its connection, a handler stops to work for a caller who left.
        self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=GRACE
        )
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        except OSError as error:
            await self._runner.cleanup()
            why = f"127.0.0.1:{self._port} can't be listened on: {error.strerror}"
            raise Refuse(f"{why}; port 0 takes a free one") from None
        self.origin = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        self.base_url = self.origin + self.root
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    def show(self) -> dict[str, str]:
        """Return what a client needs, as `vagus sandbox` prints it."""
        return {"base_url": self.base_url, "api_key": self.api_key}

    def endow(self, credit: Decimal) -> None:
        """Give the account so many USD. Raises Refuse where the network keeps none."""
        raise Refuse("this sandbox keeps no account: leave its credit out")

    @abc.abstractmethod
    def routes(self) -> Iterable[web.RouteDef]:
        """Return the API's routes, their paths from the server's root."""

    @abc.abstractmethod
    def error(self, status: int, message: str, code: str) -> object:
        """Return an error's body, as JSON has it."""

    async def authenticate(self, request: web.Request) -> None:
        """Raise ApiError for a caller who is not known. By default: Bearer and the sandbox's key."""
        given = request.headers.get("Authorization", "")
        if not secrets.compare_digest(given.encode(), f"Bearer {self.api_key}".encode()):
            raise ApiError(401, "the API key is missing or another", code="unauthorized")

    @web.middleware
    async def _serve(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        """Answer one call, as the faults that are on want it."""
        self.calls.append(f"{request.method} {request.path}")
        del self.calls[:-KEPT]
        fault = self.faults.take(request.method, request.path)
        if fault is None:
            return await self._answer(request, handler)
        if not fault.after_work:
            await asyncio.sleep(fault.delay)
        wrong = fault.hang_up or fault.status is not None
        if wrong and not fault.after_work:
            return self._fail(request, fault)
        response = await self._answer(request, handler)
        if fault.after_work:
            await asyncio.sleep(fault.delay)
        return self._fail(request, fault) if wrong else response

    async def _answer(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        try:
            await self.authenticate(request)
            return await handler(request)
        except ApiError as error:
            body = self.error(error.status, error.message, error.code)
            return json_response(body, status=error.status, headers=error.headers)
        except web.HTTPException as error:
            body = self.error(error.status, error.reason, "")
            return json_response(body, status=error.status)

    def _fail(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        if fault.hang_up:
            if request.transport is not None:
                request.transport.abort()
            raise asyncio.CancelledError
        status = fault.status or 500
        body = self.error(status, fault.message, fault.code)
        return json_response(body, status=status, headers=fault.headers)


def json_response(
    body: object, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Return a response with this body as JSON."""
    data = msgspec.json.encode(body)
    return web.Response(
        body=data, status=status, headers=dict(headers or {}), content_type="application/json"
    )


async def read_json(request: web.Request, kind: type[T]) -> T:
    """Return a request's body as a msgspec type (or dict). Raises ApiError, 400, for anything else."""
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError(400, f"the request is not understood: {error}"[:300]) from None
