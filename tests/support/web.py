"""Servers on the internet that are not there: real TLS under an authority of the test's own."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.certificates import Authority, Certificate
from support.scripted import Request
from vagus.agents.http import GuardedHttp, HttpPolicy

__all__ = ["DATE", "HOST", "Web", "answer", "certified", "website"]

HOST = "api.example.org"
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"


@dataclass
class Web:
    """Says at each path what the test wrote there, whole responses; keeps what it was sent."""

    authority: Path
    port: int = 0
    says: dict[str, bytes] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)

    def url(self, path: str) -> str:
        return f"https://{HOST}:{self.port}{path}"

    def policy(self, **more: Any) -> HttpPolicy:
        own: dict[str, Any] = {"ports": (self.port,), "allow_networks": ("127.0.0.1/32",)}
        return HttpPolicy(**{"hosts": (HOST,), **own, **more})

    def pages(self, policy: HttpPolicy) -> GuardedHttp:
        """A client that trusts the test's authority, and finds every name here."""

        async def resolve(host: str, port: int) -> Sequence[str]:
            return ["127.0.0.1"]

        tls = ssl.create_default_context(cafile=str(self.authority))
        return GuardedHttp(policy, tls=tls, resolve=resolve)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            fields = (line.partition(":") for line in head[1:] if line)
            headers = {name.lower(): value.strip() for name, _, value in fields}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            self.requests.append(Request(head[0], headers, body, reader, writer))
            path = head[0].split()[1]
            writer.write(self.says.get(path, answer(b"", status="404 Not Found")))
            await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def answer(
    body: bytes, *, status: str = "200 OK", kind: str = "application/json", headers: str = ""
) -> bytes:
    """A whole response, of a server whose clock stands at an RFC's example."""
    head = f"HTTP/1.1 {status}\r\nDate: {DATE}\r\nContent-Type: {kind}\r\n{headers}"
    return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


def certified(folder: Path) -> tuple[Authority, Certificate]:
    """An authority, and its certificate for HOST."""
    authority = Authority(folder)
    return authority, authority.issue("server", f"DNS:{HOST}", "DNS:www.example.org")


@contextlib.asynccontextmanager
async def website(authority: Authority, certificate: Certificate) -> AsyncIterator[Web]:
    """Serve on a free loopback port."""
    web = Web(authority.path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate.certificate, certificate.key)
    tls.sni_callback = lambda _, name, __: web.names.append(name)  # type: ignore[assignment,func-returns-value]  # None goes on
    server = await asyncio.start_server(web.serve, "127.0.0.1", 0, ssl=tls)
    async with server:
        web.port = server.sockets[0].getsockname()[1]
        yield web
