"""An OpenAI-compatible server without a model: every answer follows from its request alone.

With a JSON schema it writes an instance of it, filled from what the user said last; of several
kinds it takes the first, after a tool's result the last. Without one it repeats the user.
"""

import contextlib
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from support.scripted import Request, response, scripted

__all__ = ["OpenAIServer", "openai_server"]

NAMES = ("repeater", "repeater-2")


@dataclass
class OpenAIServer:
    """Keeps the bodies it was sent. `said` is what it writes next instead, in order, if anything."""

    base_url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    async def answer(self, request: Request) -> None:
        if request.line.startswith("GET"):
            await request.send(response({"data": [{"id": name} for name in NAMES]}))
            return
        body = json.loads(request.body)
        self.bodies.append(body)
        if problem := complaint(body):
            error = response({"error": {"message": problem}}, status="400 Bad Request")
            await request.send(error)
            return
        text = self.said.pop(0) if self.said else write(body)
        words = re.findall(r"\S*\s*", text)[:-1]
        finish = "stop"
        for mark in body.get("stop", ()):
            if mark in text:
                words = re.findall(r"\S*\s*", text.partition(mark)[0])[:-1]
        if len(words) > body["max_tokens"]:
            words, finish = words[: body["max_tokens"]], "length"
        read = sum(len(message["content"].split()) for message in body["messages"])
        usage = {"prompt_tokens": read, "completion_tokens": max(1, len(words))}
        send = stream if body.get("stream") else whole
        await send(request, {"model": body["model"], "usage": usage}, words, finish)


def complaint(body: dict[str, Any]) -> str | None:
    """Say what OpenAI would: roles, and the schemas that its strict mode takes."""
    for message in body["messages"]:
        if message["role"] not in {"system", "user", "assistant"} or not message["content"]:
            return "a message is wrong"
    if "response_format" in body and schema_of(body).get("type") != "object":
        return "the root of a schema must be an object"
    return None


async def whole(request: Request, base: dict[str, Any], words: list[str], finish: str) -> None:
    message = {"role": "assistant", "content": "".join(words)}
    choice = {"index": 0, "message": message, "finish_reason": finish}
    await request.send(response({**base, "choices": [choice]}))


async def stream(request: Request, base: dict[str, Any], words: list[str], finish: str) -> None:
    head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
    await request.send(head.encode())
    deltas: list[dict[str, Any]] = [{"delta": {"content": word}} for word in words]
    for choice in (*deltas, {"delta": {}, "finish_reason": finish}):
        event = {"model": base["model"], "choices": [choice]}
        await request.send(f"data: {json.dumps(event)}\n\n".encode())
    last = json.dumps({**base, "choices": []})
    await request.send(f"data: {last}\n\ndata: [DONE]\n\n".encode())


def schema_of(body: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = body["response_format"]["json_schema"]["schema"]
    return found


def write(body: dict[str, Any]) -> str:
    last = body["messages"][-1]["content"]
    if "response_format" in body:
        return json.dumps(instance(schema_of(body), last), ensure_ascii=False)
    return f"You said: {last}"


def instance(schema: dict[str, Any], said: str) -> Any:
    """Return a value that fits a schema, with words and numbers of what was said."""
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return instance(schema["anyOf"][-1 if '"result"' in said else 0], said)
    match schema.get("type"):
        case "object":
            properties = schema.get("properties", {})
            return {name: instance(each, said) for name, each in properties.items()}
        case "array":
            return [instance(schema["items"], said)] * schema.get("minItems", 1)
        case "integer" | "number":
            numbers = [int(digits) for digits in re.findall(r"\d+", said)]
            return numbers[0] if numbers else schema.get("minimum", 0)
        case "boolean":
            return True
        case "null":
            return None
        case _:
            return said[: schema.get("maxLength", len(said))]


@contextlib.asynccontextmanager
async def openai_server() -> AsyncIterator[OpenAIServer]:
    """Serve one on a free loopback port."""
    server = OpenAIServer()
    async with scripted(server.answer) as served:
        server.base_url = served.base_url
        yield server
