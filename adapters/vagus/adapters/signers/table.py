"""What a key has signed, on disk before the signature leaves: one outcome an intent, and one receipt.

It is the signer's own file beside the node's journal and knows nothing of it: a journal that lies, or was
restored from an old copy, brings nobody to sign something else.
"""

from __future__ import annotations

import asyncio
import enum
import functools
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, NamedTuple, Self, TypeVar

from vagus.adapters.background import background
from vagus.adapters.errors import WalletError
from vagus.protocol import Retry, VagusError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import TracebackType

__all__ = ["Kind", "SignedTable"]

T = TypeVar("T")

_VERSION = 1
_SCHEMA = """
CREATE TABLE signed (
  kind INTEGER NOT NULL,
  intent BLOB NOT NULL,
  value BLOB NOT NULL,
  PRIMARY KEY (kind, intent)
) WITHOUT ROWID, STRICT;
"""
_RETRY_SECONDS = 5.0
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class Kind(enum.IntEnum):
    """What was signed for an intent."""

    OUTCOME = 1
    RECEIPT = 2


class _Entry(NamedTuple):
    kind: Kind
    intent: bytes
    value: bytes
    first: asyncio.Future[bytes]


class SignedTable:
    """One file, of one process at a time. Entries that wait together are written together."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries: asyncio.Queue[_Entry] = asyncio.Queue()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="signed")
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Open the file, or make one. Raises `WalletError` for one that cannot be relied on."""
        async with AsyncExitStack() as stack:
            stack.callback(self._thread.shutdown)
            db = await self._run(functools.partial(_open, self._path))
            stack.push_async_callback(self._run, db.close)
            await stack.enter_async_context(background(**{"signed table": self._write(db)}))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    async def first(self, kind: Kind, intent: bytes, value: bytes) -> bytes:
        """Return what was entered first for an intent: `value` itself, on disk, where nothing was.

        Raises Retry where it cannot be written now, `WalletError` for a file that is damaged.
        """
        first: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._entries.put_nowait(_Entry(kind, intent, value, first))
        return await first

    async def _write(self, db: sqlite3.Connection) -> None:
        while True:
            entries = [await self._entries.get()]
            while not self._entries.empty():
                entries.append(self._entries.get_nowait())
            answer = await self._run(functools.partial(self._enter, db, entries))
            for at, entry in enumerate(entries):
                if entry.first.done():
                    continue  # nobody waits for it any more
                if isinstance(answer, VagusError):
                    entry.first.set_exception(answer)
                else:
                    entry.first.set_result(answer[at])

    def _enter(self, db: sqlite3.Connection, entries: Sequence[_Entry]) -> list[bytes] | VagusError:
        """Enter all in one transaction; what is there stays."""
        rows = [(entry.kind, entry.intent, entry.value) for entry in entries]
        try:
            with db:
                db.execute("BEGIN IMMEDIATE")
                db.executemany("INSERT OR IGNORE INTO signed VALUES (?, ?, ?)", rows)
                return [
                    bytes(
                        db.execute(
                            "SELECT value FROM signed WHERE kind = ? AND intent = ?", row[:2]
                        ).fetchone()[0]
                    )
                    for row in rows
                ]
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
                return _damaged(self._path, str(error))
            return Retry(f"{self._path} cannot be written: {error}", _RETRY_SECONDS)

    async def _run(self, job: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, job)


def _open(path: Path) -> sqlite3.Connection:
    try:
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=1)
    except sqlite3.Error as error:
        raise _unusable(path, str(error)) from None
    try:
        # Two nodes with one key would each keep half of the truth.
        db.execute("PRAGMA locking_mode=EXCLUSIVE")
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        db.execute("BEGIN IMMEDIATE")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        tables = db.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]
        if not version and not tables:
            db.execute(_SCHEMA)
            db.execute(f"PRAGMA user_version={_VERSION}")
        elif version != _VERSION:
            raise _unusable(path, f"it has version {version}, this vagus knows {_VERSION}")
        db.execute("COMMIT")
        found = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise _damaged(path, found)
    except sqlite3.Error as error:
        db.close()
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
            raise _damaged(path, str(error)) from None
        raise _unusable(path, str(error)) from None
    except BaseException:
        db.close()
        raise
    return db


def _unusable(path: Path, fault: str) -> WalletError:
    return WalletError(
        f"{path}, the table of what the key has signed, cannot be opened: {fault}",
        "see that no other node runs with it, and that this user may write it",
    )


def _damaged(path: Path, fault: str) -> WalletError:
    return WalletError(
        f"{path}, the table of what the key has signed, is damaged ({' '.join(fault.split())})",
        "nothing is signed without it: rotate to a new key, docs/keys.md says how",
    )
