"""What is rented, on disk before it is asked for: `leases.sqlite` in a node's data folder.

Several processes may have it open at once: each change is one transaction that says which states it
may come from. Only the node that holds the data folder acts on what is in it.
"""

import asyncio
import hashlib
import hmac
import pathlib
import re
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from types import TracebackType
from typing import Self, TypeVar

import msgspec

from vagus.compute.leases.base import Quote, Want, span
from vagus.compute.leases.records import (
    FILE,
    OVER,
    PREFIX,
    Row,
    State,
    book,
    bookings,
    opened,
    overdue,
    priced,
    rows,
    transaction,
)
from vagus.compute.leases.spend import DAY, HOUR, Booking, Cap, micros, spent
from vagus.protocol import Refuse, Retry

__all__ = ["Ledger"]

T = TypeVar("T")

# Leases that an older copy of the ledger may lack. What is numbered beyond them was not numbered here,
# and would bring the numbers to their end.
AHEAD = 10_000


class Ledger:
    """One file, used as `async with`. Raises Refuse for one that can't be relied on.

    reading: it must be there, and is not written.
    """

    def __init__(self, folder: pathlib.Path, *, reading: bool = False) -> None:
        self._path = folder / FILE
        self._reading = reading
        self._thread: ThreadPoolExecutor | None = None
        self._db: sqlite3.Connection | None = None
        self._secret = b""
        self.id = ""

    async def __aenter__(self) -> Self:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="leases")
        try:
            self._db, self.id, self._secret = await self._run(
                lambda: opened(self._path, reading=self._reading)
            )
        except BaseException:
            self._thread.shutdown()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        db, self._db = self._db, None
        if db is not None and self._thread is not None:
            await self._run(db.close)
            self._thread.shutdown()

    @property
    def prefix(self) -> str:
        """What every label of this ledger begins with."""
        return f"{PREFIX}{self.id}-"

    def key(self, label: str) -> str:
        """Return the API key of a lease's server: the same for the same label, and nobody else's."""
        return hmac.new(self._secret, label.encode(), hashlib.sha256).hexdigest()[:48]

    def shape(self, want: Want) -> str:
        """Return what machines of one want have alike, whatever its hours and its price.

        Keyed, for an environment may hold secrets. JSON begins as no label does: it is nobody's key.
        """
        container = replace(want.container, env=dict(want.container.env))
        gpus, regions = tuple(sorted(want.gpus)), tuple(sorted(want.regions))
        alike = replace(
            want,
            container=container,
            gpus=gpus,
            regions=regions,
            hours=0.0,
            max_hourly=Decimal(0),
        )
        said = msgspec.json.encode(alike, order="deterministic")
        return hmac.new(self._secret, said, hashlib.sha256).hexdigest()

    async def intend(self, backend: str, network: str, quote: Quote, cap: Cap, now: int) -> Row:
        """Book a lease to be. Raises Refuse where that passes a cap, or would if the node never came back."""
        rate = micros(quote.hourly)
        until = now + span(quote.want)
        emptied = now + -(-micros(quote.held) * HOUR // max(1, rate))
        shape = self.shape(quote.want)

        def write(db: sqlite3.Connection) -> int:
            new = priced(0, rate, quote.prepaid, now, now, until)
            forgotten = new if quote.prepaid else replace(new, ends=max(until, emptied))
            cap.check([*bookings(db, backend, now), forgotten], now)
            values = (backend, network, quote.offer, quote.gpu, quote.region, rate, quote.prepaid)
            number = db.execute(
                "INSERT INTO lease (state, backend, network, offer, gpu, region, rate, prepaid, begun,"
                " until, shape) VALUES ('intended', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*values, now, until, shape),
            ).lastrowid
            assert number is not None  # noqa: S101 - a row was inserted
            book(db, replace(new, lease=number))
            return number

        return await self.row(await self._write(write))

    async def asked(self, number: int, now: int) -> bool:
        """Note that the network is asked now; False: it shall end instead, so don't."""
        moved = await self._move(number, State.ASKED, State.INTENDED, State.ASKED, asked=now)
        await self.buying(number, now)
        return moved

    async def buying(self, number: int, now: int) -> None:
        """Note that what was booked last may be bought now, whenever it was booked."""
        change = (
            "UPDATE booking SET ends = max(ends, ?) WHERE lease = ? AND lump > 0 AND begins ="
            " (SELECT max(begins) FROM booking WHERE lease = ?)"
        )
        await self._write(lambda db: db.execute(change, (now + 1, number, number)))

    async def leased(self, number: int, lease_id: str, rate: int | None) -> None:
        """Note what the network calls it and, where it says so, what it really costs."""

        def write(db: sqlite3.Connection) -> None:
            if rate is not None:
                db.execute(
                    "UPDATE booking SET rate = ? WHERE lease = ? AND lump = 0", (rate, number)
                )
                db.execute("UPDATE lease SET rate = ? WHERE number = ?", (rate, number))
            db.execute(
                "UPDATE lease SET state = 'leased', id = ? WHERE number = ? AND state = 'asked'",
                (lease_id, number),
            )

        await self._write(write)

    async def serving(self, number: int) -> None:
        """Note that its server has answered."""
        await self._move(number, State.SERVING, State.LEASED)

    async def releasing(self, number: int, reason: str, *, lost: bool = False) -> None:
        """Note that it shall end; lost: because it is gone, or serves no more."""
        live = (State.INTENDED, State.ASKED, State.LEASED, State.SERVING)
        await self._move(number, State.RELEASING, *live, reason=reason[:500], lost=lost)

    async def ended(self, number: int, now: int, *, rented: bool = True) -> None:
        """Note that the network says it is over, and give back what is not spent.

        rented: False where the network is known never to have rented it out.
        """

        def write(db: sqlite3.Connection) -> None:
            row = self._row(db, number)
            if row.state != State.RELEASING:
                return
            state = State.LOST if row.lost else State.RELEASED
            db.execute(
                "UPDATE lease SET state = ?, ended = ? WHERE number = ?", (state, now, number)
            )
            if not (row.asked and rented):
                db.execute("DELETE FROM booking WHERE lease = ?", (number,))
                return
            if now > row.until:
                drift = row.asked - row.begun
                for late in overdue(number, row.rate, row.prepaid, row.until, now, drift=drift):
                    book(db, late)
            db.execute("UPDATE lease SET until = ? WHERE number = ?", (now, number))
            db.execute(
                "UPDATE booking SET ends = ? WHERE lease = ? AND ends > ? AND lump = 0",
                (now, number, now),
            )
            db.execute("DELETE FROM booking WHERE lease = ? AND ends <= begins", (number,))

        await self._write(write)

    async def extend(self, number: int, until: int, cap: Cap, now: int) -> None:
        """Book a lease for longer. Raises Refuse where that passes a cap."""

        def write(db: sqlite3.Connection) -> None:
            row = self._row(db, number)
            drift = row.asked - row.begun
            new = priced(number, row.rate, row.prepaid, now, row.until, until, drift=drift)
            cap.check([*bookings(db, row.backend, now), new], now)
            book(db, new)
            db.execute("UPDATE lease SET until = ? WHERE number = ?", (until, number))

        await self._write(write)

    async def shorten(self, number: int, until: int) -> None:
        """Take back what was booked last: the network has refused it, and the time ends then."""

        def write(db: sqlite3.Connection) -> None:
            db.execute(
                "DELETE FROM booking WHERE lease = ? AND begins ="
                " (SELECT max(begins) FROM booking WHERE lease = ?)",
                (number, number),
            )
            db.execute("UPDATE lease SET until = ? WHERE number = ?", (until, number))

        await self._write(write)

    async def stray(
        self, label: str, lease_id: str, backend: str, network: str, rate: int, now: int
    ) -> bool:
        """Take up what the network has under a label of ours that is over, or that nobody knows.

        It is to be released by this backend, and booked from when it was thought to be over: by its last
        rate, or else by this one.
        False where the label's lease is live after all, or the label is none that we give: its number is
        none, or far beyond the last one.
        """
        text = label.removeprefix(self.prefix)
        if not re.fullmatch("[1-9][0-9]{0,14}", text):
            return False
        number, reason = int(text), "found on the network, where it should not be"

        def write(db: sqlite3.Connection) -> bool:
            last = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'lease'").fetchone()
            if number > (last[0] if last else 0) + AHEAD:
                return False
            known = db.execute("SELECT state FROM lease WHERE number = ?", (number,)).fetchone()
            if known is not None and known[0] not in OVER:
                return False
            db.execute(
                "INSERT OR IGNORE INTO lease (number, backend, network, state, offer, gpu, region, rate,"
                " prepaid, begun, until) VALUES (?, ?, ?, 'lost', '', 'unknown', 'unknown', ?, 0, ?, ?)",
                (number, backend, network, rate, now, now),
            )
            db.execute(
                "UPDATE lease SET state = 'releasing', id = ?, asked = ?, ended = 0, lost = 0,"
                " backend = ?, reason = ? WHERE number = ?",
                (lease_id, now, backend, reason, number),
            )
            return True

        return await self._write(write)

    async def row(self, number: int) -> Row:
        """Return one lease. Raises Refuse for a number that there is not."""
        return await self._read(lambda db: self._row(db, number))

    async def live(self, backend: str | None = None) -> tuple[Row, ...]:
        """Return the leases that are not over, of one backend or of all, oldest first."""
        over = "state NOT IN ('released', 'lost')"
        found = await self._read(lambda db: rows(db, self.prefix, over))
        return tuple(row for row in found if backend in {None, row.backend})

    async def recent(self, limit: int = 100) -> tuple[Row, ...]:
        """Return the latest leases, newest first."""
        last = "TRUE ORDER BY number DESC LIMIT ?"
        return tuple(await self._read(lambda db: rows(db, self.prefix, last, (limit,))))

    async def spent(self, backend: str, now: int) -> tuple[int, int]:
        """Return what a backend's leases have cost in the last hour and day, in micro-USD."""
        found = await self._read(lambda db: bookings(db, backend, now))
        return spent(found, now - HOUR, now), spent(found, now - DAY, now)

    async def bookings(self, backend: str, now: int) -> tuple[Booking, ...]:
        """Return what is booked for a backend's leases from a day ago on."""
        return tuple(await self._read(lambda db: bookings(db, backend, now)))

    def _row(self, db: sqlite3.Connection, number: int) -> Row:
        for row in rows(db, self.prefix, "number = ?", (number,)):
            return row
        raise Refuse(f"there is no lease {number}")

    async def _move(self, number: int, to: State, *come: State, **columns: str | int) -> bool:
        """Bring a lease to a state; False where it is in none to come from, and is left as it is."""
        changes = "".join(f", {name} = ?" for name in columns)
        marks = ", ".join("?" * len(come))
        change = f"UPDATE lease SET state = ?{changes} WHERE number = ? AND state IN ({marks})"  # noqa: S608 - our own words
        values = (to, *columns.values(), number, *come)
        return await self._write(lambda db: db.execute(change, values).rowcount == 1)

    async def _write(self, job: Callable[[sqlite3.Connection], T]) -> T:
        def write() -> T:
            with transaction(self._opened()) as db:
                return job(db)

        return await self._run(write)

    async def _read(self, job: Callable[[sqlite3.Connection], T]) -> T:
        return await self._run(lambda: job(self._opened()))

    async def _run(self, job: Callable[[], T]) -> T:
        def run() -> T:
            try:
                return job()
            except sqlite3.OperationalError as error:
                raise Retry(f"{self._path} can't be used now: {error}", 5.0) from None
            except sqlite3.Error as error:
                raise Refuse(f"{self._path} can't be relied on: {error}") from None
            except OverflowError:
                raise Refuse(f"{self._path} holds no number of over 63 bits") from None

        return await asyncio.get_running_loop().run_in_executor(self._thread, run)

    def _opened(self) -> sqlite3.Connection:
        if self._db is None:
            raise Retry(f"{self._path} is closed")
        return self._db
