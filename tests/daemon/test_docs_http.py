"""docs/http.md names every path and every status that a node answers, and no other."""

import ast
import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

import vagus.daemon.api
from support.served import Served, serving
from vagus.daemon.journal.records import Stage
from vagus.daemon.tokens import new_token

PAGE = (Path(__file__).parents[2] / "docs" / "http.md").read_text()
STATUSES = [int(found) for found in re.findall(r"^\| (\d{3}) \| \S", PAGE, re.MULTILINE)]
SOURCES = sorted(Path(vagus.daemon.api.__file__).parent.glob("*.py"))
# What aiohttp answers without a word of ours in between: no HTTP, no route, no method, no expectation.
FRAMEWORK = {400, 404, 405, 413, 417}
UNKNOWN = "0x" + "11" * 32


def written(source: Path) -> set[int]:
    """The statuses in a module: aiohttp's exceptions by name, and numbers that no constant is given."""
    tree = ast.parse(source.read_text())
    found: set[int] = set()
    for top in tree.body:
        if isinstance(top, ast.Assign | ast.AnnAssign):
            found |= {int(each) for each in re.findall(r"HTTP/1\.1 (\d{3})", ast.unparse(top))}
            continue
        for node in ast.walk(top):
            if isinstance(node, ast.Attribute) and node.attr.startswith("HTTP"):
                found.add(getattr(web, node.attr).status_code)
            elif isinstance(node, ast.Constant) and type(node.value) is int:
                found |= {node.value} & set(range(200, 600))
    return found - {-1}  # of HTTPException itself


def test_every_status_that_the_code_names_is_on_the_page_once() -> None:
    named = set().union(*map(written, SOURCES))
    assert sorted(named | FRAMEWORK) == STATUSES


def test_every_path_is_on_the_page(tmp_path: Path) -> None:
    shown = set(re.findall(r"^\| `(GET|POST) (/[^?`]*)", PAGE, re.MULTILINE))
    source = (Path(vagus.daemon.api.__file__).parent / "app.py").read_text()
    routes = set(re.findall(r'_Route\("([^"]*)", [\w.]+(, scope=)?', source))
    named = {("POST" if scope else "GET", re.sub(r"\{\w+\}", "*", path)) for path, scope in routes}
    assert {(method, re.sub(r"<\w+>", "*", path)) for method, path in shown} == {
        each for each in named if each != ("GET", "/page/*")
    }


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path, tokens_file=tmp_path / "tokens.json") as served:
        yield served


async def raw(node: Served, data: bytes) -> tuple[int, str, bytes]:
    """Status, content type and body of the answer to bytes that no client would send."""
    reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
    writer.write(data)
    async with asyncio.timeout(20):
        head = await reader.readuntil(b"\r\n\r\n")
        (size,) = re.findall(rb"(?i)content-length: (\d+)", head)
        body = await reader.readexactly(int(size))
    writer.close()
    await writer.wait_closed()
    (kind,) = re.findall(rb"(?i)content-type: ([^;\r]+)", head)
    return int(head.split()[1]), kind.decode(), body


async def test_each_status_is_answered_as_the_page_says(
    node: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = {
        "Authorization": f"Bearer {new_token(tmp_path / 'tokens.json', 'w', ['intents:write'])}"
    }
    (record,) = await node.observe(1)
    await node.journal.move(record, Stage.CLOSED)
    poke, ended = f"/v1/intents/{UNKNOWN}/poke", f"/v1/intents/0x{record.id.hex()}/poke"
    seen: dict[int, str] = {}

    async def ask(method: str, path: str, **more: Any) -> None:
        async with node.session.request(method, node.root + path, **more) as answer:
            assert answer.status not in seen
            seen[answer.status] = answer.content_type
            if answer.status >= 400 and answer.content_type == "application/json":
                assert json.loads(await answer.read())["error"]

    await ask("GET", "/v1/intents")
    async with node.session.get(f"{node.root}/") as page:
        tag = page.headers["ETag"]
    await ask("GET", "/", headers={"If-None-Match": tag})
    await ask("GET", "/v1/intents?limit=0")
    await ask("POST", poke)
    await ask("POST", "/v1/chains/eip155:1/resume", headers=writer)
    await ask("GET", "/nothing")
    await ask("POST", "/v1/intents")
    await ask("POST", ended, headers=writer)
    await ask("POST", poke, headers=writer, json={"a": "x" * 2000})
    await ask("POST", poke, headers=writer, data=b"{}")
    await ask("GET", "/healthz", headers={"Expect": "a miracle"})
    await ask("GET", "/healthz", headers={"Host": "evil.example"})
    (tmp_path / "tokens.json").chmod(0o644)
    await ask("POST", poke, headers=writer)
    (tmp_path / "tokens.json").chmod(0o600)
    monkeypatch.setattr("vagus.daemon.api.guard.BODY_SECONDS", 0.05)
    head = f"POST {poke} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n"
    slow = await raw(node, f"{head}Authorization: {writer['Authorization']}\r\n\r\n".encode())
    seen[slow[0]] = slow[1]

    async def broken(*_: object) -> None:
        raise RuntimeError("a secret place")

    monkeypatch.setattr(node.journal, "intents", broken)
    await ask("GET", "/v1/intents")
    assert sorted(seen) == STATUSES
    assert [each for each in seen if each >= 400 and seen[each] != "application/json"] == [417]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"GET /v1/intents HTTP/1.1\r\n\r\n", "Missing 'Host' header"),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", "more than 8190 bytes"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nx: " + b"y" * 9000 + b"\r\n\r\n", "more than 8190 bytes"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "Duplicate 'Host' header"),
        (b"GET / HTTP/9.9\r\nHost: a\r\n\r\n", "Invalid HTTP version"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "HTTPS traffic on an HTTP port"),
    ],
    ids=["no host", "long path", "long header", "two hosts", "version", "tls"],
)
async def test_what_no_route_sees_is_answered_in_json_too(
    node: Served, data: bytes, said: str
) -> None:
    status, kind, body = await raw(node, data)
    assert (status, kind) == (400, "application/json")
    error = json.loads(body)["error"]
    assert said in error
    assert len(error) <= 200


async def test_an_empty_host_names_nobody_else_and_is_answered(node: Served) -> None:
    status, kind, body = await raw(node, b"GET /v1/intents HTTP/1.1\r\nHost: \r\n\r\n")
    assert (status, kind, json.loads(body)) == (200, "application/json", {"intents": []})


async def test_a_body_that_is_not_as_packed_as_it_says_is_no_defect_of_the_node(
    node: Served, caplog: pytest.LogCaptureFixture
) -> None:
    head = f"POST /v1/intents/{UNKNOWN}/poke HTTP/1.1\r\nHost: localhost\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
    writer.write(f"{head}Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc".encode())
    async with asyncio.timeout(20):
        assert b" 401 " in await reader.readline()
        await reader.read()  # until the node hangs up: it has read the body, or tried to
    writer.close()
    await writer.wait_closed()
    assert caplog.text == ""
