"""Chat completions for sandboxes: a small scripted model, or another server that answers instead.

The scripted model writes words that follow from its name and the question alone, so an answer repeats
and another model is seen to be another; with a JSON schema it writes an instance of it. A token is a
word with the space after it.
"""

import asyncio
import contextlib
import hashlib
import re
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import web

from vagus.compute.sandbox.base import ApiError, json_response, read_json
from vagus.compute.sandbox.relay import Relay
from vagus.compute.sandbox.scripted import write_text

__all__ = ["LISTED", "Chat", "ScriptedModel"]

# When the models of sandboxes were made: 2026-01-01.
LISTED = 1_767_225_600
_EVENTS = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}


@dataclass(frozen=True, slots=True)
class ScriptedModel:
    """Writes without a model. context: tokens of prompt and answer; delays: seconds.

    first: before the first token; each: before every further one. answer: what it always says.
    """

    name: str
    context: int = 32_768
    first: float = 0.0
    each: float = 0.0
    answer: str | None = None

    def write(self, body: Mapping[str, Any]) -> tuple[list[str], str, int]:
        """Return the answer's tokens, why it ends, and the prompt's length. Raises ApiError."""
        read = sum(len(each["content"].split()) + 4 for each in body["messages"])
        most = body["max_tokens"]
        if read + most > self.context:
            said = (
                f"this model's context is {self.context} tokens, and {read + most} were asked for"
            )
            raise ApiError(400, said, code="context_length_exceeded")
        text = self.answer if self.answer is not None else write_text(self.name, body)
        for mark in body["stop"]:
            text = text.partition(mark)[0]
        tokens = re.findall(r"\S+\s*|\s+", text)
        return tokens[:most], "length" if len(tokens) > most else "stop", read


class _Asked(msgspec.Struct):
    model: str
    messages: list[dict[str, Any]]
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stop: str | list[str] | None = None
    stream: bool = False
    stream_options: dict[str, Any] | None = None
    logprobs: bool = False
    top_logprobs: int | None = None
    temperature: float | None = None
    response_format: dict[str, Any] | None = None

    def plain(self) -> dict[str, Any]:
        """Return what a scripted model reads. Raises ApiError for what OpenAI refuses."""
        if not self.messages or not all(isinstance(m.get("content"), str) for m in self.messages):
            raise ApiError(400, "messages must be texts, at least one", code="invalid_request")
        stop = [self.stop] if isinstance(self.stop, str) else self.stop or []
        most = self.max_completion_tokens or self.max_tokens or 1024
        if most < 1 or not 0 <= (self.temperature or 0.0) <= 2:
            raise ApiError(400, "max_tokens or temperature is out of range", code="invalid_request")
        schema = (self.response_format or {}).get("json_schema", {}).get("schema")
        return {"messages": self.messages, "max_tokens": most, "stop": stop, "schema": schema}


class Chat:
    """The answers to chat/completions for some models, by their names."""

    def __init__(self, *models: ScriptedModel, upstream: str | None = None) -> None:
        self.models = {model.name: model for model in models}
        self._relay = None if upstream is None else Relay(upstream)

    async def complete(self, request: web.Request) -> web.StreamResponse:
        """Answer one POST to chat/completions. Raises ApiError."""
        if self._relay is not None:
            return await self._relay.answer(request, await read_json(request, dict))
        asked = await read_json(request, _Asked)
        model = self.models.get(asked.model)
        if model is None:
            raise ApiError(
                404, f"the model {asked.model[:100]!r} does not exist", code="model_not_found"
            )
        tokens, finish, read = model.write(asked.plain())
        base = {"id": "chatcmpl-" + _number(request), "created": LISTED, "model": model.name}
        usage = {
            "prompt_tokens": read,
            "completion_tokens": max(1, len(tokens)),
            "total_tokens": read + max(1, len(tokens)),
        }
        top = asked.top_logprobs or 0 if asked.logprobs else None
        if asked.stream:
            told = usage if (asked.stream_options or {}).get("include_usage") else None
            return await _stream(request, model, base, tokens, finish, told, top)
        await asyncio.sleep(model.first + model.each * max(0, len(tokens) - 1))
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": "".join(tokens)},
            "finish_reason": finish,
            "logprobs": _logprobs(tokens, top),
        }
        body = {**base, "object": "chat.completion", "choices": [choice], "usage": usage}
        return json_response(body)


async def _stream(
    request: web.Request,
    model: ScriptedModel,
    base: dict[str, Any],
    tokens: list[str],
    finish: str,
    usage: dict[str, int] | None,
    top: int | None,
) -> web.StreamResponse:
    response = web.StreamResponse(headers=_EVENTS)
    await response.prepare(request)
    await asyncio.sleep(model.first)

    async def send(**fields: object) -> None:
        event = {**base, "object": "chat.completion.chunk", **fields}
        await response.write(b"data: " + msgspec.json.encode(event) + b"\n\n")

    with contextlib.suppress(ConnectionResetError):
        async for at, token in _paced(tokens, model.each):
            delta = {"content": token} | ({"role": "assistant"} if at == 0 else {})
            piece = {"index": 0, "delta": delta, "finish_reason": None}
            await send(choices=[{**piece, "logprobs": _logprobs([token], top)}])
        await send(choices=[{"index": 0, "delta": {}, "finish_reason": finish}])
        if usage is not None:
            await send(choices=[], usage=usage)
        await response.write(b"data: [DONE]\n\n")
    return response


async def _paced(tokens: list[str], each: float) -> AsyncIterator[tuple[int, str]]:
    for at, token in enumerate(tokens):
        if at and each:
            await asyncio.sleep(each)
        yield at, token


def _logprobs(tokens: list[str], top: int | None) -> dict[str, Any] | None:
    if top is None:
        return None
    others = [{"token": f"{at}", "logprob": -float(at + 1)} for at in range(20)]
    return {
        "content": [
            {
                "token": token,
                "logprob": -0.125,
                "bytes": list(token.encode()),
                "top_logprobs": [{"token": token, "logprob": -0.125}, *others][:top],
            }
            for token in tokens
        ]
    }


def _number(request: web.Request) -> str:
    return hashlib.sha256(f"{time.monotonic_ns()} {id(request)}".encode()).hexdigest()[:24]
