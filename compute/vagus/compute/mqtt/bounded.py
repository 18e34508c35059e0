"""aiomqtt's client, with bounds that hold against any broker.

A broker is not trusted. MQTT lets it announce a packet of 256 MB, and begin 65,535 deliveries of QoS 2
that it never ends; paho, below aiomqtt, would keep all of that.
"""

# ruff: noqa: SLF001 - paho has no public way to bound a packet, nor to close a socket at once; a test
# says so should the names ever change.

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
from typing import TYPE_CHECKING, Any, cast

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from typing_extensions import override

from vagus.compute.mqtt.traffic import Message

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from paho.mqtt.reasoncodes import ReasonCode

    from vagus.compute.mqtt.config import MqttConfig

__all__ = ["IN_FLIGHT", "MAX_PACKET", "PATIENCE", "BoundedClient"]

MAX_PACKET = 256 << 10
"""Bytes of one MQTT packet, in either direction."""

IN_FLIGHT = 16
"""Messages that the broker has not confirmed yet, in either direction."""

PATIENCE = 10.0
"""Seconds for a broker to answer."""

# Seconds to connect, TLS included, for each of a name's addresses.
_CONNECT = 5.0
_PUBLISH_QOS_2 = 0x34
# Packets that wait for the socket: what is published, and a confirmation of each message received.
_MAX_UNSENT = 1024
# paho and aiomqtt log each message that is dropped: that is counted instead.
_SILENT = logging.getLogger("vagus.mqtt.paho")
_SILENT.setLevel(logging.CRITICAL + 1)
_SILENT.propagate = False


class _Sink:
    """What aiomqtt takes for its queue: messages pass through it, and nobody ever takes one."""

    def __init__(self, take: Callable[[Message], None]) -> None:
        self._take = take

    def put_nowait(self, message: aiomqtt.Message) -> None:
        reply_to = getattr(message.properties, "ResponseTopic", "")
        about = getattr(message.properties, "CorrelationData", b"")
        self._take(Message(message.topic.value, message.payload, reply_to, about))

    async def get(self) -> aiomqtt.Message:
        never: asyncio.Future[aiomqtt.Message] = asyncio.get_running_loop().create_future()
        return await never


class BoundedClient(aiomqtt.Client):
    """A client for one connection.

    `take` gets each message; `confirm` is called for each of ours that the broker has, with why it let
    it not pass, or nothing. max_packet: bytes of a packet that the broker takes. fault: what the broker
    did that ended the connection. connecting_ended: set once the thread in which paho connects is
    through. unconfirmed: the numbers of messages that the broker has not confirmed, oldest first, each
    with the loop's time at which it was sent.
    """

    def __init__(
        self,
        config: MqttConfig,
        password: str | None,
        tls: ssl.SSLContext | None,
        take: Callable[[Message], None],
        confirm: Callable[[str], None],
    ) -> None:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.MaximumPacketSize = MAX_PACKET
        properties.ReceiveMaximum = IN_FLIGHT
        super().__init__(
            config.host,
            config.port,
            username=config.username,
            password=password,
            logger=_SILENT,
            identifier=f"vagus-{secrets.token_hex(8)}",
            queue_type=cast("Any", lambda maxsize: _Sink(take)),
            protocol=aiomqtt.ProtocolVersion.V5,
            timeout=PATIENCE,
            keepalive=config.keepalive,
            clean_start=True,
            max_inflight_messages=IN_FLIGHT,
            properties=properties,
            tls_context=tls,
            # Without it a reply waits some 44 ms for an acknowledgement of what was sent before.
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        )
        self._confirm = confirm
        self.fault = ""
        self.max_packet = MAX_PACKET
        self.connecting_ended = asyncio.Event()
        self.unconfirmed: dict[int, float] = {}
        self._fewer = asyncio.Event()
        self._client.connect_timeout = _CONNECT
        self._receive = self._client._sock_recv
        cast("Any", self._client)._sock_recv = self._bounded

    def hang_up(self) -> None:
        """Close the socket, whatever state the connection is in."""
        if self._client.socket() is not None:
            self._client._sock_close()
        # Looked at, so that asyncio does not report what nobody waited for.
        for each in (self._connected, self._disconnected):
            if each.done() and not each.cancelled():
                each.exception()

    async def room(self) -> None:
        """Wait until fewer than `IN_FLIGHT` messages are unconfirmed."""
        while len(self.unconfirmed) >= IN_FLIGHT:
            self._fewer.clear()
            await self._fewer.wait()

    def hand_over(self, topic: str, payload: bytes, qos: int, properties: Any) -> None:
        """Publish without waiting for the confirmation, which aiomqtt has a task and a timer for."""
        info = self._client.publish(topic, payload, qos, retain=False, properties=properties)
        if not info.rc and info.is_published():
            self._confirm("")
            return
        self.unconfirmed[info.mid] = self._loop.time()
        if info.rc:
            raise aiomqtt.MqttError("the connection was lost")

    def _bounded(self, size: int) -> bytes:
        """Read for paho: 1 byte of a packet's head, or what is left of its body."""
        packet = self._client._in_packet
        if packet["remaining_length"] > MAX_PACKET:
            self.fault = "the broker sent a packet too large"
        elif packet["command"] & 0xF6 == _PUBLISH_QOS_2:
            self.fault = "the broker sent with a QoS that was not asked for"
        elif len(self._client._out_packet) > _MAX_UNSENT:
            self.fault = "the broker sends and does not read"
        if self.fault:
            raise ConnectionAbortedError(self.fault)
        return self._receive(size)

    @override
    def _on_socket_register_write(self, client: Any, userdata: Any, sock: Any) -> None:
        """Write in the loop's next turn, and wait for the socket only where it does not take it all.

        aiomqtt waits each time, which is one turn more and two calls of the system for each packet.
        """

        def write() -> None:
            if sock.fileno() < 0:
                return
            try:
                client.loop_write()
            except Exception as error:  # noqa: BLE001 - whatever it is ends the connection, as in aiomqtt
                if not self._disconnected.done():
                    self._disconnected.set_exception(error)
            # Writing closes the socket where the broker has hung up, and after the goodbye; what is
            # left then is never written.
            if client.want_write() and sock.fileno() >= 0:
                self._loop.add_writer(sock.fileno(), write)

        # paho calls this from the thread in which it connects, too.
        self._loop.call_soon_threadsafe(write)

    @override
    def _client_connect(self) -> None:
        try:
            super()._client_connect()
        finally:
            self._loop.call_soon_threadsafe(self.connecting_ended.set)

    @override
    def _on_connect(
        self,
        client: Any,
        userdata: Any,
        flags: Any,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        limit = getattr(properties, "MaximumPacketSize", MAX_PACKET)
        self.max_packet = min(MAX_PACKET, limit)
        super()._on_connect(client, userdata, flags, reason_code, properties)

    @override
    def _on_disconnect(
        self,
        client: Any,
        userdata: Any,
        flags: Any,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        if not self._connected.done():  # aiomqtt would wait for an answer until its time is up
            words = "the broker hung up without an answer"
            self._connected.set_exception(aiomqtt.MqttError(words))
        super()._on_disconnect(client, userdata, flags, reason_code, properties)

    @override
    def _on_publish(
        self,
        client: Any,
        userdata: Any,
        mid: int,
        reason_code: ReasonCode,
        properties: Properties,
    ) -> None:
        if self.unconfirmed.pop(mid, None) is not None:
            self._fewer.set()
            self._confirm(str(reason_code) if reason_code.is_failure else "")
