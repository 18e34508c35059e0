"""HTTP for agents whose URLs a model or a stranger wrote: named hosts on public addresses alone.

    pages = GuardedHttp(HttpPolicy(hosts=("api.example.org",)))
    page = await pages.get("https://api.example.org/v1/weather?city=Paris")

The URL's host must be one that the operator named. It is resolved once, each of its addresses must
be public, and the connection goes to those addresses, whatever the name leads to a moment later.
Certificates are checked against the name. A redirect is an error: follow it by a call of its own.
`ctx.cite(page.source)` puts what was read into the run's evidence.
"""

import asyncio
import contextlib
import hashlib
import ipaddress
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import aiohttp
import yarl
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import Connection

from vagus.agents.http_policy import HttpPolicy
from vagus.agents.sources import Certificate, Source, certificate_of, date_of
from vagus.compute.addresses import Address, literal
from vagus.compute.bounds import one_line
from vagus.compute.connector import BoundedConnector, FloodError
from vagus.protocol import Refuse, Retry

__all__ = ["GuardedHttp", "HttpPolicy", "Page", "Resolve"]

MAX_ADDRESSES = 16
PASSING = frozenset({408, 425, 429})
# Bytes on the wire for one of a body, as chunks of one byte take six, and for all besides the body.
_WIRE, _HEAD = 8, 32 << 10
# Bytes that a connection holds before it stops to be read, half of what it then has.
_BUFFER = 8 << 10
NO_HEADERS: Mapping[str, str] = {}

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


@dataclass(frozen=True, slots=True)
class Page:
    """A body as it came, with its media type and charset as the server says them: a stranger's bytes.

    source: what the evidence tells of it.
    """

    url: str
    media_type: str
    charset: str | None
    body: bytes
    source: Source


class GuardedHttp:
    """Keeps no connection, cookie or name between two calls.

    tls: who is trusted, the system's authorities by default. resolve: a name's addresses, the
    system's resolver by default.
    """

    def __init__(
        self,
        policy: HttpPolicy,
        *,
        tls: ssl.SSLContext | None = None,
        resolve: Resolve | None = None,
    ) -> None:
        self._policy = policy
        self._tls = tls
        self._resolve = resolve or _resolve

    async def get(
        self,
        url: str,
        headers: Mapping[str, str] = NO_HEADERS,
        secrets: Mapping[str, str] = NO_HEADERS,
    ) -> Page:
        """Return the page of a 200. headers: names in lower case, those that the policy has.

        secrets: more headers, whose values are told to nobody but the server, in no error either.

        Raises Refuse for what the policy forbids, another status, a body over max_bytes or a
        compressed one; Retry for 5xx, 408, 425, 429, a failed connection, a server that sends too much
        besides its body and the end of the time.
        """
        self._policy.check_headers(headers)
        target = self._policy.target(url)
        self._policy.check_secrets(target, secrets)
        return await self._fetch("GET", target, {**headers, **secrets}, None)

    async def post(
        self,
        url: str,
        body: bytes,
        media_type: str,
        headers: Mapping[str, str] = NO_HEADERS,
        secrets: Mapping[str, str] = NO_HEADERS,
    ) -> Page:
        """Send a body, and return the page as `get` does. The answer to a Retry may send it again."""
        self._policy.check_headers(headers)
        target = self._policy.target(url, post=True)
        self._policy.check_secrets(target, secrets)
        sent = {**headers, **secrets, "content-type": media_type}
        return await self._fetch("POST", target, sent, body)

    async def _fetch(
        self, method: str, target: yarl.URL, headers: Mapping[str, str], body: bytes | None
    ) -> Page:
        try:
            async with asyncio.timeout(self._policy.timeout):
                addresses = await self._addresses(target)
                async with self._opened(method, target, addresses, headers, body) as response:
                    _check_status(response)
                    came = await self._body(response)
        except TimeoutError:
            raise Retry(f"{target.host} took over {self._policy.timeout} s") from None
        except aiohttp.ClientSSLError:
            raise Refuse(f"{target.host} shows no certificate that is valid for it") from None
        except FloodError:
            raise Retry(f"{target.host} sends too much besides its answer") from None
        except (aiohttp.ClientError, OSError) as error:
            raise Retry(f"{target.host} can't be reached: {type(error).__name__}") from None
        source = Source(
            url=str(target),
            method=method,
            sent=None if body is None else hashlib.sha256(body).digest(),
            sha256=hashlib.sha256(came).digest(),
            size=len(came),
            media_type=one_line(response.content_type),
            address=response.address,
            date=date_of(response.headers.get("Date")),
            read_at=time.time_ns() // 1_000_000,
            certificate=response.certificate,
        )
        return Page(source.url, source.media_type, response.charset, came, source)

    async def _addresses(self, target: yarl.URL) -> tuple[Address, ...]:
        """Resolve once; the connection goes to what was found here."""
        host, port = target.host or "", target.port or 0
        found = [host] if literal(host) else await self._resolve(host, port)
        if not 0 < len(found) <= MAX_ADDRESSES:
            raise Retry(f"{host} has {len(found)} addresses")
        addresses = tuple(ipaddress.ip_address(text) for text in found)
        self._policy.check_addresses(host, addresses)
        return addresses

    @contextlib.asynccontextmanager
    async def _opened(
        self,
        method: str,
        target: yarl.URL,
        addresses: tuple[Address, ...],
        headers: Mapping[str, str],
        body: bytes | None,
    ) -> AsyncIterator["_Response"]:
        async with aiohttp.ClientSession(
            connector=BoundedConnector(
                most=_WIRE * self._policy.max_bytes + _HEAD,
                resolver=_Pinned(addresses),
                use_dns_cache=False,
                force_close=True,
                ssl=True if self._tls is None else self._tls,
            ),
            headers={**headers, "Accept-Encoding": "identity", "User-Agent": "vagus"},
            cookie_jar=aiohttp.DummyCookieJar(),
            response_class=_Response,
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            read_bufsize=_BUFFER,
            trust_env=False,
        ) as session:
            response = await session.request(method, target, data=body, allow_redirects=False)
            try:
                if not isinstance(response, _Response):
                    raise TypeError("aiohttp made a response of another class")
                yield response
            finally:
                response.close()

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise Refuse("the body is compressed, though it was not asked to be")
        room, pieces = self._policy.max_bytes, []
        while data := await response.content.readany():
            room -= len(data)
            if room < 0:
                raise Refuse(f"the body is over {self._policy.max_bytes} bytes")
            pieces.append(data)
        return b"".join(pieces)


class _Response(aiohttp.ClientResponse):
    """Remembers whose it is: once a short body has come, its connection is gone."""

    address = ""
    certificate: Certificate | None = None

    async def start(self, connection: Connection) -> Self:
        transport = connection.transport
        if transport is None:
            raise aiohttp.ClientConnectionError
        self.address = str(transport.get_extra_info("peername")[0])
        if (tls := transport.get_extra_info("ssl_object")) is not None:
            self.certificate = certificate_of(tls)
        await super().start(connection)
        return self


class _Pinned(AbstractResolver):
    """Answers with the addresses that were checked, whatever is asked."""

    def __init__(self, addresses: tuple[Address, ...]) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=str(address),
                port=port,
                family=socket.AF_INET if address.version == 4 else socket.AF_INET6,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in self._addresses
        ]

    async def close(self) -> None:
        """Hold nothing."""


async def _resolve(host: str, port: int) -> Sequence[str]:
    """Ask the system. A name that leads nowhere is an OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[4][0]) for address in found))


def _check_status(response: aiohttp.ClientResponse) -> None:
    status = response.status
    if status >= 500 or status in PASSING:
        raise Retry(f"HTTP {status}")
    if 300 <= status < 400:
        raise Refuse(f"HTTP {status}: redirects are not followed")
    if status != 200:
        raise Refuse(f"HTTP {status}")
