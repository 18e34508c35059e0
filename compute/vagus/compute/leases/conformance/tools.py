"""A node's part in the kit: a lessor over a ledger, a tenant, and what must hold at every moment."""

# ruff: noqa: S101 - a test kit asserts

import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from vagus.compute.base import Completion, Message, Model
from vagus.compute.client import ChatClient, Endpoint
from vagus.compute.leases.conformance.rental import Account, Clock, Rental
from vagus.compute.leases.ledger import Ledger
from vagus.compute.leases.lessor import Lessor, Plan
from vagus.compute.leases.records import Row, State
from vagus.compute.leases.spend import Cap, micros

__all__ = ["BACKEND", "Guest", "books", "caps", "lessor", "serve", "steps", "stop"]

BACKEND = "gpu"


class Guest:
    """A tenant that asks for one token, as a backend does, and remembers where it lives."""

    def __init__(self, model: str) -> None:
        self.home: Endpoint | None = None
        self._model = model

    async def move_in(self, endpoint: Endpoint) -> None:
        """Take a completion."""
        hello = Message("user", "Hello")
        asked = Completion(model=Model(self._model), messages=(hello,), max_tokens=1)
        async with ChatClient(endpoint) as client:
            await client.complete(asked, self._model, timeout=10)
        self.home = endpoint

    async def move_out(self) -> None:
        """Be nowhere."""
        self.home = None


def caps(account: Account, hour: float = 4.0, day: float = 40.0) -> Cap:
    """Return caps for so many hours of what is wanted, at its highest price, within an hour and a day."""
    most = micros(account.want.max_hourly)
    return Cap(round(most * hour), round(most * day))


@contextlib.asynccontextmanager
async def lessor(
    account: Account,
    folder: Path,
    clock: Callable[[], float] = time.time,
    *,
    cap: Cap | None = None,
    always: bool = True,
    idle: float = 900.0,
    start: float = 1800.0,
    gone: float = 120.0,
) -> AsyncIterator[tuple[Lessor, Ledger, Guest]]:
    """Open a ledger in a folder and a lessor over it, as a node does at its start."""
    guest = Guest(account.model)
    async with Ledger(folder) as ledger, account.make() as provisioner:
        plan = Plan(
            BACKEND,
            account.want,
            cap or caps(account),
            always=always,
            idle=idle,
            start=start,
            gone=gone,
        )
        yield Lessor(provisioner, ledger, plan, guest, clock), ledger, guest


async def steps(each: Lessor, clock: Clock, seconds: float) -> None:
    """Let a lessor work for so long, moving the clock as it waits."""
    ends = clock.now + seconds
    while clock.now < ends:
        clock.sleep(max(0.01, min(await each.step(), ends - clock.now)))


async def serve(each: Lessor, ledger: Ledger, guest: Guest, clock: Clock) -> Row:
    """Let a lessor work until a machine serves, at most an hour; return its lease, the only one."""
    ends = clock.now + 3600
    while True:
        live = await ledger.live(BACKEND)
        if [row.state for row in live] == [State.SERVING] and guest.home is not None:
            return live[0]
        states = [row.state.value for row in live]
        assert clock.now < ends, f"nothing serves after an hour: {each.why}; leases: {states}"
        clock.sleep(min(await each.step(), 30.0))


async def stop(each: Lessor, clock: Clock, seconds: float) -> bool:
    """End all leases, asking again for so long; say whether all are over."""
    ends = clock.now + seconds
    while not (over := await each.stop()) and clock.now < ends:
        clock.sleep(5)
    return over


async def books(rental: Rental, ledger: Ledger, clock: Clock, cap: Cap, before: int = 0) -> None:
    """Hold the ledger against the network's own books, as must be possible at every moment of one day.

    before: micro-USD that the network had taken when the ledger was made.
    """
    live = {row.label: row for row in await ledger.live()}
    labels = rental.labels()
    assert set(labels) <= set(live), "a machine is rented that the ledger does not know"
    assert len(labels) == len(set(labels)), "two machines under one label"
    held = [label for label in labels if live[label].state != State.RELEASING]
    assert len(held) <= 1, "two machines at once"
    hour, day = await ledger.spent(BACKEND, int(clock.now) + 1)
    taken = await rental.sandbox.charged() * 1_000_000 - before
    assert taken <= day + 2, "the network took more than is booked"
    assert hour <= cap.hour, "more is booked within an hour than the cap allows"
    assert day <= cap.day, "more is booked within a day than the cap allows"
