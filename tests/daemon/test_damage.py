"""A journal whose pages a disk has damaged, one at a time: nothing but the truth is signed by it.

SQLite keeps no checksums, and a page that holds nothing but a value's bytes looks like any other.
"""

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from coincurve import PrivateKey

from support.journals import HUB, attestation, request
from support.pipelines import Node, Pauses, two_chains
from support.scripted import GOOD, Scripted, response, sending
from vagus.adapters.base import Cursor
from vagus.daemon.committee import SoleSigner
from vagus.daemon.journal.base import DamagedError
from vagus.daemon.journal.records import IntentRecord, Stage
from vagus.daemon.journal.sqlite import SqliteJournal
from vagus.protocol import Attestation, Receipt, Status, VagusError, keccak256

KEY = PrivateKey(b"\x05" * 32)
PAGE = 4096
PROMPT, ANSWER = b"question " * 850, "answer " * 1100
PAYLOAD = b'{"prompt":"%s"}' % PROMPT

Said = list[tuple[object, ...]]


def flipped(page: bytes) -> bytes:
    """One bit in its middle, which is a value's where the page is full of one."""
    return page[:2048] + bytes([page[2048] ^ 1]) + page[2049:]


def emptied(page: bytes) -> bytes:
    """All but the first four bytes: where it is one of a chain, they name the next."""
    return page[:4] + bytes(PAGE - 4)


def overwritten(page: bytes) -> bytes:
    """All but the first four bytes are another file's."""
    return page[:4] + b"\xa5" * (PAGE - 4)


@pytest.fixture
def signed(monkeypatch: pytest.MonkeyPatch) -> Said:
    """What is signed, as the facts that each statement is about."""
    said: Said = []
    sign = SoleSigner.sign

    async def seen(self: SoleSigner, record: object, message: object, *rest: object) -> object:
        if isinstance(message, Attestation):
            said.append((message.intent_id, message.status, message.output_hash))
        if isinstance(message, Receipt):
            said.append((message.intent_id, message.status, message.payouts_hash, message.fee))
        return await sign(self, record, message, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(SoleSigner, "sign", seen)
    return said


@pytest.fixture
def model(model: Scripted) -> Scripted:
    """One that says a long text."""
    choice = {"index": 0, "message": {"content": ANSWER}, "finish_reason": "stop"}
    model.script = sending(response({**GOOD, "choices": [choice]}))
    return model


async def carry_all(folder: Path, model: Scripted) -> None:
    """Start a node on a journal, between chains that know nothing yet, and carry what it has."""
    async with two_chains(KEY) as (a, b):
        node = Node(folder, model.base_url, KEY, a, b)
        async with node.start():
            for record in await node.journal.unfinished():
                await node.carry(record)


@pytest.mark.parametrize("harm", [flipped, emptied, overwritten])
@pytest.mark.parametrize("stage", [Stage.FINAL, Stage.EXECUTED, Stage.ATTESTED])
async def test_whichever_page_is_damaged_nothing_else_is_signed_than_without(
    stage: Stage,
    harm: Callable[[bytes], bytes],
    model: Scripted,
    pauses: Pauses,
    signed: Said,
    tmp_path: Path,
) -> None:
    async with two_chains(KEY) as (a, b):
        node = Node(tmp_path, model.base_url, KEY, a, b)
        async with node.start():
            await node.carry_to(await node.ask(PAYLOAD), stage)
    journal = tmp_path / "journal.sqlite"
    whole = journal.read_bytes()
    signed.clear()
    await carry_all(tmp_path, model)
    truth = set(signed)
    assert truth
    found = 0
    for at in range(0, len(whole), PAGE):
        signed.clear()
        for each in tmp_path.glob("journal.sqlite*"):
            each.unlink()
        journal.write_bytes(whole[:at] + harm(whole[at : at + PAGE]) + whole[at + PAGE :])
        try:
            await carry_all(tmp_path, model)
        except VagusError:
            found += 1
        assert set(signed) <= truth, f"page {at // PAGE}"
    assert found > 0


def rewrite(path: Path, sql: str, *values: object) -> None:
    """Change a row behind the journal's back, as damage does that leaves the structure whole."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        assert db.execute(sql, values).rowcount == 1


CHANGES = {
    "payload": b"another",
    "terms": b"{}",
    "output": b"another",
    "status": 1,
    "hub": "eip155:1:0x" + "11" * 20,
    "attestation": attestation(b"\x01" * 32, b"Paris").encode(),
    "reason": b"\xff",
}


@pytest.mark.parametrize("column", CHANGES)
async def test_a_row_whose_parts_do_not_belong_together_ends_the_node(
    column: str, tmp_path: Path
) -> None:
    path = tmp_path / "journal.sqlite"
    async with SqliteJournal(path) as journal:
        record = await decided(journal)
    cast = "CAST(? AS TEXT)" if column == "reason" else "?"
    rewrite(path, f"UPDATE intents SET {column}={cast}", CHANGES[column])
    async with SqliteJournal(path) as journal:
        with pytest.raises(DamagedError, match=r"is damaged .*vagus restore") as caught:
            await journal.unfinished()
        assert caught.value.exit_code == 3
        assert "another" not in str(caught.value)
        assert journal.fault == str(caught.value)
        with pytest.raises(DamagedError):
            await journal.move(record, Stage.ATTESTED)


async def test_damage_is_found_where_an_intent_is_found_again(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    async with SqliteJournal(path) as journal:
        await decided(journal)
        await journal.halt("eip155:31337", "a final block was replaced")
        await journal.resume("eip155:31337")
    rewrite(path, "UPDATE intents SET output=?", b"another")
    async with SqliteJournal(path) as journal:
        with pytest.raises(DamagedError, match="not the intent's own: output"):
            await journal.observe(HUB, [request(1)], Cursor(2, 1))
        with pytest.raises(DamagedError):
            await journal.probe()


async def test_evidence_that_is_another_document_is_not_handed_out(tmp_path: Path) -> None:
    path, digest = tmp_path / "journal.sqlite", keccak256(b"{}")
    async with SqliteJournal(path) as journal:
        await decided(journal)
        assert await journal.evidence(digest) == b"{}"
    rewrite(path, "UPDATE evidence SET document=?", b"{ }")
    async with SqliteJournal(path) as journal:
        with pytest.raises(DamagedError, match=f"evidence 0x{digest.hex()}"):
            await journal.evidence(digest)
        with pytest.raises(DamagedError):
            await journal.probe()


async def decided(journal: SqliteJournal) -> IntentRecord:
    """An intent with an answer."""
    [record] = await journal.observe(HUB, [request(1)], Cursor(2, 1))
    await journal.move(
        record,
        Stage.EXECUTED,
        evidence=(keccak256(b"{}"), b"{}"),
        status=Status.FULFILLED,
        output=b"Paris",
        attestation=attestation(record.id, b"Paris"),
    )
    return record
