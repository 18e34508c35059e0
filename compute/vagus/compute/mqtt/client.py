"""An MQTT 5 client for messages that are sent again anyway: it never blocks, and never gives up.

A broker that is away is no error of whoever uses it: messages wait, the oldest are dropped and counted,
and the connection is made again.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
from typing import TYPE_CHECKING, NamedTuple, Self

import aiomqtt
import structlog

from vagus.compute.bounds import one_line
from vagus.compute.lossy import LossyQueue
from vagus.compute.mqtt.bounded import MAX_PACKET
from vagus.compute.mqtt.session import Session, connect
from vagus.compute.mqtt.traffic import Message, Traffic

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

    from vagus.compute.mqtt.config import MqttConfig

__all__ = ["MqttClient"]

log = structlog.get_logger("vagus.mqtt")

# In either direction: what a broker that is away for a while leaves to be sent, and what waits to be read.
MAX_ITEMS = 1024
MAX_BYTES = 4 << 20
# Seconds after which a message is of no use: whoever sent it has sent it again.
EXPIRY = 60
# Bytes of a packet beside its topics, correlation data and payload: head, lengths, id, properties.
_HEAD = 40
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
# A connection that held this long did not end for what it began with.
STEADY = 30.0


class _Waiting(NamedTuple):
    message: Message
    until: float


class MqttClient:
    """`async with`; publishes, and receives what others publish under `topics`.

    `producer` tells the senders of messages apart by their topics, so that none of them can fill
    what waits to be read. Entering it raises Refuse where a file of the config is of no use.
    """

    def __init__(
        self,
        config: MqttConfig,
        topics: Sequence[str],
        producer: Callable[[str], Hashable] | None = None,
    ) -> None:
        self.traffic = Traffic()
        self._config = config
        self._topics = tuple(topics)
        self._producer = producer
        self._outbox = LossyQueue[_Waiting](MAX_ITEMS, MAX_BYTES)
        self._inbox = LossyQueue[Message](MAX_ITEMS, MAX_BYTES)
        self._session: Session | None = None
        self._up = asyncio.Event()
        self._moved = asyncio.Event()
        self._said = ""
        self._refused = ""
        self._life = contextlib.AsyncExitStack()
        self._log = log.bind(broker=config.url)

    def __repr__(self) -> str:
        return f"<MqttClient {self._config.url}>"

    @property
    def connected(self) -> bool:
        """Whether messages flow now."""
        return self._up.is_set()

    async def until_connected(self) -> None:
        """Wait until messages flow."""
        await self._up.wait()

    async def __aenter__(self) -> Self:
        password, tls = self._config.password(), self._config.tls()
        # Closed without the body's error, which a TaskGroup would wrap in a group.
        group = await self._life.enter_async_context(asyncio.TaskGroup())
        task = group.create_task(
            self._stay_connected(
                lambda: connect(self._config, password, tls, self._take, self._confirm)
            ),
            name=f"mqtt {self._config.url}",
        )
        self._life.callback(task.cancel)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._life.aclose()

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        reply_to: str = "",
        about: bytes = b"",
        expiry: float = EXPIRY,
    ) -> None:
        """Send once the broker is there; drops and counts what does not fit, and the oldest first.

        `reply_to` and `about` as in `Message`; `expiry` in seconds.
        """
        message = Message(topic, payload, reply_to, about)
        size = _size(message)
        if size > MAX_PACKET:
            self.traffic.dropped["oversized"] += 1
            return
        until = asyncio.get_running_loop().time() + expiry
        self.traffic.dropped["outbox full"] += self._outbox.put(_Waiting(message, until), size)

    async def flushed(self) -> None:
        """Wait until the broker has confirmed what was published, or it was lost."""
        while len(self._outbox) or (self._session is not None and self._session.unconfirmed):
            self._moved.clear()
            await self._moved.wait()

    async def receive(self) -> Message:
        """Wait for a message of someone else."""
        return await self._inbox.get()

    def _take(self, message: Message) -> None:
        self.traffic.received += 1
        producer = None if self._producer is None else self._producer(message.topic)
        self.traffic.dropped["inbox full"] += self._inbox.put(message, _size(message), producer)

    async def _stay_connected(
        self, link: Callable[[], AbstractAsyncContextManager[Session]]
    ) -> None:
        """Connect again and again, until cancelled."""
        loop, pause = asyncio.get_running_loop(), FIRST_PAUSE
        while True:
            begun, reason = loop.time(), ""
            try:
                async with link() as session:
                    await self._exchange(session)
            except* (aiomqtt.MqttError, OSError) as group:
                reason = _first(group)
            finally:
                self._up.clear()
            pause = FIRST_PAUSE if loop.time() - begun > STEADY else pause
            if reason != self._said:
                self._log.warning("broker away", reason=reason)
                self._said = reason
            # Jitter: members whose broker comes back do not all come at once.
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
            pause = min(2 * pause, LONGEST_PAUSE)
            self.traffic.reconnects += 1

    async def _exchange(self, session: Session) -> None:
        """Receive and send over one connection, until it is lost: an MqttError in a group."""
        self._session = session
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(session.until_lost(), name="mqtt connection")
                await session.listen(self._topics, self._config.qos)
                group.create_task(session.until_overdue(), name="mqtt confirmations")
                self._up.set()
                self._said = ""
                self._log.info("broker connected", again=self.traffic.reconnects > 0)
                while True:
                    await session.room()
                    self._send(session, await self._outbox.get())
        finally:
            self._session = None
            self._moved.set()
            self.traffic.dropped["lost"] += len(session.unconfirmed)

    def _send(self, session: Session, waiting: _Waiting) -> None:
        """Publish one message; what is lost with the connection is counted and not sent again."""
        left = waiting.until - asyncio.get_running_loop().time()
        if left <= 0:
            self.traffic.dropped["expired"] += 1
        elif _size(waiting.message) > session.max_packet:
            self.traffic.dropped["oversized"] += 1
        else:
            session.deliver(waiting.message, self._config.qos, math.ceil(left))

    def _confirm(self, fault: str) -> None:
        self.traffic.sent += 1
        self._moved.set()
        if fault:
            self.traffic.dropped["refused"] += 1
        if fault and fault != self._refused:
            self._refused = fault
            self._log.warning("the broker refuses what is published", reason=one_line(fault))


def _size(message: Message) -> int:
    return _HEAD + sum(map(len, message))


def _first(group: BaseExceptionGroup[Exception]) -> str:
    """Return in words the first error of what ended a connection."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return one_line(str(error)) or type(error).__name__
