"""One connection to a broker, from its first byte to its last."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import aiomqtt
from paho.mqtt.subscribeoptions import SubscribeOptions

from vagus.compute.mqtt.bounded import PATIENCE, BoundedClient

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable, Sequence

    from vagus.compute.mqtt.config import MqttConfig
    from vagus.compute.mqtt.traffic import Message

__all__ = ["Session", "connect"]

_GOODBYE = 1.0
# Identifiers of properties (MQTT 5, 2.2.2.2).
_EXPIRY, _REPLY_TO, _ABOUT = b"\x02", b"\x08", b"\x09"


class Session(BoundedClient):
    """What a connection is used for."""

    def deliver(self, message: Message, qos: int, expiry: int) -> None:
        """Publish; the broker keeps it `expiry` seconds for whoever reads slowly. MqttError.

        `until_overdue` waits for the confirmation.
        """
        properties = _EXPIRY + expiry.to_bytes(4, "big")
        if message.reply_to:
            properties += _REPLY_TO + _counted(message.reply_to.encode())
        if message.about:
            properties += _ABOUT + _counted(message.about)
        self.hand_over(message.topic, message.payload, qos, _Packed(properties))

    async def until_overdue(self) -> None:
        """Wait for a message that the broker does not confirm in time, which is an MqttError."""
        now = asyncio.get_running_loop().time
        while (left := next(iter(self.unconfirmed.values()), now()) + PATIENCE - now()) > 0:  # noqa: ASYNC110 - sleeps until the oldest is due
            await asyncio.sleep(left)
        raise aiomqtt.MqttError("the broker does not confirm what it is sent")

    async def listen(self, topics: Sequence[str], qos: int) -> None:
        """Ask for messages of others under topics; MqttError where the broker refuses."""
        options = SubscribeOptions(
            qos=qos, noLocal=True, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND
        )
        for topic in topics:
            for code in await self.subscribe(topic, options=options):
                if not isinstance(code, int) and code.is_failure:
                    raise aiomqtt.MqttError(f"the broker lets us not read {topic}: {code}")

    async def until_lost(self) -> None:
        """Wait for the end of the connection, which is an MqttError."""
        try:
            async for _ in self.messages:
                raise RuntimeError("a message was taken from the sink")
        except aiomqtt.MqttError as error:
            raise aiomqtt.MqttError(self.fault or str(error.__cause__ or error)) from None


class _Packed:
    """Properties in the one way in which paho asks for them: its own class costs as much as the rest."""

    def __init__(self, properties: bytes) -> None:
        length, head = len(properties), bytearray()
        while length >= 0x80:
            head.append(length & 0x7F | 0x80)
            length >>= 7
        self._data = bytes([*head, length]) + properties

    def pack(self) -> bytes:
        return self._data


def _counted(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


@contextlib.asynccontextmanager
async def connect(
    config: MqttConfig,
    password: str | None,
    tls: ssl.SSLContext | None,
    take: Callable[[Message], None],
    confirm: Callable[[str], None],
) -> AsyncIterator[Session]:
    """Connect for the block's length; MqttError where that fails. `take`, `confirm`: `BoundedClient`."""
    session = Session(config, password, tls, take, confirm)
    opening = asyncio.create_task(session.__aenter__(), name=f"connecting to {config.url}")
    try:
        try:
            await asyncio.shield(opening)
        except asyncio.CancelledError:
            # paho connects in a thread, which nothing can end before its time.
            await session.connecting_ended.wait()
            opening.cancel()
            await asyncio.gather(opening, return_exceptions=True)
            raise
        yield session
    finally:
        try:
            with contextlib.suppress(aiomqtt.MqttError, TimeoutError):
                async with asyncio.timeout(_GOODBYE):
                    await session.__aexit__(None, None, None)
        finally:
            session.hang_up()
