"""An event loop whose clock jumps to whatever is due next: hours of waiting take no time.

Nothing of it touches the network: a task that waits for anything but a timer waits for ever, which
is an error here.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["VirtualLoop", "in_virtual_time"]

T = TypeVar("T")


class VirtualLoop(asyncio.SelectorEventLoop):
    """`loop.time()` begins at 0, and passes only while all tasks sleep."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(_Jumping(self))

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self.now


class _Jumping(selectors.SelectSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("every task waits for something that no timer will bring")
        self._loop.now += max(0.0, timeout)
        return super().select(0)


def in_virtual_time(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, and fail where it leaves a task behind."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(_alone(work))
    finally:
        loop.close()


async def _alone(work: Coroutine[Any, Any, T]) -> T:
    result = await work
    left = [task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    assert not left, f"left running: {left}"
    return result
