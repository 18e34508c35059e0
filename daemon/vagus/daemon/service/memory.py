"""Memory that a burst of work has left behind, given back to the system.

What Python frees, glibc keeps: pages between two blocks that are still in use stay with the process,
so that a node that lives for a month would be as large as all its bursts have ever made it.
"""

from __future__ import annotations

import asyncio
import ctypes
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["give_back", "trim"]

EVERY = 60.0


def trim() -> None:
    """Return the free pages of the heap; nothing where the C library is not glibc."""
    if (found := _malloc_trim()) is not None:
        found(0)


async def give_back() -> None:
    """Do it once a minute, for ever, beside the event loop."""
    while True:
        await asyncio.sleep(EVERY)
        await asyncio.to_thread(trim)


def _malloc_trim() -> Callable[[int], int] | None:
    try:
        return ctypes.CDLL(None).malloc_trim
    except AttributeError:
        return None
