"""The tasks that carry intents, one each, and how they end when the node does."""

from __future__ import annotations

import asyncio
import contextvars
import time
from typing import TYPE_CHECKING

import structlog

from vagus.daemon.journal.records import IntentRecord, Stage

if TYPE_CHECKING:
    from vagus.daemon.journal.base import Journal
    from vagus.daemon.metrics.registry import Metrics
    from vagus.daemon.network import Network
    from vagus.daemon.pipeline import Pipeline

__all__ = ["Carriers"]

log = structlog.get_logger("vagus.node")

# Intents carried at once: each is a task and its payload. Over it, hubs are not read further.
MAX_CARRIED = 4096
# How long a drain waits for a model's answer; what is cut off is asked again after a restart.
DRAIN_SECONDS = 8.0


class Carriers:
    """Starts a task in the node's group for each intent, and ends them."""

    def __init__(self, group: asyncio.TaskGroup, pipeline: Pipeline, metrics: Metrics) -> None:
        self._group = group
        self._pipeline = pipeline
        self._metrics = metrics
        self._room = asyncio.Semaphore(MAX_CARRIED)
        self._carried: dict[asyncio.Task[None], IntentRecord] = {}
        self._ids: set[bytes] = set()
        self._draining = False

    async def take(self, record: IntentRecord) -> None:
        """Carry an intent in a task of its own, once there is room; not twice, nor in a drain."""
        await self._room.acquire()
        if self._draining or record.id in self._ids:
            self._room.release()
            return
        task = self._group.create_task(
            self._pipeline.carry(record),
            name=f"intent 0x{record.id.hex()}",
            context=_told_by(record),
        )
        self._carried[task] = record
        self._ids.add(record.id)
        task.add_done_callback(self._done)

    async def take_up(self, chain: str, journal: Journal, network: Network) -> None:
        """Carry what the journal has unfinished from or to a chain, where nothing else stops it."""
        for known in await journal.unfinished():
            intent = known.intent
            if (
                network.touches(chain, known.origin, intent.dest_hub)
                and network.serves(known.origin, intent.dest_hub)
                and known.id not in self._ids
            ):
                # Read again: a watcher may have handed it on, and it may have moved, since.
                record = await journal.intent(known.id)
                if record is not None and not record.stage.ended:
                    await self.take(record)

    async def park(self, chain: str, network: Network) -> None:
        """End the tasks of all intents from or to a chain; they wait in the journal."""
        parked = {
            task
            for task, record in self._carried.items()
            if network.touches(chain, record.origin, record.intent.dest_hub)
        }
        for task in parked:
            task.cancel()
        if parked:
            await asyncio.wait(parked)

    def _done(self, task: asyncio.Task[None]) -> None:
        record = self._carried.pop(task)
        self._ids.discard(record.id)
        self._room.release()
        if record.stage.ended:
            self._metrics.ended(record)

    async def drain(self) -> None:
        """End all tasks: all but those with a model at work at once, these after a grace.

        Every stage is journalled before its effect, so that nothing is lost where a task is cut.
        """
        began = time.monotonic()
        self._draining = True
        working = {task for task, record in self._carried.items() if record.stage == Stage.ROUTED}
        for task in self._carried.keys() - working:
            task.cancel()
        while working and time.monotonic() - began < DRAIN_SECONDS:
            await asyncio.wait(working, timeout=0.1)
            for task in {task for task in working if task in self._carried}:
                if self._carried[task].stage != Stage.ROUTED:
                    task.cancel()
                    working.discard(task)
            working &= self._carried.keys()
        for task in working:
            record = self._carried[task]
            intent, chain = "0x" + record.id.hex(), record.origin.rpartition(":")[0]
            log.warning("cut off", intent=intent, chain=chain, stage="routed")
            task.cancel()
        log.info("drained", seconds=round(time.monotonic() - began, 1))


def _told_by(record: IntentRecord) -> contextvars.Context:
    """Return a context in which every event names the intent, and a chain: its origin at least."""
    context = contextvars.copy_context()
    context.run(
        structlog.contextvars.bind_contextvars,
        intent=f"0x{record.id.hex()}",
        chain=record.origin.rpartition(":")[0],
    )
    return context
