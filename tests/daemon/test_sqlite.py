"""The journal on SQLite where it is more than its contract: crashes, full disks, other files."""

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from support.journals import HUB, LANE, request
from vagus.adapters.base import Cursor
from vagus.daemon.journal.records import Kind, Said, Stage
from vagus.daemon.journal.rows import SCHEMA_VERSION
from vagus.daemon.journal.sqlite import SqliteJournal
from vagus.protocol import Retry, VagusError

WRITER = Path(__file__).parents[1] / "support" / "journal_writer.py"
KILLS = 12


def killed_writer(path: Path, first: int, lines: int) -> list[str]:
    """Write from `first` on, end by SIGKILL after so many lines; return what was said durable."""
    command = [sys.executable, str(WRITER), str(path), str(first)]
    said: list[str] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            if len(said) == lines:
                os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    return [line.strip() for line in said if line.endswith("\n")]


async def test_a_killed_writer_loses_nothing_that_it_said_was_durable(tmp_path: Path) -> None:
    path, points = tmp_path / "journal.sqlite", random.Random(7)
    durable: dict[int, Stage] = {}
    first = 1
    for _ in range(KILLS):
        for line in killed_writer(path, first, points.randint(1, 200)):
            seq, stage = line.split()
            durable[int(seq)] = max(durable.get(int(seq), Stage.OBSERVED), Stage[stage])
        first = await check(path, durable) + 1


async def check(path: Path, durable: dict[int, Stage]) -> int:
    """Open a journal that was left by a crash; return the highest seq that is in it."""
    async with SqliteJournal(path) as journal:
        records = {each.intent.seq: each for each in await journal.unfinished()}
        nonces = []
        for seq, stage in durable.items():
            assert records[seq].stage >= stage
        for record in records.values():
            history = [each.stage for each in await journal.history(record.id)]
            assert history == [stage for stage in Stage if stage <= record.stage]
            tx = await journal.newest_tx(record.id, Kind.DELIVER)
            assert (tx is not None) == (record.stage == Stage.SUBMITTED)
            if tx is not None:
                nonces.append(int(tx.tx_id, 16))
        # Nonces without a hole, and the lane stands behind the last of them.
        assert sorted(nonces) == list(range(len(nonces)))
        lane = await journal.lane(LANE)
        assert int.from_bytes(lane or b"", "big") == len(nonces)
        cursor = await journal.cursor(HUB)
        assert cursor is not None
        assert max(records) >= cursor.next_seq - 1
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()
    return max(records)


async def test_a_journal_of_a_newer_vagus_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    async with SqliteJournal(path):
        pass
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version=99")
    db.close()
    with pytest.raises(VagusError, match=f"has schema 99, this vagus knows {SCHEMA_VERSION}:"):
        await SqliteJournal(path).__aenter__()


async def test_a_journal_of_the_schema_before_is_brought_to_this_one(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    async with SqliteJournal(path) as journal:
        [record] = await journal.observe(HUB, [request(1)], Cursor(2, 1))
    db = sqlite3.connect(path)
    db.executescript("ALTER TABLE intents DROP COLUMN spent; PRAGMA user_version=6")
    db.close()
    for spent in (0, 7):
        async with SqliteJournal(path) as journal:
            [known] = await journal.unfinished()
            assert (known.id, known.spent) == (record.id, spent)
            await journal.spend(known, 7)


async def test_a_file_that_is_no_journal_is_refused_and_left_alone(tmp_path: Path) -> None:
    path, content = tmp_path / "journal.sqlite", b"no database" * 1000
    path.write_bytes(content)
    with pytest.raises(VagusError, match=r"journal\.sqlite is no journal of vagus"):
        await SqliteJournal(path).__aenter__()
    assert path.read_bytes() == content


async def test_a_database_of_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE intents(name TEXT)")
    db.commit()
    db.close()
    content = path.read_bytes()
    with pytest.raises(VagusError, match=r"journal\.sqlite is no journal of vagus"):
        await SqliteJournal(path).__aenter__()
    assert path.read_bytes() == content


async def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(VagusError, match=r"missing/journal\.sqlite cannot be opened"):
        await SqliteJournal(tmp_path / "missing" / "journal.sqlite").__aenter__()


async def test_a_full_disk_is_retried_and_nothing_is_half_written(tmp_path: Path) -> None:
    async with SqliteJournal(tmp_path / "journal.sqlite") as journal:
        [record] = await journal.observe(HUB, [request(1)], Cursor(2, 1))
        pages = journal._db.execute("PRAGMA page_count").fetchone()[0]
        journal._db.execute(f"PRAGMA max_page_count={pages + 1}")
        large = [request(seq, seq, b"x" * 8192) for seq in range(2, 6)]
        with pytest.raises(Retry, match="the journal cannot be written: database or disk is full"):
            await journal.observe(HUB, large, Cursor(6, 6))
        assert await journal.cursor(HUB) == Cursor(2, 1)
        assert await journal.counts() == {Stage.OBSERVED: 1}
        journal._db.execute(f"PRAGMA max_page_count={pages + 1000}")
        await journal.observe(HUB, large, Cursor(6, 6))
        await journal.move(record, Stage.FINAL)
        assert await journal.counts() == {Stage.OBSERVED: 4, Stage.FINAL: 1}


FULL_DISK = """
import asyncio, pathlib, resource, signal, sys
from support.journals import HUB, request
from vagus.adapters.base import Cursor
from vagus.daemon.journal.sqlite import SqliteJournal
from vagus.protocol import Retry

async def main():
    async with SqliteJournal(pathlib.Path(sys.argv[1])) as journal:
        await journal.observe(HUB, [request(1)], Cursor(2, 1))
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
        done = 1
        try:
            for seq in range(2, 100):
                await journal.observe(HUB, [request(seq, seq, b"x" * 8000)], Cursor(seq + 1, seq))
                done = seq
        except Retry as error:
            print(error.reason)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        assert len(await journal.unfinished()) == done
        await journal.observe(HUB, [request(done + 1, done + 1)], Cursor(done + 2, done + 1))
        print(done < 99 and len(await journal.unfinished()) == done + 1)

asyncio.run(main())
"""


async def test_a_write_that_the_system_refuses_is_retried(tmp_path: Path) -> None:
    # The limit on a file's size stands for a full disk: the write itself fails, in a real file.
    done = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        FULL_DISK,
        str(tmp_path / "journal.sqlite"),
        cwd=Path(__file__).parents[1],
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, wrong = await done.communicate()
    assert wrong == b""
    assert said.decode().splitlines() == ["the journal cannot be written: disk I/O error", "True"]


async def test_commits_are_on_disk_when_they_return(tmp_path: Path) -> None:
    async with SqliteJournal(tmp_path / "journal.sqlite") as journal:
        assert journal._db.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
        assert journal._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


async def test_no_read_looks_at_every_intent(tmp_path: Path) -> None:
    """A million settled intents must cost a scrape or a restart next to nothing."""
    async with SqliteJournal(tmp_path / "journal.sqlite") as journal:
        seen: list[str] = []
        journal._reader_db.set_trace_callback(seen.append)
        journal._db.set_trace_callback(seen.append)
        [record] = await journal.observe(HUB, [request(1)], Cursor(2, 1))
        await journal.move(record, Stage.FINAL)
        await journal.unfinished()
        await journal.counts()
        await journal.intents(5)
        await journal.intents(5, Stage.SETTLED)
        await journal.intent(record.id)
        await journal.history(record.id)
        await journal.newest_tx(record.id, Kind.DELIVER)
        said = Said(2, 0, 1, b"value", b"envelope")
        for sequence in (1, 2):
            await journal.say(
                record.id, b"hub", 7, [replace(said, sequence=sequence)], outcome=b"o"
            )
        await journal.said(record.id)
        await journal.pledged(record.id)
        await journal.sequence()
        await journal.highest()
        await journal.keep_check(record.id, b"member", b"check")
        await journal.checks(record.id)
        statements = [sql for sql in seen if sql.split()[0] in {"SELECT", "UPDATE"}]
        plans = [
            row[3]
            for sql in statements
            for row in journal._reader_db.execute(f"EXPLAIN QUERY PLAN {sql}")
        ]
    assert len(plans) > 8
    scans = [plan for plan in plans if plan.startswith("SCAN")]
    allowed = ("USING COVERING INDEX intents_stage", "USING INDEX intents_seen", "CONSTANT ROW")
    assert [scan for scan in scans if not scan.endswith(allowed)] == []
