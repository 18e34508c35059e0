"""A worker and a node's backend on one broker, and whoever means harm between them."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field

import msgspec
from coincurve import PrivateKey
from eth_hash.auto import keccak
from eth_keys.datatypes import PrivateKey as EthKey

from vagus.compute import Backend, Completion, Message, Model
from vagus.compute.edge.backend import EdgeBackend
from vagus.compute.edge.bodies import Offered
from vagus.compute.edge.config import EdgeConfig
from vagus.compute.edge.worker import Worker
from vagus.compute.mqtt import MqttClient, MqttConfig
from vagus.protocol import address_of

__all__ = ["PATIENCE", "Puppet", "edge_backend", "frame", "new_key", "request", "running", "until"]

PATIENCE = 60.0
OFFER, HELLO, ASK, CANCEL, PIECE, ANSWER, SORRY = range(1, 8)


def new_key() -> PrivateKey:
    return PrivateKey(secrets.token_bytes(32))


def request(model: Model, text: str = "Hello there", max_tokens: int = 8) -> Completion:
    return Completion(model=model, messages=(Message("user", text),), max_tokens=max_tokens)


async def until(found: Callable[[], object]) -> None:
    """Wait for a state."""
    async with asyncio.timeout(PATIENCE):
        while not found():
            await asyncio.sleep(0.005)


def frame(
    kind: int,
    key: PrivateKey,
    receiver: bytes = bytes(20),
    about: bytes = bytes(32),
    number: int = 0,
    body: object = None,
    sender: bytes | None = None,
) -> tuple[bytes, bytes]:
    """Return a frame as docs/edge.md has it, made by hand and signed by eth_keys, and its digest."""
    data = b"" if body is None else body if isinstance(body, bytes) else msgspec.json.encode(body)
    head = bytes([1, kind]) + (sender or address_of(key)) + receiver + about
    signed = head + number.to_bytes(8, "big") + len(data).to_bytes(4, "big") + data
    digest = keccak(b"\x19vagus edge\x01" + signed)
    made = EthKey(key.secret).sign_msg_hash(digest)
    signature = made.r.to_bytes(32, "big") + made.s.to_bytes(32, "big") + bytes([27 + made.v])
    return signed + signature, digest


@contextlib.asynccontextmanager
async def edge_backend(
    url: str, key: PrivateKey, workers: Iterable[bytes], **more: object
) -> AsyncIterator[EdgeBackend]:
    named = [f"0x{each.hex()}" for each in workers]
    config = EdgeConfig.model_validate({"name": "edge", "url": url, "workers": named, **more})
    backend = EdgeBackend(config)
    backend.sign_with(key)
    async with backend:
        yield backend


@contextlib.asynccontextmanager
async def running(
    url: str,
    key: PrivateKey,
    inner: Backend,
    nodes: Iterable[bytes],
    offered: Iterable[Offered] = (Offered("repeater"),),
    login: dict[str, object] | None = None,
    **more: int,
) -> AsyncIterator[Worker]:
    """A worker that serves, and is stopped as SIGTERM would."""
    await inner.models()
    broker = MqttConfig.model_validate({"url": url} | (login or {}))
    worker, stopping = (
        Worker(key, broker, inner, list(offered), set(nodes), **more),
        asyncio.Event(),
    )
    serving = asyncio.create_task(worker.serve(stopping))
    try:
        yield worker
    finally:
        stopping.set()
        async with asyncio.timeout(PATIENCE):
            await serving


@dataclass
class Puppet:
    """A worker, or a node, that sends what a test has it send. asked: frames it was sent, with topics."""

    client: MqttClient
    key: PrivateKey
    asked: list[tuple[bytes, str]] = field(default_factory=list)
    number: int = 0
    session: str = "5e" * 16
    window: str = "ab" * 16
    offered: bytes = b""

    @classmethod
    @contextlib.asynccontextmanager
    async def on(
        cls, url: str, key: PrivateKey, topic: str | None = None
    ) -> AsyncIterator["Puppet"]:
        mine = topic or f"vagus-edge/1/{address_of(key).hex()}/ask/+"
        async with MqttClient(MqttConfig.model_validate({"url": url}), [mine]) as client:
            puppet = cls(client, key)
            await client.until_connected()
            listening = asyncio.create_task(puppet._listen())
            try:
                yield puppet
            finally:
                listening.cancel()
                await asyncio.wait([listening])

    @property
    def address(self) -> bytes:
        return address_of(self.key)

    async def _listen(self) -> None:
        while True:
            message = await self.client.receive()
            self.asked.append((message.payload, message.reply_to))
            if message.payload[1] == HELLO and self.offered:
                self.client.publish(f"vagus-edge/1/{self.address.hex()}/offer", self.offered)

    def of_kind(self, kind: int) -> list[tuple[bytes, str]]:
        return [each for each in self.asked if each[0][1] == kind]

    async def an_ask(self, number: int = 0) -> tuple[bytes, bytes, str]:
        """Wait for a request; its frame, its digest, and where the answer goes."""
        await until(lambda: len(self.of_kind(ASK)) > number)
        data, topic = self.of_kind(ASK)[number]
        return data, keccak(b"\x19vagus edge\x01" + data[:-65]), topic

    def offer(self, **changed: object) -> bytes:
        """Say what there is: a model, unless the test says otherwise; again to who says hello."""
        self.number += 1
        body = {
            "session": self.session,
            "window": self.window,
            "models": [{"name": "repeater"}],
            "slots": 4,
            "free": 4,
        }
        data, _ = frame(OFFER, self.key, number=self.number, body=body | changed)
        self.offered = data
        self.client.publish(f"vagus-edge/1/{self.address.hex()}/offer", data)
        return data

    def say(
        self, kind: int, node: bytes, digest: bytes, topic: str, body: object, number: int = 0
    ) -> bytes:
        """Answer a request."""
        data, _ = frame(kind, self.key, node, digest, number, body)
        self.client.publish(topic, data, about=digest)
        return data
