"""What a committee key refuses to sign, and that it knows what it has signed, also after kill -9."""

import asyncio
import dataclasses
import os
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
from coincurve import PrivateKey
from eth_account import Account
from eth_account.messages import encode_typed_data
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vagus.adapters.errors import WalletError
from vagus.adapters.signers import Guarded, SignedTable
from vagus.adapters.signers.local import LocalKey
from vagus.protocol import EMPTY_HASH, ZERO32, Attestation, Receipt, Refuse, Retry, Rotation

HUB, OTHER = b"\xaa" * 32, b"\xbb" * 32
KEY = PrivateKey(b"\x21" * 32)
WORD = st.sampled_from([b"\1" * 32, b"\2" * 32])


def attestation(**changes: Any) -> Attestation:
    values: dict[str, Any] = {
        "intent_id": b"\1" * 32,
        "origin_hub": OTHER,
        "status": 0,
        "output_hash": b"\2" * 32,
        "agent_digest": b"\3" * 32,
        "model_digest": b"\4" * 32,
        "evidence_hash": b"\5" * 32,
        "epoch": 7,
        "expiry": 1_000,
    }
    return Attestation(**(values | changes))


def receipt(**changes: Any) -> Receipt:
    values: dict[str, Any] = {
        "intent_id": b"\1" * 32,
        "dest_hub": OTHER,
        "status": 0,
        "payouts_hash": b"\6" * 32,
        "fee": 10,
        "epoch": 7,
        "expiry": 1_000,
    }
    return Receipt(**(values | changes))


@pytest.fixture
async def table(tmp_path: Path) -> AsyncIterator[SignedTable]:
    async with SignedTable(tmp_path / "signed.sqlite") as opened:
        yield opened


@pytest.fixture
def guarded(table: SignedTable) -> Guarded:
    return Guarded(LocalKey(KEY), table, {HUB})


def signer_of(message: Attestation | Receipt | Rotation, signature: bytes) -> str:
    """Who has signed a message for the hub, as eth_account finds it from the EIP-712 document."""
    kind, _, fields = message.TYPE.partition("(")
    names = [field.split() for field in fields.rstrip(")").split(",")]
    values = [getattr(message, field.name) for field in dataclasses.fields(message)]
    document = {
        "types": {
            "EIP712Domain": [
                {"name": "name", "type": "string"},
                {"name": "version", "type": "string"},
                {"name": "salt", "type": "bytes32"},
            ],
            kind: [{"name": name, "type": kind_of} for kind_of, name in names],
        },
        "domain": {"name": "vagus", "version": "1", "salt": HUB},
        "primaryType": kind,
        "message": {name: value for (_, name), value in zip(names, values, strict=True)},
    }
    signed = encode_typed_data(full_message=document)
    return str(Account.recover_message(signed, signature=signature))


@pytest.mark.parametrize(
    "message",
    [
        attestation(),
        attestation(status=1, output_hash=EMPTY_HASH, agent_digest=ZERO32, model_digest=ZERO32),
        receipt(),
        Rotation(8, b"\7" * 32, 2, 1_000, b"\x08" * 32),
    ],
)
async def test_a_statement_is_signed_as_eth_account_reads_it(
    guarded: Guarded, message: Attestation | Receipt | Rotation
) -> None:
    signature = await guarded.sign(message, HUB)
    assert signer_of(message, signature) == Account.from_key(KEY.secret).address
    assert guarded.address == bytes.fromhex(Account.from_key(KEY.secret).address[2:])


class _Disguised(Attestation):
    """An attestation whose digest is a transfer's."""

    def digest(self, hub_id: bytes) -> bytes:
        return b"\x0d" * 32


@pytest.mark.parametrize(
    "message",
    [
        b"\x0d" * 32,
        "0x" + "0d" * 32,
        None,
        {"intent_id": b"\1" * 32},
        _Disguised(**dataclasses.asdict(attestation())),
    ],
)
async def test_a_digest_or_anything_else_is_never_signed(guarded: Guarded, message: object) -> None:
    with pytest.raises(Refuse, match="signs attestations, receipts and rotations alone"):
        await guarded.sign(cast("Attestation", message), HUB)


async def test_nothing_is_signed_for_a_hub_that_is_not_in_the_config(guarded: Guarded) -> None:
    for message in (attestation(), receipt(), Rotation(8, HUB, 2, 1, HUB)):
        with pytest.raises(Refuse, match="is no hub of this node's config"):
            await guarded.sign(message, OTHER)


@pytest.mark.parametrize(
    "message",
    [
        attestation(status=3),
        attestation(status=1),
        attestation(status=2, output_hash=EMPTY_HASH, agent_digest=ZERO32),
        receipt(status=3, fee=0),
        receipt(status=1),
        Rotation(8, b"\7" * 32, 0, 1_000, ZERO32),
        Rotation(8, b"\7" * 32, 33, 1_000, ZERO32),
        Rotation(0, b"\7" * 32, 1, 1_000, ZERO32),
    ],
)
async def test_what_no_hub_takes_is_not_signed(
    guarded: Guarded, message: Attestation | Receipt | Rotation
) -> None:
    with pytest.raises(Refuse):
        await guarded.sign(message, HUB)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"output_hash": b"\x12" * 32}, "outputHash"),
        ({"agent_digest": b"\x13" * 32}, "agentDigest"),
        ({"model_digest": b"\x14" * 32}, "modelDigest"),
        ({"evidence_hash": b"\x15" * 32}, "evidenceHash"),
        (
            {
                "status": 1,
                "output_hash": EMPTY_HASH,
                "agent_digest": ZERO32,
                "model_digest": ZERO32,
            },
            "status, outputHash, agentDigest, modelDigest",
        ),
    ],
)
async def test_one_outcome_is_signed_of_an_intent_under_any_epoch(
    guarded: Guarded, changes: dict[str, Any], named: str
) -> None:
    first = await guarded.sign(attestation(), HUB)
    with pytest.raises(Refuse, match=f"another outcome of intent 0x0101.* its {named} differ"):
        await guarded.sign(attestation(epoch=8, **changes), HUB)
    assert await guarded.sign(attestation(), HUB) == first
    again = attestation(epoch=8, expiry=2_000)
    assert signer_of(again, await guarded.sign(again, HUB)) == signer_of(attestation(), first)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"fee": 11}, "fee"),
        ({"payouts_hash": b"\x16" * 32}, "payoutsHash"),
        ({"status": 1, "fee": 0}, "status, fee"),
    ],
)
async def test_one_receipt_is_signed_of_an_intent_under_any_epoch(
    guarded: Guarded, changes: dict[str, Any], named: str
) -> None:
    first = await guarded.sign(receipt(), HUB)
    with pytest.raises(Refuse, match=f"another receipt of intent 0x0101.* its {named} differ"):
        await guarded.sign(receipt(epoch=8, **changes), HUB)
    assert await guarded.sign(receipt(), HUB) == first
    assert await guarded.sign(receipt(epoch=8, expiry=2_000), HUB) != first


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.tuples(WORD, st.sampled_from([0, 1]), WORD, st.integers(1, 3)), min_size=1, max_size=60
    )
)
async def test_of_many_at_once_one_outcome_an_intent_is_signed(
    tmp_path_factory: pytest.TempPathFactory, asked: list[tuple[bytes, int, bytes, int]]
) -> None:
    none = {"output_hash": EMPTY_HASH, "agent_digest": ZERO32, "model_digest": ZERO32}
    messages = [
        attestation(
            intent_id=intent,
            status=status,
            epoch=epoch,
            evidence_hash=evidence,
            **(none if status else {}),
        )
        for intent, status, evidence, epoch in asked
    ]
    path = tmp_path_factory.mktemp("table") / "signed.sqlite"
    signed: list[Attestation] = []
    for half in (messages[::2], messages[1::2]):  # and a start in between
        async with SignedTable(path) as table:
            guarded = Guarded(LocalKey(KEY), table, {HUB})
            ends = await asyncio.gather(
                *(guarded.sign(each, HUB) for each in half), return_exceptions=True
            )
        assert [each for each in ends if not isinstance(each, bytes | Refuse)] == []
        signed += [each for each, end in zip(half, ends, strict=True) if isinstance(end, bytes)]
    outcomes = {(each.intent_id, each.status, each.evidence_hash) for each in signed}
    assert len(outcomes) == len({each.intent_id for each in messages})


_SIGN_AND_DIE = """
import asyncio, os, signal, sys
from pathlib import Path
from coincurve import PrivateKey
from vagus.adapters.signers import Guarded, SignedTable
from vagus.adapters.signers.local import LocalKey
from vagus.protocol import Attestation, Receipt

class Dies(LocalKey):
    async def sign_digest(self, digest):
        os.kill(os.getpid(), signal.SIGKILL)

async def main():
    kind = {"Attestation": Attestation, "Receipt": Receipt}[sys.argv[2]]
    message = kind(*(int(x) if x.isdigit() else bytes.fromhex(x[2:]) for x in sys.argv[3:]))
    async with SignedTable(Path(sys.argv[1])) as table:
        await Guarded(Dies(PrivateKey(b"1" * 32)), table, {b"\\xaa" * 32}).sign(message, b"\\xaa" * 32)

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("first", "other"),
    [
        (attestation(), attestation(output_hash=b"\x12" * 32)),
        (receipt(), receipt(fee=11)),
    ],
    ids=["outcome", "receipt"],
)
async def test_killed_before_the_signature_left_it_signs_the_same_and_nothing_else(
    tmp_path: Path, first: Attestation | Receipt, other: Attestation | Receipt
) -> None:
    values = [getattr(first, field.name) for field in dataclasses.fields(first)]
    words = [str(each) if isinstance(each, int) else f"0x{each.hex()}" for each in values]
    path = tmp_path / "signed.sqlite"
    command = [sys.executable, "-c", _SIGN_AND_DIE, str(path), type(first).__name__, *words]
    ran = await asyncio.to_thread(subprocess.run, command, check=False)
    assert ran.returncode == -signal.SIGKILL
    async with SignedTable(path) as table:
        guarded = Guarded(LocalKey(KEY), table, {HUB})
        with pytest.raises(Refuse, match="another"):
            await guarded.sign(other, HUB)
        assert len(await guarded.sign(first, HUB)) == 65


async def test_a_second_process_with_the_same_table_does_not_start(
    table: SignedTable, tmp_path: Path
) -> None:
    with pytest.raises(WalletError, match="locked: see that no other node runs with it"):
        async with SignedTable(tmp_path / "signed.sqlite"):
            pass
    assert table is not None


async def test_a_damaged_table_signs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "signed.sqlite"
    async with SignedTable(path) as table:
        guarded = Guarded(LocalKey(KEY), table, {HUB})
        for number in range(200):
            await guarded.sign(attestation(intent_id=number.to_bytes(32)), HUB)
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 2)
        file.write(os.urandom(size // 4))
    with pytest.raises(WalletError, match=r"is damaged .*: nothing is signed without it"):
        async with SignedTable(path):
            pass


async def test_another_programs_file_is_not_taken_for_a_table(tmp_path: Path) -> None:
    path = tmp_path / "signed.sqlite"
    path.write_text("words " * 1_000)
    with pytest.raises(WalletError, match="is damaged"):
        async with SignedTable(path):
            pass
    path.unlink()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version=9")
    db.close()
    with pytest.raises(WalletError, match="it has version 9, this vagus knows 1"):
        async with SignedTable(path):
            pass
    path.unlink()
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE someone (s TEXT)")
    db.close()
    with pytest.raises(WalletError, match="it has version 0, this vagus knows 1"):
        async with SignedTable(path):
            pass


async def test_a_table_that_cannot_be_written_stops_signing_until_it_can(tmp_path: Path) -> None:
    async with SignedTable(tmp_path / "signed.sqlite") as table:
        guarded = Guarded(LocalKey(KEY), table, {HUB})
        await guarded.sign(attestation(), HUB)
        size = (tmp_path / "signed.sqlite-wal").stat().st_size
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        # No file of this process may grow: the write fails as it does on a full disk.
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            with pytest.raises(Retry, match=r"signed.sqlite cannot be written") as raised:
                await guarded.sign(attestation(intent_id=b"\x98" * 32), HUB)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert raised.value.after > 0
        assert len(await guarded.sign(attestation(intent_id=b"\x98" * 32), HUB)) == 65
        with pytest.raises(Refuse, match="another outcome"):
            await guarded.sign(attestation(evidence_hash=b"\x97" * 32), HUB)
