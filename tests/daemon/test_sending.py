"""A lane stays in order and without a hole, however long a key takes that is kept elsewhere."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from coincurve import PrivateKey

from support.journals import DEST, HUB, lane, request
from vagus.adapters.base import Call, Cursor, Estimate
from vagus.adapters.evm.tx import EvmTx
from vagus.adapters.evm.wallet import Wallet
from vagus.adapters.signers.local import LocalKey
from vagus.daemon.bench.stub_chain import StubChain
from vagus.daemon.journal.records import IntentRecord, Kind, Stage, TxRecord
from vagus.daemon.journal.sqlite import SqliteJournal
from vagus.daemon.network import Network
from vagus.daemon.sending import Sender
from vagus.protocol import Retry

ESTIMATE = Estimate(gas=200_000, max_fee=10**10, tip=10**9)


class FarKey(LocalKey):
    """A key whose answers take turns of the event loop: the earlier asked, the longer."""

    turns = 40
    under_way = 0
    most = 0
    away = False

    async def sign_digest(self, digest: bytes) -> bytes:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            for _ in range(self.turns):
                await asyncio.sleep(0)
            self.turns = max(1, self.turns - 10)
            if self.away:
                raise Retry("the key is away", 5)
            return await super().sign_digest(digest)
        finally:
            self.under_way -= 1


class World:
    """A journal, a chain whose account's key is far away, and a sender between them."""

    def __init__(self, journal: SqliteJournal) -> None:
        self.key = FarKey(PrivateKey(b"\1" * 32))
        self.chain = StubChain(DEST, Wallet(self.key), [b"\2" * 20])
        self.journal = journal
        self.sender = Sender(journal, Network([self.chain], journal))

    async def records(self, count: int) -> list[IntentRecord]:
        seqs = range(1, count + 1)
        found = await self.journal.observe(
            HUB, [request(seq) for seq in seqs], Cursor(count + 1, 1)
        )
        for record in found:
            for stage in (Stage.FINAL, Stage.ROUTED, Stage.EXECUTED, Stage.ATTESTED):
                await self.journal.move(record, stage)
        return found

    async def submit(self, record: IntentRecord) -> TxRecord:
        call = Call("0x" + "22" * 20, record.id)
        return await self.sender.submit(
            self.chain, call, ESTIMATE, record, Stage.SUBMITTED, Kind.DELIVER
        )


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with SqliteJournal(tmp_path / "journal.sqlite") as journal:
        yield World(journal)


def nonce(tx: TxRecord) -> int:
    return EvmTx.decode(tx.state[32:]).nonce


async def test_calls_that_come_at_once_are_signed_one_after_the_other(world: World) -> None:
    records = await world.records(8)
    sent = await asyncio.gather(*(world.submit(record) for record in records))
    assert [nonce(tx) for tx in sent] == list(range(8))
    assert world.key.most == 1
    assert await world.journal.lane(world.chain.lane) == lane(8)


async def test_a_key_that_is_away_uses_no_nonce(world: World) -> None:
    first, *others = await world.records(4)
    assert nonce(await world.submit(first)) == 0
    world.key.away = True
    with pytest.raises(Retry, match="the key is away"):
        await world.submit(others[0])
    world.key.away = False
    sent = await asyncio.gather(*(world.submit(record) for record in others))
    assert [nonce(tx) for tx in sent] == [1, 2, 3]


async def test_a_call_that_is_given_up_while_it_is_signed_leaves_no_hole(world: World) -> None:
    records = await world.records(4)
    tasks = [asyncio.create_task(world.submit(each), name=f"call {each.id}") for each in records]
    while not world.key.under_way:
        await asyncio.sleep(0)
    tasks[0].cancel()
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(ends[0], asyncio.CancelledError)
    assert [nonce(end) for end in ends[1:] if isinstance(end, TxRecord)] == [0, 1, 2]
    assert await world.journal.lane(world.chain.lane) == lane(3)
