"""A worker: serves a backend of its owner's to the nodes that it knows, over a broker.

It opens no port and holds no secret of a node. The broker is not trusted: what is not signed by a node
that may ask is dropped and counted, and a request is run at most once.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections import Counter
from typing import TYPE_CHECKING

import structlog

from vagus.compute.edge import bodies, topics
from vagus.compute.edge.frames import EVERYONE, Frame, FrameError, Kind, open_frame
from vagus.compute.edge.jobs import Jobs
from vagus.compute.mqtt import MqttClient
from vagus.protocol import Refuse, Retry, address_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from coincurve import PrivateKey

    from vagus.compute.base import Backend
    from vagus.compute.mqtt import Message, MqttConfig

__all__ = ["Worker"]

log = structlog.get_logger("vagus.edge")

OFFER_EVERY = 5.0
"""Seconds after which a worker says again what it has."""

WINDOW = 30.0
"""Seconds for which requests name the same window."""

# Seconds between two offers at least, for requests to end once the worker stops, and to say so.
_OFFER_PAUSE = 0.2
_DRAIN = 20.0
_GOODBYE = 2.0
# Seconds for a model's first answer: it may be loaded for it.
_CHECK = 120.0
# Seconds between two lines about what was served.
_REPORT = 60.0


class Worker:
    """`await worker.serve(stopping)`; the backend is entered by whoever makes the worker.

    nodes: the addresses of those that may ask. slots: requests at once, per_node: of one node.
    dropped: messages that were not listened to, by reason.
    """

    def __init__(
        self,
        key: PrivateKey,
        broker: MqttConfig,
        backend: Backend,
        offered: Sequence[bodies.Offered],
        nodes: Collection[bytes],
        *,
        slots: int = 4,
        per_node: int | None = None,
    ) -> None:
        self.address = address_of(key)
        self.dropped: Counter[str] = Counter()
        self.client = MqttClient(broker, [topics.asks(self.address)], producer=topics.node_of)
        self._key = key
        self._backend = backend
        self._offered = list(offered)
        self._nodes = frozenset(nodes)
        self._slots = slots
        self._session = secrets.token_hex(16)
        self._number = 0
        self._ready = False
        self._changed = asyncio.Event()
        self.jobs = Jobs(
            key,
            backend,
            frozenset(each.model for each in offered),
            slots,
            per_node or slots,
            self._answer,
            self._changed.set,
        )

    def __repr__(self) -> str:
        return f"<Worker 0x{self.address.hex()}>"

    async def serve(self, stopping: asyncio.Event) -> None:
        """Serve until `stopping` is set, then let requests end. Raises Refuse for a file of no use."""
        async with self.client, asyncio.TaskGroup() as group:
            loops = [
                group.create_task(self._watch(), name="model server"),
                group.create_task(self._announce(), name="offers"),
                group.create_task(self._listen(group), name="requests"),
                group.create_task(self._report(), name="report"),
            ]
            await stopping.wait()
            await self._drain()
            for each in loops:
                each.cancel()

    async def _announce(self) -> None:
        now = asyncio.get_running_loop().time
        turned = now()
        while True:
            await self.client.until_connected()
            if now() - turned >= WINDOW:
                self.jobs.windows.turn()
                turned = now()
            self.offer()
            self._changed.clear()
            await asyncio.sleep(_OFFER_PAUSE)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(OFFER_EVERY - _OFFER_PAUSE):
                    await self._changed.wait()

    async def _watch(self) -> None:
        """Offer the models once the backend has answered, and withdraw them while it fails."""
        said = ""
        while True:
            try:
                await self._backend.check(timeout=_CHECK)
            except (Retry, Refuse) as error:
                if error.reason != said:
                    log.warning("the model server does not answer", reason=error.reason)
                    said = error.reason
                await asyncio.sleep(OFFER_EVERY)
                continue
            self._ready, said = True, ""
            self._changed.set()
            log.info("serving", worker=f"0x{self.address.hex()}", models=len(self._offered))
            self.jobs.trouble.clear()
            await self.jobs.trouble.wait()
            log.warning(
                "several requests failed, nothing is offered until the model server answers"
            )
            self._ready = False
            self._changed.set()

    async def _listen(self, group: asyncio.TaskGroup) -> None:
        while True:
            message = await self.client.receive()
            try:
                self._hear(message, group)
            except FrameError as error:
                self._drop(error.reason)

    def _hear(self, message: Message, group: asyncio.TaskGroup) -> None:
        frame, digest = open_frame(message.payload, self._nodes)
        if frame.receiver != self.address:
            raise FrameError("for another worker")
        if frame.kind is Kind.HELLO:
            self._changed.set()
        elif frame.kind is Kind.CANCEL:
            self.jobs.cancel(frame.sender, frame.about)
        elif frame.kind is not Kind.ASK:
            raise FrameError("of a kind that no node sends")
        elif not topics.is_reply(message.reply_to, self.address, frame.sender):
            raise FrameError("without a topic for its answer")
        else:
            self.jobs.take(frame, digest, message.reply_to, group)

    def _drop(self, reason: str) -> None:
        self.dropped[reason] += 1
        if self.dropped[reason] == 1:
            log.warning("messages are dropped", reason=reason)

    def _answer(self, topic: str, frame: bytes, about: bytes) -> None:
        self.client.publish(topic, frame, about=about)

    def offer(self) -> None:
        """Say what there is: nothing while the backend fails, and once the worker stops."""
        self._number = max(self._number + 1, time.time_ns() // 1000)
        serving = self._ready and not self.jobs.stopping
        offer = bodies.Offer(
            session=self._session,
            window=self.jobs.windows.now,
            models=self._offered if serving else [],
            slots=self._slots,
            free=max(0, self.jobs.free) if serving else 0,
        )
        frame = Frame(
            Kind.OFFER, self.address, EVERYONE, number=self._number, body=bodies.encode(offer)
        )
        data, _ = frame.seal(self._key)
        self.client.publish(topics.offer(self.address), data, expiry=2 * OFFER_EVERY)

    async def _drain(self) -> None:
        self.jobs.stopping = True
        self.offer()
        if tasks := self.jobs.tasks:
            log.info(
                "stopping once what is under way has ended", requests=len(tasks), within=_DRAIN
            )
            _, late = await asyncio.wait(tasks, timeout=_DRAIN)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GOODBYE):
                await self.client.flushed()

    async def _report(self) -> None:
        said: dict[str, int] = {}
        while True:
            await asyncio.sleep(_REPORT)
            counts = dict(self.jobs.counts)
            if counts != said:
                log.info("served", **{key.replace(" ", "_"): n for key, n in counts.items()})
                said = counts
