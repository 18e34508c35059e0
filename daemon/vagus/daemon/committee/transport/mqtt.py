"""Envelopes over one MQTT broker: `vagus/1/<network>/<sender>/<epoch>/<intent>`, all hex but the epoch.

A message is a batch: what is sent to one topic in one turn of the event loop goes at once, since a
message costs the broker and each reader more than its bytes.

The broker is not trusted. Where its ACL holds each member to topics of its own, no member can take
another's share of what waits to be read here.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Self

from typing_extensions import override

from vagus.compute.mqtt import MqttClient, MqttConfig
from vagus.daemon.committee.transport.base import MAX_FRAME, Topic, Transport
from vagus.daemon.committee.transport.batch import batches, pack, unpack
from vagus.protocol.hashing import ZERO32

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["MqttTransport", "subscription", "topic_name"]

_PREFIX = "vagus/1"
_SENDER = 3
# Bytes of a batch, and of what is gathered; a longer frame is a message of its own.
_MAX_BATCH = 16 << 10


def topic_name(topic: Topic) -> str:
    """Return the MQTT topic that envelopes of a topic go to."""
    intent = "-" if topic.intent == ZERO32 else topic.intent.hex()
    return f"{_PREFIX}/{topic.network.hex()}/{topic.sender.hex()}/{topic.epoch}/{intent}"


def subscription(network: bytes) -> str:
    """Return the filter for the topics of all members of a network."""
    return f"{_PREFIX}/{network.hex()}/+/#"


class MqttTransport(Transport):
    """One broker."""

    def __init__(self, config: MqttConfig, network: bytes) -> None:
        self.name = config.url
        self._client = MqttClient(config, [subscription(network)], producer=_sender)
        self.traffic = self._client.traffic
        self._gathered: dict[str, list[bytes]] = {}
        self._size = 0
        self._received: deque[bytes] = deque()

    def __repr__(self) -> str:
        return f"<MqttTransport {self.name}>"

    @property
    @override
    def connected(self) -> bool:
        return self._client.connected

    @override
    async def until_connected(self) -> None:
        await self._client.until_connected()

    @override
    def send(self, frame: bytes, topic: Topic) -> None:
        if len(frame) > MAX_FRAME:
            self.traffic.dropped["oversized"] += 1
            return
        if not self._gathered:
            asyncio.get_running_loop().call_soon(self._flush)
        self._gathered.setdefault(topic_name(topic), []).append(frame)
        self._size += len(frame)
        if self._size > _MAX_BATCH:
            self._flush()

    def _flush(self) -> None:
        gathered, self._gathered, self._size = self._gathered, {}, 0
        for name, frames in gathered.items():
            for batch in batches(frames, _MAX_BATCH):
                self._client.publish(name, pack(batch))

    @override
    async def receive(self) -> bytes:
        while not self._received:
            payload = (await self._client.receive()).payload
            try:
                self._received.extend(unpack(payload))
            except ValueError:
                self.traffic.dropped["malformed"] += 1
        return self._received.popleft()

    @override
    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    @override
    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.__aexit__(kind, error, trace)


def _sender(topic: str) -> str:
    """Return the part that names the sender; what has none is of one nameless sender."""
    levels = topic.split("/", _SENDER + 1)
    return levels[_SENDER] if len(levels) > _SENDER else ""
