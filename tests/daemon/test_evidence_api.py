"""The members' checks beside an evidence document, as a node serves them."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.committees import address_of
from support.node import vagus
from support.results import Result, canonical, check_of
from support.served import Served, serving
from vagus.daemon.journal.records import Said
from vagus.protocol import keccak256


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path) as served:
        yield served


async def kept(node: Served, *frames: tuple[int, bytes]) -> str:
    """Journal an intent with evidence and checks; returns the path of the latter."""
    [record] = await node.observe(1)
    document = canonical({"version": 1, "intent": {"id": f"0x{record.id.hex()}"}})
    await node.journal.keep_evidence(keccak256(document), document)
    for member, frame in frames:
        await node.journal.keep_check(record.id, address_of(member), frame)
    own = check_of(1, Result().attested())
    await node.journal.say(record.id, bytes(32), 7, [Said(7, 0, 1, b"\x01" * 32, own)])
    await node.journal.say(record.id, bytes(32), 7, [Said(2, 0, 2, b"\x01" * 32, b"a vote")])
    return f"/v1/evidence/0x{keccak256(document).hex()}/checks"


async def test_others_checks_and_the_nodes_own_are_served_as_they_were_signed(
    node: Served,
) -> None:
    attestation = Result().attested()
    theirs = check_of(2, attestation, right=False, reason="another output")
    code, shown = await node.json(await kept(node, (2, theirs)))
    assert code == 200
    first, own = shown["checks"]
    assert (first["member"], first["epoch"]) == (f"0x{address_of(2).hex()}", 7)
    assert bytes.fromhex(first["envelope"][2:]) == theirs
    assert first["document"]["reason"] == "another output"
    assert own["member"] == f"0x{address_of(1).hex()}"


async def test_what_a_member_signed_and_is_no_json_is_served_without_a_document(
    node: Served,
) -> None:
    frame = check_of(2, Result().attested(), body=b"\xff" + b"[" * 10_000)
    code, shown = await node.json(await kept(node, (2, frame)))
    assert code == 200
    assert shown["checks"][0]["document"] is None


@pytest.mark.parametrize(
    "document",
    [b"{}", b"[]", b"no json", b'{"intent":7}', b'{"intent":"0x11"}', b'{"intent":{"id":null}}'],
)
async def test_a_document_that_is_no_evidence_has_no_checks(node: Served, document: bytes) -> None:
    await node.journal.keep_evidence(keccak256(document), document)
    code, text = await node.get(f"/v1/evidence/0x{keccak256(document).hex()}/checks")
    assert code == 404
    assert json.loads(text) == {"error": "this node has no evidence of that hash"}
    assert (await node.get(f"/v1/evidence/0x{'00' * 32}/checks"))[0] == 404
    assert (await node.get("/v1/evidence/0x00/checks"))[0] == 400


async def test_a_document_is_printed_for_people_one_key_a_line(node: Served) -> None:
    [record] = await node.observe(1)
    told = {"version": 1, "intent": {"id": f"0x{record.id.hex()}", "reason": "one\ntwo \u009b31m"}}
    document = canonical(told)
    await node.journal.keep_evidence(keccak256(document), document)
    digest = f"0x{keccak256(document).hex()}"
    code, out, err = await vagus("evidence", "show", digest, "--url", node.root)
    assert code == 0, err
    assert json.loads(out) == told
    assert [line.strip() for line in out.splitlines()][:2] == ["{", '"intent": {']
    assert "\x9b" not in out
