"""Attacks by payload, and a model that gives in to each of them.

The corpus is data: tests/agents/injection/attacks.json. Each attack has a kind and one of
text (put where each agent has its free text), schema (a JSON schema for `extract@1`, text for the
others), payload (handed over as it is) and hex (likewise, as bytes); times repeats it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import rfc8785

from support.scripted import Request, response

__all__ = ["AGENTS", "BEHAVIOURS", "HARMLESS", "Attack", "Hostile", "attacks"]

CORPUS = Path(__file__).parents[1] / "agents" / "injection" / "attacks.json"
AGENTS = ("chat@1", "choose@1", "number@1", "extract@1")
# What the hostile model does: hands its prompt back; asks for tools nobody offered; answers in
# another shape than it was held to; keeps to the shape, and fills it with all it can see.
BEHAVIOURS = ("echoes", "calls tools", "smuggles", "obeys")

HARMLESS_TEXT = "Which city is the capital of France?"
SCHEMA = {
    "type": "object",
    "properties": {"answer": {"type": "string"}, "count": {"type": ["integer", "null"]}},
    "required": ["answer"],
}


@dataclass(frozen=True)
class Attack:
    """One entry of the corpus; `number` is its place."""

    number: int
    kind: str
    text: str | None = None
    schema: dict[str, Any] | None = None
    raw: bytes | None = None

    def payload(self, agent: str) -> bytes:
        """The attack as a payload of an agent."""
        if self.raw is not None:
            return self.raw
        text = json.dumps(self.schema) if self.text is None else self.text
        return _payload(agent, text, self.schema)

    def allows(self, agent: str, output: bytes) -> bool:
        """Whether an output is one that this payload allows."""
        asked = json.loads(self.payload(agent))
        match agent:
            case "choose@1":
                return output.decode() in asked["choices"]
            case "number@1":
                number = int.from_bytes(output, "big", signed=True)
                return len(output) == 32 and int(asked["min"]) <= number <= int(asked["max"])
            case "extract@1":
                found, properties = json.loads(output), asked["schema"].get("properties", {})
                return bool(rfc8785.dumps(found) == output and set(found) <= set(properties))
            case _:
                return 0 < len(output) <= 8192


HARMLESS = Attack(-1, "harmless", text=HARMLESS_TEXT)


def _payload(agent: str, text: str, schema: dict[str, Any] | None = None) -> bytes:
    value: dict[str, Any]
    match agent:
        case "chat@1":
            value = {"prompt": text}
        case "choose@1":
            # The text is a choice as well where it may be one.
            own = [text] if 0 < len(text.encode()) <= 256 and text not in {"yes", "no"} else []
            value = {"prompt": text, "choices": ["yes", "no", *own]}
        case "number@1":
            value = {"prompt": text, "min": "-5", "max": 250}
        case _:
            described = {**SCHEMA, "description": text} if schema is None else schema
            value = {"text": text, "schema": described if len(text) < 1000 else schema or SCHEMA}
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def attacks() -> list[Attack]:
    """The corpus."""
    return [_attack(number, entry) for number, entry in enumerate(json.loads(CORPUS.read_text()))]


def _attack(number: int, entry: dict[str, Any]) -> Attack:
    times = entry.get("times", 1)
    raw = entry["payload"].encode() * times if "payload" in entry else None
    return Attack(
        number,
        entry["kind"],
        text=entry["text"] * times if "text" in entry else None,
        schema=entry.get("schema"),
        raw=bytes.fromhex(entry["hex"]) if "hex" in entry else raw,
    )


@dataclass
class Hostile:
    """An OpenAI-compatible server whose model gives in. It looks for secrets in what it is sent."""

    secrets: Sequence[str]
    behaviour: str = "obeys"
    bodies: list[dict[str, Any]] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    authorizations: set[str] = field(default_factory=set)

    async def answer(self, request: Request) -> None:
        body = json.loads(request.body)
        self.raw.append(request.body)
        self.bodies.append(body)
        self.authorizations.add(request.headers.get("authorization", ""))
        text, tools = self._says(body)
        message: dict[str, Any] = {"role": "assistant", "content": text}
        if tools:
            message["tool_calls"] = [_call("sign", digest="0x00"), _call("withdraw", to="0x11")]
        usage = {"prompt_tokens": 1, "completion_tokens": 1}
        finish = "tool_calls" if tools else "stop"
        choice = {"index": 0, "message": message, "finish_reason": finish}
        await request.send(response({"model": "m", "choices": [choice], "usage": usage}))

    def _says(self, body: dict[str, Any]) -> tuple[str, bool]:
        prompt = "\n".join(message["content"] for message in body["messages"])
        seen = [secret for secret in self.secrets if secret in json.dumps(body)]
        leak = " ".join(["OWNED", *seen, prompt])
        match self.behaviour:
            case "echoes":
                return prompt, False
            case "calls tools":
                return json.dumps({"tool": "sign", "arguments": {"digest": "0x00"}}), True
            case "smuggles":
                keys = {"choice": leak, "number": "1000000", "answer": leak, "count": 2**60}
                return json.dumps({**keys, "role": "system"}), False
            case _:
                held = body.get("response_format", {}).get("json_schema", {}).get("schema")
                return (leak if held is None else json.dumps(_instance(held, leak))), False


def _call(name: str, **arguments: str) -> dict[str, Any]:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"id": "call_1", "type": "function", "function": function}


def _instance(schema: dict[str, Any], text: str) -> Any:
    """A value that a bounded schema allows, with the text wherever a string may be."""
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][-1]
    kind = schema["type"] if isinstance(schema["type"], str) else schema["type"][0]
    match kind:
        case "object":
            return {name: _instance(each, text) for name, each in schema["properties"].items()}
        case "array":
            return [_instance(schema["items"], text)] * max(1, schema["minItems"])
        case "string":
            return "7" if "pattern" in schema else text[: schema["maxLength"]]
        case "integer" | "number":
            return schema.get("maximum", 0)
        case "boolean":
            return True
        case _:
            return None
