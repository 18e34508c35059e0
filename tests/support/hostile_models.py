"""Every way in which a node asks a model's server and its like, and all that such a server may do."""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from support.hostile import BOMB, CHUNKED, WAYS, chunk
from support.scripted import GOOD, Script, repeating, response, sending
from vagus.compute import Backend, Completion, Message, Model, backend_config, make_backend
from vagus.compute.backends.ionet_confidential import ConfidentialBackend, _Attested
from vagus.compute.client import ChatClient, Endpoint
from vagus.compute.rates import MoneyConfig, Rates

__all__ = ["HELLO", "MODEL", "TABLE", "Call", "askers"]

MODEL = Model("m")
HELLO = Completion(model=MODEL, messages=(Message("user", "Hello"),), max_tokens=4)
KINDS = ("openai", "akashml", "ionet", "ionet-confidential")
MAX = 64 << 10
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
                backend._attested["m"] = _Attested("0x" + "00" * 20, None, math.inf)
                found[f"{kind} attests"] = lambda b=backend: b._attested_by(Model("n"), _later())
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


def _later() -> float:
    return asyncio.get_running_loop().time() + 0.5


async def _nothing() -> None:
    return


async def _read(backend: Backend) -> None:
    async with contextlib.aclosing(backend.stream(HELLO, timeout=0.5)) as stream:
        async for _ in stream:
            pass
