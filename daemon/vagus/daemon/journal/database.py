"""The journal's file: opened, checked, and what SQLite says of it turned into what to do."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from typing import TYPE_CHECKING

from vagus.daemon.journal.base import DamagedError
from vagus.daemon.journal.rows import SCHEMA, SCHEMA_VERSION, UPGRADES
from vagus.protocol import Retry, VagusError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = [
    "BACKUP_ID",
    "action_of",
    "connect",
    "damage",
    "damaged",
    "open_journal",
    "page_write",
    "read_only",
]

# SQLite's application_id, which a backup has and a journal has not: a node never runs on a backup.
BACKUP_ID = 0x76616762
RETRY_SECONDS = 5.0
# How long a start looks for damage. A node that is needed does not read terabytes first.
CHECK_SECONDS = 3.0

_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def connect(path: Path) -> sqlite3.Connection:
    """Connect as a node does: a commit is on disk when it returns."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA synchronous=FULL")
    db.execute("PRAGMA busy_timeout=5000")
    # Sorting needs no file of its own: a node that is out of descriptors still reads.
    db.execute("PRAGMA temp_store=MEMORY")
    # Pages in the log before it is copied into the file, which the next write waits for.
    db.execute("PRAGMA wal_autocheckpoint=4000")
    return db


def open_journal(path: Path) -> sqlite3.Connection:
    """Open a journal, or make one in a new file; one of the schema before is brought to this one.

    Raises DamagedError for a damaged one, and VagusError for another version and any other file.
    """
    with contextlib.ExitStack() as stack:
        try:
            db = connect(path)
            stack.callback(db.close)
            version = db.execute("PRAGMA user_version").fetchone()[0]
            tables = db.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]
            if db.execute("PRAGMA application_id").fetchone()[0] == BACKUP_ID:
                raise VagusError(f"{path} is a backup: `vagus restore` makes a journal of it")
            if version not in {0, SCHEMA_VERSION, *UPGRADES}:
                raise VagusError(
                    f"{path} has schema {version}, this vagus knows {SCHEMA_VERSION}: run the vagus that wrote it"
                )
            if version == 0 and tables:
                raise VagusError(f"{path} is no journal of vagus: it holds something else")
            db.execute("PRAGMA journal_mode=WAL")
            if version == 0:
                db.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version={SCHEMA_VERSION}; COMMIT;")
            elif fault := damage(db, CHECK_SECONDS):
                raise damaged(path, fault)
            if version in UPGRADES:
                upgrade = UPGRADES[version]
                db.executescript(f"BEGIN; {upgrade} PRAGMA user_version={version + 1}; COMMIT;")
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_CORRUPT:
                raise damaged(path, str(error)) from error
            if isinstance(error, sqlite3.OperationalError):
                raise VagusError(f"{path} cannot be opened: {error}") from error
            raise VagusError(f"{path} is no journal of vagus: {error}") from error
        stack.pop_all()
    return db


@contextlib.contextmanager
def read_only(path: Path) -> Iterator[sqlite3.Connection]:
    """Read a journal that a node may be writing to. Raises VagusError where it cannot be read."""
    try:
        with contextlib.closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        ) as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version != SCHEMA_VERSION:
                raise VagusError(
                    f"{path} has schema {version}, this vagus knows {SCHEMA_VERSION}: run the vagus that wrote it"
                )
            yield db
    except sqlite3.Error as error:
        raise VagusError(f"{path} cannot be read: {error}") from None


def damage(db: sqlite3.Connection, seconds: float | None = None) -> str | None:
    """Look at the structure of every page, for at most so many seconds; return the first fault.

    What is found is damage of the structure. SQLite keeps no checksums: a flipped bit in a value
    is found where that value is decoded, hashed or verified, and nowhere else.
    """
    if seconds is not None:
        end = time.monotonic() + seconds
        db.set_progress_handler(lambda: time.monotonic() > end, 10_000)
    try:
        found: str = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        return None
    finally:
        db.set_progress_handler(None, 0)
    return None if found == "ok" else " ".join(found.split())


def damaged(path: Path, fault: str) -> DamagedError:
    """Return the error of a damaged journal, in words that say what to do."""
    return DamagedError(
        f"{path} is damaged ({fault}): nothing is signed by it. Look at the disk, move the folder "
        "away, and restore the newest backup with `vagus restore`"
    )


def action_of(error: sqlite3.Error, path: Path, what: str) -> BaseException:
    """Return what a node does about an error of SQLite: Retry, DamagedError, or the defect itself.

    `what` names what failed, as in "cannot be written".
    """
    code = getattr(error, "sqlite_errorcode", None)
    if code is None and isinstance(error, sqlite3.OperationalError):
        # Python's own and not SQLite's: a text that is no UTF-8, which it would quote.
        return damaged(path, "a text in it is not UTF-8")
    if code is not None and code & 0xFF in _DAMAGE:
        return damaged(path, str(error))
    if isinstance(error, sqlite3.OperationalError):
        return Retry(f"the journal {what}: {error}", after=RETRY_SECONDS)
    return error


def page_write(db: sqlite3.Connection) -> None:
    """Write one page and change nothing: what shows that the disk takes writes again."""
    db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
