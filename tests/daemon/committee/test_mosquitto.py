"""Mosquitto with the configuration and the ACL that operators get, and who gets past them."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from pathlib import Path

import aiomqtt
import pytest

from support.certificates import Authority
from support.mosquitto import Mosquitto
from support.transports import KEYS, NETWORK, topic
from vagus.daemon.committee.transport import BrokerConfig, Transport, open_transports
from vagus.daemon.committee.transport.mqtt import topic_name
from vagus.protocol import address_of, keccak256

PATIENCE = 60.0
PASSWORD = "a password of tests"
USERS = [address_of(key).hex() for key in KEYS]
TRIES = 1000


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    """The listener for user names and passwords; the authority is in `authority.pem`."""
    made = Authority(tmp_path).issue("broker", "IP:127.0.0.1")
    assert made.certificate == tmp_path / "broker.pem"
    for user in USERS:
        new = [] if (tmp_path / "passwords").exists() else ["-c"]
        command = ["mosquitto_passwd", *new, "-b", str(tmp_path / "passwords"), user, PASSWORD]
        process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
        assert await process.wait() == 0
    (tmp_path / "password").write_text(PASSWORD)
    (tmp_path / "password").chmod(0o600)
    async with Mosquitto.as_shipped(tmp_path, 8883) as found:
        yield found


def by_password(folder: Path, broker: Mosquitto, number: int) -> Transport:
    known = {
        "url": f"mqtts://127.0.0.1:{broker.port}",
        "username": USERS[number],
        "password_file": folder / "password",
        "ca_file": folder / "authority.pem",
    }
    config = BrokerConfig.model_validate(known)
    return open_transports([config], KEYS[number], NETWORK)[0]


def raw(folder: Path, broker: Mosquitto, user: str | None) -> aiomqtt.Client:
    """Somebody else's client."""
    return aiomqtt.Client(
        "127.0.0.1",
        broker.port,
        username=user,
        password=PASSWORD,
        protocol=aiomqtt.ProtocolVersion.V5,
        tls_params=aiomqtt.TLSParameters(ca_certs=str(folder / "authority.pem")),
    )


async def first(member: Transport) -> bytes:
    async with asyncio.timeout(PATIENCE):
        return await member.receive()


async def test_members_hear_each_other(tmp_path: Path, broker: Mosquitto) -> None:
    async with by_password(tmp_path, broker, 0) as a, by_password(tmp_path, broker, 1) as b:
        async with asyncio.timeout(PATIENCE):
            await a.until_connected()
            await b.until_connected()
        a.send(b"a vote", topic(0))
        assert await first(b) == b"a vote"
        assert not a.traffic.dropped.total()


async def test_a_member_writes_its_own_topics_alone(tmp_path: Path, broker: Mosquitto) -> None:
    async with by_password(tmp_path, broker, 0) as a, by_password(tmp_path, broker, 1) as b:
        async with asyncio.timeout(PATIENCE):
            await a.until_connected()
            await b.until_connected()
            for n in range(TRIES):
                a.send(b"as another %d" % n, topic(1 + n % 2))
                await asyncio.sleep(0)  # what is sent at once is one message
                if n % 100 == 99:  # no faster than the broker answers
                    while a.traffic.dropped["refused"] <= n:
                        await asyncio.sleep(0.01)
        a.send(b"as itself", topic(0))
        assert await first(b) == b"as itself"
        assert a.traffic.dropped["refused"] == TRIES
        assert b.traffic.received == 1


async def test_of_a_strangers_thousand_tries_none_arrives(
    tmp_path: Path, broker: Mosquitto
) -> None:
    """Without TLS, without a name, with a wrong password, and what it has recorded sent again."""
    chance = random.Random(1)
    topics = [
        topic_name(topic(1)),
        topic_name(topic(1, keccak256(b"another network"))),
        f"vagus/1/{NETWORK.hex()}/{'00' * 20}/1/-",
        f"vagus/2/{NETWORK.hex()}/{USERS[1]}/1/-",
        "$SYS/broker",
        "anything",
    ]
    async with by_password(tmp_path, broker, 0) as member, asyncio.timeout(PATIENCE):
        await member.until_connected()
        async with by_password(tmp_path, broker, 1) as other:
            await other.until_connected()
            other.send(b"a frame to record", topic(1))
            recorded = await member.receive()
        for n in range(TRIES):
            where = chance.choice(topics)
            frame = chance.choice([recorded, b"a spoof", chance.randbytes(100)])
            if n % 20 == 0:
                await _connect_wrongly(tmp_path, broker, chance, where, frame)
            else:
                await _write_plain(broker, where, frame, USERS[n % 3])
        await _publish_as_a_member_elsewhere(tmp_path, broker, topics, recorded)
        async with by_password(tmp_path, broker, 1) as other:
            await other.until_connected()
            other.send(b"the end", topic(1))
            assert await member.receive() == b"the end"
        assert member.traffic.received == 2


async def _write_plain(broker: Mosquitto, where: str, frame: bytes, user: str) -> None:
    """Send MQTT without TLS, all at once, as one of the members, and hang up."""
    name, password = user.encode(), PASSWORD.encode()
    connect = (
        b"\x00\x04MQTT\x05\xc2\x00\x3c\x00" + _text(b"stranger") + _text(name) + _text(password)
    )
    publish = _text(where.encode()) + b"\x00" + frame
    _, writer = await asyncio.open_connection("127.0.0.1", broker.port)
    with contextlib.suppress(ConnectionError):
        writer.write(_packet(0x10, connect) + _packet(0x30, publish))
        await writer.drain()
        writer.close()
        await writer.wait_closed()


def _text(text: bytes) -> bytes:
    return len(text).to_bytes(2, "big") + text


def _packet(kind: int, body: bytes) -> bytes:
    size = len(body)
    length = bytes([size]) if size < 128 else bytes([size % 128 | 128, size // 128])
    return bytes([kind]) + length + body


async def _connect_wrongly(
    folder: Path, broker: Mosquitto, chance: random.Random, where: str, frame: bytes
) -> None:
    """Come by TLS with no name, a wrong one, or a wrong password: not let in."""
    user, password = chance.choice([(None, None), ("nobody", PASSWORD), (USERS[1], "wrong")])
    stranger = aiomqtt.Client(
        "127.0.0.1",
        broker.port,
        username=user,
        password=password,
        protocol=aiomqtt.ProtocolVersion.V5,
        tls_params=aiomqtt.TLSParameters(ca_certs=str(folder / "authority.pem")),
    )
    try:
        async with stranger:
            await stranger.publish(where, frame, qos=1)
    except aiomqtt.MqttError:
        return
    raise AssertionError("a stranger was let in")


async def _publish_as_a_member_elsewhere(
    folder: Path, broker: Mosquitto, topics: list[str], recorded: bytes
) -> None:
    """A member that has gone bad: its name and password are right, the topics are not its own."""
    async with raw(folder, broker, USERS[2]) as bad:
        await bad.subscribe("#")
        for where in topics:
            await bad.publish(where, recorded, qos=1)
        assert len(bad.messages) == 0


async def test_with_client_certificates_the_common_name_is_the_user(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.issue("broker", "IP:127.0.0.1")
    (tmp_path / "members-ca.pem").write_text(authority.path.read_text())
    (tmp_path / "passwords").write_text("")
    own = [authority.issue(user) for user in USERS[:2]]
    async with Mosquitto.as_shipped(tmp_path, 8884) as found, contextlib.AsyncExitStack() as life:
        members = []
        for number, certificate in enumerate(own):
            known = {
                "url": f"mqtts://127.0.0.1:{found.port}",
                "ca_file": authority.path,
                "cert_file": certificate.certificate,
                "key_file": certificate.key,
            }
            config = BrokerConfig.model_validate(known)
            member = open_transports([config], KEYS[number], NETWORK)[0]
            members.append(await life.enter_async_context(member))
        a, b = members
        async with asyncio.timeout(PATIENCE):
            await a.until_connected()
            await b.until_connected()
            a.send(b"as another", topic(1))
            while not a.traffic.dropped["refused"]:
                await asyncio.sleep(0.01)
        a.send(b"as itself", topic(0))
        assert await first(b) == b"as itself"
        assert b.traffic.received == 1
