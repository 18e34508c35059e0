"""Committee frames over HTTP: who is let in, what is read before, and through the node's own API."""

import asyncio
import random
import secrets
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from coincurve import PrivateKey
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from support.transports import KEYS, NETWORK, topic
from vagus.daemon.committee.transport import MAX_FRAME, PeerConfig, PeersConfig
from vagus.daemon.committee.transport.batch import MAX_BATCH, MAX_FRAMES, pack, unpack
from vagus.daemon.committee.transport.http import HttpTransport
from vagus.daemon.committee.transport.http_auth import (
    MAX_REQUESTS,
    WINDOW,
    StaleError,
    StrangerError,
    Windows,
    authorization,
)
from vagus.protocol import address_of, keccak256

PATIENCE = 60.0
PATH = "/v1/committee"
TRIES = 1000


def peers(*numbers: int) -> PeersConfig:
    found = [PeerConfig(transport="0x" + address_of(KEYS[n]).hex()) for n in numbers]
    return PeersConfig(peers=tuple(found))


class Node:
    """Member 0, whose only peer is member 1, behind a real server."""

    def __init__(self, transport: HttpTransport, session: aiohttp.ClientSession, url: str) -> None:
        self.transport = transport
        self.session = session
        self.url = url

    async def window(self) -> bytes:
        async with self.session.post(self.url) as response:
            assert response.status == 401
            scheme, _, window = response.headers["WWW-Authenticate"].partition(" window=")
            assert scheme == "Vagus"
            return bytes.fromhex(window)

    async def post(self, header: str, body: bytes) -> tuple[int, bytes]:
        headers = {"Authorization": header}
        async with self.session.post(self.url, data=body, headers=headers) as response:
            return response.status, await response.read()


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    transport = HttpTransport(peers(1), KEYS[0], NETWORK)
    app = web.Application(client_max_size=1024)  # as the node's API has it
    app.add_routes(transport.routes())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    port = site._server.sockets[0].getsockname()[1]
    try:
        async with transport, aiohttp.ClientSession() as session, asyncio.timeout(PATIENCE):
            yield Node(transport, session, f"http://127.0.0.1:{port}{PATH}")
    finally:
        await runner.cleanup()


def signed(window: bytes, body: bytes, key: int = 1, network: bytes = NETWORK) -> str:
    return authorization(KEYS[key], network, address_of(KEYS[0]), window, body)


async def test_a_peer_is_let_in_and_gets_what_waits_for_it(node: Node) -> None:
    node.transport.send(b"for the peer", topic(0))
    body = pack([b"one", b"two"])
    status, answer = await node.post(signed(await node.window(), body), body)
    assert status == 200
    assert unpack(answer) == [b"for the peer"]
    assert [await node.transport.receive() for _ in range(2)] == [b"one", b"two"]
    assert node.transport.connected


def test_the_signature_is_what_docs_say_by_somebody_elses_library() -> None:
    """eth_account recovers the sender from the digest as the page writes it."""
    window, body = secrets.token_bytes(32), b"a body"
    header = signed(window, body)
    named, nonce, hashed, signature = (bytes.fromhex(part) for part in header[6:].split("."))
    assert named == window
    assert hashed == keccak256(body)
    receiver = Account.from_key(KEYS[0].secret).address
    digest = keccak256(
        b"\x19vagus http\x01" + NETWORK + bytes.fromhex(receiver[2:]) + window + nonce + hashed
    )
    sender = Account._recover_hash(digest, signature=signature)
    assert sender == Account.from_key(KEYS[1].secret).address


async def test_of_a_strangers_thousand_tries_none_is_taken(node: Node) -> None:
    """No signature, another's, for another network, receiver or window, and what it has recorded."""
    chance, window = random.Random(1), await node.window()
    body = pack([b"a spoof"])
    recorded_body = pack([b"recorded"])
    recorded = signed(window, recorded_body)
    assert (await node.post(recorded, recorded_body))[0] == 200
    assert await node.transport.receive() == b"recorded"
    elsewhere = authorization(KEYS[1], NETWORK, address_of(KEYS[2]), window, body)
    good = signed(window, body)
    headers = [
        ("", body),
        ("Bearer abc", body),
        ("Vagus " + "00" * 145, body),
        (signed(window, body, key=2), body),
        (signed(window, body, network=keccak256(b"another")), body),
        (signed(bytes(32), body), body),
        (elsewhere, body),
        (recorded, recorded_body),
        (recorded, body),
        (good[:-130] + secrets.token_hex(64) + "1b", body),
        (good.upper(), body),
        (good + " ", body + b"x"),
    ]
    for _ in range(TRIES):
        header, sent = chance.choice(headers[:-1])
        status, answer = await node.post(header, sent)
        assert status == 401
        assert b"spoof" not in answer
    # The right header beside another body is found out once the body is read.
    assert (await node.post(signed(window, body), body + b"x"))[0] == 400
    assert node.transport.traffic.received == 1
    counted = node.transport.traffic.dropped
    assert counted.total() > TRIES * 0.8
    assert {"unsigned", "stranger", "replayed", "malformed"} <= set(counted)


async def test_a_strangers_body_is_not_read(node: Node) -> None:
    """It is refused by its head, while its body has not come."""
    host, port = node.url.split("/")[2].split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST {PATH} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 400000\r\n\r\n"
    writer.write(head.encode())
    assert b" 401 " in await reader.readline()
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (bytes(MAX_BATCH + 1), 413),
        (b"\x00\x00\x00\x05abc", 400),
        (b"\x00\x00", 400),
        ((MAX_FRAME + 1).to_bytes(4, "big") + bytes(MAX_FRAME + 1), 400),
        (pack([b""] * (MAX_FRAMES + 1)), 400),
        (pack([b"x" * MAX_FRAME] * 3), 200),
        (b"", 200),
    ],
    ids=["too long", "cut off", "no length", "a frame too long", "too many", "full", "empty"],
)
async def test_a_peers_body_is_bounded(node: Node, body: bytes, status: int) -> None:
    assert (await node.post(signed(await node.window(), body), body))[0] == status
    if status != 200:
        assert node.transport.traffic.received == 0
        assert node.transport.traffic.dropped.total() == 2  # that, and who asked for the window


async def test_a_body_without_a_length_is_refused(node: Node) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield pack([b"one"])

    header = signed(await node.window(), pack([b"one"]))
    async with node.session.post(
        node.url, data=pieces(), headers={"Authorization": header}
    ) as response:
        assert response.status == 411


async def test_a_peer_that_asks_again_is_answered_by_its_newest_request(node: Node) -> None:
    """The connection of an older one may be dead: what comes next is not lost on it."""
    window = await node.window()

    async def fetch() -> list[bytes]:
        headers = {"Authorization": signed(window, b"")}
        async with node.session.post(f"{node.url}?wait=20", data=b"", headers=headers) as response:
            return unpack(await response.read())

    older = asyncio.create_task(fetch())
    while not node.transport._server._waiting:
        await asyncio.sleep(0.01)
    newer = asyncio.create_task(fetch())
    assert await older == []
    node.transport.send(b"news", topic(0))
    assert await newer == [b"news"]


async def test_what_a_peer_asks_at_once_is_bounded(node: Node) -> None:
    """Four requests may be open; whose bodies do not come are closed in time."""
    window = await node.window()
    host, port = node.url.split("/")[2].split(":")
    writers = []
    for _ in range(4):
        _, writer = await asyncio.open_connection(host, int(port))
        head = f"POST {PATH} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 9\r\n"
        writer.write(f"{head}Authorization: {signed(window, b'x')}\r\n\r\n".encode())
        writers.append(writer)
    while sum(node.transport._server._at_once.values()) < 4:
        await asyncio.sleep(0.01)
    assert (await node.post(signed(window, b""), b""))[0] == 429
    for writer in writers:
        writer.close()
        await writer.wait_closed()
    while sum(node.transport._server._at_once.values()):
        await asyncio.sleep(0.01)
    assert (await node.post(signed(window, b""), b""))[0] == 200


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_a_batch_comes_apart_as_it_was_put_together(frames: list[bytes]) -> None:
    assert unpack(pack(frames)) == frames


@given(st.binary(max_size=200))
def test_no_bytes_are_two_batches_or_a_fault(body: bytes) -> None:
    try:
        frames = unpack(body)
    except ValueError:
        return
    assert pack(frames) == body


class TestWindows:
    peer = address_of(KEYS[1])
    receiver = address_of(KEYS[0])

    def admit(self, windows: Windows, window: bytes, key: PrivateKey = KEYS[1]) -> bytes:
        header = authorization(key, NETWORK, self.receiver, window, b"")
        return windows.admit(header, frozenset([self.peer]))[0]

    def test_one_that_is_over_counts_until_the_next_is_over_too(self) -> None:
        now = 0.0
        windows = Windows(NETWORK, self.receiver, lambda: now)
        first = windows.current
        now = WINDOW + 1
        assert windows.current != first
        assert self.admit(windows, first) == self.peer
        now = 2 * WINDOW + 3
        with pytest.raises(StaleError):
            self.admit(windows, first)

    def test_after_a_long_silence_none_of_before_counts(self) -> None:
        now = 0.0
        windows = Windows(NETWORK, self.receiver, lambda: now)
        first = windows.current
        now = 10 * WINDOW
        with pytest.raises(StaleError):
            self.admit(windows, first)

    def test_what_was_taken_in_a_window_is_not_taken_in_it_again(self) -> None:
        now = 0.0
        windows = Windows(NETWORK, self.receiver, lambda: now)
        header = authorization(KEYS[1], NETWORK, self.receiver, windows.current, b"")
        windows.admit(header, frozenset([self.peer]))
        now = WINDOW + 1
        with pytest.raises(StrangerError, match="replayed"):
            windows.admit(header, frozenset([self.peer]))

    def test_a_peer_has_so_many_requests_in_a_window(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("vagus.daemon.committee.transport.http_auth.MAX_REQUESTS", 3)
        assert MAX_REQUESTS > 30 * WINDOW
        windows = Windows(NETWORK, self.receiver, lambda: 0.0)
        for _ in range(3):
            self.admit(windows, windows.current)
        with pytest.raises(StrangerError, match="too many"):
            self.admit(windows, windows.current)
