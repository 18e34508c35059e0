"""HTTP to a server that may be slow, broken or hostile.

Redirects, cookies, proxies from the environment and compressed bodies are off: each is a way around
a bound. Size and time are held while reading. No call is repeated here.
"""

import asyncio
import contextlib
import sys
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urljoin

import aiohttp

from vagus.compute import wire
from vagus.compute.base import Barred, Spoilt, Times
from vagus.compute.bounds import one_line
from vagus.compute.connector import guarded_session
from vagus.compute.hiding import Hider
from vagus.compute.http_bounds import MAX_ERROR, PASSING, Bounded, Endpoint, wait_of
from vagus.compute.pinning import check_url
from vagus.protocol import Refuse, Retry

__all__ = ["JSON", "Bounded", "Endpoint", "Exchange", "HttpClient"]

JSON = "application/json"
# Bytes on the wire for one of a body: chunks of one byte take six.
WIRE = 8
# What is wrong with the request itself; the rest of 4xx and 3xx that does not pass is about who asks whom.
WRONG = frozenset({400, 406, 411, 413, 414, 415, 422, 431})


@dataclass(frozen=True, slots=True)
class Exchange:
    """A response: its body, its headers by any case, and how long it took."""

    body: bytes
    headers: Mapping[str, str]
    times: Times


class HttpClient:
    """A pool of keep-alive connections to one server, used as `async with`.

    Raises Refuse for a URL that leads where it must not, made or entered; its calls raise Retry and
    Refuse as a backend's do: Barred where the URL's name leads where it must not.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        check_url(endpoint.base_url, endpoint.reach)
        self._endpoint = endpoint
        self._base = endpoint.base_url.rstrip("/")
        self._slots = asyncio.Semaphore(endpoint.max_in_flight)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        key = self._endpoint.api_key
        self._session = guarded_session(
            {} if key is None else {"Authorization": f"Bearer {key}"},
            reach=self._endpoint.reach,
            # As many connections as are asked for: the semaphore bounds and measures the wait for one.
            connect_timeout=self._endpoint.connect_timeout,
            most=WIRE * self._endpoint.max_response,
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

    async def ask(
        self, method: str, path: str, body: bytes | None, timeout: float, most: int
    ) -> bytes:
        """Return the body of a call's response, JSON of at most so many bytes.

        A path that begins with a slash is one from the server's root.
        """
        return (await self.exchange(method, path, body, timeout, most)).body

    async def exchange(
        self, method: str, path: str, body: bytes | None, timeout: float, most: int
    ) -> Exchange:
        """Ask as `ask` does, and return the response's headers and the call's times besides."""
        async with self.call(timeout, most) as call:
            response = await self.open(method, path, body, call)
            data = await self.read(response, call)
            return Exchange(data, response.headers, call.times())

    @contextlib.asynccontextmanager
    async def call(
        self, timeout: float, most: int = sys.maxsize
    ) -> AsyncGenerator["Bounded", None]:
        """Wait for a free slot, and keep it for one call of at most so many seconds and bytes."""
        call = Bounded(timeout, self._endpoint, most)
        with call.bounded("waiting for a free slot"):
            async with asyncio.timeout_at(call.deadline):
                await self._slots.acquire()
        call.start()
        try:
            yield call
        finally:
            self._slots.release()

    async def read(self, response: aiohttp.ClientResponse, call: "Bounded") -> bytes:
        """Return a whole body, and close the response."""
        try:
            pieces = []
            while data := await call.read(response):
                pieces.append(data)
            return b"".join(pieces)
        finally:
            response.close()

    async def open(
        self, method: str, path: str, body: bytes | None, call: "Bounded", *, media: str = JSON
    ) -> aiohttp.ClientResponse:
        """Send a request and return its response once status and media type are right; close it."""
        if self._session is None:
            raise Retry("the connection to the server is closed")
        headers = {"Content-Type": JSON} if body is not None else {}
        if media != JSON:
            # llama.cpp promises keep-alive and hangs up after each stream: the next call on this
            # connection would be cut.
            headers["Connection"] = "close"
        try:
            with call.bounded("asking"):
                async with asyncio.timeout_at(call.deadline):
                    response = await self._session.request(
                        method,
                        urljoin(f"{self._base}/", path),
                        data=body,
                        headers=headers,
                        allow_redirects=False,
                    )
        except Refuse as error:
            # The connector's: where this server's name leads says nothing about the request.
            raise Barred(error.reason) from None
        try:
            if response.status != 200:
                raise await self._error(response, call)
            _check_type(response, media)
        except BaseException:
            response.close()
            raise
        return response

    async def _error(self, response: aiohttp.ClientResponse, call: "Bounded") -> Retry | Refuse:
        """Return what a status other than 200 asks for; never quotes the key, whoever echoes it."""
        status, said = response.status, ""
        if status not in {401, 403}:
            data = b""
            while len(data) < MAX_ERROR and (piece := await call.read(response)):
                data += piece
            said = wire.error_text(data)
        if 300 <= status < 400:
            said = "redirects are not followed"
        if said and self._endpoint.api_key is not None:
            said = Hider((self._endpoint.api_key,))(said)
        reason = f"HTTP {status}{': ' + said if said else ''}"
        if status >= 500 or status in PASSING or status < 300:
            return Retry(reason, wait_of(response.headers.get("Retry-After")))
        return Refuse(reason) if status in WRONG else Barred(reason)


def _check_type(response: aiohttp.ClientResponse, media: str) -> None:
    """Raise Retry for a body that says it is something else; one that says nothing is read."""
    coding = response.headers.get("Content-Encoding", "identity").lower()
    if coding != "identity":
        raise Spoilt(f"the server's answer is compressed ({one_line(coding)[:40]}), unasked")
    if "Content-Type" in response.headers and response.content_type != media:
        if media == JSON and response.content_type.endswith("+json"):
            return
        raise Spoilt(f"the server's answer is {one_line(response.content_type)[:80]}, not {media}")
