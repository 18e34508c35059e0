"""A network's JSON API over HTTP: one request, one bounded answer. Never a second try.

Redirects, cookies, proxies from the environment and compressed bodies are off: each is a way around
a bound, and a redirect would carry a key of ours in a header to wherever the answer points.
"""

import asyncio
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import quote, urlsplit

import aiohttp
import msgspec
from yarl import URL

from vagus.compute.bounds import one_line
from vagus.compute.connector import guarded_session
from vagus.compute.decoding import decode
from vagus.compute.hiding import Hider
from vagus.compute.http_bounds import MAX_ERROR, PASSING, wait_of
from vagus.compute.pinning import Reach, check_url
from vagus.protocol import Refuse, Retry

__all__ = ["Api", "ApiRefused", "encode_query"]

T = TypeVar("T")

MAX_ANSWER = 4 << 20


class ApiRefused(Refuse):
    """A network's no, with its HTTP status and its body as it came, for who looks for a code in it."""

    def __init__(self, reason: str, status: int, body: bytes = b"") -> None:
        super().__init__(reason)
        self.status = status
        self.body = body


class Api:
    """Connections to one API, used as `async with`. Raises Refuse for a URL that leads where it must not.

    base_url: without the query; paths are appended to it. secrets: what no error may repeat, whoever
    echoes it; `hide` names more of them. timeout: seconds for a whole call.
    """

    def __init__(
        self, base_url: str, *, secrets: Iterable[str] = (), timeout: float = 30.0
    ) -> None:
        check_url(base_url, Reach.NAMED)
        self._base = base_url.rstrip("/")
        self._hidden = Hider(secrets)
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None
        self.host = urlsplit(base_url).netloc
        self.path = urlsplit(self._base).path

    async def __aenter__(self) -> Self:
        self._session = guarded_session(
            {"Accept": "application/json"}, reach=Reach.NAMED, connect_timeout=10, limit=16
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

    def hide(self, secrets: Iterable[str]) -> None:
        """Let no error repeat these either, from now on: what is about to be sent."""
        self._hidden.add(secrets)

    async def call(
        self,
        method: str,
        path: str,
        answer: type[T],
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        most: int = MAX_ANSWER,
    ) -> T:
        """Ask, and return a 2xx answer's JSON as this type. Raises Retry and ApiRefused.

        Retry for what may have been done all the same too: a cut connection, a timeout, a 5xx, an
        answer that is not of this type. No error repeats a secret.
        """
        what = f"{method} {path}"
        try:
            async with asyncio.timeout(self._timeout):
                status, found, wait = await self._ask(method, path, query, body, headers, most)
        except TimeoutError:
            raise Retry(f"{self.host} took too long over {what}") from None
        except (aiohttp.ClientError, OSError) as error:
            words = f"the connection to {self.host} failed at {what}: {type(error).__name__}"
            raise Retry(words) from None
        if not 200 <= status < 300:
            reason = f"{self.host}, {what}: HTTP {status}{self._said(status, found)}"
            if status >= 500 or status in PASSING or status < 200:
                raise Retry(reason, wait)
            raise ApiRefused(reason, status, found)
        decoder = msgspec.json.Decoder(answer)
        return decode(decoder, found, f"{self.host} answered {what} with what it should not")

    async def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: bytes | None,
        headers: Mapping[str, str] | None,
        most: int,
    ) -> tuple[int, bytes, float]:
        if self._session is None:
            raise Retry(f"the connection to {self.host} is closed")
        sent = dict(headers or {})
        if body is not None:
            sent["Content-Type"] = "application/json"
        # Encoded here, and not once more: what is signed must be what is sent.
        url = URL(f"{self._base}{path}{'?' + encode_query(query) if query else ''}", encoded=True)
        response = await self._session.request(
            method, url, data=body, headers=sent, allow_redirects=False
        )
        try:
            room = most if 200 <= response.status < 300 else MAX_ERROR
            pieces = bytearray()
            while piece := await response.content.readany():
                pieces += piece
                if len(pieces) > room:
                    if room == MAX_ERROR:
                        break
                    raise Retry(f"{self.host} answered {method} {path} with over {room} bytes")
            wait = wait_of(response.headers.get("Retry-After"))
            return response.status, bytes(pieces[:room]), wait
        finally:
            response.close()

    def _said(self, status: int, body: bytes) -> str:
        """Return what an error's body says, for people; secrets are out before it is cut to a line."""
        if status in {401, 403}:
            return ": the key is not accepted"
        try:
            text = body.decode().strip()
        except UnicodeDecodeError:
            return ""
        return f": {one_line(self._hidden(text))}" if text else ""


def encode_query(query: Mapping[str, str]) -> str:
    """Return a query string by RFC 3986, sorted by key."""
    return "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in sorted(query.items()))
