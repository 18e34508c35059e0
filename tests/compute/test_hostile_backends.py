"""Each hostile server costs each backend over HTTP one failed try, in words, within bounds."""

import asyncio
import contextlib
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from support.hostile import BOMB, CHUNKED, WAYS, chunk
from support.scripted import GOOD, Request, Script, repeating, response, scripted, sending
from vagus.compute import Backend, Completion, Message, Model, backend_config, make_backend
from vagus.compute.backends.ionet_confidential import ConfidentialBackend, _Attestation
from vagus.compute.client import ChatClient, Endpoint
from vagus.compute.rates import MoneyConfig, Rates
from vagus.protocol import Refuse, Retry

MODEL = Model("m")
HELLO = Completion(model=MODEL, messages=(Message("user", "Hello"),), max_tokens=4)
KINDS = ("openai", "akashml", "ionet", "ionet-confidential")
# Bytes: what sockets' buffers hold for all who ask at once, and what they may keep in memory.
SENT, KEPT = 32 << 20, 64 << 20
MAX = 64 << 10
# Sent whole at once, whoever listens.
FINITE = frozenset({"a compressed bomb in chunks", "a compressed bomb"})
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
Call = Callable[[], Awaitable[object]]


def html(text: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(text)
    return head + text


def lying(**usage: object) -> bytes:
    return response({**GOOD, "usage": usage})


def going_to(url: str) -> Script:
    return sending(response(b"", status="307 Go", headers=f"Location: {url}\r\n"))


TABLE: dict[str, Script] = {
    **WAYS,
    "a page of a captive portal": sending(html(b"<html>Log in</html>")),
    "an answer that says it is a page": sending(html(response(GOOD).partition(b"\r\n\r\n")[2])),
    "bytes that are no UTF-8": sending(response(b'{"choices":[{"message":{"content":"\xff"}}]}')),
    "half of a surrogate pair": sending(response(b'{"data":[{"id":"\\ud800"}]}')),
    "lists in lists, within the bound": sending(response(b'{"x":' + b"[" * 60_000)),
    "objects in objects, within the bound": sending(response(b'{"x":' + b'{"a":' * 12_000)),
    "lists in what is read": sending(response(b'{"choices":' + b"[" * 60_000)),
    "a compressed bomb in chunks": sending(
        CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n") + chunk(BOMB)
    ),
    "a truncated chunk": sending(CHUNKED + b"ff\r\n{"),
    "a truncated body": sending(response(GOOD, length=1 << 20)),
    "a chunk of a negative length": sending(CHUNKED + b"-1\r\n{}\r\n"),
    "usage under zero": sending(lying(prompt_tokens=-1, completion_tokens=-1)),
    "usage beyond all numbers": sending(lying(prompt_tokens=1 << 90, completion_tokens=1 << 90)),
    "no usage": sending(response({**GOOD, "usage": None})),
    "more tokens than were asked for": sending(lying(prompt_tokens=1, completion_tokens=5)),
    "more tokens read than sent": sending(lying(prompt_tokens=1 << 20, completion_tokens=1)),
    "a redirect to a cloud's metadata": going_to("http://169.254.169.254/latest/meta-data/"),
    "a redirect to a file": going_to("file:///etc/passwd"),
    "a status that is none": sending(b"HTTP/1.1 007 Bond\r\n\r\n"),
    "interim responses with headers": repeating(
        b"", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 1000
    ),
    "another protocol": sending(b"\x15\x03\x01\x00\x02\x02\x28"),
}


@contextlib.asynccontextmanager
async def askers(base_url: str, key: Path) -> AsyncIterator[dict[str, Call]]:
    """Every way in which a node asks such a server."""
    found: dict[str, Call] = {}
    async with contextlib.AsyncExitStack() as stack:
        for kind in KINDS:
            models: list[object] = ["m"] if kind == "ionet-confidential" else [{"name": "m"}]
            table = {
                "kind": kind,
                "name": kind,
                "base_url": base_url,
                "api_key_file": str(key),
                "models": models,
                "max_response": MAX,
                # Not by the hand of the task that reads the listing: its try would be one more.
                **({} if kind == "ionet-confidential" else {"prices": "config"}),
            }
            backend = await stack.enter_async_context(make_backend(backend_config(table)))
            if isinstance(backend, ConfidentialBackend):
                backend._attested["m"] = _Attestation("0" * 64, "0x" + "00" * 20)
                found[f"{kind} attests"] = lambda b=backend: b._attest("n", 0.5)
            found[f"{kind} completes"] = lambda b=backend: b.complete(HELLO, timeout=0.5)
            if kind != "ionet-confidential":
                found[f"{kind} streams"] = lambda b=backend: _read(b)
        client = await stack.enter_async_context(ChatClient(Endpoint(base_url, max_response=MAX)))
        found["models are listed"] = lambda: client.models(timeout=0.5)
        sources = [{"name": "api", "url": f"{base_url}/price", "pointer": "/usd"}]
        rates = Rates(MoneyConfig.model_validate({"sources": sources}))
        rates._run = _nothing  # type: ignore[method-assign]  # it is asked as the others are
        await stack.enter_async_context(rates)
        found["the dollar's rate is asked"] = rates.refresh
        yield found


async def _nothing() -> None:
    return


async def _read(backend: Backend) -> None:
    async with contextlib.aclosing(backend.stream(HELLO, timeout=0.5)) as stream:
        async for _ in stream:
            pass


async def _error(call: Call) -> Exception | None:
    try:
        await call()
    except (Retry, Refuse) as error:
        return error
    return None


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text("sk-canary-77aa")
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("way", TABLE)
async def test_a_hostile_server_costs_one_failed_try(
    way: str, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vagus.compute.rates.PATIENCE", 0.5)
    sent = 0

    async def counted(request: Request) -> None:
        send = request.send

        async def count(data: bytes) -> None:
            nonlocal sent
            await send(data)
            sent += len(data)

        request.send = count  # type: ignore[method-assign]
        await TABLE[way](request)

    async with scripted(counted) as server, askers(server.base_url, key) as calls:
        tracemalloc.start()
        try:
            async with asyncio.timeout(60):
                errors = await asyncio.gather(*(_error(call) for call in calls.values()))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        for name, error in zip(calls, errors, strict=True):
            assert isinstance(error, Retry | Refuse), name
            assert error.reason.isprintable(), name
            assert len(error.reason) < 400, name
            assert "canary" not in error.reason, name
        assert len(server.requests) <= len(calls), "nobody asks twice"
        assert peak < KEPT
        if way not in FINITE:
            assert sent < SENT


@pytest.mark.parametrize("way", ["usage under zero", "more tokens written than bytes"])
async def test_a_stream_that_lies_about_usage_is_one_too(way: str, key: Path) -> None:
    written = -1 if way == "usage under zero" else 100
    usage = {"prompt_tokens": 1, "completion_tokens": written}
    events = [
        {"choices": [{"delta": {"content": "a"}, "finish_reason": "stop"}]},
        {"choices": [], "usage": usage},
    ]
    asked = Completion(model=MODEL, messages=HELLO.messages, max_tokens=4096)
    script = sending(STREAM, *(b"data: " + msgspec.json.encode(each) + b"\n\n" for each in events))
    async with scripted(script) as server, ChatClient(Endpoint(server.base_url)) as client:
        with pytest.raises(Retry):
            async for _ in client.stream(asked, "m", timeout=5):
                pass


async def test_more_tokens_than_bytes_are_a_lie_but_not_where_the_model_thought_aloud() -> None:
    asked = Completion(model=MODEL, messages=HELLO.messages, max_tokens=4096)
    message: dict[str, str] = {"content": "Paris"}
    usage = {"prompt_tokens": 1, "completion_tokens": 500}

    async def answer(request: Request) -> None:
        choice = {"message": message, "finish_reason": "stop"}
        await request.send(response({"choices": [choice], "usage": usage}))

    async with scripted(answer) as server, ChatClient(Endpoint(server.base_url)) as client:
        with pytest.raises(Retry, match="more than"):
            await client.complete(asked, "m", timeout=5)
        for name in ("reasoning_content", "reasoning"):
            message[name] = "Hm, a capital... " * 40
            assert (await client.complete(asked, "m", timeout=5)).usage.completion == 500
            del message[name]
