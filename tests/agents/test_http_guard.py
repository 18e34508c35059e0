"""What no URL, name or server gets a guarded fetch to do. A victim counts who connects to it."""

import asyncio
import contextlib
import gzip
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from support.scripted import Request, Script, repeating, response, scripted, sending, silent
from vagus.agents.http import GuardedHttp, HttpPolicy, Resolve
from vagus.protocol import Refuse, Retry

HELLO = response(b"hello")


class Victim:
    """Something inside: it answers whoever comes, and counts them."""

    def __init__(self) -> None:
        self.connections = 0
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        writer.write(response(b"secret"))
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@pytest.fixture
async def victim() -> AsyncIterator[Victim]:
    found = Victim()
    # One socket for both families where there are two: an IPv6 spelling reaches it too.
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    listener = socket.create_server(("", 0), family=family, dualstack_ipv6=both)
    server = await asyncio.start_server(found.serve, sock=listener)
    found.port = listener.getsockname()[1]
    async with server:
        yield found


def answering(*answers: Sequence[str]) -> tuple[Resolve, list[str]]:
    """A resolver that says something else each time, and the names it was asked."""
    asked: list[str] = []

    async def resolve(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return answers[min(len(asked), len(answers)) - 1]

    return resolve, asked


def guarded(port: int, *hosts: str, resolve: Resolve | None = None, **more: Any) -> GuardedHttp:
    policy = HttpPolicy(hosts=hosts, **{"schemes": ("http", "https"), "ports": (port,), **more})
    return GuardedHttp(policy, resolve=resolve)


async def fetched(script: Script, **more: Any) -> bytes:
    """Fetch what a server on an expressly allowed address sends."""
    async with scripted(script) as server:
        resolve, _ = answering(["127.0.0.1"])
        loopback: Any = {"allow_networks": ("127.0.0.1/32",), **more}
        pages = guarded(server.port, "service.test", resolve=resolve, **loopback)
        page = await pages.get(f"http://service.test:{server.port}/a?b=c")
        assert server.requests[0].line == "GET /a?b=c HTTP/1.1"
        return page.body


async def test_a_named_host_on_an_allowed_address_is_fetched() -> None:
    assert await fetched(sending(HELLO)) == b"hello"


INSIDE = [
    "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1",
    "169.254.169.254", "169.254.170.2", "100.64.0.1", "100.100.100.200", "192.0.0.192",
    "168.63.129.16", "198.18.0.1", "203.0.113.9", "224.0.0.1", "255.255.255.255", "240.0.0.1",
    "::", "::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::ffff:169.254.169.254", "::127.0.0.1",
    "64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::", "2002:a9fe:a9fe::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2", "fd00:ec2::254", "fc00::1", "fe80::1", "fe80::1%lo",
    "fec0::1", "ff02::1", "2001:db8::1", "100::1",
]  # fmt: skip


@pytest.mark.parametrize("address", INSIDE)
async def test_a_name_that_leads_inside_is_refused_without_a_connection(
    victim: Victim, address: str
) -> None:
    for answer in ([address], ["8.8.8.8", address], [address, "2606:4700::1111"]):
        resolve, _ = answering(answer)
        with pytest.raises(Refuse, match="no public address"):
            await guarded(victim.port, "service.test", resolve=resolve).get(
                f"http://service.test:{victim.port}/"
            )
    assert victim.connections == 0


PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.215.14",
    "172.32.0.1",
    "2606:4700:4700::1111",
    "2a00:1450::1",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_may_be_reached(address: str) -> None:
    import ipaddress

    HttpPolicy(hosts=("service.test",)).check_addresses(
        "service.test", [ipaddress.ip_address(address)]
    )


async def test_a_name_that_the_system_resolves_to_loopback_is_refused(victim: Victim) -> None:
    with pytest.raises(Refuse, match="no public address"):
        await guarded(victim.port, "localhost").get(f"http://localhost:{victim.port}/")
    assert victim.connections == 0


async def test_a_name_that_leads_nowhere_is_a_retry() -> None:
    with pytest.raises(Retry, match="can't be reached: gaierror"):
        await guarded(80, "nobody.invalid").get("http://nobody.invalid/")


SPELLINGS = [
    "http://2130706433:{port}/", "http://017700000001:{port}/", "http://0x7f000001:{port}/",
    "http://0x7f.1:{port}/", "http://127.1:{port}/", "http://0177.0.0.1:{port}/",
    "http://127.0.0.1.:{port}/", "http://127.000.000.001:{port}/", "http://[::1]:{port}/",
    "http://[::ffff:127.0.0.1]:{port}/", "http://[0:0:0:0:0:0:0:1]:{port}/",
    "http://[::1%25lo]:{port}/", "http://127。0。0。1:{port}/", "http://127\uff0e0\uff0e0\uff0e1:{port}/",
    "http://①②⑦.⓪.⓪.①:{port}/", "http://localhost:{port}/", "http://LOCALHOST:{port}/",
    "http://localhost.:{port}/", "http://service.test.:{port}/", "http://SERVICE.test:{port}/",
    "http://service.test@127.0.0.1:{port}/", "http://service.test:80@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}#@service.test/", "http://127.0.0.1:{port}\\@service.test/",
    "http://service.test\\@127.0.0.1:{port}/", "http://127.0.0.1:{port}?@service.test/",
    "http://service.test%2f@127.0.0.1:{port}/", "http://service.test:{port}/#x",
    "http://service.test:{port}\\x", "http:service.test:{port}/", "//service.test:{port}/",
    "http:///service.test:{port}/", "http://service.test:0{port}/", "http://service.test:/",
    "http://service.test: {port}/", " http://service.test:{port}/", "http://service.test:{port}/\r\nX: y",
    "http://service.test:{port}/ HTTP/1.1", "http://service.test:{port}/é", "HTTP://service.test:{port}/",
    "http://service.test:{port}/\x00", "http://other.service.test:{port}/", "http://service.tests:{port}/",
    "file:///etc/passwd", "gopher://service.test:{port}/", "ftp://service.test/", "data:,x",
    "javascript:1", "http+unix://%2Fvar%2Frun%2Fdocker.sock/", "http://service.test:6379/",
    "http://service.test/", "http://xn--service.test:{port}/", "http://servi\u0441e.test:{port}/", "", "http://",
    "http://service.test:{port}/" + "a" * 2048,
]  # fmt: skip


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_a_url_in_an_odd_spelling_reaches_nothing(victim: Victim, spelling: str) -> None:
    resolve, asked = answering(["127.0.0.1"])
    pages = guarded(victim.port, "service.test", resolve=resolve, allow_networks=("127.0.0.0/8",))
    with pytest.raises(Refuse):
        await pages.get(spelling.format(port=victim.port))
    assert victim.connections == 0
    assert asked == []


@pytest.mark.parametrize(
    "host",
    ["127.1", "0x7f.1", "2130706433", "0177.0.0.1", "a.0x7f", "[::1]", "0:0:0:0:0:0:0:1", "Service.test",
     "service.test.", "*.test", "service.test:80", "user@service.test", "sérvice.test", "", ".", "-a"],
)  # fmt: skip
def test_a_policy_names_hosts_in_one_spelling(host: str) -> None:
    with pytest.raises(ValidationError, match="usual spelling"):
        HttpPolicy(hosts=(host,))


def test_a_policy_is_https_on_the_usual_ports_and_nowhere_inside_by_default() -> None:
    policy = HttpPolicy(hosts=("service.test",))
    assert (policy.schemes, policy.ports, policy.allow_networks) == (("https",), (80, 443), ())
    assert str(policy.target("https://service.test/")) == "https://service.test/"
    with pytest.raises(Refuse, match="http is not allowed"):
        policy.target("http://service.test/")
    with pytest.raises(Refuse, match="port 8443"):
        policy.target("https://service.test:8443/")


async def test_an_address_inside_is_refused_where_a_policy_names_it_as_host(victim: Victim) -> None:
    for host, spelled in (("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")):
        with pytest.raises(Refuse, match="no public address"):
            await guarded(victim.port, host).get(f"http://{spelled}:{victim.port}/")
    assert victim.connections == 0


def two_listeners() -> tuple[socket.socket, socket.socket]:
    """Sockets of one port on two addresses."""
    while True:
        first = socket.create_server(("127.0.0.2", 0))
        try:
            return first, socket.create_server(("127.0.0.1", first.getsockname()[1]))
        except OSError:
            first.close()


async def test_a_name_that_is_bound_anew_is_asked_once_and_its_first_address_connected_to() -> None:
    checked, inside = Victim(), Victim()
    sockets = two_listeners()
    resolve, asked = answering(["127.0.0.2"], ["127.0.0.1"])
    first = await asyncio.start_server(checked.serve, sock=sockets[0])
    second = await asyncio.start_server(inside.serve, sock=sockets[1])
    async with first, second:
        port = sockets[0].getsockname()[1]
        only: Any = {"allow_networks": ("127.0.0.2/32",)}
        pages = guarded(port, "service.test", resolve=resolve, **only)
        assert (await pages.get(f"http://service.test:{port}/")).body == b"secret"
        assert (checked.connections, asked) == (1, ["service.test"])
        with pytest.raises(Refuse, match=r"leads to 127\.0\.0\.1"):
            await pages.get(f"http://service.test:{port}/")
    assert (checked.connections, inside.connections) == (1, 0)


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 T", "308 P"])
async def test_a_redirect_is_an_error_and_is_not_followed(victim: Victim, status: str) -> None:
    location = f"Location: http://127.0.0.1:{victim.port}/\r\n"
    with pytest.raises(Refuse, match="redirects are not followed"):
        await fetched(sending(response(b"", status=status, headers=location)))
    assert victim.connections == 0


async def test_what_a_page_names_is_not_fetched(victim: Victim) -> None:
    inside = f"http://127.0.0.1:{victim.port}/"
    headers = (
        f"Refresh: 0; url={inside}\r\nLink: <{inside}>; rel=preload\r\nAlt-Svc: h2={inside}\r\n"
    )
    body = f'<meta http-equiv="refresh" content="0; url={inside}">'.encode()
    assert await fetched(sending(response(body, headers=headers))) == body
    assert victim.connections == 0


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "ALL_PROXY", "https_proxy"])
async def test_no_proxy_of_the_environment_is_used(
    victim: Victim, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, f"http://127.0.0.1:{victim.port}")
    assert await fetched(sending(HELLO)) == b"hello"
    assert victim.connections == 0


async def test_a_request_says_no_more_than_it_must() -> None:
    seen: dict[str, str] = {}

    async def script(request: Request) -> None:
        seen.update(request.headers)
        await request.send(response(b"x", headers="Set-Cookie: a=b\r\n"))

    await fetched(script)
    assert seen.pop("host").startswith("service.test:")
    assert seen == {
        "accept": "*/*",
        "accept-encoding": "identity",
        "connection": "close",
        "user-agent": "vagus",
    }


@pytest.mark.parametrize(
    "script",
    [
        sending(response(b"x" * 1001)),
        sending(response(b"x" * 50, length=10**12)),
        repeating(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 100),
        repeating(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"64\r\n" + b"x" * 100 + b"\r\n"),
    ],
    ids=["long", "longer than it says", "endless", "endless in chunks"],
)  # fmt: skip
async def test_a_body_without_end_is_left_at_its_bound(script: Script) -> None:
    with pytest.raises((Refuse, Retry), match=r"1000 bytes|ClientPayloadError"):
        await fetched(script, max_bytes=1000)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "x-gzip", "zstd", "gzip, gzip"])
async def test_a_compressed_body_is_refused_unread(coding: str) -> None:
    bomb = gzip.compress(bytes(1 << 20))
    with pytest.raises(Refuse, match="compressed"):
        await fetched(sending(response(bomb, headers=f"Content-Encoding: {coding}\r\n")))


@pytest.mark.parametrize(
    "script",
    [silent, repeating(b"HTTP/1.1 200 OK\r\n\r\n", b"x", 0.01), repeating(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n", 0.01)],
    ids=["silent", "a byte at a time", "a header at a time"],
)  # fmt: skip
async def test_a_server_that_dawdles_is_left_in_time(script: Script) -> None:
    with pytest.raises(Retry, match="took over 1 s"):
        await fetched(script, timeout=1)


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (response(b"", status="404 Not Found"), Refuse),
        (response(b"", status="401 Unauthorized"), Refuse),
        (response(b"", status="204 No Content"), Refuse),
        (response(b"", status="429 Too Many"), Retry),
        (response(b"", status="503 Unavailable"), Retry),
        (b"", Retry),
        (b"SSH-2.0-OpenSSH_9.6\r\n", Retry),
        (b"HTTP/1.1 200 OK\r\nA: " + b"b" * 100_000, Retry),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n", Retry),
    ],
)
async def test_each_other_answer_says_what_to_do(sent: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        await fetched(sending(sent))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of service.test with its key, in one file."""
    folder = tmp_path_factory.mktemp("tls")
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
        "-subj /CN=service.test -addext subjectAltName=DNS:service.test -keyout key.pem -out cert.pem"
    )
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_bytes((folder / "key.pem").read_bytes() + (folder / "cert.pem").read_bytes())
    return both


@pytest.mark.parametrize(
    ("host", "trusted", "ends"),
    [
        ("service.test", True, "hello"),
        ("another.test", True, "no certificate that is valid"),
        ("service.test", False, "no certificate that is valid"),
    ],
)
async def test_the_certificate_is_checked_against_the_name_though_the_address_is_pinned(
    certificate: Path, host: str, trusted: bool, ends: str
) -> None:
    names: list[str | None] = []
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    tls.sni_callback = lambda _, name, __: names.append(name)  # type: ignore[assignment,func-returns-value]  # None goes on

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HELLO)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    async with server:
        port = server.sockets[0].getsockname()[1]
        resolve, _ = answering(["127.0.0.1"])
        policy = HttpPolicy(hosts=(host,), ports=(port,), allow_networks=("127.0.0.0/8",))
        client = ssl.create_default_context(cafile=str(certificate)) if trusted else None
        pages = GuardedHttp(policy, tls=client, resolve=resolve)
        try:
            end = (await pages.get(f"https://{host}:{port}/")).body.decode()
        except Refuse as error:
            end = error.reason
    assert ends in end
    assert names == [host]
