"""An event loop in a thread of its own, as a node's is to LangChain's synchronous code."""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

__all__ = ["LoopThread", "loop_thread"]

T = TypeVar("T")


class LoopThread:
    """Runs coroutines from outside, and keeps what was entered until the end."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._stack = contextlib.AsyncExitStack()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def enter(self, manager: AbstractAsyncContextManager[T]) -> T:
        """Enter a context manager, to be left when the thread ends."""
        return self.run(self._stack.enter_async_context(manager))

    def close(self) -> None:
        self.run(self._stack.aclose())


@contextlib.contextmanager
def loop_thread() -> Iterator[LoopThread]:
    """Run one, and stop it in the end."""
    thread = LoopThread()
    runner = threading.Thread(target=thread.loop.run_forever, name="loop of the model")
    runner.start()
    try:
        # However the block ends: what was entered is left before its loop is gone.
        with contextlib.closing(thread):
            yield thread
    finally:
        thread.loop.call_soon_threadsafe(thread.loop.stop)
        runner.join()
        thread.loop.close()
