"""The tasks that carry intents, one each, and how they end when the node does."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import structlog

from vagus.daemon.records import IntentRecord, Stage

if TYPE_CHECKING:
    from vagus.daemon.metrics import Metrics
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

    async def take(self, record: IntentRecord) -> None:
        """Carry an intent in a task of its own, once there is room."""
        await self._room.acquire()
        task = self._group.create_task(
            self._pipeline.carry(record), name=f"intent 0x{record.id.hex()}"
        )
        self._carried[task] = record
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        record = self._carried.pop(task)
        self._room.release()
        if record.stage.ended:
            end = record.stage if record.status is None else record.status
            self._metrics.ended.labels(end.name.lower()).inc()

    async def drain(self) -> None:
        """End all tasks: all but those with a model at work at once, these after a grace.

        Every stage is journalled before its effect, so that nothing is lost where a task is cut.
        """
        began = time.monotonic()
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
            log.warning("cut off", task=task.get_name(), stage="routed")
            task.cancel()
        log.info("drained", seconds=round(time.monotonic() - began, 1))
