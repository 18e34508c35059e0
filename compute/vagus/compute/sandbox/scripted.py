"""What a sandbox writes instead of a model: words that follow from the question, or what a schema wants."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

__all__ = ["write_text"]

TEXT = (
    "the sea rises and falls while small boats wait near old stones for wind that comes at dawn "
    "with salt on its breath nobody counts waves yet each one arrives in time under a grey light"
)
LENGTH = 48


def write_text(name: str, body: Mapping[str, Any]) -> str:
    """Return what a model of this name answers to the last message, always the same."""
    asked = body["messages"][-1]["content"]
    if body.get("schema") is not None:
        return json.dumps(_instance(body["schema"], asked), ensure_ascii=False)
    seed, words = hashlib.sha256(f"{name}\n{asked}".encode()).digest(), TEXT.split()
    chosen = [words[seed[at % 32] * (at + 7) % len(words)] for at in range(LENGTH)]
    return " ".join(chosen).capitalize() + "."


def _instance(schema: Any, said: str) -> Any:
    """Return a value that fits a schema, with words and numbers of what was said."""
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    for many in ("anyOf", "oneOf"):
        if many in schema:
            return _instance(schema[many][0], said)
    match schema.get("type"):
        case "object":
            return {name: _instance(s, said) for name, s in schema.get("properties", {}).items()}
        case "array":
            return [_instance(schema.get("items", {}), said)] * schema.get("minItems", 1)
        case "integer" | "number":
            numbers = re.findall(r"\d{1,15}", said)
            low, high = schema.get("minimum", 0), schema.get("maximum", float("inf"))
            return min(max(int(numbers[0]) if numbers else low, low), high)
        case "boolean":
            return True
        case "null":
            return None
        case _:
            return said[: schema.get("maxLength", len(said))]
