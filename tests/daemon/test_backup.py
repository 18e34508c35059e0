"""A journal's backup and its way back: nothing is decided twice, whatever was lost in between."""

import contextlib
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from support.journals import HUB, attestation, built, request
from support.node import vagus
from vagus.adapters.base import Cursor
from vagus.daemon.journal.backup import BackupError, Copied, back_up, restore
from vagus.daemon.journal.base import Journal
from vagus.daemon.journal.records import IntentRecord, Kind, Said, Stage
from vagus.daemon.journal.sqlite import SqliteJournal
from vagus.protocol import Status, VagusError, keccak256

WRITER = Path(__file__).parents[1] / "support" / "journal_writer.py"
FILES = ("journal.sqlite", "journal.sqlite-wal", "journal.sqlite-shm")
HELD = contextlib.nullcontext()


def quiet(_: float) -> None:
    """Say nothing of the progress."""


async def reached(journal: Journal, seq: int, stage: Stage) -> IntentRecord:
    """An intent at a stage, with an outcome from EXECUTED on."""
    [record] = await journal.observe(HUB, [request(seq, seq)], Cursor(seq + 1, seq))
    for each in [each for each in Stage if Stage.OBSERVED < each <= stage]:
        if each == Stage.EXECUTED:
            decided = {"status": Status.FULFILLED, "output": b"%d" % seq}
            signed = attestation(record.id, decided["output"])
            await journal.move(record, each, attestation=signed, **decided)
        elif each == Stage.SUBMITTED:
            known = await journal.lane("lane")
            nonce = 0 if known is None else int.from_bytes(known, "big")
            await journal.submit(record, each, Kind.DELIVER, "lane", known, built(nonce))
        else:
            await journal.move(record, each)
    return record


@pytest.fixture
async def taken(tmp_path: Path) -> Path:
    """A backup with an intent at each stage; the journal is gone."""
    async with SqliteJournal(tmp_path / "journal.sqlite") as journal:
        for stage in [each for each in Stage if each <= Stage.SETTLED]:
            await reached(journal, int(stage), stage)
        back_up(tmp_path / "journal.sqlite", tmp_path / "backup", quiet)
    for name in FILES:
        (tmp_path / name).unlink(missing_ok=True)
    return tmp_path / "backup"


async def test_a_backup_of_a_journal_that_is_written_to_is_one_point_of_its_history(
    tmp_path: Path,
) -> None:
    path = tmp_path / "journal.sqlite"
    durable: dict[int, Stage] = {}
    command = [sys.executable, str(WRITER), str(path), "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for at in range(3):
            for _ in range(2000):
                seq, stage = process.stdout.readline().split()
                durable[int(seq)] = Stage[stage]
            done = back_up(path, tmp_path / f"backup-{at}", quiet)
            db = sqlite3.connect(tmp_path / f"backup-{at}")
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            rows = db.execute("SELECT request_tx, stage FROM intents")
            stages = {int(tx, 16): stage for tx, stage in rows}
            assert done.unfinished == len(stages)
            assert [seq for seq, stage in durable.items() if stages.get(seq, 0) < stage] == []
            # All lines of each intent and no other: the copy is no mixture of two moments.
            [(lines,)] = db.execute("SELECT COUNT(*) FROM history")
            assert lines == sum(stages.values())
            [(cursor,)] = db.execute("SELECT next_seq FROM cursors")
            assert cursor == max(stages) + 1
            db.close()
        os.kill(process.pid, signal.SIGKILL)


async def test_a_backup_is_for_its_owner_alone_and_replaces_no_file(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    async with SqliteJournal(path) as journal:
        await reached(journal, 1, Stage.FINAL)
        back_up(path, tmp_path / "backup", quiet)
    assert stat.S_IMODE((tmp_path / "backup").stat().st_mode) == 0o600
    content = (tmp_path / "backup").read_bytes()
    with pytest.raises(BackupError, match="backup exists already: name a new file"):
        back_up(path, tmp_path / "backup", quiet)
    assert (tmp_path / "backup").read_bytes() == content
    with pytest.raises(BackupError, match=r"missing/journal\.sqlite does not exist"):
        back_up(tmp_path / "missing" / "journal.sqlite", tmp_path / "other", quiet)
    with pytest.raises(BackupError, match=r"no-folder/backup cannot be written: No such file"):
        back_up(path, tmp_path / "no-folder" / "backup", quiet)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["backup", "journal.sqlite"]


async def test_a_node_runs_on_no_backup(tmp_path: Path, taken: Path) -> None:
    taken.rename(tmp_path / "journal.sqlite")
    with pytest.raises(VagusError, match="is a backup: `vagus restore` makes a journal of it"):
        await SqliteJournal(tmp_path / "journal.sqlite").__aenter__()


async def test_what_was_decided_goes_on_and_what_was_not_is_left(
    tmp_path: Path, taken: Path
) -> None:
    done = restore(taken, tmp_path / "journal.sqlite", quiet, HELD)
    # OBSERVED to ROUTED are left; EXECUTED to SETTLING go on; SETTLED has ended.
    assert (done.left, done.unfinished, done.ended) == (3, 5, 1)
    async with SqliteJournal(tmp_path / "journal.sqlite") as journal:
        assert await journal.counts() == {
            Stage.LEFT: 3,
            **{stage: 1 for stage in Stage if Stage.EXECUTED <= stage <= Stage.SETTLED},
        }
        for record in await journal.unfinished():
            assert (record.status, record.output) == (Status.FULFILLED, b"%d" % record.stage)
            assert record.attestation == attestation(record.id, record.output)
        [*left] = await journal.intents(10, Stage.LEFT)
        for record in left:
            assert record.reason.endswith("has no outcome of it: left to its refund")
            assert (await journal.history(record.id))[-1].note == "restored without its outcome"


async def test_what_was_asked_since_is_left_and_what_is_asked_from_now_on_is_carried(
    tmp_path: Path, taken: Path
) -> None:
    path = tmp_path / "journal.sqlite"
    restore(taken, path, quiet, HELD)
    async with SqliteJournal(path) as journal:
        assert journal.unfenced(HUB)
        with pytest.raises(RuntimeError, match="is read after a restore, and has no fence"):
            await journal.observe(HUB, [request(10, 10)], Cursor(11, 10))
        await journal.fence(HUB, 12)
        assert not journal.unfenced(HUB)
        assert journal.unfenced("eip155:1:0x" + "99" * 20)  # each hub has its own
    async with SqliteJournal(path) as journal:
        assert not journal.unfenced(HUB)
        asked = [request(seq, seq) for seq in range(10, 14)]
        carried = await journal.observe(HUB, asked, Cursor(14, 13))
        assert [each.intent.seq for each in carried] == [12, 13]
        since = [await journal.intent(each.intent.id) for each in asked]
        assert [each.stage for each in since if each] == [
            *[Stage.LEFT] * 2,
            *[Stage.OBSERVED] * 2,
        ]
        assert sorted(each.intent.seq for each in await journal.unfinished()) == [
            *range(4, 9),
            12,
            13,
        ]


async def test_what_stood_at_the_tip_when_the_backup_was_taken_is_left_once_it_is_final(
    tmp_path: Path,
) -> None:
    path = tmp_path / "journal.sqlite"
    async with SqliteJournal(path) as journal:
        await journal.observe(HUB, [request(1)], None)
        back_up(path, tmp_path / "backup", quiet)
    for name in FILES:
        (tmp_path / name).unlink(missing_ok=True)
    assert restore(tmp_path / "backup", path, quiet, HELD).left == 0
    async with SqliteJournal(path) as journal:
        await journal.fence(HUB, 2)
        assert await journal.observe(HUB, [request(1)], Cursor(2, 1)) == []
        assert await journal.counts() == {Stage.LEFT: 1}


async def test_what_was_said_heard_and_signed_for_comes_back(tmp_path: Path) -> None:
    path, there, word = tmp_path / "journal.sqlite", b"\x01" * 32, b"\x02" * 32
    said, member, proof = Said(8, 0, 7, word, b"envelope", b"salt"), b"\x0a" * 20, keccak256(b"{}")
    async with SqliteJournal(path) as journal:
        record = await reached(journal, 1, Stage.EXECUTED)
        await journal.say(record.id, there, 3, [said], outcome=word)
        await journal.hear(member, 12, b"heard")
        await journal.keep_check(record.id, member, b"check")
        await journal.keep_evidence(proof, b"{}")
        back_up(path, tmp_path / "backup", quiet)
    for name in FILES:
        (tmp_path / name).unlink(missing_ok=True)
    restore(tmp_path / "backup", path, quiet, HELD)
    async with SqliteJournal(path) as journal:
        [row] = await journal.said(record.id)
        assert (row.sequence, row.value, row.envelope, row.private) == (
            7,
            word,
            b"envelope",
            b"salt",
        )
        assert await journal.pledged(record.id) == (word, None)
        assert await journal.heard() == {member: (12, b"heard")}
        assert await journal.checks(record.id) == [(member, b"check")]
        assert await journal.evidence(proof) == b"{}"
        # What was said since is known to the others alone.
        assert await journal.sequence() == 7
        await journal.adopt(9)
    back_up(path, tmp_path / "again", quiet)
    path.unlink()
    restore(tmp_path / "again", path, quiet, HELD)
    async with SqliteJournal(path) as journal:
        assert await journal.sequence() == 9


async def test_a_second_restore_puts_a_new_fence(tmp_path: Path, taken: Path) -> None:
    path = tmp_path / "journal.sqlite"
    restore(taken, path, quiet, HELD)
    async with SqliteJournal(path) as journal:
        await journal.fence(HUB, 12)
    back_up(path, tmp_path / "again", quiet)
    path.unlink()
    restore(tmp_path / "again", path, quiet, HELD)
    async with SqliteJournal(path) as journal:
        assert journal.unfenced(HUB)


@pytest.mark.parametrize("name", FILES)
async def test_a_journal_or_a_part_of_one_is_never_restored_over(
    tmp_path: Path, taken: Path, name: str
) -> None:
    (tmp_path / name).write_bytes(b"all that is left")
    with pytest.raises(BackupError, match=f"{name} exists: move the old journal away, and keep it"):
        restore(taken, tmp_path / "journal.sqlite", quiet, HELD)
    assert (tmp_path / name).read_bytes() == b"all that is left"


async def test_only_a_whole_backup_of_this_version_is_restored(tmp_path: Path, taken: Path) -> None:
    def refused(path: Path, match: str) -> None:
        folder = tmp_path / "new"
        folder.mkdir(exist_ok=True)
        with pytest.raises(BackupError, match=match):
            restore(path, folder / "journal.sqlite", quiet, HELD)
        assert list(folder.iterdir()) == []

    refused(tmp_path / "missing", "no such file; name one that `vagus backup` has written")
    (tmp_path / "text").write_text("no database " * 1000)
    refused(tmp_path / "text", r"\(file is not a database\): name a file that `vagus backup` has")
    async with SqliteJournal(tmp_path / "other.sqlite"):
        pass
    refused(tmp_path / "other.sqlite", "is no backup of vagus: name a file that `vagus backup` has")
    whole = taken.read_bytes()
    (tmp_path / "cut").write_bytes(whole[: len(whole) // 2])
    refused(tmp_path / "cut", "is damaged|cannot be copied")
    damaged = bytearray(whole)
    damaged[3 * 4096 : 3 * 4096 + 200] = b"\xff" * 200
    (tmp_path / "damaged").write_bytes(damaged)
    refused(tmp_path / "damaged", "is damaged|cannot be copied")
    db = sqlite3.connect(taken)
    db.execute("PRAGMA user_version=99")
    db.close()
    refused(taken, "has schema 99, this vagus knows")


KILLED = """
import contextlib, os, pathlib, signal, sys
from vagus.daemon.journal import backup
journal, at = pathlib.Path(sys.argv[2]), int(sys.argv[3])
points = [0]

def here(*_):
    points[0] += 1
    if points[0] == at:
        os.kill(os.getpid(), signal.SIGKILL)

for name in ("_check", "_copy", "_mark", "_count", "_sync"):
    def before_and_after(*args, run=getattr(backup, name), **named):
        here()
        found = run(*args, **named)
        here()
        return found
    setattr(backup, name, before_and_after)
backup.restore(
    pathlib.Path(sys.argv[1]), journal, lambda part: None, contextlib.nullcontext()
)
"""
POINTS = 12


async def test_a_killed_restore_leaves_no_half_journal_and_can_be_done_again(
    tmp_path: Path, taken: Path
) -> None:
    ended = []
    for point in range(1, POINTS + 2):
        folder = tmp_path / f"killed-{point}"
        folder.mkdir()
        journal = folder / "journal.sqlite"
        command = [sys.executable, "-c", KILLED, str(taken), str(journal), str(point)]
        ended.append(subprocess.run(command, check=False).returncode)
        if not journal.exists():
            assert restore(taken, journal, quiet, HELD) == Copied(journal.stat().st_size, 1, 5, 3)
        async with SqliteJournal(journal) as opened:
            assert opened.unfenced(HUB)
            assert (await opened.counts())[Stage.LEFT] == 3
    assert ended == [-signal.SIGKILL] * POINTS + [0]


CONFIG = """
[http]
tokens_file = "tokens.json"
[signer]
keystore = "keys/signer.json"
password_file = "${CREDENTIALS_DIRECTORY}/vagus.password"
[transport_key]
keystore = "keys/transport.json"
password_file = "${CREDENTIALS_DIRECTORY}/vagus.password"
[[committee.members]]
signer = "0x1111111111111111111111111111111111111111"
[[chains]]
id = "eip155:1"
keystore = "keys/account.json"
password_file = "${CREDENTIALS_DIRECTORY}/vagus.password"
"""


async def test_a_backup_needs_no_key_and_names_all_that_is_kept_beside_it(tmp_path: Path) -> None:
    config = tmp_path / "vagus.toml"
    config.write_text(CONFIG)
    (tmp_path / "data" / "rotations").mkdir(parents=True)
    async with SqliteJournal(tmp_path / "data" / "journal.sqlite"):
        pass
    code, out, err = await vagus("backup", tmp_path / "b", "-c", config)
    assert (code, out) == (0, "")
    needed = err.split("Not in it, and needed as well:\n")[1].splitlines()
    names = (
        *("vagus.toml", "tokens.json", "keys/signer.json", "keys/transport.json"),
        *("keys/account.json", "data/rotations"),
    )
    assert {f"  {tmp_path / name}" for name in names} < set(needed)
    [credential] = [line for line in needed if "${CREDENTIALS_DIRECTORY}/vagus.password" in line]
    assert "another machine cannot decrypt it" in credential
    assert len(needed) == len(names) + 1


async def test_a_file_that_is_no_backup_is_refused_and_leaves_no_folder(tmp_path: Path) -> None:
    config = tmp_path / "vagus.toml"
    config.write_text(CONFIG)
    (tmp_path / "text").write_text("no database " * 1000)
    code, out, err = await vagus("restore", tmp_path / "text", "-c", config)
    assert (code, out) == (1, "")
    assert err.endswith("name a file that `vagus backup` has written\n")
    assert err.count("\n") == 1
    assert not (tmp_path / "data").exists()
