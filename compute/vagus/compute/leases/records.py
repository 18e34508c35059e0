"""The ledger's file: its tables, its rows, and how it is opened."""

import enum
import os
import pathlib
import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal

from vagus.compute.leases.base import Lease, Quote, Want
from vagus.compute.leases.spend import DAY, HOUR, Booking
from vagus.protocol import Refuse

__all__ = [
    "FILE",
    "OVER",
    "PREFIX",
    "Row",
    "State",
    "book",
    "bookings",
    "opened",
    "overdue",
    "priced",
    "rows",
    "transaction",
]

FILE = "leases.sqlite"
PREFIX = "vagus-"
_VERSION = 2
_SCHEMA = """
CREATE TABLE ledger (id BLOB NOT NULL, secret BLOB NOT NULL) STRICT;
CREATE TABLE lease (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  backend TEXT NOT NULL,
  network TEXT NOT NULL,
  state TEXT NOT NULL,
  id TEXT NOT NULL DEFAULT '',
  offer TEXT NOT NULL,
  gpu TEXT NOT NULL,
  region TEXT NOT NULL,
  rate INTEGER NOT NULL,
  prepaid INTEGER NOT NULL,
  begun INTEGER NOT NULL,
  until INTEGER NOT NULL,
  asked INTEGER NOT NULL DEFAULT 0,
  ended INTEGER NOT NULL DEFAULT 0,
  lost INTEGER NOT NULL DEFAULT 0,
  reason TEXT NOT NULL DEFAULT '',
  shape TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE TABLE booking (
  lease INTEGER NOT NULL REFERENCES lease (number),
  begins INTEGER NOT NULL,
  ends INTEGER NOT NULL,
  rate INTEGER NOT NULL,
  lump INTEGER NOT NULL
) STRICT;
CREATE INDEX booking_ends ON booking (ends);
"""
# What brings a ledger of the version before to the next: machines are rented by it, so none is left behind.
_STEPS = {1: "ALTER TABLE lease ADD COLUMN shape TEXT NOT NULL DEFAULT ''"}


class State(enum.StrEnum):
    """How far a lease has come.

    intended   booked within the caps; nobody was asked
    asked      the network may have rented it
    leased     it has, under its own id
    serving    its server has answered a completion
    releasing  it shall end; the network is asked until it says that it has
    released   it has ended
    lost       it has ended, and not because it should
    """

    INTENDED = "intended"
    ASKED = "asked"
    LEASED = "leased"
    SERVING = "serving"
    RELEASING = "releasing"
    RELEASED = "released"
    LOST = "lost"


OVER = (State.RELEASED, State.LOST)


@dataclass(frozen=True, slots=True)
class Row:
    """A lease as the ledger has it; times in Unix seconds, rate in micro-USD per hour.

    id: the network's, empty while it is not known. until: when the time that is booked ends. asked: when
    the network was last asked to rent it, 0 for never. ended: 0 while it is not over. shape: what it is a
    machine of, by `Ledger.shape`; empty where that is not known.
    """

    number: int
    label: str
    backend: str
    network: str
    state: State
    id: str
    offer: str
    gpu: str
    region: str
    rate: int
    prepaid: bool
    begun: int
    asked: int
    ended: int
    lost: bool
    reason: str
    until: int
    shape: str

    @property
    def lease(self) -> Lease:
        """The lease as a provisioner takes it."""
        return Lease(self.id, self.label, Decimal(self.rate).scaleb(-6))

    def quote(self, want: Want) -> Quote:
        """Return the quote that this lease was asked for by."""
        hourly = Decimal(self.rate).scaleb(-6)
        return Quote(want, self.offer, self.gpu, hourly, self.region, self.prepaid)


def rows(
    db: sqlite3.Connection, prefix: str, where: str, values: Sequence[object] = ()
) -> list[Row]:
    """Return the leases of a condition."""
    found = db.execute(
        "SELECT number, backend, network, state, id, offer, gpu, region, rate, prepaid, begun,"  # noqa: S608 - our own words
        " asked, ended, lost, reason, until, shape"
        f" FROM lease WHERE {where}",
        values,
    )
    return [_row(prefix, *each) for each in found]


def _row(
    prefix: str,
    number: int,
    backend: str,
    network: str,
    state: str,
    lease_id: str,
    offer: str,
    gpu: str,
    region: str,
    rate: int,
    prepaid: int,
    begun: int,
    asked: int,
    ended: int,
    lost: int,
    reason: str,
    until: int,
    shape: str,
) -> Row:
    return Row(
        number=number,
        label=f"{prefix}{number}",
        backend=backend,
        network=network,
        state=State(state),
        id=lease_id,
        offer=offer,
        gpu=gpu,
        region=region,
        rate=rate,
        prepaid=bool(prepaid),
        begun=begun,
        asked=asked,
        ended=ended,
        lost=bool(lost),
        reason=reason,
        until=until,
        shape=shape,
    )


def book(db: sqlite3.Connection, new: Booking) -> None:
    """Add a booking."""
    values = (new.lease, new.begins, new.ends, new.rate, new.lump)
    db.execute("INSERT INTO booking VALUES (?, ?, ?, ?, ?)", values)


def priced(
    number: int, rate: int, prepaid: bool, at: int, begins: int, ends: int, *, drift: int = 0
) -> Booking:
    """Return what a span of a lease's time costs that is asked for at a time.

    drift: how much later the network may have begun to count. Hours that are paid before are charged at
    some moment between the asking and their beginning there.
    """
    if prepaid:
        lump = -(-rate * (ends - begins) // HOUR)
        return Booking(number, at, max(at, begins + drift) + 1, 0, lump)
    return Booking(number, begins, ends, rate)


def bookings(db: sqlite3.Connection, backend: str, now: int) -> list[Booking]:
    """Return what touches the last day or the future; what is not known to have ended runs on."""
    found = [
        Booking(*each)
        for each in db.execute(
            "SELECT lease, begins, ends, booking.rate, lump FROM booking"
            " JOIN lease ON number = lease WHERE backend = ? AND ends > ?",
            (backend, now - DAY),
        )
    ]
    late = db.execute(
        "SELECT number, rate, prepaid, until, asked - begun FROM lease WHERE backend = ? AND until < ?"
        " AND asked > 0 AND state NOT IN ('released', 'lost')",
        (backend, now),
    )
    for number, rate, prepaid, until, drift in late:
        found += overdue(number, rate, bool(prepaid), until, now, drift=drift)
    return found


def overdue(
    number: int, rate: int, prepaid: bool, until: int, now: int, *, drift: int = 0
) -> list[Booking]:
    """Return what a lease costs that has run on past its time; hours that were begun count whole."""
    if not prepaid:
        return [Booking(number, until, now, rate)]
    begun = range(until, now, HOUR)
    return [priced(number, rate, True, each, each, each + HOUR, drift=drift) for each in begun]


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Write all of a body or nothing."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield db
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def opened(path: pathlib.Path, *, reading: bool = False) -> tuple[sqlite3.Connection, str, bytes]:
    """Open a ledger or make one, and return it with its id (16 hex digits) and its secret."""
    if not reading:
        # It holds the secret that the servers' keys are made of.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    where = f"{path.absolute().as_uri()}?mode={'ro' if reading else 'rw'}"
    db = sqlite3.connect(where, uri=True, isolation_level=None, check_same_thread=False, timeout=5)
    try:
        if not reading:
            _prepare(db)
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version != _VERSION:
            todo = "; a start of the node brings it there" if version in _STEPS else ""
            raise Refuse(f"{path} has version {version}, this vagus knows {_VERSION}{todo}")
        found = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise Refuse(f"{path}, the ledger of leases, is damaged ({found})")
        known, secret = db.execute("SELECT id, secret FROM ledger").fetchone()
    except BaseException:
        db.close()
        raise
    return db, known.hex(), secret


def _prepare(db: sqlite3.Connection) -> None:
    """Make the tables of a new file, and bring those of an older version to this one."""
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    with transaction(db):
        found = version = db.execute("PRAGMA user_version").fetchone()[0]
        if not version and not db.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]:
            for statement in filter(str.strip, _SCHEMA.split(";")):
                db.execute(statement)
            version = _VERSION
            made = (secrets.token_bytes(8), secrets.token_bytes(32))
            db.execute("INSERT INTO ledger VALUES (?, ?)", made)
        while version in _STEPS:
            db.execute(_STEPS[version])
            version += 1
        if version != found:
            db.execute(f"PRAGMA user_version={version}")
