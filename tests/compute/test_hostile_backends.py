"""Each hostile server costs each backend over HTTP one failed try, in words, within bounds."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from support.apart import MOST, PATIENT, Apart, apart
from support.hostile_models import HELLO, MODEL, TABLE, Call, askers
from support.scripted import Request, response, scripted, sending
from vagus.compute import Completion
from vagus.compute.client import ChatClient, Endpoint
from vagus.protocol import Refuse, Retry

# Bytes that sockets' buffers hold for all who ask at once.
SENT = 32 << 20
# Sent whole at once, whoever listens.
FINITE = frozenset({"a compressed bomb in chunks", "a compressed bomb"})
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


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
        async with asyncio.timeout(60):
            errors = await asyncio.gather(*(_error(call) for call in calls.values()))
        for name, error in zip(calls, errors, strict=True):
            assert isinstance(error, Retry | Refuse), name
            assert error.reason.isprintable(), name
            assert len(error.reason) < 400, name
            assert "canary" not in error.reason, name
        assert len(server.requests) <= len(calls), "nobody asks twice"
        if way not in FINITE:
            assert sent < SENT


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def asker() -> AsyncIterator[Apart]:
    async with apart("models", TABLE) as found:
        yield found


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("way", TABLE)
async def test_a_hostile_server_takes_neither_memory_nor_time_of_a_node(
    asker: Apart, way: str
) -> None:
    """All who ask at once, in a process of their own on uvloop, as a node's are."""
    found = await asker.round(way)
    assert found.ends["answered"] == 0
    assert found.grown <= MOST
    assert found.lag <= PATIENT


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
