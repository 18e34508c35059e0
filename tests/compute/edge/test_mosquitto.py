"""Mosquitto with the configuration and the ACL that operators get for edge workers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from support.certificates import Authority
from support.edge import edge_backend, new_key, request, running, until
from support.mosquitto import SHIPPED, Mosquitto
from vagus.compute import Model
from vagus.compute.backends.openai import OpenAIBackend
from vagus.compute.mqtt import MqttClient, MqttConfig
from vagus.protocol import address_of

NODE, WORKER = new_key(), new_key()
ME, HIM, HER, WHO = (address_of(each) for each in (NODE, WORKER, new_key(), new_key()))
SESSION = "0123456789abcdef"
PASSWORD = "a password of tests"


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    made = Authority(tmp_path).issue("broker", "IP:127.0.0.1")
    assert made.certificate == tmp_path / "broker.pem"
    for each in (HIM, HER, ME, WHO):
        new = () if (tmp_path / "passwords").exists() else ("-c",)
        command = ("mosquitto_passwd", *new, "-b", tmp_path / "passwords", each.hex(), PASSWORD)
        process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
        assert await process.wait() == 0
    (tmp_path / "password").write_text(PASSWORD)
    (tmp_path / "password").chmod(0o600)
    async with Mosquitto.as_shipped(tmp_path, 8883, "edge", SHIPPED / "edge") as found:
        yield found


def login(folder: Path, who: bytes) -> dict[str, object]:
    return {
        "username": who.hex(),
        "password_file": folder / "password",
        "ca_file": folder / "authority.pem",
    }


async def test_a_request_goes_there_and_back(
    tmp_path: Path, broker: Mosquitto, inner: OpenAIBackend
) -> None:
    url = f"mqtts://127.0.0.1:{broker.port}"
    async with (
        running(url, WORKER, inner, {ME}, login=login(tmp_path, HIM)) as worker,
        edge_backend(url, NODE, [HIM], **login(tmp_path, ME)) as backend,
    ):
        await backend.models()
        answer = await backend.complete(request(Model("repeater")), timeout=30)
        assert answer.text == "You said: Hello there"
        assert worker.client.traffic.dropped["refused"] == 0


async def test_each_writes_its_own_topics_alone_and_reads_what_is_for_it(
    tmp_path: Path, broker: Mosquitto
) -> None:
    async with AsyncExitStack() as life:

        async def client(who: bytes) -> MqttClient:
            config = {"url": f"mqtts://127.0.0.1:{broker.port}", **login(tmp_path, who)}
            made = MqttClient(MqttConfig.model_validate(config), ["vagus-edge/#"])
            await life.enter_async_context(made)
            await made.until_connected()
            return made

        one, two, node, other = [await client(each) for each in (HIM, HER, ME, WHO)]
        his, hers = f"vagus-edge/1/{HIM.hex()}", f"vagus-edge/1/{HER.hex()}"
        for writer, topic in (
            (two, f"{his}/offer"),
            (two, f"{his}/reply/{ME.hex()}/{SESSION}"),
            (two, f"{his}/ask/{ME.hex()}"),
            (other, f"{his}/ask/{ME.hex()}"),
            (node, f"{his}/offer"),
            (node, f"vagus/1/{'00' * 32}/{ME.hex()}/1/-"),
        ):
            writer.publish(topic, b"not mine")
        await until(
            lambda: (
                [each.traffic.dropped["refused"] for each in (one, two, node, other)]
                == [0, 3, 2, 1]
            )
        )
        one.publish(f"{his}/offer", b"offer")
        node.publish(f"{his}/ask/{ME.hex()}", b"ask")
        one.publish(f"{his}/reply/{ME.hex()}/{SESSION}", b"reply")
        two.publish(f"{hers}/offer", b"end")
        async with asyncio.timeout(60):
            assert {(await one.receive()).payload for _ in range(2)} == {b"ask", b"end"}
            assert {(await node.receive()).payload for _ in range(3)} == {
                b"offer",
                b"reply",
                b"end",
            }
            assert {(await other.receive()).payload for _ in range(2)} == {b"offer", b"end"}
            assert (await two.receive()).payload == b"offer"
        assert [each.traffic.received for each in (one, two, node, other)] == [2, 1, 3, 2]
