"""Lives of a node's lessor as processes of their own, each ended by SIGKILL at a chosen point.

Run as a module, it imports once and forks a process for each line of JSON on stdin; what became of it is
a line on stdout. A point is just before or just after each write to the ledger and each call of the
network.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from support.leases import MAKERS, Clock, lessor, stop
from vagus.compute.leases.api import Api
from vagus.compute.leases.ledger import Ledger
from vagus.compute.leases.records import State


class Killer:
    """Counts points, and ends this process as `kill -9` would at one of them."""

    def __init__(self, at: int) -> None:
        self._left = at

    def point(self) -> None:
        self._left -= 1
        if not self._left:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def wrapped(*args: Any, **named: Any) -> Any:
            self.point()
            try:
                return await call(*args, **named)
            finally:
                self.point()

        return wrapped


async def live(asked: dict[str, Any]) -> None:
    """Rent a machine, renew it once, release it."""
    sandbox = SimpleNamespace(**asked["sandbox"])
    folder, clock = Path(asked["folder"]), Clock()
    time.time = clock  # type: ignore[assignment]
    async with lessor(MAKERS[asked["network"]](sandbox, folder), folder, clock) as (
        each,
        ledger,
        _,
    ):
        serving = False
        while not serving:
            clock.sleep(min(await each.step(), 30.0))
            serving = any(row.state == State.SERVING for row in await ledger.live())
        clock.sleep(3600 - 600)
        await each.step()
        assert await stop(each, clock, 300)


def main() -> None:
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if not child:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the answers there are the parent's
            killer = Killer(asked["kill_at"])
            Api.call = killer.around(Api.call)  # type: ignore[method-assign]
            Ledger._write = killer.around(Ledger._write)  # type: ignore[method-assign]
            code = 1
            try:
                asyncio.run(live(asked))
                code = 0
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
