"""What a run spends, kept for it by somebody that it can't reach: an agent is given nothing that remembers."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

__all__ = ["keeping"]


@contextlib.asynccontextmanager
async def keeping(
    keep: Callable[[int], Awaitable[None]],
) -> AsyncIterator[Callable[[int], Awaitable[None]]]:
    """Yield what has amounts kept, one after the other, by a task that alone knows `keep`.

    It returns once an amount is kept, and raises what `keep` raises.
    """
    asked: asyncio.Queue[tuple[int, asyncio.Future[None]]] = asyncio.Queue()

    async def ask(amount: int) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asked.put_nowait((amount, done))
        await done

    task = asyncio.create_task(_work(asked, keep), name="what a run spends")
    try:
        yield ask
    finally:
        task.cancel()
        await asyncio.wait((task,))


async def _work(
    asked: asyncio.Queue[tuple[int, asyncio.Future[None]]], keep: Callable[[int], Awaitable[None]]
) -> None:
    while True:
        amount, done = await asked.get()
        try:
            await keep(amount)
        except Exception as error:  # noqa: BLE001 - it is raised to who asked
            if not done.done():
                done.set_exception(error)
        else:
            if not done.done():
                done.set_result(None)
