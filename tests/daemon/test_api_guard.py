"""Who may ask and how: tokens, names of the host, bodies, headers, slow and too many clients."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from coincurve import PrivateKey

from support.pipelines import two_chains
from support.served import Served, serving
from vagus.daemon.api import server
from vagus.daemon.api.guard import BODY_SECONDS
from vagus.daemon.journal.records import Stage
from vagus.daemon.tokens import new_token, revoke_token
from vagus.protocol import Halt

UNKNOWN = "0x" + "11" * 32


@pytest.fixture
def tokens_file(tmp_path: Path) -> Path:
    return tmp_path / "tokens.json"


@pytest.fixture
async def node(tmp_path: Path, tokens_file: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path, hosts=("node.example.org",), tokens_file=tokens_file) as served:
        yield served


async def ask(
    node: Served, method: str, path: str, token: str = "", **more: object
) -> tuple[int, dict[str, str]]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with node.session.request(method, node.root + path, headers=headers, **more) as answer:  # type: ignore[arg-type]
        return answer.status, json.loads(await answer.text())


def routes(node: Served) -> list[tuple[str, str]]:
    """Each method and path of the application, with something in the place of what varies."""
    return [
        (route.method, (route.resource.canonical if route.resource else ""))
        for route in node.api.app().router.routes()
    ]


async def test_every_route_that_is_not_a_read_wants_a_token(node: Served) -> None:
    reads = {"GET", "HEAD"}
    writes = [(method, path) for method, path in routes(node) if method not in reads]
    assert writes == [
        ("POST", "/v1/intents/{id}/poke"),
        ("POST", "/v1/chains/{chain}/resume"),
        ("POST", "/v1/backends/{name}/release"),
        ("POST", "/v1/rotations"),
    ]
    for method, path in writes:
        status, shown = await ask(node, method, path.format(id=UNKNOWN, chain="eip155:1", name="x"))
        assert (status, bool(shown["error"])) == (401, True)


async def test_no_path_takes_a_method_that_it_was_not_made_for(node: Served) -> None:
    for path in {
        path.format(id=UNKNOWN, chain="x", name="x", hash="x") for _, path in routes(node)
    }:
        for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
            status, shown = await ask(node, method, path)
            assert (status, bool(shown["error"])) == (405, True), (method, path)


async def test_without_a_tokens_file_nothing_can_be_written(tmp_path: Path) -> None:
    async with serving(tmp_path) as node:
        status, shown = await ask(node, "POST", f"/v1/intents/{UNKNOWN}/poke", "vagus_" + "0" * 64)
        assert (status, "no http.tokens_file" in shown["error"]) == (401, True)


async def test_a_token_opens_what_its_scope_says_and_no_more(
    node: Served, tokens_file: Path
) -> None:
    token = new_token(tokens_file, "ops", ["intents:write"])
    status, _ = await ask(node, "POST", f"/v1/intents/{UNKNOWN}/poke", token)
    assert status == 404
    status, shown = await ask(node, "POST", "/v1/chains/eip155:1/resume", token)
    assert (status, shown["error"]) == (403, "the token ops has no scope chains:write")


async def test_a_token_is_known_once_it_is_made_and_unknown_once_it_is_revoked(
    node: Served, tokens_file: Path
) -> None:
    path = f"/v1/intents/{UNKNOWN}/poke"
    made = new_token(tokens_file, "a", ["intents:write"])
    assert (await ask(node, "POST", path, made))[0] == 404
    revoke_token(tokens_file, "a")
    assert (await ask(node, "POST", path, made))[0] == 401


async def test_a_tokens_file_that_others_can_read_lets_nobody_write(
    node: Served, tokens_file: Path
) -> None:
    token = new_token(tokens_file, "a", ["intents:write"])
    tokens_file.chmod(0o644)
    status, shown = await ask(node, "POST", f"/v1/intents/{UNKNOWN}/poke", token)
    assert (status, str(tokens_file) in shown["error"]) == (503, False)


@pytest.mark.parametrize("header", ["", "Bearer", "Basic dTpw", "Bearer x", "vagus_" + "0" * 64])
async def test_what_is_no_token_is_told_how_to_send_one(node: Served, header: str) -> None:
    path = f"{node.root}/v1/intents/{UNKNOWN}/poke"
    async with node.session.post(path, headers={"Authorization": header}) as answer:
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_a_poke_wakes_what_waits(node: Served, tokens_file: Path) -> None:
    token = new_token(tokens_file, "ops", ["intents:write"])
    (record,) = await node.observe(1)
    path = f"/v1/intents/0x{record.id.hex()}/poke"
    assert await ask(node, "POST", path, token) == (200, {"stage": "observed", "woken": False})
    async with asyncio.TaskGroup() as group:
        pause = group.create_task(node.pauses.sleep(record.id, 3600), name="pause")
        await asyncio.sleep(0)
        assert await ask(node, "POST", path, token) == (200, {"stage": "observed", "woken": True})
        await pause
    await node.journal.move(record, Stage.CLOSED)
    status, shown = await ask(node, "POST", path, token)
    assert (status, shown["error"]) == (409, "it has ended, as closed")


async def test_a_halted_chain_is_resumed_by_who_may(tmp_path: Path, tokens_file: Path) -> None:
    token = new_token(tokens_file, "ops", ["chains:write"])
    async with (
        two_chains(PrivateKey(b"\x05" * 32)) as chains,
        serving(tmp_path, chains, tokens_file=tokens_file) as node,
    ):
        halted = chains[0].chain
        await node.network.halt(Halt(halted, "a final block was replaced"))
        path = f"/v1/chains/{halted}/resume"
        assert (await ask(node, "POST", path))[0] == 401
        assert halted in node.network.halts
        status, shown = await ask(node, "POST", path, token)
        assert (status, shown["chain"], shown["reason"]) == (
            200,
            halted,
            "a final block was replaced",
        )
        assert node.network.halts == {}
        assert await node.journal.halts() == []
        assert (await ask(node, "POST", path, token))[0] == 409
        assert (await ask(node, "POST", "/v1/chains/eip155:9/resume", token))[0] == 404


@pytest.mark.parametrize(
    ("data", "kind", "status"),
    [
        (b"", "application/json", 404),
        (b"{}", "application/json", 404),
        (b"{}", "text/plain", 415),
        (b'{"a":1}', "application/json", 400),
        (b"[]", "application/json", 400),
        (b"{", "application/json", 400),
        (b"[" * 1000, "application/json", 400),
        (b" " * 2000, "application/json", 413),
    ],
)
async def test_a_body_is_bounded_and_strictly_read(
    node: Served, tokens_file: Path, data: bytes, kind: str, status: int
) -> None:
    token = new_token(tokens_file, "ops", ["intents:write"])
    headers = {"Authorization": f"Bearer {token}", "Content-Type": kind}
    path = f"{node.root}/v1/intents/{UNKNOWN}/poke"
    async with node.session.post(path, data=data, headers=headers) as answer:
        assert answer.status == status
        assert json.loads(await answer.text())["error"]


@pytest.mark.parametrize("host", ["evil.example", "node.example.org.evil.example", "127.0.0.1.x"])
async def test_a_name_that_is_not_the_nodes_reads_nothing(node: Served, host: str) -> None:
    status, text = await node.get("/v1/intents", Host=host)
    assert (status, "[http]" in json.loads(text)["error"]) == (421, True)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost:1", "[::1]:9", "::1", "10.1.2.3:80", "NODE.example.org:443"]
)
async def test_addresses_and_the_nodes_own_names_are_answered(node: Served, host: str) -> None:
    assert (await node.get("/healthz", Host=host))[0] == 200


async def test_no_other_site_may_read_and_no_script_but_the_pages_own_may_run(node: Served) -> None:
    for path in ("/", "/v1/status", "/nothing", "/metrics"):
        async with node.session.get(node.root + path, headers={"Origin": "http://x"}) as answer:
            headers = answer.headers
        assert [each for each in headers if each.lower().startswith("access-control")] == []
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Server"] == "vagus"
        policy = dict(
            part.strip().partition(" ")[::2]
            for part in headers["Content-Security-Policy"].split(";")
        )
        assert policy["default-src"] == ("'self'" if path == "/" else "'none'")
        assert policy["frame-ancestors"] == "'none'"
        assert "unsafe" not in headers["Content-Security-Policy"]


async def test_the_page_is_its_own_files_alone(node: Served) -> None:
    async with node.session.get(f"{node.root}/") as answer:
        assert (answer.status, answer.content_type) == (200, "text/html")
        tag = answer.headers["ETag"]
    assert (await node.get("/", **{"If-None-Match": tag}))[0] == 304
    for name in ("..%2fnode.py", "%2e%2e/node.py", "..%2f..%2f..%2fetc%2fpasswd", "", "index"):
        assert (await node.get(f"/page/{name}"))[0] == 404


async def test_a_client_that_never_ends_its_head_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "IDLE_SECONDS", 0.2)
    async with serving(tmp_path) as node:
        reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        async with asyncio.timeout(20):
            assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()


async def test_connections_over_the_bound_are_told_so_and_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 3)
    async with serving(tmp_path) as node:
        held = [await asyncio.open_connection("127.0.0.1", node.port) for _ in range(3)]
        for reader, writer in held:
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b" 200 " in await reader.readline()
        reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 503 ")
        body = answer.partition(b"\r\n\r\n")[2]
        assert json.loads(body) == {"error": "too many connections"}
        assert f"Content-Length: {len(body)}\r\n".encode() in answer
        for _, each in [*held, (reader, writer)]:
            each.close()
            await each.wait_closed()


async def test_a_body_that_never_comes_is_waited_for_a_while(
    node: Served, tokens_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert BODY_SECONDS < server.IDLE_SECONDS
    monkeypatch.setattr("vagus.daemon.api.guard.BODY_SECONDS", 0.05)
    token = new_token(tokens_file, "ops", ["intents:write"])
    reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
    head = f"POST /v1/intents/{UNKNOWN}/poke HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n"
    writer.write(f"{head}Authorization: Bearer {token}\r\n\r\n".encode())
    async with asyncio.timeout(20):
        assert b" 408 " in await reader.readline()
    writer.close()
    await writer.wait_closed()


async def test_a_client_that_hangs_up_in_its_body_is_no_defect_of_the_node(
    node: Served, tokens_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    token = new_token(tokens_file, "ops", ["intents:write"])
    _, writer = await asyncio.open_connection("127.0.0.1", node.port)
    head = f"POST /v1/intents/{UNKNOWN}/poke HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n"
    writer.write(f"{head}Authorization: Bearer {token}\r\n\r\n{{".encode())
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    for _ in range(20):
        assert (await node.get("/healthz"))[0] == 200
    assert "Traceback" not in caplog.text
    assert "defect" not in caplog.text


async def test_a_defect_is_answered_without_a_traceback(
    node: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("a secret place")

    monkeypatch.setattr(node.journal, "intents", broken)
    status, text = await node.get("/v1/intents")
    assert status == 500
    assert json.loads(text) == {"error": "a defect of this node: its log has it"}
