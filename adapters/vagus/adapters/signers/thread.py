"""A thread of its own for what blocks, and may block for ever: a vendor's library."""

from __future__ import annotations

import queue
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Worker"]

T = TypeVar("T")


class Worker:
    """Runs one job after the other, in the order in which they come.

    Unlike an executor's thread it does not keep the process from ending: a device that never answers
    holds up nobody but those who wait for it.
    """

    def __init__(self, name: str) -> None:
        self._jobs: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = queue.SimpleQueue()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def submit(self, job: Callable[[], T]) -> Future[T]:
        """Enqueue a job; what it returns or raises is its future's."""
        future: Future[T] = Future()
        self._jobs.put((future, job))
        return future

    def _run(self) -> None:
        while True:
            future, job = self._jobs.get()
            if not future.set_running_or_notify_cancel():
                continue  # nobody waits for it any more
            try:
                result = job()
            except BaseException as error:  # noqa: BLE001 - who waits for the future raises it
                future.set_exception(error)
            else:
                future.set_result(result)
