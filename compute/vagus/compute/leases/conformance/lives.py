"""Lives of a node's lessor as processes of their own, each ended by SIGKILL at a chosen point.

Run as a module, it imports once and forks a process for each line on stdin, a pickle from the test that
started it; what became of it is a line on stdout. A point is just before or just after each write to the
ledger and each call of the network.
"""

# ruff: noqa: S101 - a test kit asserts

import asyncio
import base64
import os
import pickle
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from vagus.compute.leases.conformance.rental import Account, SharedClock
from vagus.compute.leases.conformance.tools import lessor, serve, stop
from vagus.compute.leases.ledger import Ledger

__all__ = ["Life"]


class Life:
    """One of them, by a clock that outlives it.

    kill_at: the point at which it ends, counted from when it is armed; 0 for never.
    """

    def __init__(self, account: Account, kind: str, folder: str, clock: str, kill_at: int) -> None:
        self._account = account
        self._kind = kind
        self._folder = Path(folder)
        self._left = kill_at
        self._armed = False
        self._calls = 0
        self._clock = SharedClock(Path(clock))

    def run(self) -> None:
        """Live to the end, or to the point."""
        for cls, name in self._account.calls:
            setattr(cls, name, self._around(getattr(cls, name), asks=True))
        setattr(Ledger, "_write", self._around(Ledger._write, asks=False))  # noqa: SLF001, B010 - each of its writes
        setattr(time, "time", self._clock)  # noqa: B010 - as monkeypatch has it
        asyncio.run(getattr(self, f"_{self._kind}")())
        (self._folder / "calls").write_text(str(self._calls))

    async def _renewed(self) -> None:
        """Rent a machine, renew it once, release it."""
        self._armed = True
        async with lessor(self._account, self._folder, self._clock) as (each, ledger, guest):
            first = await serve(each, ledger, guest, self._clock)
            self._clock.sleep(3600 - 600)
            await each.step()
            assert (await ledger.row(first.number)).until > first.until, "it is not renewed"
            assert await stop(each, self._clock, 300)

    async def _recovered(self) -> None:
        """Start over what a killed one left, until a machine serves and is paid for, and release it."""
        self._armed = True
        async with lessor(self._account, self._folder, self._clock) as (each, ledger, guest):
            await serve(each, ledger, guest, self._clock)
            await each.step()
            assert await stop(each, self._clock, 300)

    async def _changed(self) -> None:
        """Start over a machine that serves, with another one in the config, until that serves."""
        async with lessor(self._account, self._folder, self._clock) as (each, ledger, guest):
            await serve(each, ledger, guest, self._clock)
        self._armed = True
        changed = self._account.changed()
        async with lessor(changed, self._folder, self._clock) as (each, ledger, guest):
            await serve(each, ledger, guest, self._clock)

    def _around(
        self, call: Callable[..., Awaitable[Any]], *, asks: bool
    ) -> Callable[..., Awaitable[Any]]:
        async def wrapped(*args: Any, **named: Any) -> Any:
            self._calls += asks
            self._point()
            try:
                return await call(*args, **named)
            finally:
                self._point()

        return wrapped

    def _point(self) -> None:
        self._left -= self._armed
        if self._armed and not self._left:
            os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Fork a life for each line."""
    for line in sys.stdin:
        child = os.fork()
        if not child:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the answers there are the parent's
            code = 1
            try:
                Life(*pickle.loads(base64.b64decode(line))).run()  # noqa: S301 - the test's own
                code = 0
            finally:
                sys.stderr.flush()
                os._exit(code)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
