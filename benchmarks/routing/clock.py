"""An event loop in virtual time: where nothing is ready, the clock jumps to the next timer.

Hours pass in seconds, and the same seed gives the same run. Executors run at once, so that nothing depends on threads.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["VirtualLoop", "run"]

T = TypeVar("T")


class _Jump(selectors.DefaultSelector):  # type: ignore[misc,valid-type]  # chosen at run time
    """Never blocks: moves the loop's clock on instead."""

    loop: "VirtualLoop"

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            return super().select(None)  # only another thread can go on
        self.loop.advance(timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """`time()` begins at 0, in seconds; `moved` is told each new time."""

    def __init__(self) -> None:
        selector = _Jump()
        selector.loop = self
        super().__init__(selector)
        self._virtual = 0.0
        self.moved = lambda now: None

    def time(self) -> float:
        return self._virtual

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:
        # At once and here: the clock would jump while a thread worked.
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - whoever awaits it gets it
            done.set_exception(error)
        return done

    def advance(self, seconds: float) -> None:
        # A timer is due within the clock's resolution, which rounding must not fall short of.
        self._virtual += seconds + 1e-9
        self.moved(self._virtual)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run to the end in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
