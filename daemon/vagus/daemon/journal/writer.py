"""The journal's writer: one thread that commits what has gathered since its last commit."""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from vagus.daemon.journal.base import Commit, DamagedError
from vagus.daemon.journal.database import action_of
from vagus.protocol import Retry

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["Writer"]

T = TypeVar("T")

_GROUP = 512


class Writer:
    """Makes writes durable in the order in which they were handed in, many in one commit.

    `fault` says why the newest was not made durable. Once `damaged` is set, none is any more.
    """

    def __init__(self, path: Path) -> None:
        self.fault: str | None = None
        self.damaged: DamagedError | None = None
        self.listeners: list[Callable[[Commit], None]] = []
        self._path = path
        self._queue: queue.SimpleQueue[list[_Write] | None] = queue.SimpleQueue()
        self._gathered: list[_Write] = []

    def start(self, db: sqlite3.Connection) -> None:
        """Begin to write through this connection, for the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._db = db
        self._thread = threading.Thread(target=self._run, name="journal-writer", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Make durable what was handed in, and end."""
        self._hand_over()
        self._queue.put(None)
        self._thread.join()

    def write(
        self,
        write: Callable[[sqlite3.Connection], T],
        apply: Callable[[T], None] | None = None,
        *,
        probe: bool = False,
    ) -> asyncio.Future[T]:
        """Queue a write; `apply` is called with its result on the loop once it is durable.

        No listener is told of commits that are of a `probe` alone.
        """
        future: asyncio.Future[T] = self._loop.create_future()
        if not self._gathered:
            # At the end of this turn of the loop: the tasks that one commit woke write again in one.
            self._loop.call_soon(self._hand_over)
        self._gathered.append(_Write(write, apply, future, probe=probe))
        return future

    def action(self, error: sqlite3.Error, what: str) -> BaseException:
        """Return what a node does about an error of SQLite, and remember damage."""
        action = action_of(error, self._path, what)
        if isinstance(action, DamagedError):
            self.damaged = action
        return action

    def _hand_over(self) -> None:
        if self._gathered:
            self._queue.put(self._gathered)
            self._gathered = []

    def _run(self) -> None:
        ending = False
        while not ending:
            first = self._queue.get()
            group: list[_Write] = []
            while first is not None:
                group += first
                if len(group) >= _GROUP or self._queue.empty():
                    break
                first = self._queue.get()
            ending = first is None
            if group:
                began = time.perf_counter()
                self._commit(group)
                took = time.perf_counter() - began
                self._loop.call_soon_threadsafe(self._resolve, group, took)

    def _resolve(self, group: list[_Write], seconds: float) -> None:
        for each in group:
            each.resolve()
        if all(each.probe for each in group):
            return
        commit = Commit(seconds, sum(each.error is not None for each in group))
        for listener in self.listeners:
            listener(commit)

    def _commit(self, group: list[_Write]) -> None:
        """Commit all or, where one of them fails, each on its own: a defect stays with its own."""
        try:
            if self.damaged:
                raise self.damaged
            self._db.execute("BEGIN IMMEDIATE")
            for each in group:
                each.result = each.write(self._db)
            self._db.execute("COMMIT")
            self.fault = None
        except Exception as error:  # noqa: BLE001 - whatever it is belongs to the caller of its write
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            if len(group) > 1:
                for each in group:
                    self._commit([each])
            elif isinstance(error, sqlite3.Error):
                action = self.action(error, "cannot be written")
                group[0].error = action
                if isinstance(action, Retry | DamagedError):
                    self.fault = str(error)
            else:
                group[0].error = error


@dataclass(slots=True)
class _Write:
    """A write on its way to the disk, and what becomes of it."""

    write: Callable[[sqlite3.Connection], Any]
    apply: Callable[[Any], None] | None
    future: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = None
    probe: bool = False

    def resolve(self) -> None:
        """Tell whoever waits; one who was cancelled meanwhile no longer does."""
        if self.error is None and self.apply is not None:
            self.apply(self.result)
        if self.future.done():
            return
        if self.error is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(self.error)
