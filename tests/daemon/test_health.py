"""What a node says and stops while it is not sound itself, and that it goes on afterwards."""

import asyncio
import contextlib
import os
import resource
import socket
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from support.client import until
from support.journals import HUB, request
from support.pipelines import Node, Pauses
from support.scripted import Scripted
from vagus.adapters.base import Cursor
from vagus.daemon.journal import sqlite as sqlite_module
from vagus.daemon.journal.base import DamagedError
from vagus.daemon.journal.records import Stage
from vagus.daemon.journal.sqlite import SqliteJournal
from vagus.daemon.service import health as health_module
from vagus.daemon.service.health import Health
from vagus.daemon.service.sdnotify import Notifier
from vagus.protocol import Retry

LARGE = [request(seq, seq, b"x" * 8192) for seq in range(2, 6)]


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[SqliteJournal]:
    async with SqliteJournal(tmp_path / "journal.sqlite") as journal:
        yield journal


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_module, "TICK", 0.01)


@contextlib.asynccontextmanager
async def watched(health: Health, **environment: str) -> AsyncIterator[None]:
    with Notifier(environment) as notifier:
        task = asyncio.create_task(health.watch(notifier), name="health")
        yield
        task.cancel()
        await asyncio.wait([task])


async def test_a_journal_that_cannot_be_written_is_said_once_and_its_return_too(
    journal: SqliteJournal, quick: None
) -> None:
    faults: dict[str, str] = {}
    with capture_logs() as logs:
        async with watched(Health(journal, faults)):
            journal._db.execute("PRAGMA query_only=1")  # as on a disk that is read-only now
            with pytest.raises(Retry):
                await journal.observe(HUB, LARGE, Cursor(6, 6))
            await until(lambda: asyncio.sleep(0.05, faults), bool, every=0.01)
            assert faults["journal"].startswith("the journal cannot be written: attempt to write")
            journal._db.execute("PRAGMA query_only=0")
            await until(lambda: asyncio.sleep(0, faults), lambda found: not found, every=0.01)
    events = [(each["event"], each["part"]) for each in logs]
    assert events == [("node not sound", "journal"), ("node sound again", "journal")]


async def test_a_disk_with_little_room_left_is_a_fault_before_a_write_fails(
    journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    health = Health(journal, {})
    monkeypatch.setattr(sqlite_module, "ROOM", 1 << 60)
    with pytest.raises(Retry, match=r"its disk has \d+ KB left"):
        await journal.probe()
    with pytest.raises(Retry, match=r"its disk has \d+ KB left"):
        await health.require()
    monkeypatch.setattr(sqlite_module, "ROOM", 1 << 20)
    await health.require()
    assert journal.fault is None


async def test_while_the_journal_takes_no_write_a_node_may_not_act(journal: SqliteJournal) -> None:
    health = Health(journal, {})
    await health.require()
    await journal.observe(HUB, [request(1)], Cursor(2, 1))
    journal._db.execute("PRAGMA query_only=1")  # every write fails, as on a disk gone read-only
    with pytest.raises(Retry, match="cannot be written: attempt to write a readonly database"):
        await journal.observe(HUB, LARGE, Cursor(6, 6))
    with pytest.raises(Retry, match="cannot be written"):
        await health.require()
    journal._db.execute("PRAGMA query_only=0")
    await health.require()
    assert journal.fault is None
    await journal.observe(HUB, LARGE, Cursor(6, 6))
    assert await journal.counts() == {Stage.OBSERVED: 5}


async def test_without_descriptors_a_node_says_so_and_may_not_act_until_there_are_some(
    journal: SqliteJournal, quick: None
) -> None:
    faults: dict[str, str] = {}
    health = Health(journal, faults)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with watched(health):
        try:
            highest = max(int(each) for each in os.listdir("/proc/self/fd"))
            resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
            assert highest > 0
            await until(lambda: asyncio.sleep(0, faults), bool, every=0.01)
            assert faults["files"].startswith("no file or socket can be opened (Too many open")
            with pytest.raises(Retry, match="no file or socket"):
                await health.require()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        await until(lambda: asyncio.sleep(0, faults), lambda found: not found, every=0.01)
        await health.require()


async def test_the_watchdog_hears_of_a_node_whose_writer_answers_and_of_no_other(
    journal: SqliteJournal, quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health_module, "HANG", 0.05)
    faults: dict[str, str] = {}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)

        def heard() -> list[bytes]:
            found = []
            with contextlib.suppress(BlockingIOError):
                while True:
                    found.append(manager.recv(4096))
            return found

        async def beats(count: int) -> None:
            seen = 0
            while seen < count:
                seen += heard().count(b"WATCHDOG=1")
                await asyncio.sleep(0.005)

        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "100000"}
        async with watched(Health(journal, faults), **environment), asyncio.timeout(30):
            await beats(3)
            # Another connection holds the file: the writer waits for it, as for a disk that hangs.
            other = sqlite3.connect(tmp_path / "journal.sqlite", isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            await until(lambda: asyncio.sleep(0, faults), bool, every=0.01)
            assert faults["journal"].startswith("its writer has not answered")
            heard()
            for _ in range(3):
                silent = asyncio.create_task(beats(1))
                await asyncio.wait([silent], timeout=0.1)
                assert not silent.done()
                silent.cancel()
            other.execute("ROLLBACK")
            other.close()
            await beats(1)
            await until(lambda: asyncio.sleep(0, faults), lambda found: not found, every=0.01)


async def test_a_damaged_journal_ends_the_watch_and_every_write(
    journal: SqliteJournal, tmp_path: Path, quick: None
) -> None:
    await journal.observe(HUB, [*LARGE], Cursor(6, 6))
    journal._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    damage(tmp_path / "journal.sqlite")
    with pytest.raises(DamagedError, match=r"is damaged .*restore the newest backup"):
        await journal.unfinished()
    with pytest.raises(DamagedError):
        await journal.observe(HUB, [request(9)], None)
    with pytest.raises(DamagedError), Notifier({}) as notifier:
        await Health(journal, {}).watch(notifier)


def damage(path: Path, after: int = 1) -> None:
    """Overwrite every page but the first ones, as a broken disk would."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        for page in range(after, size // 4096):
            file.seek(page * 4096)
            file.write(b"\xff" * 100)
        os.fsync(file.fileno())


async def test_an_answer_that_a_full_disk_does_not_take_is_kept_and_not_asked_for_again(
    node: Node, model: Scripted, pauses: Pauses
) -> None:
    journal = node.journal
    assert isinstance(journal, SqliteJournal)
    record = await node.ask()
    await node.carry_to(record, Stage.ROUTED)
    later: list[Callable[[], None]] = [
        lambda: None,
        lambda: None,
        lambda: journal._db.execute("PRAGMA query_only=0") and None,
    ]

    def then() -> None:
        later.pop(0)()

    run = node.pipeline._executor.run

    async def run_and_fill(*args: object) -> object:
        outcome = await run(*args)  # type: ignore[arg-type]
        journal._db.execute("PRAGMA query_only=1")
        return outcome

    node.pipeline._executor.run = run_and_fill  # type: ignore[method-assign, assignment]
    pauses.then = then
    await node.carry(record)
    assert record.stage == Stage.SETTLED
    assert len(model.requests) == 1
    assert later == []
    assert (node.a.transactions, node.b.transactions) == (1, 1)
