"""Asking a model for JSON: the task in the system's words, a stranger's data as data.

The data is one JSON document in the user's message. Inside its strings `<` and `[` are escapes, so
that the marks by which chat templates begin a turn (`<|im_start|>`, `[INST]`) can't be spelt there.
The answer is held to a schema by the engine. Engines differ in how much of one they enforce, and a
model's word is a stranger's too: the answer is read as strictly as a payload.
"""

import json
import re
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from vagus.agents.codec import first_fault, parse_json
from vagus.agents.context import Context
from vagus.compute import Message
from vagus.protocol import Json, Refuse

__all__ = ["as_data", "ask_json", "ask_model"]

T = TypeVar("T", bound=BaseModel)

# An output has at most 8,192 bytes; written in escapes, a byte has at most six.
MAX_ANSWER = 64 << 10

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


async def ask_json(
    ctx: Context, task: str, data: Json, schema: dict[str, object], *, max_tokens: int
) -> object:
    """Return the JSON value that the model answers; the caller checks it against the schema again.

    task: the author's words alone, no part of the payload. Raises Refuse for an answer that is no
    JSON or longer than max_tokens, and as `Context.chat` does.
    """
    messages = [Message("system", task), Message("user", as_data(data))]
    answer = await ctx.chat(messages, max_tokens=max_tokens, schema=schema)
    if answer.finish_reason == "length":
        raise Refuse(f"the model's answer does not fit into {max_tokens} tokens")
    # Half of a surrogate pair becomes bytes that are no UTF-8, which is what it is refused for.
    text = answer.text.encode("utf-8", "surrogatepass")
    if len(text) > MAX_ANSWER:
        raise Refuse(f"the model's answer has {len(text)} bytes, at most {MAX_ANSWER} are read")
    return parse_json(text, "the model's answer")


async def ask_model(ctx: Context, task: str, data: Json, kind: type[T], *, max_tokens: int) -> T:
    """Return the model's answer as a pydantic model, strictly validated; else as `ask_json`."""
    value = await ask_json(ctx, task, data, kind.model_json_schema(), max_tokens=max_tokens)
    try:
        return kind.model_validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        raise Refuse(f"the model's answer is wrong: {first_fault(error, 'it')}") from None


def as_data(data: Json) -> str:
    """Return data as the text of a message: JSON without the marks of a chat template."""
    text = json.dumps(data, ensure_ascii=False, separators=(", ", ": "))
    return _STRING.sub(lambda found: _escaped(found[0]), text)


def _escaped(string: str) -> str:
    return string.replace("<", "\\u003c").replace("[", "\\u005b")
