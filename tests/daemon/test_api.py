"""What a node shows over HTTP: real sockets, a real journal, hostile requests."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from eth_utils.crypto import keccak

from support.served import HUB, ROSTER, Served, requested, serving
from vagus.adapters.base import Built, Cursor
from vagus.daemon.committee.troubles import troubles
from vagus.daemon.journal.records import Kind, Stage
from vagus.protocol import Retry, Status, keccak256


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path) as served:
        yield served


async def test_a_node_that_serves_is_healthy_and_ready(node: Served) -> None:
    assert await node.get("/healthz") == (200, "ok\n")
    assert await node.get("/readyz") == (200, "ready\n")


async def test_a_hub_that_cannot_be_read_makes_a_node_unready_and_is_named(node: Served) -> None:
    node.network.faults[HUB] = "halted: a final block was replaced"
    status, text = await node.get("/readyz")
    assert (status, text) == (503, f"{HUB}: halted: a final block was replaced\n")


async def test_faults_come_as_json_to_who_asks_for_it(node: Served) -> None:
    node.network.faults["journal"] = "the journal cannot be written: disk is full"
    code, text = await node.get("/readyz", Accept="application/json")
    assert code == 503
    assert json.loads(text) == {"ready": False, "faults": node.network.faults}


async def test_intents_are_listed_newest_first_with_amounts_as_strings(node: Served) -> None:
    await node.observe(1)
    await node.observe(2)
    status, shown = await node.json("/v1/intents")
    assert status == 200
    assert [each["seq"] for each in shown["intents"]] == ["2", "1"]
    assert shown["intents"][0]["max_fee"] == str(10**30)
    assert shown["intents"][0]["origin"] == HUB


async def test_one_stage_and_a_limit_can_be_asked_for(node: Served) -> None:
    records = await node.observe(1, 2, 3)
    await node.journal.move(records[0], Stage.FINAL)
    _, shown = await node.json("/v1/intents?stage=final")
    assert [each["id"] for each in shown["intents"]] == ["0x" + records[0].id.hex()]
    _, shown = await node.json("/v1/intents?limit=2")
    assert len(shown["intents"]) == 2


async def test_the_roster_is_served_byte_for_byte_as_its_hash_is_of_it(node: Served) -> None:
    status, text = await node.get("/v1/roster")
    assert status == 200
    assert keccak(text.encode()) == ROSTER.digest()
    assert [each["signer"] for each in json.loads(text)["members"]] == [
        f"0x{each.hex()}" for each in ROSTER.signers
    ]


async def test_a_node_that_its_own_roster_does_not_name_says_so(node: Served) -> None:
    status, view = await node.json("/v1/committee")
    assert status == 200
    assert view["in_roster"] is False
    (words,) = troubles(view, [])
    assert f"this node's signer {view['signer']} is not in its roster" in words


async def test_rosters_of_earlier_epochs_are_served_by_their_hashes(node: Served) -> None:
    before = ROSTER.model_copy(update={"name": "before"})
    await node.journal.keep_evidence(before.digest(), before.document())
    path = f"/v1/roster/0x{before.digest().hex()}"
    assert await node.get(path) == (200, before.document().decode())


async def test_what_is_no_roster_is_not_served_as_one(node: Served) -> None:
    evidence = b'{"intent":"0x00"}'
    await node.journal.keep_evidence(keccak256(evidence), evidence)
    for digest in (keccak256(evidence), b"\x07" * 32):
        status, shown = await node.json(f"/v1/roster/0x{digest.hex()}")
        assert (status, shown) == (404, {"error": "this node has had no roster of that hash"})
    assert (await node.get("/v1/roster/0x12"))[0] == 400


async def test_one_intent_is_shown_with_its_history(node: Served) -> None:
    (record,) = await node.observe(1)
    await node.journal.move(record, Stage.FINAL)
    await node.journal.move(
        record, Stage.ROUTED, note="too dear", status=Status.REFUSED, reason="too dear"
    )
    status, shown = await node.json(f"/v1/intents/0x{record.id.hex()}")
    assert status == 200
    assert (shown["stage"], shown["status"], shown["reason"]) == ("routed", "refused", "too dear")
    lines = [(line["stage"], line["note"]) for line in shown["history"]]
    assert lines == [("observed", ""), ("final", ""), ("routed", "too dear")]


async def test_one_intent_is_shown_with_a_strangers_bytes_in_hex(node: Served) -> None:
    (record,) = await node.observe(1, payload=b"\xff<script>")
    _, shown = await node.json(f"/v1/intents/0x{record.id.hex()}")
    assert bytes.fromhex(shown["payload"][2:]) == b"\xff<script>"
    assert (shown["output"], shown["output_bytes"]) == (None, "0x")
    assert (shown["agent"], shown["dest"]) == ("chat@1", None)


async def test_evidence_comes_back_byte_for_byte(node: Served) -> None:
    (record,) = await node.observe(1)
    document = b'{"a":"\xc3\xa9"}'
    await node.journal.move(record, Stage.FINAL, evidence=(keccak256(document), document))
    async with node.session.get(f"{node.root}/v1/evidence/0x{keccak256(document).hex()}") as found:
        assert (found.status, await found.read()) == (200, document)
        assert found.content_type == "application/json"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/intents?limit=0", 400),
        ("/v1/intents?limit=501", 400),
        ("/v1/intents?limit=99999999999999999999", 400),
        ("/v1/intents?limit=-1", 400),
        ("/v1/intents?limit=%D9%A3", 400),  # an Arabic digit three
        ("/v1/intents?stage=nowhere", 400),
        ("/v1/intents/0x12", 400),
        ("/v1/intents/zz", 400),
        ("/v1/intents/" + "00" * 32, 404),
        ("/v1/evidence/" + "00" * 32, 404),
        ("/v1/evidence/..%2f..%2fetc", 400),
        ("/v2", 404),
    ],
)
async def test_a_wrong_request_is_answered_in_words(node: Served, path: str, status: int) -> None:
    found, text = await node.get(path)
    assert found == status
    assert "Traceback" not in text
    assert json.loads(text)["error"]


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GARBAGE\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nx: " + b"y" * 9000 + b"\r\n\r\n",
    ],
    ids=["garbage", "tls", "long path", "long header"],
)
async def test_what_is_no_http_is_answered_and_leaves_no_traceback(
    node: Served, request_bytes: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
    writer.write(request_bytes + b"\r\n\r\n")
    assert b" 400 " in await reader.readline()
    writer.close()
    await writer.wait_closed()
    assert "Traceback" not in caplog.text
    assert await node.get("/healthz") == (200, "ok\n")


async def test_a_taken_port_is_named_and_worth_another_try(tmp_path: Path) -> None:
    async with serving(tmp_path) as first:
        (tmp_path / "other").mkdir()
        with pytest.raises(Retry, match=rf"http\.port {first.port} .* cannot be used"):
            async with serving(tmp_path / "other", port=first.port):
                pass


EVM_TX = "0x" + "a1" * 32
COSMOS_TX = "B2" * 32
SOLANA_TX = "5" * 64 + "VERv8NMvzbJMEkV8xnrLkEaW"


@pytest.mark.parametrize("request_tx", [EVM_TX, COSMOS_TX, SOLANA_TX])
async def test_an_intent_is_found_by_the_transaction_that_asked_it(
    node: Served, request_tx: str
) -> None:
    asked = replace(requested(1), tx_id=request_tx)
    [record] = await node.journal.observe(HUB, [asked], Cursor(2, 2))
    for name in {request_tx, f"0x{request_tx}".replace("0x0x", "0x")}:
        status, shown = await node.json(f"/v1/intents/{name}")
        if name.startswith("0x") and request_tx == SOLANA_TX:
            assert status == 400
        else:
            assert (status, shown["id"]) == (200, "0x" + record.id.hex())
    status, _ = await node.json(f"/v1/intents/{'c3' * 32}")
    assert status == 404


async def test_an_intent_is_found_by_what_delivers_and_what_settles_it(node: Served) -> None:
    (record,) = await node.observe(1)
    await node.journal.move(record, Stage.FINAL)
    for kind, stage, tx_id in (
        (Kind.DELIVER, Stage.SUBMITTED, EVM_TX),
        (Kind.SETTLE, Stage.SETTLING, SOLANA_TX),
    ):
        await node.journal.submit(record, stage, kind, tx_id, None, Built(b"1", b"state", tx_id))
        _, shown = await node.json(f"/v1/intents/{tx_id}")
        assert shown["id"] == "0x" + record.id.hex()
