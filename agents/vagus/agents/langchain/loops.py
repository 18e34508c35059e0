"""From where LangChain calls to where the model lives: a backend belongs to one event loop.

LangChain runs synchronous code in threads of its own. From there a call is handed to the loop;
on the loop itself, waiting for it would stop everything, so that is an error.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

__all__ = ["run_on", "wait_on"]

T = TypeVar("T")


async def run_on(loop: asyncio.AbstractEventLoop | None, work: Callable[[], Awaitable[T]]) -> T:
    """Await work on a loop, the running one where None is given."""
    if loop is None or loop is asyncio.get_running_loop():
        return await work()
    _check_running(loop)
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_awaited(work), loop))


def wait_on(loop: asyncio.AbstractEventLoop | None, work: Callable[[], Awaitable[T]]) -> T:
    """Wait for work on a loop of another thread. Raises RuntimeError where none can be waited for."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        raise RuntimeError(
            "ChatVagus was called without await inside an event loop, which would stand still "
            "until the answer: use ainvoke, astream or abatch"
        )
    if loop is None:
        raise RuntimeError("ChatVagus was made outside of an event loop: hand it one as loop=…")
    _check_running(loop)
    future = asyncio.run_coroutine_threadsafe(_awaited(work), loop)
    try:
        return future.result()
    finally:
        future.cancel()


async def _awaited(work: Callable[[], Awaitable[T]]) -> T:
    return await work()


def _check_running(loop: asyncio.AbstractEventLoop) -> None:
    if not loop.is_running():
        raise RuntimeError("the event loop that ChatVagus was made in is not running any more")
