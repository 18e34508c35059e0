"""HTTP to an OpenAI-compatible server that may be slow, broken or hostile.

Redirects, cookies, proxies from the environment and compressed bodies are off: each is a way around
a bound. Size and time are held while reading. No call is repeated here.
"""

import asyncio
import contextlib
import email.utils
import sys
import time
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import aiohttp

from vagus.compute import wire
from vagus.compute.base import Answer, Completion, Delta, Times
from vagus.compute.connector import BoundedConnector
from vagus.protocol import Refuse, Retry

__all__ = ["ChatClient", "Endpoint"]

MAX_ERROR = 64 << 10
# Bytes that a connection holds before it stops to be read, half of what it then has.
BUFFER = 8 << 10
MAX_WAIT = 3600.0
# The rest of 4xx and 3xx says no to this request; these say not now.
PASSING = frozenset({408, 409, 425, 429})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server is and how long to bear with it; seconds and bytes.

    read_timeout is the longest silence within a stream, timeout covers a whole call. max_response
    bounds what a request's own bound leaves open.
    """

    base_url: str
    api_key: str | None = field(default=None, repr=False)
    connect_timeout: float = 5.0
    read_timeout: float = 60.0
    timeout: float = 120.0
    max_response: int = 2 << 20
    max_in_flight: int = 64


class ChatClient:
    """A pool of keep-alive connections to one server, used as `async with`."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._base = endpoint.base_url.rstrip("/")
        self._slots = asyncio.Semaphore(endpoint.max_in_flight)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        headers = {"Accept-Encoding": "identity", "User-Agent": "vagus"}
        if self._endpoint.api_key is not None:
            headers["Authorization"] = f"Bearer {self._endpoint.api_key}"
        self._session = aiohttp.ClientSession(
            headers=headers,
            # The semaphore bounds and measures the wait for a connection, so the pool need not.
            # Servers hang up after 5 s of silence (uvicorn, llama.cpp): never reuse near that.
            connector=BoundedConnector(limit=0, keepalive_timeout=3),
            cookie_jar=aiohttp.DummyCookieJar(),
            # Reading is timed by the call: an answer that is not streamed is silent until it is done.
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._endpoint.connect_timeout),
            auto_decompress=False,
            read_bufsize=BUFFER,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def names(self, *, timeout: float) -> tuple[str, ...]:
        """Return the names of the models that the server lists."""
        call = _Call(timeout, self._endpoint)
        async with self._slots_within(call):
            return wire.decode_names(await self._whole("GET", "models", None, call))

    async def complete(self, request: Completion, served_as: str, *, timeout: float) -> Answer:
        """Run a completion; raises Retry or Refuse as a backend does."""
        body = wire.encode_request(request, served_as)
        call = _Call(timeout, self._endpoint, wire.longest_answer(request, len(body)))
        async with self._slots_within(call):
            data = await self._whole("POST", "chat/completions", body, call)
        return wire.decode_answer(data, request, call.times())

    async def stream(
        self, request: Completion, served_as: str, *, timeout: float
    ) -> AsyncGenerator[Delta | Answer, None]:
        """Yield the pieces of a completion, and last the whole; raises as `complete`."""
        body = wire.encode_request(request, served_as, stream=True)
        call = _Call(timeout, self._endpoint, wire.longest_answer(request, len(body)))
        answer = wire.StreamedAnswer(request)
        async with self._slots_within(call):
            response = await self._open("POST", "chat/completions", body, call, stream=True)
            try:
                silence = self._endpoint.read_timeout
                while not answer.done and (data := await call.read(response, silence)):
                    for delta in answer.feed(data):
                        call.mark_first()
                        yield delta
            finally:
                response.close()
        yield answer.answer(call.times())

    @contextlib.asynccontextmanager
    async def _slots_within(self, call: "_Call") -> AsyncGenerator[None, None]:
        with call.bounded("waiting for a free slot"):
            async with asyncio.timeout_at(call.deadline):
                await self._slots.acquire()
        call.start()
        try:
            yield
        finally:
            self._slots.release()

    async def _whole(self, method: str, path: str, body: bytes | None, call: "_Call") -> bytes:
        response = await self._open(method, path, body, call)
        try:
            pieces = []
            while data := await call.read(response):
                pieces.append(data)
            return b"".join(pieces)
        finally:
            response.close()

    async def _open(
        self, method: str, path: str, body: bytes | None, call: "_Call", *, stream: bool = False
    ) -> aiohttp.ClientResponse:
        """Send a request and return its response once the status is 200."""
        if self._session is None:
            raise Retry("the connection to the server is closed")
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if stream:
            # llama.cpp promises keep-alive and hangs up after each stream: the next call on this
            # connection would be cut.
            headers["Connection"] = "close"
        with call.bounded("asking"):
            async with asyncio.timeout_at(call.deadline):
                response = await self._session.request(
                    method,
                    f"{self._base}/{path}",
                    data=body,
                    headers=headers,
                    allow_redirects=False,
                )
        if response.status == 200:
            return response
        try:
            raise await self._error(response, call)
        finally:
            response.close()

    async def _error(self, response: aiohttp.ClientResponse, call: "_Call") -> Retry | Refuse:
        """Return what a status other than 200 asks for; never quotes the key, whoever echoes it."""
        status, said = response.status, ""
        if status not in {401, 403}:
            data = b""
            while len(data) < MAX_ERROR and (piece := await call.read(response)):
                data += piece
            said = wire.error_text(data)
        if said and self._endpoint.api_key is not None:
            said = said.replace(self._endpoint.api_key, "…")
        reason = f"HTTP {status}{': ' + said if said else ''}"
        if status >= 500 or status in PASSING or status < 300:
            return Retry(reason, _retry_after(response.headers.get("Retry-After")))
        return Refuse(reason)


class _Call:
    """One call's clock and bounds."""

    def __init__(self, timeout: float, endpoint: Endpoint, most: int = sys.maxsize) -> None:
        self._now = asyncio.get_running_loop().time
        self._asked = self._started = self._now()
        self._first: float | None = None
        self._room = self._most = min(most, endpoint.max_response)
        self.deadline = self._asked + min(timeout, endpoint.timeout)

    def start(self) -> None:
        self._started = self._now()

    def mark_first(self) -> None:
        if self._first is None:
            self._first = self._now()

    def times(self) -> Times:
        first = None if self._first is None else self._first - self._asked
        return Times(self._started - self._asked, first, self._now() - self._asked)

    async def read(self, response: aiohttp.ClientResponse, silence: float = float("inf")) -> bytes:
        """Return the next bytes of a body, none at its end, within so many seconds."""
        with self.bounded("answering"):
            async with asyncio.timeout_at(min(self.deadline, self._now() + silence)):
                data = await response.content.readany()
        self._room -= len(data)
        if self._room < 0:
            raise Retry(f"the server's answer is over {self._most} bytes")
        return data

    @contextlib.contextmanager
    def bounded(self, doing: str) -> Iterator[None]:
        """Turn what aiohttp and the clock raise into Retry."""
        try:
            yield
        except TimeoutError:
            raise Retry(f"the server took too long {doing}") from None
        except (aiohttp.ClientError, OSError) as error:
            raise Retry(f"the connection failed while {doing}: {type(error).__name__}") from None


def _retry_after(value: str | None) -> float:
    """Read Retry-After (RFC 9110, 10.2.3: seconds or a date), 1 s when absent, at most an hour."""
    if value is None:
        return 1.0
    try:
        seconds = float(int(value))
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, OverflowError):
            return 1.0
    return min(max(seconds, 0.0), MAX_WAIT)
