"""What a slow, broken or hostile server costs: one failed try, in words, within bounds."""

import asyncio
import contextlib
import email.utils
import gzip
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from support.scripted import (
    GOOD,
    Request,
    Script,
    Scripted,
    repeating,
    response,
    scripted,
    sending,
    silent,
)
from vagus.compute import Answer, Barred, Completion, Message, Model
from vagus.compute.backends.openai import ModelConfig, OpenAIBackend, OpenAIConfig
from vagus.protocol import Refuse, Retry

HELLO = Completion(model=Model("m"), messages=(Message("user", "Hello"),), max_tokens=4)
LIMIT = 256 << 10
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
SECRET = "sk-canary-5f1d"


@contextlib.asynccontextmanager
async def serving(script: Script, **more: object) -> AsyncIterator[tuple[OpenAIBackend, Scripted]]:
    async with scripted(script) as server:
        config = OpenAIConfig.model_validate(
            {
                "name": "scripted",
                "base_url": server.base_url,
                "models": [ModelConfig(name="m")],
                "max_response": LIMIT,
                **more,
            }
        )
        async with OpenAIBackend(config) as backend:
            yield backend, server


async def error_of(
    script: Script, timeout: float = 20, asked: Completion = HELLO, **more: object
) -> Retry | Refuse:
    """Ask once, return the error, and show that the backend serves the next call all the same."""
    async with serving(script, **more) as (backend, server):
        with pytest.raises((Retry, Refuse)) as caught:
            await backend.complete(asked, timeout=timeout)
        assert len(server.requests) <= 1, "a backend never repeats a call"
        server.script = sending(response(GOOD))
        assert (await backend.complete(HELLO, timeout=20)).text == "Paris"
    assert isinstance(caught.value, Retry | Refuse)
    assert caught.value.reason.isprintable()
    assert len(caught.value.reason) < 400
    return caught.value


async def stream_error_of(script: Script, timeout: float = 20, **more: object) -> Retry | Refuse:
    async with serving(script, **more) as (backend, server):
        with pytest.raises((Retry, Refuse)) as caught:
            await _read_all(backend, timeout)
        server.script = sending(response(GOOD))
        assert (await backend.complete(HELLO, timeout=20)).text == "Paris"
    assert isinstance(caught.value, Retry | Refuse)
    return caught.value


async def _read_all(backend: OpenAIBackend, timeout: float) -> None:
    async for piece in backend.stream(HELLO, timeout=timeout):
        assert not isinstance(piece, Answer)


def with_(**changes: object) -> dict[str, object]:
    return {**GOOD, **changes}


def message(value: object, finish: object = "stop") -> dict[str, object]:
    return with_(choices=[{"message": value, "finish_reason": finish}])


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 529, 204])
async def test_a_passing_status_is_a_retry(status: int) -> None:
    error = await error_of(sending(response(b"", status=f"{status} X")))
    assert isinstance(error, Retry)
    assert str(status) in error.reason


@pytest.mark.parametrize("status", [400, 413, 415, 422, 431])
async def test_a_status_about_the_request_is_a_refuse(status: int) -> None:
    error = await error_of(sending(response(b"", status=f"{status} X")))
    assert type(error) is Refuse
    assert str(status) in error.reason


@pytest.mark.parametrize("status", [401, 402, 403, 404, 405, 410, 301, 302, 307, 308])
async def test_a_status_about_who_asks_whom_is_left_to_other_backends(status: int) -> None:
    error = await error_of(sending(response(b"", status=f"{status} X")))
    assert type(error) is Barred
    assert str(status) in error.reason


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"error": {"message": "no such model", "code": 404}}, "no such model"),
        ({"error": "no such model"}, "no such model"),
        ({"detail": "no such model"}, "no such model"),
        ({"detail": [{"loc": ["body"]}], "message": "no such model"}, "no such model"),
        ({"detail": [{"loc": ["body"]}]}, ""),
        ([], ""),
    ],
)
async def test_what_an_error_says_is_read_as_several_servers_write_it(
    body: object, said: str
) -> None:
    error = await error_of(sending(response(body, status="400 Bad")))
    assert error.reason == f"HTTP 400{': ' + said if said else ''}"


@pytest.mark.parametrize(
    ("media", "taken"),
    [
        ("application/json", True),
        ("application/json; charset=utf-8", True),
        ("Application/JSON", True),
        ("application/problem+json", True),
        ("text/html", False),
        ("text/plain", False),
        ("application/octet-stream", False),
    ],
)
async def test_an_answer_is_json_by_its_own_word(media: str, taken: bool) -> None:
    whole = response(GOOD).replace(b"application/json", media.encode())
    if taken:
        async with serving(sending(whole)) as (backend, _):
            assert (await backend.complete(HELLO, timeout=20)).text == "Paris"
    else:
        error = await error_of(sending(whole))
        assert isinstance(error, Retry)
        assert f"is {media}, not application/json" in error.reason


@pytest.mark.parametrize(
    ("value", "low", "high"),
    [
        ("7", 7, 7),
        ("0", 0, 0),
        ("-5", 0, 0),
        ("999999999", 3600, 3600),
        ("soon", 1, 1),
        ("", 1, 1),
        ("9" * 5000, 1, 1),
        (email.utils.formatdate(4102444800, usegmt=True), 3600, 3600),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0),
        ("Wed, 99 Oct 2015 07:28:00 GMT", 1, 1),
    ],
)
async def test_retry_after_is_kept_in_bounds(value: str, low: float, high: float) -> None:
    headers = f"Retry-After: {value}\r\n"
    error = await error_of(sending(response(b"", status="429 Too Many", headers=headers)))
    assert isinstance(error, Retry)
    assert low <= error.after <= high


async def test_a_redirect_is_not_followed() -> None:
    async with scripted(sending(response(GOOD))) as elsewhere:
        there = f"Location: {elsewhere.base_url}/chat/completions\r\n"
        error = await error_of(sending(response(b"", status="307 Go", headers=there)))
        assert isinstance(error, Refuse)
        assert elsewhere.requests == []


async def test_an_error_says_what_the_server_said_on_one_line() -> None:
    body = {"error": {"message": "context too long\n\x1b[31m" + "x" * 9999, "code": 400}}
    error = await error_of(sending(response(body, status="400 Bad")))
    assert error.reason.startswith("HTTP 400: context too long\\n\\x1b[31m")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"hello",
        b"{",
        b'{"choices"',
        b"[" * 100_000,
        b'{"choices":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"unknown":' + b'{"a":' * 40_000 + b"1" + b"}" * 40_000 + b"}",
        b'\xef\xbb\xbf{"choices": []}',
        b'{"choices":[{"message":{"content":"\xff"},"finish_reason":"stop"}]}',
        b'{"choices":[{"message":{"content":"\\ud800"},"finish_reason":"stop"}]}',
        with_(choices=[]),
        with_(choices={}),
        with_(choices=None),
        with_(choices=GOOD["choices"] * 2),  # type: ignore[operator]  # a list
        with_(usage=None),
        with_(usage={"prompt_tokens": -1, "completion_tokens": 1}),
        with_(usage={"prompt_tokens": 1.5, "completion_tokens": 1}),
        with_(usage={"prompt_tokens": "1", "completion_tokens": 1}),
        with_(usage={"prompt_tokens": 1 << 80, "completion_tokens": 1}),
        with_(usage={"prompt_tokens": 1}),
        with_(model=7),
        with_(model="m" * 300),
        message(None),
        message("text"),
        message({"content": 7}),
        message({"content": ["a"]}),
        message({"content": "a"}, finish=None),
        message({"content": "a"}, finish="x" * 300),
    ],
)
async def test_a_body_that_is_no_answer_is_a_retry(body: object) -> None:
    assert isinstance(await error_of(sending(response(body))), Retry)


@pytest.mark.parametrize("logprob", [b'"0"', b"null", b"1e999", b"NaN", b"[]"])
async def test_a_logprob_that_is_no_number_is_a_retry(logprob: bytes) -> None:
    body = (
        b'{"choices":[{"message":{"content":"a"},"finish_reason":"stop","logprobs":{"content":'
        b'[{"token":"a","logprob":%s}]}}],"usage":{"prompt_tokens":1,"completion_tokens":1}}'
    ) % logprob
    scored = msgspec.structs.replace(HELLO, logprobs=1)
    assert isinstance(await error_of(sending(response(body)), asked=scored), Retry)


@pytest.mark.parametrize(("prompt", "completion"), [(5, 5), (100_000, 1)])
async def test_counting_more_tokens_than_possible_is_a_retry(prompt: int, completion: int) -> None:
    usage = {"prompt_tokens": prompt, "completion_tokens": completion}
    error = await error_of(sending(response(with_(usage=usage))))
    assert isinstance(error, Retry)
    assert "more than" in error.reason


async def test_a_compressed_body_is_not_inflated() -> None:
    bomb = gzip.compress(b'{"choices": "' + b"x" * 50_000_000 + b'"}')
    error = await error_of(sending(response(bomb, headers="Content-Encoding: gzip\r\n")))
    assert isinstance(error, Retry)


@pytest.mark.parametrize(
    "script",
    [
        sending(),
        sending(b"HTTP/1.1 200"),
        sending(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
        sending(b"HTTP/1.1 999999 X\r\n\r\n"),
        sending(b"HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\n"),
        sending(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}"),
        sending(response(GOOD, length=100_000)),
        sending(CHUNKED + b"5\r\nab"),
        sending(CHUNKED + b"zz\r\nabc\r\n"),
        sending(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1_000_000 + b"\r\n\r\n"),
        repeating(b"HTTP/1.1 200 OK\r\n", b"X-Y: z\r\n" * 1000),
    ],
)
async def test_broken_http_is_a_retry(script: Script) -> None:
    assert isinstance(await error_of(script), Retry)


@pytest.mark.parametrize(
    ("tokens", "logprobs", "most"),
    [(4096, None, LIMIT), (4, 20, 100 << 10), (4, None, 80 << 10)],
    ids=["configured", "four tokens with their alternatives", "four tokens"],
)
async def test_an_endless_body_is_cut_where_no_answer_goes_on(
    tokens: int, logprobs: int | None, most: int
) -> None:
    sent = 0

    async def endless(request: Request) -> None:
        nonlocal sent
        await request.send(CHUNKED)
        while True:
            await request.send(b"10000\r\n" + b"x" * 65536 + b"\r\n")
            sent += 65536

    asked = msgspec.structs.replace(HELLO, max_tokens=tokens, logprobs=logprobs)
    error = await error_of(endless, asked=asked)
    assert isinstance(error, Retry)
    (bound,) = re.fullmatch(r"the server's answer is over (\d+) bytes", error.reason).groups()  # type: ignore[union-attr]  # it matches
    assert most // 2 < int(bound) <= most
    assert sent < 16 << 20, "what the sockets' buffers hold, and no more, was ever sent"


@pytest.mark.parametrize("piece", [b"HTTP/1.1 100 Continue\r\n\r\n", response(b"{}")])
async def test_responses_without_end_are_one_failed_try(piece: bytes) -> None:
    assert isinstance(await error_of(repeating(b"", piece * 1000)), Retry)


async def test_probabilities_that_nobody_asked_for_are_not_looked_at() -> None:
    choice = {**GOOD["choices"][0], "logprobs": {"content": 7}}  # type: ignore[index]  # a list
    async with serving(sending(response(with_(choices=[choice])))) as (backend, _):
        answer = await backend.complete(HELLO, timeout=20)
    assert (answer.text, answer.tokens) == ("Paris", ())


async def test_an_endless_error_body_is_cut() -> None:
    head = b"HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n"
    error = await error_of(repeating(head, b"1000\r\n" + b"x" * 4096 + b"\r\n"))
    assert isinstance(error, Refuse)


@pytest.mark.parametrize(
    "script",
    [silent, repeating(CHUNKED, b"1\r\nx\r\n", 0.01), repeating(b"", b"H", 0.01)],
    ids=["hang", "drip", "drip before the status"],
)
async def test_slowness_ends_at_the_timeout(script: Script) -> None:
    started = time.monotonic()
    error = await error_of(script, timeout=0.3)
    assert isinstance(error, Retry)
    assert time.monotonic() - started < 5


async def test_the_configured_timeout_holds_where_the_caller_has_more_time() -> None:
    async with serving(silent, timeout=0.2) as (backend, _):
        with pytest.raises(Retry, match="too long"):
            await backend.complete(HELLO, timeout=3600)


async def test_nobody_listening_is_a_retry() -> None:
    async with serving(silent) as (backend, server):
        port = server.port
    config = OpenAIConfig(
        name="x", base_url=f"http://127.0.0.1:{port}/v1", models=(ModelConfig(name="m"),)
    )
    async with OpenAIBackend(config) as backend:
        with pytest.raises(Retry, match="connection failed"):
            await backend.complete(HELLO, timeout=5)


async def test_waiting_for_a_slot_counts_against_the_timeout() -> None:
    async with serving(silent, max_in_flight=1) as (backend, _):
        first = asyncio.create_task(backend.complete(HELLO, timeout=60))
        with pytest.raises(Retry, match="free slot"):
            await asyncio.gather(first, backend.complete(HELLO, timeout=0.1))
        first.cancel()
        await asyncio.wait([first])


async def test_the_wait_for_a_slot_is_measured() -> None:
    async def slow(request: Request) -> None:
        await asyncio.sleep(0.1)
        await request.send(response(GOOD))

    async with serving(slow, max_in_flight=1) as (backend, _):
        answers = await asyncio.gather(*(backend.complete(HELLO, timeout=20) for _ in range(3)))
    waits = sorted(answer.times.queued for answer in answers)
    assert waits[0] < 0.05
    assert 0.09 < waits[1] < waits[2]


# Streams


def event(**fields: object) -> bytes:
    return b"data: " + response(fields).partition(b"\r\n\r\n")[2] + b"\n\n"


PIECE = event(choices=[{"delta": {"content": "Par"}, "finish_reason": None}], model="served")
LAST = event(choices=[{"delta": {"content": "is"}, "finish_reason": "stop"}])
USAGE = event(choices=[], usage=GOOD["usage"])
DONE = b"data: [DONE]\n\n"


async def test_a_stream_is_read_whatever_its_packets_are() -> None:
    whole = (b": comment\r\n\r\nevent: x\nid: 1\n" + PIECE + LAST + USAGE + DONE).replace(
        b"\n\n", b"\r\n\r\n"
    )
    for size in (1, 7, 10_000):
        packets = [whole[at : at + size] for at in range(0, len(whole), size)]
        async with serving(sending(EVENTS, *packets)) as (backend, _):
            pieces = [piece async for piece in backend.stream(HELLO, timeout=20)]
        assert [piece.text for piece in pieces] == ["Par", "is", "Paris"]
        assert isinstance(pieces[-1], Answer)
        assert pieces[-1].usage.completion == 1
        assert pieces[-1].model == "served"


@pytest.mark.parametrize(
    "script",
    [
        sending(EVENTS),
        sending(EVENTS + PIECE),
        sending(EVENTS + PIECE + DONE),
        sending(EVENTS + PIECE + LAST + DONE),
        sending(EVENTS + PIECE + USAGE + DONE),
        sending(CHUNKED + b"5\r\ndata:"),
        sending(EVENTS + PIECE + b'data: {"error": {"message": "out of memory"}}\n\n'),
        sending(EVENTS + PIECE + b"data: hello\n\n"),
        sending(EVENTS + b"data: " + b"[" * 100_000 + b"\n\n"),
        sending(EVENTS + PIECE + event(choices=[{"delta": {"content": 7}}])),
        sending(EVENTS + PIECE + LAST + event(choices=[], usage={"prompt_tokens": 1})),
        sending(
            EVENTS
            + PIECE
            + LAST
            + event(choices=[], usage={"prompt_tokens": 1, "completion_tokens": 99})
            + DONE
        ),
        repeating(EVENTS, b": ping\n\n" * 1000),
        repeating(EVENTS, b"x" * 10_000),
        repeating(EVENTS, PIECE * 100),
        sending(response(b"", status="503 Busy")),
    ],
)
async def test_a_broken_or_endless_stream_is_a_retry(script: Script) -> None:
    assert isinstance(await stream_error_of(script), Retry)


async def test_a_stream_that_falls_silent_ends_at_the_read_timeout() -> None:
    async def stuck(request: Request) -> None:
        await request.send(EVENTS + PIECE)
        await request.gone()

    assert isinstance(await stream_error_of(stuck, timeout=60, read_timeout=0.2), Retry)


async def test_a_stream_that_pings_for_ever_ends_at_the_timeout() -> None:
    error = await stream_error_of(repeating(EVENTS, b": ping\n\n", 0.02), timeout=0.3)
    assert isinstance(error, Retry)


# Keys


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text(SECRET + "\n")
    path.chmod(0o600)
    return path


async def test_the_key_is_sent_and_shown_nowhere(key_file: Path) -> None:
    echo = {"error": {"message": f"no such model for key {SECRET}"}}
    script = sending(response(echo, status="404 No"))
    async with serving(script, api_key_file=key_file) as (backend, server):
        with pytest.raises(Refuse) as caught:
            await backend.complete(HELLO, timeout=20)
        assert server.requests[0].headers["authorization"] == f"Bearer {SECRET}"
        shown = repr(backend) + repr(vars(backend)) + repr(backend._client._endpoint)
    trace = "".join(repr(caught.value.__context__)) + str(caught.value) + repr(caught.value)
    assert SECRET not in shown + trace
    assert "no such model" in str(caught.value)


@pytest.mark.parametrize("status", ["401 No", "403 No"])
async def test_what_a_server_says_about_a_key_is_not_repeated(status: str, key_file: Path) -> None:
    body = {"error": {"message": "bad key sk-can***5f1d"}}
    error = await error_of(sending(response(body, status=status)), api_key_file=key_file)
    assert "sk-" not in error.reason


@pytest.mark.parametrize(
    ("content", "mode", "why"),
    [
        (SECRET, 0o644, "chmod 600"),
        ("", 0o600, "holds no API key"),
        ("two words", 0o600, "holds no API key"),
        ("caf\u00e9", 0o600, "can't be read"),
    ],
)
async def test_a_key_file_that_is_wrong_is_refused_at_start(
    content: str, mode: int, why: str, tmp_path: Path
) -> None:
    path = tmp_path / "key"
    path.write_text(content)
    path.chmod(mode)
    config = OpenAIConfig(name="x", base_url="http://127.0.0.1:1/v1", api_key_file=path)
    with pytest.raises(Refuse, match=why) as caught:
        await OpenAIBackend(config).__aenter__()
    assert SECRET not in str(caught.value)
