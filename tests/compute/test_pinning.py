"""Where a backend's URL may lead. A victim counts who connects to it."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import aiohttp
import pytest
from aiohttp.helpers import is_ip_address
from pydantic import ValidationError

from support.scripted import GOOD, response, scripted, sending
from vagus.compute import Completion, Message, Model, backend_config
from vagus.compute.backends.openai import ModelConfig, OpenAIBackend, OpenAIConfig
from vagus.compute.base import Barred
from vagus.compute.client import ChatClient, Endpoint
from vagus.compute.connector import BoundedConnector
from vagus.compute.pinning import PinnedResolver, Reach, check_url
from vagus.protocol import Refuse, Retry

HELLO = Completion(model=Model("m"), messages=(Message("user", "Hello"),), max_tokens=4)
PUBLIC, NAMED, PRIVATE = Reach.PUBLIC, Reach.NAMED, Reach.PRIVATE

# A host as written, what it resolves to, and who may reach it.
TABLE = [
    ("93.184.215.14", ["93.184.215.14"], {PUBLIC, NAMED, PRIVATE}),
    ("[2606:2800:21f::1]", ["2606:2800:21f::1"], {PUBLIC, NAMED, PRIVATE}),
    ("gpu.example", ["93.184.215.14", "2606:2800:21f::1"], {PUBLIC, NAMED, PRIVATE}),
    ("127.0.0.1", ["127.0.0.1"], {NAMED, PRIVATE}),
    ("127.9.9.9", ["127.9.9.9"], {NAMED, PRIVATE}),
    ("[::1]", ["::1"], {NAMED, PRIVATE}),
    ("localhost", ["127.0.0.1", "::1"], {NAMED, PRIVATE}),
    ("model.localhost", ["127.0.0.1"], {NAMED, PRIVATE}),
    ("gpu.example", ["127.0.0.1"], {PRIVATE}),
    ("localhost.example", ["127.0.0.1"], {PRIVATE}),
    # Other spellings of an address: aiohttp connects to the first two without a resolver.
    ("127.1", ["127.0.0.1"], set()),
    ("2130706433", ["127.0.0.1"], set()),
    ("0x7f.1", ["127.0.0.1"], {PRIVATE}),
    ("10.1.2.3", ["10.1.2.3"], {PRIVATE}),
    ("172.20.0.5", ["172.20.0.5"], {PRIVATE}),
    ("192.168.1.20", ["192.168.1.20"], {PRIVATE}),
    ("100.64.9.9", ["100.64.9.9"], {PRIVATE}),
    ("[fd12:3456::1]", ["fd12:3456::1"], {PRIVATE}),
    ("ollama", ["172.20.0.5"], {PRIVATE}),
    # One address of several decides.
    ("gpu.example", ["93.184.215.14", "10.0.0.1"], {PRIVATE}),
    ("gpu.example", ["10.0.0.1", "169.254.169.254"], set()),
    # Link-local, metadata of clouds, and what hides an address: never.
    ("169.254.169.254", ["169.254.169.254"], set()),
    ("metadata.google.internal", ["169.254.169.254"], set()),
    ("[fe80::1]", ["fe80::1"], set()),
    ("gpu.example", ["fe80::1%lo"], set()),
    ("100.100.100.200", ["100.100.100.200"], set()),
    ("[fd00:ec2::254]", ["fd00:ec2::254"], set()),
    ("168.63.129.16", ["168.63.129.16"], set()),
    ("[::ffff:10.0.0.1]", ["::ffff:10.0.0.1"], set()),
    ("[::ffff:127.0.0.1]", ["::ffff:127.0.0.1"], set()),
    ("[64:ff9b::a00:1]", ["64:ff9b::a00:1"], set()),
    ("0.0.0.0", ["0.0.0.0"], set()),
    ("[::]", ["::"], set()),
    ("224.0.0.1", ["224.0.0.1"], set()),
    ("255.255.255.255", ["255.255.255.255"], set()),
]


@pytest.mark.parametrize(("host", "addresses", "allowed"), TABLE)
async def test_who_may_reach_what(host: str, addresses: list[str], allowed: set[Reach]) -> None:
    async def resolve(name: str, port: int) -> Sequence[str]:
        return addresses

    for reach in Reach:
        reached = None
        with contextlib.suppress(Refuse):
            check_url(f"http://{host}:8000/v1", reach)
            # aiohttp connects to a written address without a resolver.
            if is_ip_address(host.strip("[]")):
                reached = addresses
            else:
                found = await PinnedResolver(reach, resolve).resolve(host, 8000)
                assert all(each["flags"] & socket.AI_NUMERICHOST for each in found)
                reached = [each["host"] for each in found]
        assert reached == (addresses if reach in allowed else None)


@pytest.mark.parametrize("host", ["10.1.2.3", "169.254.169.254", "[::ffff:127.0.0.1]"])
def test_a_config_that_names_such_an_address_is_refused(host: str) -> None:
    table = {"kind": "openai", "name": "x", "base_url": f"http://{host}/v1"}
    with pytest.raises(ValidationError, match="no public address"):
        backend_config(table)


def test_a_config_may_allow_its_private_network_and_never_the_metadata() -> None:
    table = {"kind": "openai", "name": "x", "base_url": "http://10.1.2.3/v1", "allow_private": True}
    assert backend_config(table).name == "x"
    with pytest.raises(ValidationError, match="no public address"):
        backend_config({**table, "base_url": "http://169.254.169.254/v1"})


class Victim:
    """Something inside: it counts who comes."""

    def __init__(self) -> None:
        self.connections = 0
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        writer.write(response(GOOD))
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@pytest.fixture
async def victim() -> AsyncIterator[Victim]:
    found = Victim()
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    found.port = server.sockets[0].getsockname()[1]
    async with server:
        yield found


def resolving(monkeypatch: pytest.MonkeyPatch, *answers: Sequence[str]) -> list[str]:
    """Have the system's resolver say something else each time; returns the names it was asked."""
    asked: list[str] = []

    async def resolve(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return answers[min(len(asked), len(answers)) - 1]

    monkeypatch.setattr("vagus.compute.pinning._resolve", resolve)
    return asked


async def test_a_name_that_leads_inside_is_refused_before_anything_is_sent(
    victim: Victim, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = resolving(monkeypatch, ["127.0.0.1"])
    url = f"http://gpu.example:{victim.port}/v1"
    async with ChatClient(Endpoint(url)) as client:
        for _ in range(2):
            # Not the request's fault: another backend may serve it.
            with pytest.raises(Barred, match=r"gpu\.example leads to 127\.0\.0\.1.*allow_private"):
                await client.complete(HELLO, "m", timeout=5)
    assert asked == ["gpu.example"] * 2
    assert victim.connections == 0


async def test_a_name_that_changes_its_mind_leads_where_it_was_checked(
    victim: Victim, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rebinding: were it resolved once more to connect, it would lead to the victim."""
    asked = resolving(monkeypatch, ["192.0.2.1", "127.0.0.1"], ["127.0.0.1"])
    url = f"http://gpu.example:{victim.port}/v1"
    async with ChatClient(Endpoint(url)) as client:
        for _ in range(2):
            with pytest.raises(Refuse):
                await client.complete(HELLO, "m", timeout=5)
    assert victim.connections == 0
    assert len(asked) == 2


async def test_a_name_is_resolved_once_for_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    async with scripted(sending(response(GOOD))) as server:
        asked = resolving(monkeypatch, ["127.0.0.1"])
        url = f"http://gpu.example:{server.port}/v1"
        async with ChatClient(Endpoint(url, reach=Reach.PRIVATE)) as client:
            assert (await client.complete(HELLO, "m", timeout=5)).text == "Paris"
        assert asked == ["gpu.example"]
        assert server.requests[0].headers["host"] == f"gpu.example:{server.port}"


@pytest.mark.parametrize("answer", [[], ["93.184.215.14"] * 17])
async def test_no_addresses_and_too_many_are_a_retry(
    answer: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    resolving(monkeypatch, answer)
    async with ChatClient(Endpoint("http://gpu.example/v1")) as client:
        with pytest.raises(Retry, match="connection failed"):
            await client.complete(HELLO, "m", timeout=5)


async def test_a_stranger_s_url_may_not_even_name_this_machine(victim: Victim) -> None:
    for host in ("127.0.0.1", "localhost"):
        url = f"http://{host}:{victim.port}/v1"
        with pytest.raises(Refuse, match="no public address"):
            async with ChatClient(Endpoint(url, reach=Reach.PUBLIC)) as client:
                await client.complete(HELLO, "m", timeout=5)
    assert victim.connections == 0


async def test_a_proxy_named_in_the_environment_is_not_asked(
    victim: Victim, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{victim.port}")
    async with scripted(sending(response(GOOD))) as server:
        config = OpenAIConfig(name="x", base_url=server.base_url, models=(ModelConfig(name="m"),))
        async with OpenAIBackend(config) as backend:
            assert (await backend.complete(HELLO, timeout=5)).text == "Paris"
    assert victim.connections == 0


async def test_the_connector_itself_checks_each_host_that_it_is_sent_to(victim: Victim) -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    connector = BoundedConnector(reach=Reach.NAMED, resolve=resolve)
    async with aiohttp.ClientSession(connector=connector) as session:
        for host in ("inside.example", "10.0.0.1", "127.1", "169.254.169.254"):
            with pytest.raises(Refuse):
                await session.get(f"http://{host}:{victim.port}/")
    assert victim.connections == 0


def test_a_key_file_is_needed_before_a_socket(tmp_path: Path) -> None:
    config = OpenAIConfig(
        name="x", base_url="http://127.0.0.1:1/v1", api_key_file=tmp_path / "absent"
    )
    with pytest.raises(Refuse, match="can't be read"):
        asyncio.run(OpenAIBackend(config).__aenter__())
