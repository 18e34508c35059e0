"""What a node shows over HTTP: real sockets, a real journal, hostile requests."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from vagus.adapters.base import Cursor, Requested
from vagus.daemon.api import Api, serve
from vagus.daemon.config import HttpConfig
from vagus.daemon.metrics import Metrics
from vagus.daemon.network import Network
from vagus.daemon.records import Stage
from vagus.daemon.sqlite import SqliteJournal
from vagus.protocol import ZERO32, Intent, Retry, Status, keccak256

HUB = "eip155:1:0x1111111111111111111111111111111111111111"


class Node:
    """A served API, with its journal and network at hand."""

    def __init__(self, journal: SqliteJournal, network: Network, root: str) -> None:
        self.journal = journal
        self.network = network
        self.root = root
        self.session = aiohttp.ClientSession()

    async def get(self, path: str) -> tuple[int, str]:
        async with self.session.get(self.root + path) as response:
            return response.status, await response.text()

    async def json(self, path: str) -> tuple[int, dict[str, Any]]:
        status, text = await self.get(path)
        return status, json.loads(text)


@contextlib.asynccontextmanager
async def serving(folder: Path, port: int = 0) -> AsyncIterator[Node]:
    async with SqliteJournal(folder / "journal.sqlite") as journal:
        network = Network([])
        api = Api(journal, network, Metrics())
        async with serve(api, HttpConfig(port=port)) as found:
            node = Node(journal, network, f"http://127.0.0.1:{found}")
            async with node.session:
                yield node


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    async with serving(tmp_path) as served:
        yield served


def requested(seq: int) -> Requested:
    words = [bytes([seq]) * 32 for _ in range(5)]
    intent = Intent(
        ZERO32, seq, *words, 0, ZERO32, ZERO32, 0, ZERO32, max_fee=10**30, deadline=2_000_000_000
    )
    return Requested(intent, b'{"prompt":"x"}', b"", seq, ZERO32, f"0x{seq:064x}")


async def observe(node: Node, *seqs: int) -> list[Any]:
    found = [requested(seq) for seq in seqs]
    return await node.journal.observe(HUB, found, Cursor(max(seqs) + 1, max(seqs)))


async def test_a_node_that_serves_is_healthy_and_ready(node: Node) -> None:
    assert await node.get("/healthz") == (200, "ok\n")
    assert await node.get("/readyz") == (200, "ready\n")


async def test_a_hub_that_cannot_be_read_makes_a_node_unready_and_is_named(node: Node) -> None:
    node.network.faults[HUB] = "halted: a final block was replaced"
    status, text = await node.get("/readyz")
    assert (status, text) == (503, f"{HUB}: halted: a final block was replaced\n")


async def test_intents_are_listed_newest_first_with_amounts_as_strings(node: Node) -> None:
    await observe(node, 1)
    await observe(node, 2)
    status, shown = await node.json("/v1/intents")
    assert status == 200
    assert [each["seq"] for each in shown["intents"]] == ["2", "1"]
    assert shown["intents"][0]["max_fee"] == str(10**30)
    assert shown["intents"][0]["origin"] == HUB


async def test_one_stage_and_a_limit_can_be_asked_for(node: Node) -> None:
    records = await observe(node, 1, 2, 3)
    await node.journal.move(records[0], Stage.FINAL)
    _, shown = await node.json("/v1/intents?stage=final")
    assert [each["id"] for each in shown["intents"]] == ["0x" + records[0].id.hex()]
    _, shown = await node.json("/v1/intents?limit=2")
    assert len(shown["intents"]) == 2


async def test_one_intent_is_shown_with_its_history(node: Node) -> None:
    (record,) = await observe(node, 1)
    await node.journal.move(record, Stage.FINAL)
    await node.journal.move(
        record, Stage.ROUTED, note="too dear", status=Status.REFUSED, reason="too dear"
    )
    status, shown = await node.json(f"/v1/intents/0x{record.id.hex()}")
    assert status == 200
    assert (shown["stage"], shown["status"], shown["reason"]) == ("routed", "refused", "too dear")
    lines = [(line["stage"], line["note"]) for line in shown["history"]]
    assert lines == [("observed", ""), ("final", ""), ("routed", "too dear")]


async def test_evidence_comes_back_byte_for_byte(node: Node) -> None:
    (record,) = await observe(node, 1)
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
async def test_a_wrong_request_is_answered_in_words(node: Node, path: str, status: int) -> None:
    found, text = await node.get(path)
    assert found == status
    assert "Traceback" not in text
    if path.startswith("/v1"):
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
    node: Node, request_bytes: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    host, _, port = node.root.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request_bytes + b"\r\n\r\n")
    assert b" 400 " in await reader.readline()
    writer.close()
    await writer.wait_closed()
    assert "Traceback" not in caplog.text
    assert await node.get("/healthz") == (200, "ok\n")


async def test_nothing_can_be_written(node: Node) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        async with node.session.request(method, f"{node.root}/v1/intents") as response:
            assert response.status == 405


async def test_metrics_count_intents_by_stage(node: Node) -> None:
    await observe(node, 1, 2)
    _, text = await node.get("/metrics")
    assert 'vagus_intents{stage="observed"} 2.0' in text


async def test_a_stage_that_emptied_counts_nothing(node: Node) -> None:
    (record,) = await observe(node, 1)
    await node.get("/metrics")
    await node.journal.move(record, Stage.FINAL)
    _, text = await node.get("/metrics")
    assert 'vagus_intents{stage="observed"} 0.0' in text


async def test_a_taken_port_is_named_and_worth_another_try(tmp_path: Path) -> None:
    async with serving(tmp_path) as first:
        port = int(first.root.rpartition(":")[2])
        (tmp_path / "other").mkdir()
        with pytest.raises(Retry, match=rf"http\.port {port} .* cannot be used"):
            async with serving(tmp_path / "other", port):
                pass
