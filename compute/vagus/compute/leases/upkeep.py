"""What people ask of leases beside a running node, or without one: what there is, and to end it."""

import asyncio
import pathlib
import time
from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal

from vagus.compute.leases.base import Lease
from vagus.compute.leases.leased import LeasedBackend
from vagus.compute.leases.ledger import Ledger
from vagus.compute.leases.lessor import Lessor
from vagus.compute.leases.records import FILE, PREFIX, Row, State

__all__ = ["Account", "Books", "ask_account", "end", "read_books", "unattended"]

PAUSE = 2.0


@dataclass(frozen=True, slots=True)
class Books:
    """What a ledger says of one backend: spent in micro-USD, in the last hour and the last day."""

    live: tuple[Row, ...]
    hour: int
    day: int


@dataclass(frozen=True, slots=True)
class Account:
    """What a network says of an account: USD that are left, None for untold, and all under our labels."""

    credit: Decimal | None
    rented: tuple[Lease, ...]


async def read_books(folder: pathlib.Path, backend: str) -> Books:
    """Read a backend's leases; nothing is written. Raises Retry and Refuse as `Ledger` does."""
    if not (folder / FILE).exists():
        return Books((), 0, 0)
    async with Ledger(folder, reading=True) as ledger:
        hour, day = await ledger.spent(backend, int(time.time()))
        return Books(await ledger.live(backend), hour, day)


async def unattended(folder: pathlib.Path, backends: Collection[str]) -> tuple[Row, ...]:
    """Return the leases that are not over and whose backend is none of these: nobody ends them."""
    if not (folder / FILE).exists():
        return ()
    async with Ledger(folder, reading=True) as ledger:
        return tuple(row for row in await ledger.live() if row.backend not in backends)


async def ask_account(backend: LeasedBackend) -> Account:
    """Ask a backend's network what the account has and has rented, which shows that its key is good."""
    async with backend.provisioner() as provisioner:
        return Account(await provisioner.credit(), await provisioner.owned(PREFIX))


async def end(backend: LeasedBackend, folder: pathlib.Path, *, seconds: float) -> tuple[Row, ...]:
    """End what is marked for it, where no node runs; return what could not be ended in that time."""
    async with Ledger(folder) as ledger, backend.provisioner() as provisioner:
        lessor = Lessor(provisioner, ledger, backend.settings.plan(), backend)
        clock = asyncio.get_running_loop().time
        until = clock() + seconds
        while not await lessor.release():
            if clock() + PAUSE > until:
                break
            await asyncio.sleep(PAUSE)
        return tuple(row for row in await ledger.live(backend.name) if row.state == State.RELEASING)
