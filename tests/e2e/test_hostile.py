"""What strangers put into payloads and terms is refused in words and paid back, never a crash."""

import json
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import rfc8785
from web3 import Web3

from support.client import FEE, Asked, Client, Question
from support.node import Node
from support.node_devnet import Devnet
from support.node_model import StubModel

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("e2e_hostile"),
]

GOOD = b'{"prompt":"a question as it should be"}'
PAYLOADS = {
    "nothing": b"",
    "text": b"What is the capital of France?",
    "invalid UTF-8": b'{"prompt":"\xff\xfe"}',
    "half a surrogate pair": b'{"prompt":"\\ud800"}',
    "8192 bytes of noise": random.Random(1).randbytes(8192),
    "8192 zeros": bytes(8192),
    "lists 4000 deep": b"[" * 4000 + b"]" * 4000,
    "objects 1300 deep": b'{"a":' * 1300 + b"1" + b"}" * 1300,
    "a deep prompt": b'{"prompt":' + b"[" * 4000 + b"]" * 4000 + b"}",
    "brackets without an end": b"[" * 8192,
    "a number": b'{"prompt":5}',
    "a list": b"[]",
    "null": b"null",
    "a number beyond all": b'{"prompt":1e999999}',
    "5000 digits": b'{"prompt":' + b"9" * 5000 + b"}",
    "NaN": b'{"prompt":NaN}',
    "a key twice": b'{"prompt":"a","prompt":"b"}',
    "an unknown key": b'{"prompt":"a","system":"b"}',
    "no prompt": b"{}",
    "an empty prompt": b'{"prompt":""}',
}
TERMS = {
    "a space": b'{"regions": ["eu-de"]}',
    "keys out of order": b'{"regions":["eu-de"],"networks":["akash"]}',
    "an unknown key": b'{"speed":"fast"}',
    "an empty list": b'{"regions":[]}',
    "a key twice": b'{"privacy":"a","privacy":"a"}',
    "invalid UTF-8": b'{"privacy":"\xff"}',
    "lists 512 deep": b"[" * 512 + b"]" * 512,
    "noise": random.Random(2).randbytes(1024),
    "a wish nobody grants": b'{"privacy":"tee"}',
}
CASES = [("payload", name) for name in PAYLOADS] + [("terms", name) for name in TERMS]


@dataclass
class Answered:
    """All intents, ended, and the node that answered them."""

    node: Node
    good: Asked
    bad: dict[tuple[str, str], Asked]


def hostile_questions() -> list[Question]:
    questions = [Question(payload, dest=at % 2) for at, payload in enumerate(PAYLOADS.values())]
    return questions + [Question(GOOD, terms=terms) for terms in TERMS.values()]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def answered(
    devnet: Devnet, client: Client, stub: StubModel, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Answered]:
    """All questions asked at once, from chain to chain and within one."""
    config = devnet.variant("hostile", backends=stub.backends)
    questions = hostile_questions()
    async with Node(config, tmp_path_factory.mktemp("hostile") / "log") as node:
        await node.start()
        good, *bad = await client.ask_all([Question(GOOD), *questions])
        for asked in (good, *bad):
            await node.reaches(asked.hex, "settled")
        yield Answered(node, good, dict(zip(CASES, bad, strict=True)))


@pytest.mark.parametrize("case", CASES, ids=" ".join)
async def test_it_is_refused_settled_for_nothing_and_logged(
    case: tuple[str, str], answered: Answered, client: Client
) -> None:
    asked = answered.bad[case]
    (settled,) = await client.events("Settled", asked)
    assert (settled["status"], settled["fee"], settled["returned"]) == (1, 0, FEE)
    assert await client.events("Delivered", asked) == []
    shown = await answered.node.intent(asked.hex)
    assert shown["status"] == "refused"
    assert shown["reason"].isprintable()
    assert 10 < len(shown["reason"]) < 400
    logged = [line for line in answered.node.lines() if line.get("intent") == asked.hex]
    assert shown["reason"] in [line.get("reason") for line in logged]
    assert_is_evidence(await evidence(answered.node, shown["evidence_hash"]), shown)


async def test_the_question_beside_them_is_answered_with_evidence_by_its_hash_on_chain(
    answered: Answered, client: Client
) -> None:
    (delivered,) = await client.events("Delivered", answered.good)
    shown = await answered.node.intent(answered.good.hex)
    document = await evidence(answered.node, "0x" + delivered["evidenceHash"].hex())
    found = assert_is_evidence(document, shown)
    assert found["intent"]["id"] == answered.good.hex
    assert found["output_hash"] == "0x" + bytes(delivered["outputHash"]).hex()
    assert found["calls"][0]["model"]["digest"] == "0x" + bytes(delivered["modelDigest"]).hex()


async def test_no_traceback_is_in_the_log_and_no_error_of_the_nodes_own(answered: Answered) -> None:
    assert "Traceback" not in answered.node.log
    assert {line["level"] for line in answered.node.lines()} <= {"info", "warning"}


async def test_asked_once_more_they_take_no_memory_to_speak_of(
    answered: Answered, client: Client
) -> None:
    pid = answered.node.pid
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # lets VmHWM begin anew, see proc(5)
    before = memory(pid, "VmRSS")
    for asked in await client.ask_all(hostile_questions()):
        await answered.node.reaches(asked.hex, "settled")
    grown = memory(pid, "VmHWM") - before
    print(f"{len(CASES)} hostile questions: {grown / 1e6:+.1f} MB")
    assert grown <= 10_000_000


async def test_evidence_is_found_by_a_known_hash_alone(answered: Answered) -> None:
    status, body = await answered.node.get("/v1/evidence/0x" + "11" * 32)
    assert status == 404
    assert "error" in json.loads(body)
    for path in ("0x11", "../journal.sqlite", "%2e%2e%2fkeys", "0x" + "zz" * 32):
        status, body = await answered.node.get(f"/v1/evidence/{path}")
        assert status in {400, 404}
        assert b"Traceback" not in body


def memory(pid: int, name: str) -> int:
    """Read a figure of a process: VmRSS, or VmHWM, its highest so far, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in status if line.startswith(name)))


async def evidence(node: Node, digest: str) -> bytes:
    status, document = await node.get(f"/v1/evidence/{digest}")
    assert status == 200
    return document


def assert_is_evidence(document: bytes, shown: dict[str, Any]) -> dict[str, Any]:
    """Its keccak256 is its hash, and its bytes are the RFC 8785 form of what they say."""
    assert "0x" + Web3.keccak(document).hex() == shown["evidence_hash"]
    found: dict[str, Any] = json.loads(document)
    assert rfc8785.dumps(found) == document
    return found
