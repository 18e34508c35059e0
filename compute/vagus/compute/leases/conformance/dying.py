"""kill -9 just before or after each write and each call of a lease's life: nothing leaks, nothing doubles."""

# ruff: noqa: S101 - a test kit asserts

import asyncio
import base64
import contextlib
import json
import os
import pickle
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Collection
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from vagus.compute.leases.conformance.rental import Account, Clock, Rental, SharedClock
from vagus.compute.leases.conformance.tools import books, caps, lessor, serve, stop
from vagus.compute.leases.ledger import Ledger

__all__ = ["Dying"]

MOST = 300
# The second kill's point after the first one's: steps through as many as a recovery has, out of step with it.
STRIDE = 5
SECOND = 23
MODULE = "vagus.compute.leases.conformance.lives"


class Dying:
    """Lives in processes of their own, and after each a node that starts over what is left."""

    @pytest.mark.parametrize("life", ["renewed", "changed"])
    async def test_a_node_killed_at_any_point_of_a_lease_leaves_nothing_behind(
        self, rental: Rental, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, life: str
    ) -> None:
        """It is rented, renewed and released; or it serves, and the config wants another machine by now.

        The node that starts over what is left is killed as well, at a point that moves along with the first.
        """
        wanted = rental if life == "renewed" else rental.changed()
        clock = SharedClock(tmp_path / "clock")
        monkeypatch.setattr(time, "time", clock)
        async with _lives(tmp_path / "clock") as lives:
            for point in range(1, MOST):
                folder = tmp_path / str(point)
                folder.mkdir()
                rental.sandbox.calls.clear()
                rental.sandbox.credit = Decimal(100)
                taken = int(await rental.sandbox.charged() * 1_000_000)
                ended = await lives.live(rental, life, folder, point)
                asked = tuple(rental.sandbox.calls)
                await _hold(rental, folder, clock, taken, point)
                if ended:
                    await lives.live(wanted, "recovered", folder, 1 + point * STRIDE % SECOND)
                    await _hold(rental, folder, clock, taken, point)
                else:
                    counted = json.loads((folder / "calls").read_text())
                    assert counted == len(asked) > 4, "Rental.calls does not surround each request"
                await _recover(wanted, folder, clock, taken)
                if not ended:
                    missing = [each for each in rental.around if not _made(each, asked)]
                    assert life != "renewed" or not missing, f"no life asks for {missing}"
                    return
        raise AssertionError("the life never ended by itself")


class _Lives:
    def __init__(self, process: asyncio.subprocess.Process, clock: Path) -> None:
        self._process = process
        self._clock = clock

    async def live(self, rental: Rental, life: str, folder: Path, point: int) -> int:
        """Let a process live until it is killed at a point; return how it ended, 0 for by itself."""
        container = rental.want.container
        want = replace(rental.want, container=replace(container, env=dict(container.env)))
        account = Account(make=rental.make, want=want, model=rental.model, calls=rental.calls)
        given = (account, life, str(folder), str(self._clock), point)
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(base64.b64encode(pickle.dumps(given)) + b"\n")
        ended = int(await stdout.readline())
        assert ended in {0, -signal.SIGKILL}, f"the life ended by {ended}"
        return ended


@contextlib.asynccontextmanager
async def _lives(clock: Path) -> AsyncIterator[_Lives]:
    """Run the process whose children live and die."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        MODULE,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        # What a test module can import, a life can.
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    try:
        yield _Lives(process, clock)
    finally:
        if process.stdin is not None:
            process.stdin.close()
        await process.wait()


async def _hold(rental: Rental, folder: Path, clock: Clock, taken: int, point: int) -> None:
    """Hold what a killed node left against the network's books: what was charged was booked, within the caps."""
    assert len(rental.labels()) <= 1, f"two machines after a kill at point {point}"
    async with Ledger(folder) as ledger:
        await books(rental, ledger, clock, caps(rental), taken)


def _made(pattern: str, calls: Collection[str]) -> bool:
    return any(re.search(pattern, each) for each in calls)


async def _recover(rental: Rental, folder: Path, clock: Clock, taken: int) -> None:
    """Start a node over what killed ones left: it serves with one machine, and ends with none."""
    async with lessor(rental, folder, clock) as (each, ledger, guest):
        row = await serve(each, ledger, guest, clock)
        assert row.shape == ledger.shape(rental.want)
        assert rental.labels() == [row.label]
        # A node that starts sees that what is booked is bought, and buys nothing twice.
        await each.step()
        await books(rental, ledger, clock, caps(rental), taken)
        assert await stop(each, clock, 300)
        await books(rental, ledger, clock, caps(rental), taken)
    assert rental.labels() == []
