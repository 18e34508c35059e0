"""A journal's backup, taken from a running node or a stopped one, and its way back.

The journal is the memory of what a node has signed. A backup is older than that memory, so that a
node on a restored journal may decide nothing again: what the backup has no outcome of, and what was
asked since, is left to its refund (docs/decisions/016.md).
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vagus.daemon.journal.database import BACKUP_ID, damage
from vagus.daemon.journal.observing import unfence
from vagus.daemon.journal.records import Stage
from vagus.daemon.journal.rows import SCHEMA_VERSION, UPGRADES
from vagus.protocol import VagusError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

__all__ = ["BackupError", "Copied", "back_up", "restore"]

_PAGES = 4096
_WANTED = {
    "backup": "name a file that `vagus backup` has written",
    "journal": "look at the data folder in the config",
}


class BackupError(VagusError):
    """A backup cannot be taken or restored; nothing was changed."""


@dataclass(frozen=True)
class Copied:
    """What a copy holds: its size, and how many intents are ended, under way, or given up by it."""

    size: int
    ended: int
    unfinished: int
    left: int = 0


def back_up(journal: Path, target: Path, progress: Callable[[float], None]) -> Copied:
    """Copy a journal into a new file of mode 0600, at one point of its history.

    A node that writes to it meanwhile is not held up. `progress` is told the part done, 0 to 1.
    """
    if not journal.is_file():
        raise BackupError(f"{journal} does not exist: no node has run on this data folder")
    with (
        _new_file(target) as scratch,
        _errors(journal, "journal"),
        contextlib.closing(sqlite3.connect(journal, isolation_level=None)) as source,
        contextlib.closing(sqlite3.connect(scratch, isolation_level=None)) as copy,
    ):
        source.execute("PRAGMA query_only=1")
        # Within this transaction the source stands still, whatever others write.
        source.execute("BEGIN")
        _check(journal, source, application_id=0)
        _copy(source, copy, progress)
        copy.execute("PRAGMA journal_mode=DELETE")
        copy.execute(f"PRAGMA application_id={BACKUP_ID}")
        if fault := damage(copy):
            raise BackupError(f"{journal} is damaged ({fault}): no backup was taken")
        ended, unfinished = _count(copy)
    return Copied(target.stat().st_size, ended, unfinished)


def restore(
    backup: Path,
    journal: Path,
    progress: Callable[[float], None],
    folder: AbstractContextManager[object],
) -> Copied:
    """Make a journal of a backup where there is none.

    `folder` holds the journal's, and makes it where it is missing: it is entered once the backup is
    known to be whole. Raises BackupError for a file that is no whole backup of this version, and
    where a journal, or a part of one, is there already; and what `folder` raises.
    """
    if not backup.is_file():
        raise BackupError(f"{backup}: no such file; name one that `vagus backup` has written")
    read_only = f"{backup.resolve().as_uri()}?mode=ro&immutable=1"
    with (
        _errors(backup, "backup"),
        contextlib.closing(sqlite3.connect(read_only, uri=True)) as source,
        contextlib.ExitStack() as stack,
    ):
        _check(backup, source, application_id=BACKUP_ID)
        if fault := damage(source):
            raise BackupError(f"{backup} is damaged ({fault}): take an older one")
        stack.enter_context(folder)
        _refuse_another(journal)
        scratch = stack.enter_context(_new_file(journal))
        copy = stack.enter_context(
            contextlib.closing(sqlite3.connect(scratch, isolation_level=None))
        )
        _copy(source, copy, progress)
        left = _mark(copy)
        ended, unfinished = _count(copy)
    return Copied(journal.stat().st_size, ended - left, unfinished, left)


def _refuse_another(journal: Path) -> None:
    for name in (journal.name, f"{journal.name}-wal", f"{journal.name}-shm"):
        if journal.with_name(name).exists():
            raise BackupError(
                f"{journal.with_name(name)} exists: move the old journal away, and keep it, since "
                "it may know more than the backup"
            )


def _mark(copy: sqlite3.Connection) -> int:
    """Have a node decide nothing again that was there before now; returns how many are given up."""
    copy.execute("BEGIN")
    left = unfence(copy, time.time())
    copy.execute("PRAGMA application_id=0")
    copy.execute("COMMIT")
    return left


def _check(path: Path, db: sqlite3.Connection, application_id: int) -> None:
    found = db.execute("PRAGMA application_id").fetchone()[0]
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if found != application_id or version == 0:
        kind = "backup" if application_id == BACKUP_ID else "journal"
        raise BackupError(f"{path} is no {kind} of vagus: {_WANTED[kind]}")
    if version not in {SCHEMA_VERSION, *UPGRADES}:
        raise BackupError(
            f"{path} has schema {version}, this vagus knows {SCHEMA_VERSION}: use the vagus that wrote it"
        )


def _copy(
    source: sqlite3.Connection, copy: sqlite3.Connection, progress: Callable[[float], None]
) -> None:
    def told(_: int, remaining: int, total: int) -> None:
        progress(1 - remaining / total if total else 1.0)

    source.backup(copy, pages=_PAGES, progress=told)


def _count(db: sqlite3.Connection) -> tuple[int, int]:
    rows = dict(db.execute("SELECT stage, COUNT(*) FROM intents GROUP BY stage"))
    ended = sum(count for stage, count in rows.items() if Stage(stage).ended)
    return ended, sum(rows.values()) - ended


@contextlib.contextmanager
def _errors(path: Path, kind: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        todo = "look at the disks, and take an older backup where it stays"
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_NOTADB:
            todo = _WANTED[kind]
        raise BackupError(f"{path} cannot be copied ({error}): {todo}") from error


@contextlib.contextmanager
def _new_file(path: Path) -> Iterator[Path]:
    """Yield an empty scratch file (0600) that becomes `path` at the end, whole or not at all.

    It never replaces a file. What a killed process left is no journal by its name, and in nobody's way.
    """
    if path.exists():
        raise BackupError(f"{path} exists already: name a new file")
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        os.close(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        yield scratch
        _sync(scratch)
        os.link(scratch, path)
        _sync(path.parent)
    except FileExistsError:
        raise BackupError(f"{path} exists already: name a new file") from None
    except OSError as error:
        raise BackupError(f"{path} cannot be written: {error.strerror}") from None
    finally:
        for name in (scratch.name, f"{scratch.name}-journal"):
            scratch.with_name(name).unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
