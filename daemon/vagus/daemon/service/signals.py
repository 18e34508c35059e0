"""SIGTERM and SIGINT, as a call or as the end of what is under way."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["as_interrupt", "on_stop", "until_stopped"]


@contextlib.contextmanager
def on_stop(act: Callable[[], None]) -> Iterator[None]:
    """Call `act` on each SIGTERM and SIGINT while the block runs."""
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, act)
    try:
        yield
    finally:
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(each)


@contextlib.contextmanager
def until_stopped() -> Iterator[None]:
    """Break the block off, by cancelling it, on SIGTERM and SIGINT; then go on behind it."""
    task, stopped = asyncio.current_task(), False

    def stop() -> None:
        nonlocal stopped
        if task is not None and not stopped:
            stopped = True
            task.cancel()

    with on_stop(stop):
        try:
            yield
        except asyncio.CancelledError:
            if not stopped or task is None or task.uncancel():
                raise


@contextlib.contextmanager
def as_interrupt() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does, where no event loop runs: children are ended too."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
