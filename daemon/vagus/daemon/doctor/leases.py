"""What doctor says of machines that are rented: the key, the credit, what runs, what it has cost."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from vagus.compute.leases.spend import dollars
from vagus.compute.leases.upkeep import ask_account, read_books, unattended
from vagus.daemon.doctor.finding import Finding, fail, ok, warn
from vagus.protocol import VagusError

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from vagus.compute.leases.leased import LeasedBackend

__all__ = ["look_at_leases", "look_at_unattended"]

SECONDS = 60.0


async def look_at_leases(backend: LeasedBackend, data: Path) -> Finding:
    """Ask the network for the account's credit; rents nothing, and asks no machine."""
    name, plan = f"leases {backend.name}", backend.settings.plan()
    try:
        books = await read_books(data, backend.name)
        async with asyncio.timeout(SECONDS):
            account = await ask_account(backend)
    except TimeoutError:
        return fail(name, f"the network gave no answer in {SECONDS:g} s", "ask again later")
    except VagusError as error:
        return fail(name, str(error), "see its table under [[backends]], and the account")
    left, others = account.credit, {lease.label for lease in account.rented}
    others -= {row.label for row in books.live}
    said = (
        f"{'credit not told' if left is None else f'{left:.2f} USD of credit'}, "
        f"running: {', '.join(f'{row.number} ({row.state})' for row in books.live) or 'nothing'}, "
        f"{dollars(books.day):.2f} of {dollars(plan.cap.day):.2f} USD in the last day"
    )
    if others:
        what = "another node's, or of a data folder that is lost: then end them in the network's console"
        return warn(name, f"{said}; rented besides: {', '.join(sorted(others))}", what)
    if left is not None and left < plan.want.max_hourly:
        return warn(name, said, "add credit: it does not last for an hour at max_hourly")
    return ok(name, said)


async def look_at_unattended(data: Path, backends: Collection[str]) -> list[Finding]:
    """Find what is rented by backends that the config no longer has."""
    return [
        fail(
            f"lease {row.number}",
            f"{row.label} is {row.state}, and no backend {row.backend} is in the config",
            f"put the table of {row.backend} back and run: vagus leases release {row.number}",
        )
        for row in await unattended(data, backends)
    ]
