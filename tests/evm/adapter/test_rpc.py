"""The transport against a server that does what hostile and broken nodes do."""

import asyncio
import contextlib
import gzip
import re
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable

import orjson
import pytest
from aiohttp import web
from eth_abi import encode
from eth_utils.abi import function_signature_to_4byte_selector
from pydantic import SecretStr

from support.scripted import repeating, scripted
from vagus.adapters.errors import BadAnswer, TooLong, TooSlow, Unreachable, printable
from vagus.adapters.evm.errors import NodeError, refusal
from vagus.adapters.evm.rpc import Rpc
from vagus.protocol import Retry

API_KEY = "canary-api-key-9d2f"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@contextlib.asynccontextmanager
async def served(handler: Handler, **options: object) -> AsyncIterator[Rpc]:
    """An endpoint with an API key in its path, its user and its query."""
    app = web.Application()
    app.router.add_post("/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    url = SecretStr(f"http://user:{API_KEY}-p@127.0.0.1:{port}/v3/{API_KEY}?key={API_KEY}-q")
    values = {"timeout": 5, "max_answer": 1 << 20} | options
    try:
        async with Rpc(url, **values) as rpc:  # type: ignore[arg-type]  # numbers
            yield rpc
    finally:
        await runner.cleanup()


def saying(body: bytes, status: int = 200, **headers: str) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(body=body, status=status, headers=headers)

    return handle


def answering(**members: object) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        number = orjson.loads(await request.read())["id"]
        return web.Response(body=orjson.dumps({"jsonrpc": "2.0", "id": number} | members))

    return handle


async def fault(handler: Handler, method: str = "eth_chainId", **options: object) -> Retry:
    async with served(handler, **options) as rpc:
        with pytest.raises(Retry) as raised:
            await rpc.quantity(method, [])
    said = "".join(traceback.format_exception(raised.value)) + repr(raised.value) + repr(rpc)
    assert API_KEY not in said
    return raised.value


async def test_a_result_is_read() -> None:
    async with served(answering(result="0x10")) as rpc:
        assert await rpc.quantity("eth_chainId", []) == 16
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", rpc.name)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"<html>",
        b'{"id":1}',
        b'{"id":1,"result":7}',
        b'{"id":1,"result":null}',
        b'{"id":1,"result":"0xzz"}',
        b'{"id":2,"result":"0x1"}',
        b'{"id":null,"result":"0x1"}',
        b'{"id":1,"result":"\xff\xfe"}',
        b'{"id":1,"result":' + b"[" * 100_000,
        b'{"id":1,"result":' + b'{"a":' * 100_000,
        b'{"id":1,"error":"no"}',
        b'{"id":1,"result":"0x1"} trailing',
        gzip.compress(b'{"id":1,"result":"0x1"}', mtime=0),
    ],
)
async def test_what_is_no_answer_is_a_bad_answer(body: bytes) -> None:
    assert isinstance(await fault(saying(body)), BadAnswer)


BOUNDS = {"eth_chainId": 16_384, "eth_call": 16_384, "eth_getLogs": 1 << 20}


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    with contextlib.suppress(ConnectionError):
        for _ in range(10_000):
            await response.write(b" " * 65_536)
    return response


@pytest.mark.parametrize(("method", "bound"), BOUNDS.items())
async def test_an_endless_answer_is_cut_off_at_its_bound(method: str, bound: int) -> None:
    found = await fault(endless, method)
    assert isinstance(found, TooLong)
    assert f"an answer over {bound} bytes" in found.reason


@pytest.mark.parametrize(("method", "bound"), BOUNDS.items())
async def test_a_bound_holds_to_the_byte(method: str, bound: int) -> None:
    head = b'{"id":1,"result":"0x'
    body = head + b"0" * (bound - len(head) - 2) + b'"}'
    assert "not a quantity" in (await fault(saying(body), method)).reason
    assert isinstance(await fault(saying(body + b" "), method), TooLong)


async def test_an_answer_that_says_that_it_is_too_long_is_not_begun() -> None:
    async def long(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(1 << 40)})
        await response.prepare(request)
        await response.write(b" ")
        await asyncio.Event().wait()
        return response

    assert isinstance(await fault(long, "eth_getLogs"), TooLong)


async def test_long_answers_of_an_endpoint_come_one_after_the_other() -> None:
    """While one is read the others wait at 16 KiB, and all of them come."""
    begun, ready = 0, asyncio.Event()

    async def handle(request: web.Request) -> web.StreamResponse:
        nonlocal begun
        number = orjson.loads(await request.read())["id"]
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b'{"id":%d,"result":"0x1"}' % number + b" " * 100_000)
        begun += 1
        if begun == 3:
            ready.set()
        await ready.wait()
        await response.write(b" " * 100_000)
        return response

    async with served(handle) as rpc:
        asked = [rpc.quantity("eth_getLogs", []) for _ in range(3)]
        assert await asyncio.gather(*asked) == [1, 1, 1]


@pytest.mark.parametrize(
    "piece",
    [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"],
    ids=["interim", "final"],
)
async def test_responses_without_end_are_one_failed_call(piece: bytes) -> None:
    async with (
        scripted(repeating(b"", piece * 1000)) as server,
        Rpc(SecretStr(server.base_url), 5, 1 << 20) as rpc,
    ):
        for _ in range(2):
            with pytest.raises(Retry, match=r"required field|ClientPayloadError"):
                await rpc.quantity("eth_chainId", [])


async def test_a_small_answer_that_unpacks_to_a_large_one_is_not_unpacked() -> None:
    bomb = gzip.compress(b" " * (100 << 20))
    assert isinstance(await fault(saying(bomb, **{"Content-Encoding": "gzip"})), BadAnswer)


async def test_a_silent_node_is_unreachable_after_the_timeout() -> None:
    silent = asyncio.Event()

    async def wait(request: web.Request) -> web.StreamResponse:
        await silent.wait()
        return web.Response()

    found = await fault(wait, timeout=0.2)
    assert isinstance(found, Unreachable)
    assert "Timeout" in found.reason


async def test_an_answer_that_begins_and_does_not_end_is_too_slow() -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b" " * 100)
        await asyncio.Event().wait()
        return response

    found = await fault(drip, "eth_getLogs", timeout=0.5)
    assert isinstance(found, TooSlow)
    assert "100 bytes of an answer" in found.reason


async def test_a_long_page_of_an_error_is_told_as_its_status() -> None:
    found = await fault(saying(b"<html>" + b" " * 100_000, 403))
    assert isinstance(found, Unreachable)
    assert "HTTP 403" in found.reason


@pytest.mark.parametrize(
    ("header", "after"), [("7", 7), ("100000", 60), ("soon", 1), ("-3", 1), ("\u0661", 1)]
)
async def test_a_node_that_has_enough_of_us_says_when_to_come_back(
    header: str, after: float
) -> None:
    found = await fault(saying(b"slow down", 429, **{"Retry-After": header}))
    assert isinstance(found, Unreachable)
    assert found.after == after


@pytest.mark.parametrize("status", [301, 302, 307, 401, 403, 404, 500, 502, 503])
async def test_http_errors_and_redirects_are_unreachable(status: int) -> None:
    found = await fault(saying(b"no", status, Location="http://127.0.0.1:1/elsewhere"))
    assert isinstance(found, Unreachable)
    assert f"HTTP {status}" in found.reason


async def test_an_error_of_the_node_has_its_code_and_data() -> None:
    error = {"code": 3, "message": "execution reverted: no", "data": "0x08c379a0"}
    found = await fault(answering(error=error))
    assert isinstance(found, NodeError)
    assert (found.code, found.message, found.data) == (3, error["message"], b'"0x08c379a0"')


async def test_a_node_that_repeats_the_key_is_not_repeated() -> None:
    message = f"invalid project id {API_KEY} of {API_KEY}-p with {API_KEY}-q"
    found = await fault(answering(error={"code": -32000, "message": message}))
    assert "invalid project id" in found.reason


async def test_a_nodes_text_is_one_short_printable_line() -> None:
    message = "a\x1b[31m\r\nb\u202e" + "x" * 100_000
    found = await fault(answering(error={"code": 1, "message": message}))
    assert found.reason.isprintable()
    assert len(found.reason) < 250
    assert printable("ok") == "ok"


async def test_nobody_at_the_port_is_unreachable() -> None:
    async with served(answering()) as rpc:
        pass
    async with rpc:
        with pytest.raises(Unreachable) as raised:
            await rpc.quantity("eth_chainId", [])
    assert API_KEY not in "".join(traceback.format_exception(raised.value))


async def test_an_adapter_outside_of_its_async_with_says_so() -> None:
    rpc = Rpc(SecretStr("http://127.0.0.1:1"), 1, 1)
    with pytest.raises(RuntimeError, match="outside of its async with"):
        await rpc.quantity("eth_chainId", [])


def revert(signature: str, kind: str, value: object) -> bytes:
    """A revert's data as a node has it in its JSON, by eth-abi."""
    data = function_signature_to_4byte_selector(signature) + encode([kind], [value])
    return b'"0x' + data.hex().encode() + b'"'


@pytest.mark.parametrize(
    ("message", "data", "reason"),
    [
        ("execution reverted", revert("Error(string)", "string", "no"), "no"),
        ("execution reverted", revert("Error(string)", "string", "é" * 50), "é" * 50),
        ("execution reverted", revert("Panic(uint256)", "uint256", 0x11), "panic 0x11"),
        ("execution reverted", revert("Other(uint256)", "uint256", 1), "execution reverted"),
        ("execution reverted: no", b"", "execution reverted: no"),
        ("execution reverted", b'"0x"', "execution reverted"),
        ("execution reverted", b'{"a":1}', "execution reverted"),
        ("execution reverted", b'"0x08c379a0' + b"ff" * 64 + b'"', "execution reverted"),
        ("VM Exception: revert", b"", "VM Exception: revert"),
    ],
)
def test_a_revert_is_a_refusal_with_its_reason(message: str, data: bytes, reason: str) -> None:
    found = refusal(NodeError(3, message, data))
    assert found is not None
    assert found.reason == reason


@pytest.mark.parametrize("message", ["insufficient funds", "header not found", "rate limited", ""])
def test_other_errors_of_a_simulation_refuse_nothing(message: str) -> None:
    assert refusal(NodeError(-32000, message)) is None
