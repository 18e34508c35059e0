"""The MQTT client against real brokers, and against one that means harm."""

import asyncio
import contextlib
import os
import signal
import socket
import struct
import sys
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Self

import aiomqtt
import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs

from support.certificates import Authority
from support.mosquitto import Mosquitto
from vagus.compute.mqtt import (
    Broker,
    Message,
    MqttClient,
    MqttConfig,
    bounded,
    broker,
    broker_server,
    client,
    session,
)
from vagus.protocol import Refuse, Retry

PATIENCE = 60.0
SECRET = "correct-horse-battery"


def config(url: str, **more: object) -> MqttConfig:
    return MqttConfig.model_validate({"url": url, **more})


async def passes(sender: MqttClient, receiver: MqttClient) -> None:
    """A message of one reaches the other."""
    async with asyncio.timeout(PATIENCE):
        await sender.until_connected()
        await receiver.until_connected()
        sender.publish("vagus/test", b"a message")
        message = await receiver.receive()
        assert (message.topic, message.payload) == ("vagus/test", b"a message")


async def reason_of(logs: list[dict[str, object]], event: str) -> str:
    async with asyncio.timeout(PATIENCE):
        while not (found := [each for each in logs if each["event"] == event]):
            await asyncio.sleep(0.01)
    return str(found[0]["reason"])


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
async def guarded(tmp_path: Path, authority: Authority) -> AsyncIterator[Mosquitto]:
    """TLS, and a password for the one user `bee`."""
    made = authority.issue("broker", "IP:127.0.0.1")
    await _password(tmp_path / "passwords", "bee", SECRET)
    text = (
        "listener {port} 127.0.0.1\nallow_anonymous false\n"
        f"certfile {made.certificate}\nkeyfile {made.key}\npassword_file {tmp_path}/passwords\n"
    )
    async with Mosquitto(tmp_path, text) as found:
        yield found


async def _password(path: Path, user: str, password: str) -> None:
    command = ["mosquitto_passwd", "-c", "-b", str(path), user, password]
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
    assert await process.wait() == 0


def secret_file(folder: Path, password: str = SECRET) -> Path:
    path = folder / "password"
    path.write_text(password + "\n")
    path.chmod(0o600)
    return path


async def test_a_password_passes_over_tls_and_is_shown_nowhere(
    tmp_path: Path, authority: Authority, guarded: Mosquitto
) -> None:
    with capture_logs() as logs:
        known = config(
            f"mqtts://127.0.0.1:{guarded.port}",
            username="bee",
            password_file=secret_file(tmp_path),
            ca_file=authority.path,
        )
        async with MqttClient(known, ["vagus/#"]) as a, MqttClient(known, ["vagus/#"]) as b:
            await passes(a, b)
            assert SECRET not in repr(a) + repr(known) + repr(vars(a)) + str(logs)


async def test_a_wrong_password_is_said_once_and_never_shown(
    tmp_path: Path, authority: Authority, guarded: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "LONGEST_PAUSE", 0.01)
    monkeypatch.setattr(client, "FIRST_PAUSE", 0.01)
    wrong = config(
        f"mqtts://127.0.0.1:{guarded.port}",
        username="bee",
        password_file=secret_file(tmp_path, "a-wrong-secret"),
        ca_file=authority.path,
    )
    with capture_logs() as logs:
        async with MqttClient(wrong, ["vagus/#"]) as stranger, asyncio.timeout(PATIENCE):
            while stranger.traffic.reconnects < 5:
                await asyncio.sleep(0.01)
            assert not stranger.connected
    assert len(logs) == 1
    assert "uthori" in logs[0]["reason"]  # not authorized, bad authorization
    assert "a-wrong-secret" not in str(logs)


async def test_a_broker_with_another_authoritys_certificate_is_not_talked_to(
    tmp_path: Path, guarded: Mosquitto
) -> None:
    other = Authority(tmp_path, "other")
    with capture_logs() as logs:
        known = config(
            f"mqtts://127.0.0.1:{guarded.port}",
            username="bee",
            password_file=secret_file(tmp_path),
            ca_file=other.path,
        )
        async with MqttClient(known, ["vagus/#"]) as a:
            assert "CERTIFICATE_VERIFY_FAILED" in await reason_of(logs, "broker away")
            assert not a.connected
    assert "bee" not in guarded.log


async def test_a_client_certificate_is_enough_where_the_broker_takes_those(
    tmp_path: Path, authority: Authority
) -> None:
    made, own = authority.issue("broker", "IP:127.0.0.1"), authority.issue("bee")
    text = (
        "listener {port} 127.0.0.1\nallow_anonymous false\nrequire_certificate true\n"
        "use_identity_as_username true\n"
        f"cafile {authority.path}\ncertfile {made.certificate}\nkeyfile {made.key}\n"
    )
    async with Mosquitto(tmp_path, text) as found:
        known = config(
            f"mqtts://127.0.0.1:{found.port}",
            ca_file=authority.path,
            cert_file=own.certificate,
            key_file=own.key,
        )
        async with MqttClient(known, ["vagus/#"]) as a, MqttClient(known, ["vagus/#"]) as b:
            await passes(a, b)
        nameless = config(f"mqtts://127.0.0.1:{found.port}", ca_file=authority.path)
        with capture_logs() as logs:
            async with MqttClient(nameless, ["vagus/#"]) as stranger:
                await reason_of(logs, "broker away")
                assert not stranger.connected


async def test_what_a_broker_refuses_is_counted_and_said_once(tmp_path: Path) -> None:
    (tmp_path / "acl").write_text("topic read #\n")
    text = f"listener {{port}} 127.0.0.1\nallow_anonymous true\nacl_file {tmp_path}/acl\n"
    with capture_logs() as logs:
        async with (
            Mosquitto(tmp_path, text) as found,
            MqttClient(config(found.url), ["vagus/#"]) as a,
            asyncio.timeout(PATIENCE),
        ):
            await a.until_connected()
            for _ in range(3):
                a.publish("vagus/test", b"not allowed")
            while a.traffic.dropped["refused"] < 3:
                await asyncio.sleep(0.01)
    said = [each for each in logs if each["event"] == "the broker refuses what is published"]
    assert [each["reason"] for each in said] == ["Not authorized"]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"url": "http://broker:1883"}, "pattern"),
        ({"url": "mqtt://bee:secret@broker"}, "pattern"),
        ({"url": "mqtt://broker:70000"}, "write mqtt://host:port"),
        ({"url": "mqtt://:1883"}, "write mqtt://host:port"),
        ({"url": "mqtt://a..b"}, "write mqtt://host:port"),
        ({"url": "mqtt://broker", "ca_file": "ca.pem"}, "are for mqtts://"),
        ({"url": "mqtts://broker", "cert_file": "own.pem"}, "needs both"),
        ({"url": "mqtts://broker", "password_file": "password"}, "name its username"),
        (
            {"url": "mqtt://broker", "username": "bee", "password_file": "password"},
            "would show the password to the network",
        ),
    ],
)
def test_a_config_that_cannot_work_is_refused_in_words(wrong: dict[str, str], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        MqttConfig.model_validate(wrong)


async def test_files_that_are_of_no_use_are_refused_in_words(tmp_path: Path) -> None:
    url, path = "mqtts://127.0.0.1:1", tmp_path / "file"
    open_to_all = config(url, username="bee", password_file=path)
    with pytest.raises(Refuse, match="can't be read"):
        await MqttClient(open_to_all, []).__aenter__()
    path.write_text("a secret")
    path.chmod(0o644)
    with pytest.raises(Refuse, match="chmod 600"):
        await MqttClient(open_to_all, []).__aenter__()
    path.chmod(0o600)
    with pytest.raises(Refuse, match="no PEM of authorities"):
        await MqttClient(config(url, ca_file=path), []).__aenter__()
    with pytest.raises(Refuse, match="no certificate and its key"):
        await MqttClient(config(url, cert_file=path, key_file=path), []).__aenter__()
    path.write_text("\n")
    with pytest.raises(Refuse, match="holds no password"):
        await MqttClient(open_to_all, []).__aenter__()


def packet(kind: int, body: bytes) -> bytes:
    length = len(body)
    head = bytearray([kind])
    while True:
        head.append(length % 128 | (0x80 if length >= 128 else 0))
        length //= 128
        if not length:
            return bytes(head) + body


CONNACK = packet(0x20, bytes((0, 0, 0)))
SUBACK = packet(0x90, bytes((0, 1, 0, 1)))


def publish(topic: bytes, payload: bytes, qos: int = 0) -> bytes:
    number = b"\x00\x07" if qos else b""
    body = struct.pack("!H", len(topic)) + topic + number + b"\x00" + payload
    return packet(0x30 | qos << 1, body)


HARM = {
    "a packet of 256 MB": b"\x30\xff\xff\xff\x7f" + bytes(1 << 20),
    "deliveries of QoS 2 without end": publish(b"vagus/a", bytes(100_000), 2) * 100,
    "a topic with wildcards": publish(b"vagus/#", b"x"),
    "a topic that is no text": publish(b"\xff\xfe", b"x"),
    "a length that never ends": b"\x30\xff\xff\xff\xff\xff",
    "a publish that breaks off": packet(0x30, b"\x00\xffabc"),
    "an unknown kind of packet": packet(0xF0, b"abc"),
    "a subscription that nobody asked for": packet(0x90, bytes((0, 99, 0, 1))) + b"\x00\x00",
    "noise": bytes(range(256)) * 64,
    "nothing": b"",
}


class Impostor:
    """Whatever `play` makes of a broker: it gets each connection, and how many there were."""

    def __init__(
        self,
        play: Callable[[asyncio.StreamReader, asyncio.StreamWriter, int], Awaitable[None]],
    ) -> None:
        self._play = play
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self.visits = 0
        self.url = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"mqtt://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._open.values():
            writer.transport.abort()
        await asyncio.gather(*self._open)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = writer
        self.visits += 1
        try:
            with contextlib.suppress(ConnectionError):
                await self._play(reader, writer, self.visits)
        finally:
            writer.transport.abort()
            del self._open[task]


async def welcome(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1024)
    writer.write(CONNACK)
    await reader.read(1024)
    writer.write(SUBACK)


@pytest.mark.parametrize("harm", HARM.values(), ids=HARM)
async def test_no_broker_can_fill_the_memory_or_end_the_client(
    harm: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is left, and tried again: the second time it behaves, and messages flow."""
    monkeypatch.setattr(client, "FIRST_PAUSE", 0.01)

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, visit: int) -> None:
        await welcome(reader, writer)
        writer.write(harm if visit == 1 else publish(b"vagus/a", b"well"))
        await writer.drain()
        if visit > 1 or harm:
            await reader.read()

    async with Impostor(play) as impostor:
        known = config(impostor.url, qos=0)
        tracemalloc.start()
        try:
            async with MqttClient(known, ["vagus/#"]) as a, asyncio.timeout(PATIENCE):
                while (await a.receive()).payload != b"well":
                    pass
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert impostor.visits == 2
    assert peak < 24 << 20  # of which 20 MB are what this test sends


async def test_a_broker_that_sends_and_does_not_read_is_left() -> None:
    """Each confirmed message is answered; the answers are not kept for ever."""
    made = bounded.BoundedClient(config("mqtt://127.0.0.1"), None, None, _ignore, _ignore)
    made._client._out_packet.extend([{}] * 1025)  # type: ignore[list-item]
    with pytest.raises(ConnectionAbortedError, match="sends and does not read"):
        made._client._sock_recv(1)


@pytest.mark.parametrize("end", ["the broker hangs up", "goodbye"])
async def test_a_connection_that_ends_with_messages_unsent_is_no_error_of_the_loop(
    end: str,
) -> None:
    """Whoever has ended it, its socket is closed by the write that finds out."""
    loop = asyncio.get_running_loop()
    faults: list[dict[str, object]] = []
    loop.set_exception_handler(lambda _, fault: faults.append(fault))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        url = f"mqtt://127.0.0.1:{listening.getsockname()[1]}"
        greeting = asyncio.create_task(_greeted(listening))
        connecting = session.connect(config(url), None, None, _ignore, _ignore)
        async with connecting as found, asyncio.timeout(PATIENCE):
            broker_side = await greeting
            if end == "goodbye":
                found._client.disconnect()
            for _ in range(3):
                found.deliver(Message("vagus/a", b"a message"), 1, 60)
            if end == "the broker hangs up":
                # With a reset, in this very turn: the loop sees it only after it has tried to write.
                linger = struct.pack("ii", 1, 0)
                broker_side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                broker_side.close()
            with pytest.raises(aiomqtt.MqttError):
                await found.until_lost()
        broker_side.close()
    assert faults == []


async def _greeted(listening: socket.socket) -> socket.socket:
    """Return a broker's side of a connection that it has let in."""
    loop = asyncio.get_running_loop()
    accepted, _ = await loop.sock_accept(listening)
    await loop.sock_recv(accepted, 1024)
    await loop.sock_sendall(accepted, CONNACK)
    return accepted


async def test_a_broker_that_does_not_confirm_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(session, "PATIENCE", 0.1)

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, visit: int) -> None:
        await welcome(reader, writer)
        while await reader.read(1024):
            pass

    with capture_logs() as logs:
        async with Impostor(play) as impostor, MqttClient(config(impostor.url), ["vagus/#"]) as a:
            await a.until_connected()
            a.publish("vagus/a", b"never confirmed")
            assert "does not confirm" in await reason_of(logs, "broker away")
            await a.flushed()
            assert (a.traffic.sent, a.traffic.dropped["lost"]) == (0, 1)


@pytest.mark.parametrize("which", ["mosquitto", "embedded"])
@pytest.mark.parametrize("qos", [0, 1])
async def test_where_an_answer_goes_and_what_it_is_about_travel_along(
    tmp_path: Path, which: str, qos: int
) -> None:
    long = "vagus/" + "a" * 300
    async with (
        Mosquitto(tmp_path) if which == "mosquitto" else Broker() as found,
        MqttClient(config(found.url, qos=qos), ["vagus/#"]) as a,
        MqttClient(config(found.url, qos=qos), ["vagus/#"]) as b,
        asyncio.timeout(PATIENCE),
    ):
        await a.until_connected()
        await b.until_connected()
        for reply_to, about in (("vagus/b", b"\0\xff"), (long, bytes(32)), ("", b"x"), ("v", b"")):
            a.publish("vagus/a", b"ask", reply_to=reply_to, about=about, expiry=5)
            assert await b.receive() == ("vagus/a", b"ask", reply_to, about)
        await a.flushed()
        assert a.traffic.sent == 4


async def test_it_can_be_closed_while_a_broker_says_nothing() -> None:
    async def play(reader: asyncio.StreamReader, _: asyncio.StreamWriter, __: int) -> None:
        reached.set()
        await reader.read()

    reached = asyncio.Event()
    async with Impostor(play) as impostor:
        tasks = asyncio.all_tasks()
        async with asyncio.timeout(PATIENCE), MqttClient(config(impostor.url), ["vagus/#"]):
            await reached.wait()
        async with asyncio.timeout(PATIENCE):
            while asyncio.all_tasks() != tasks:
                await asyncio.sleep(0.01)


async def test_paho_still_has_the_names_that_are_bounded() -> None:
    made = bounded.BoundedClient(config("mqtt://127.0.0.1"), None, None, _ignore, _ignore)
    assert type(made._client)._sock_recv.__name__ == "_sock_recv"
    assert {"remaining_length", "command"} <= set(made._client._in_packet)
    assert len(made._client._out_packet) == 0
    assert type(made._client)._sock_close.__name__ == "_sock_close"


def _ignore(*_: object) -> None: ...


async def test_connections_to_the_embedded_broker_inherit_no_delay() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        assert broker_server._mend(listening.fileno()) == port
        with socket.create_connection(("127.0.0.1", port)):
            accepted, _ = listening.accept()
            with accepted:
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_the_embedded_broker_ends_with_whoever_started_it(tmp_path: Path) -> None:
    script = tmp_path / "starts.py"
    script.write_text(
        "import asyncio\nfrom vagus.compute.mqtt import Broker\n"
        "async def main():\n    async with Broker() as broker:\n"
        "        print(broker.pid, flush=True)\n        await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, str(script), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    os.kill(pid, 0)
    parent.send_signal(signal.SIGKILL)
    await parent.wait()
    async with asyncio.timeout(PATIENCE):
        while _runs(pid):
            await asyncio.sleep(0.01)


def _runs(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


async def test_a_port_that_is_taken_is_said() -> None:
    async with Broker() as first:
        with pytest.raises(Retry, match="the embedded broker ended by exit code 1"):
            await Broker(first.port).__aenter__()


async def test_without_the_extra_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    find: Callable[[str], object] = broker.importlib.util.find_spec  # type: ignore[attr-defined]
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name == "iotcore" else find(name)
    )
    with pytest.raises(Refuse, match=r"pip install 'vagus\[broker\]'"):
        await Broker().__aenter__()
